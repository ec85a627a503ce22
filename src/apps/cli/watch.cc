#include "apps/cli/watch.h"

#include <ostream>

#include "apps/cli/progress.h"
#include "apps/cli/table.h"

namespace prunella::cli {

namespace {

constexpr std::size_t kEventMax = 64 << 10;   // a notice has some hundred bytes
constexpr std::size_t kNoticesMax = 1000;     // of a fleet at work; the rollout is read afresh anyway
constexpr Duration kReopen = std::chrono::seconds(2);
constexpr Duration kPlainEvery = std::chrono::seconds(5);
constexpr Duration kLineLeast = std::chrono::seconds(1);
constexpr Duration kDraw = std::chrono::milliseconds(250);
// Notices may be lost, and a proxy may hold the stream back: then this is how late the display is.
constexpr Duration kReadAgain = std::chrono::seconds(5);
// Notices of one wave come in bursts; the whole rollout is read at most this often.
constexpr Duration kReadLeast = std::chrono::milliseconds(200);
// A control plane that restarts is away for seconds; one that is away for this long needs a person.
constexpr Duration kGiveUp = std::chrono::minutes(2);

bool is_interrupted(Session& session) { return session.environment().interrupted && session.environment().interrupted(); }

/// Draws over what it drew before.
class Screen {
 public:
  Screen(std::ostream& out, bool colour) : out_(out), colour_(colour) {}
  void draw(const std::vector<std::string>& lines) {
    std::string text;
    if (drawn_ > 0) text += "\x1b[" + std::to_string(drawn_) + "A";
    for (const std::string& line : lines) text += "\r\x1b[2K" + line + "\n";
    // Lines that are left of a longer picture.
    text += "\x1b[J";
    drawn_ = lines.size();
    out_ << text << std::flush;
  }
  bool colour() const { return colour_; }

 private:
  std::ostream& out_;
  bool colour_;
  std::size_t drawn_ = 0;
};

}  // namespace

std::vector<std::string> SseReader::add(std::string_view bytes) {
  std::vector<std::string> out;
  for (char c : bytes) {
    if (c != '\n') {
      if (line_.size() + data_.size() < kEventMax) line_ += c;
      else too_long_ = true;
      continue;
    }
    if (line_.ends_with('\r')) line_.pop_back();
    if (line_.empty()) {
      if (has_data_ && !too_long_) out.push_back(std::move(data_));
      data_.clear();
      has_data_ = too_long_ = false;
    } else if (line_.starts_with("data:")) {
      if (has_data_) data_ += '\n';
      data_ += line_.substr(line_.starts_with("data: ") ? 6 : 5);
      has_data_ = true;
    }
    line_.clear();
  }
  return out;
}

EventFeed::EventFeed(std::unique_ptr<ApiClient> client) : client_(std::move(client)), thread_([this] { read(); }) {}

EventFeed::~EventFeed() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  client_->cancel();
  thread_.join();
}

void EventFeed::read() {
  HttpRequest request;
  request.target = "/v1/events";
  request.headers.add("Accept", "text/event-stream");
  for (;;) {
    SseReader reader;
    auto streamed = client_->stream(request, [&](std::string_view bytes) {
      for (const std::string& data : reader.add(bytes)) {
        auto notice = from_json_text<ChangeNotice>(data, {}, UnknownKeys::kIgnore);
        if (!notice) continue;  // of a newer control plane; the display reads afresh every few seconds
        std::lock_guard lock(mutex_);
        if (notices_.size() == kNoticesMax) notices_.pop_front();
        notices_.push_back(*std::move(notice));
        changed_.notify_all();
      }
      std::lock_guard lock(mutex_);
      return !stopping_;
    });
    std::unique_lock lock(mutex_);
    // Refused for good: without notices the display is some seconds late, and the reads say what is wrong.
    if (!streamed && streamed.error().kind() == ErrorKind::kDenied) changed_.wait(lock, [this] { return stopping_; });
    if (changed_.wait_for(lock, kReopen, [this] { return stopping_; })) return;
  }
}

std::optional<ChangeNotice> EventFeed::next(Duration wait) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, wait, [this] { return !notices_.empty() || stopping_; });
  if (notices_.empty()) return std::nullopt;
  ChangeNotice notice = std::move(notices_.front());
  notices_.pop_front();
  return notice;
}

ExitCode watch_rollout(Session& session, const RolloutId& id) {
  Environment& environment = session.environment();
  auto stream = session.another_api();
  if (!stream) return session.fail(stream.error());
  EventFeed feed(*std::move(stream));
  Screen screen(environment.out, session.colour());
  const std::string where = target_of("/v1/rollouts/", id.text());
  bool on_terminal = session.is_text() && environment.out_is_terminal;
  bool as_json = session.form() == Form::kJson || session.form() == Form::kJsonl;

  Monotonic begun = environment.clock.steady();
  Monotonic read_at = begun, written_at = begun, drawn_at = begun - kDraw;
  bool lost = false;
  Monotonic lost_at = begun;
  bool due = true, never_read = true;
  Display display;
  std::string last_json;
  std::optional<Instant> written_change;
  for (;;) {
    Monotonic steady = environment.clock.steady();
    Instant now = session.now();
    // Steps of runs may come many in a second; a log wants one line of them.
    bool changed = display.last_change != written_change && steady - written_at >= kLineLeast;
    if ((due && (never_read || steady - read_at >= kReadLeast)) || steady - read_at >= kReadAgain) {
      read_at = steady;
      due = false;
      auto view = session.get<RolloutView>(where);
      if (view) {
        Display next = reduce(display, ProgressEvent(*view), now);
        changed = changed || never_read || next.all != display.all || next.state != display.state;
        display = std::move(next);
        never_read = false;
        lost = false;
      } else if (view.error().kind() != ErrorKind::kUnavailable || never_read) {
        return session.fail(view.error());
      } else if (!lost) {
        lost = true;
        lost_at = steady;
        session.say("lost the control plane (" + shown(view.error().text()) + "); the rollout goes on or waits by itself, trying again");
      } else if (steady - lost_at > kGiveUp) {
        session.fail(view.error());
        session.next("prunella rollout watch " + id.text());
        return ExitCode::kRunning;
      }
    }
    display = reduce(std::move(display), Tick{}, now);

    if (as_json) {
      Json json = progress_json(display, now);
      json.as_object()->erase("at");
      std::string line = to_canonical(json);
      if (line != last_json) session.print(to_canonical(progress_json(display, now)) + "\n");
      last_json = line;
    } else if (on_terminal) {
      if (steady - drawn_at >= kDraw || display.ended) {
        screen.draw(bars(display, environment.columns, screen.colour()));
        drawn_at = steady;
      }
    } else if (session.form() != Form::kNames && (changed || steady - written_at >= kPlainEvery)) {
      session.print(progress_line(display, now) + "\n");
      written_at = steady;
      written_change = display.last_change;
    }

    if (display.ended) {
      session.say(end_text(display));
      if (display.state == RolloutState::kSucceeded && display.all.cannot == 0) {
        session.next("prunella status");
        return ExitCode::kOk;
      }
      session.next(display.failures.empty() ? "prunella rollout show " + id.text() : "prunella why " + display.failures.front().host);
      if (display.all.done == display.all.total) return ExitCode::kOk;
      return display.all.done > 0 ? ExitCode::kPartly : ExitCode::kFailed;
    }
    if (is_interrupted(session)) {
      session.say("no longer watched; the rollout goes on");
      session.next("prunella rollout watch " + id.text() + ", or to end it: prunella rollout abort " + id.text());
      return ExitCode::kInterrupted;
    }
    if (session.timeout() && steady - begun >= *session.timeout()) {
      session.say("still " + std::string(to_text(display.state)) + " after " + to_text(*session.timeout()) + "; it goes on by itself");
      session.next("prunella rollout watch " + id.text());
      return ExitCode::kRunning;
    }
    auto notice = feed.next(kDraw);
    if (!notice) continue;
    if (notice->progress) display = reduce(std::move(display), ProgressEvent(*notice->progress), session.now());
    if (notice->kind == "rollout" ? notice->id == id.text() : notice->kind == "run" && !notice->progress) due = true;
  }
}

ExitCode watch_command(Session& session, const Invocation& invocation) {
  Environment& environment = session.environment();
  auto stream = session.another_api();
  if (!stream) return session.fail(stream.error());
  EventFeed feed(*std::move(stream));
  Monotonic begun = environment.clock.steady();
  for (;;) {
    if (environment.out_is_terminal && session.is_text()) session.print("\x1b[H\x1b[2J");
    ExitCode code = invocation.command->run(session, invocation);
    if (code == ExitCode::kAuth || code == ExitCode::kUsage) return code;
    // Whatever comes within a moment is one change.
    Monotonic shown_at = environment.clock.steady();
    bool changed = false;
    for (;;) {
      bool notice = feed.next(kDraw).has_value();
      changed = changed || notice;
      Monotonic steady = environment.clock.steady();
      if (is_interrupted(session)) return ExitCode::kOk;
      if (session.timeout() && steady - begun >= *session.timeout()) return ExitCode::kOk;
      if (changed && steady - shown_at >= std::chrono::seconds(1)) break;
      if (steady - shown_at >= std::chrono::seconds(30)) break;
    }
  }
}

}  // namespace prunella::cli

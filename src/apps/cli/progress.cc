#include "apps/cli/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "apps/cli/table.h"
#include "base/display.h"
#include "plan/rollout.h"

namespace prunella::cli {

namespace {

constexpr std::size_t kBarWidth = 20;
constexpr std::size_t kWorkingShown = 6;   // a screen holds more, a person doesn't
constexpr std::size_t kFailuresShown = 5;

bool has_ended(RolloutHostState state) { return state != RolloutHostState::kPending && state != RolloutHostState::kOrdered; }

void count(Counts& counts, const RolloutHost& host) {
  ++counts.total;
  switch (host.state) {
    case RolloutHostState::kPending: ++counts.waiting; break;
    case RolloutHostState::kOrdered: ++counts.in_flight; break;
    case RolloutHostState::kVerified: ++counts.done; break;
    case RolloutHostState::kSkipped: ++counts.cannot; break;
    case RolloutHostState::kRefused:
      ++counts.cannot;
      // A host that moved on since the plan was made did nothing wrong; plan again.
      if (host.refusal != Refusal::kWorldMoved) ++counts.failed;
      break;
    case RolloutHostState::kReverted:
    case RolloutHostState::kEscalated:
    case RolloutHostState::kNoAnswer:
      ++counts.cannot;
      ++counts.failed;
      break;
  }
}

Duration median(std::vector<Duration> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

void take_view(Display& display, const RolloutView& view, Instant now) {
  const Rollout& rollout = view.rollout;
  Display before = display;
  display.rollout = rollout.id.text();
  display.plan = rollout.plan.id.text();
  display.purpose = rollout.plan.purpose;
  display.state = rollout.state;
  display.reason = rollout.reason;
  display.sentence = view.sentence;
  display.ended = is_end(rollout.state);
  display.all = {};
  display.waves.clear();
  display.working.clear();
  display.failures.clear();
  display.host_of_run.clear();
  display.held.reset();
  display.soak.reset();
  for (std::size_t k = 0; k < rollout.plan.wave_ends.size(); ++k) {
    WaveDisplay wave;
    wave.name = k == 0 ? "canary" : "wave " + std::to_string(k + 1);
    wave.current = k == rollout.wave && !display.ended;
    wave.passed = k < rollout.wave || rollout.state == RolloutState::kSucceeded;
    display.waves.push_back(std::move(wave));
  }
  std::size_t wave = 0;
  std::uint64_t soaking = 0;
  const RolloutHost* behind = nullptr;
  bool first = !before.last_change;
  for (const RolloutHost& host : rollout.hosts) {
    while (wave < rollout.plan.wave_ends.size() && host.index >= rollout.plan.wave_ends[wave]) ++wave;
    count(display.all, host);
    if (wave < display.waves.size()) count(display.waves[wave].counts, host);
    if (wave == rollout.wave && !display.ended) {
      if (host.state == RolloutHostState::kPending && !host.reason.empty() && !display.held) display.held = host.host.text() + ": " + host.reason;
      if (host.state == RolloutHostState::kVerified && host.healthy_reports < rollout.plan.soak_reports) {
        ++soaking;
        if (!behind || host.healthy_reports < behind->healthy_reports) behind = &host;
      }
    }
    if (host.run) display.host_of_run[host.run->text()] = host.host.text();
    if (host.state == RolloutHostState::kOrdered) {
      HostDisplay at_work{host.host.text(), RunState::kOrdered, "", std::nullopt};
      if (auto found = view.progress.find(host.host.text()); found != view.progress.end()) {
        at_work.state = found->second.state;
        at_work.detail = found->second.detail;
        at_work.percent = found->second.percent;
      }
      display.working.push_back(std::move(at_work));
    } else if (has_ended(host.state) && host.state != RolloutHostState::kVerified) {
      display.failures.push_back({host.host.text(), host.state, host.reason});
    }
    // Ends that were there when the watch began were seen by nobody: they say nothing about how long a host takes.
    if (has_ended(host.state) && !display.ended_at.contains(host.host.text())) {
      display.ended_at[host.host.text()] = first ? Instant{} : now;
      if (!first && host.ordered_at && host.state != RolloutHostState::kSkipped) display.took[host.host.text()] = std::max(now - *host.ordered_at, Duration(0));
    }
  }
  if (behind)
    display.soak = "healthy reports of " + count_text(soaking, "host", "hosts") + " (" + behind->host.text() + ": " + std::to_string(behind->healthy_reports) + " of " +
                   std::to_string(rollout.plan.soak_reports) + ")";
  std::ranges::sort(display.working, {}, &HostDisplay::host);
  auto same = [](const Display& a, const Display& b) {
    return a.state == b.state && a.all == b.all && a.waves == b.waves && a.working == b.working && a.reason == b.reason && a.held == b.held && a.soak == b.soak;
  };
  if (first || !same(before, display)) display.last_change = now;
}

void take_progress(Display& display, const RunProgress& progress, Instant now) {
  auto host = display.host_of_run.find(progress.run.text());
  if (host == display.host_of_run.end()) return;  // another rollout's
  for (HostDisplay& at_work : display.working) {
    if (at_work.host != host->second) continue;
    HostDisplay next{at_work.host, progress.state, progress.detail, progress.percent};
    if (next != at_work) display.last_change = now;
    at_work = std::move(next);
  }
}

void take_time(Display& display, Instant now) {
  std::size_t recent = 0;
  std::optional<Instant> oldest;
  for (const auto& [host, at] : display.ended_at) {
    if (at == Instant{} || now - at > kRateWindow || at > now) continue;
    ++recent;
    if (!oldest || at < *oldest) oldest = at;
  }
  display.per_minute.reset();
  if (recent >= kEtaFinishedMin && now - *oldest >= std::chrono::seconds(10))
    display.per_minute = static_cast<double>(recent) * 60'000.0 / static_cast<double>((now - *oldest).count());

  // Hosts of a wave go at the same time, as far as they are let: as many as are in flight now. Each such round takes what the
  // median host took; a quarter less to a half more covers most of the others.
  display.eta.reset();
  if (!display.ended && display.state == RolloutState::kRunning && display.took.size() >= kEtaFinishedMin) {
    for (const WaveDisplay& wave : display.waves) {
      std::uint64_t left = wave.counts.waiting + wave.counts.in_flight;
      if (!wave.current || left == 0) continue;
      std::vector<Duration> took;
      for (const auto& [host, duration] : display.took) took.push_back(duration);
      Duration middle = median(std::move(took));
      std::uint64_t at_once = std::max<std::uint64_t>(wave.counts.in_flight, 1);
      std::uint64_t rounds = (left + at_once - 1) / at_once;
      display.eta = {middle * static_cast<std::int64_t>(rounds) * 3 / 4, middle * static_cast<std::int64_t>(rounds) * 3 / 2};
    }
  }

  display.waits_for.reset();
  if (display.ended || !display.last_change || now - *display.last_change <= kSilence) return;
  if (!display.working.empty()) {
    const HostDisplay& host = display.working.front();
    std::string more = display.working.size() > 1 ? " and " + std::to_string(display.working.size() - 1) + " more" : "";
    display.waits_for = host.host + " (" + std::string(to_text(host.state)) + (host.detail.empty() ? "" : ": " + host.detail) + ")" + more;
  } else if (display.state == RolloutState::kRunning && display.held) {
    display.waits_for = display.held;
  } else if (display.state == RolloutState::kRunning && display.soak) {
    display.waits_for = display.soak;
  } else if (!display.reason.empty()) {
    display.waits_for = display.reason;
  } else {
    display.waits_for = "the control plane's next step (" + std::string(to_text(display.state)) + ")";
  }
}

std::string cut(std::string text, std::size_t columns) {
  if (width_of(text) <= columns) return text;
  std::string out;
  std::size_t width = 0;
  for (char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80 && ++width > columns - 3) break;
    out += c;
  }
  return out + "...";
}

std::string counts_text(const Counts& counts) {
  std::string out = std::to_string(counts.done) + " done, " + std::to_string(counts.in_flight) + " in flight, " + std::to_string(counts.cannot) + " cannot";
  if (counts.failed) out += " (" + std::to_string(counts.failed) + " failed)";
  return out;
}

std::string rate_text(double per_minute) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, per_minute < 10 ? "%.1f/min" : "%.0f/min", per_minute);
  return buffer;
}

std::string eta_text(const std::pair<Duration, Duration>& eta) { return "about " + rough(eta.first) + " to " + rough(eta.second); }

std::string at_work_text(const HostDisplay& host) {
  std::string out = host.host + "  " + std::string(to_text(host.state));
  if (host.percent) out += " " + std::to_string(*host.percent) + " %";
  if (!host.detail.empty()) out += "  " + host.detail;
  return display_text(out);
}

}  // namespace

Display reduce(Display display, const ProgressEvent& event, Instant now) {
  if (const auto* view = std::get_if<RolloutView>(&event)) take_view(display, *view, now);
  if (const auto* progress = std::get_if<RunProgress>(&event)) take_progress(display, *progress, now);
  take_time(display, now);
  return display;
}

std::vector<std::string> bars(const Display& display, std::size_t columns, bool colour) {
  auto styled = [&](const std::string& text, const char* code) { return colour ? "\x1b[" + std::string(code) + "m" + text + "\x1b[0m" : text; };
  std::vector<std::string> out;
  out.push_back(styled(cut(display_text(display.rollout) + "  " + display_text(display.purpose) + "  " + count_text(display.all.total, "host", "hosts") + "  " +
                               std::string(to_text(display.state)),
                           columns),
                       "1"));
  for (const WaveDisplay& wave : display.waves) {
    const Counts& counts = wave.counts;
    std::uint64_t total = std::max<std::uint64_t>(counts.total, 1);
    std::size_t good = static_cast<std::size_t>(counts.done * kBarWidth / total);
    std::size_t bad = static_cast<std::size_t>((counts.cannot * kBarWidth + total - 1) / total);
    bad = std::min(bad, kBarWidth - good);
    std::size_t moving = static_cast<std::size_t>((counts.in_flight * kBarWidth + total - 1) / total);
    moving = std::min(moving, kBarWidth - good - bad);
    std::string name = wave.name;
    name.resize(std::max<std::size_t>(name.size(), 8), ' ');
    std::string text;
    if (!wave.current && !wave.passed && counts.done + counts.in_flight + counts.cannot == 0) {
      text = std::to_string(counts.done) + "/" + std::to_string(counts.total) + (display.ended ? "  not begun" : "  waits for the wave before");
    } else {
      text = std::to_string(counts.done) + "/" + std::to_string(counts.total) + "  " + counts_text(counts);
      if (wave.passed) text += "  passed";
      if (wave.current && display.per_minute) text += "  " + rate_text(*display.per_minute);
      if (wave.current && display.eta) text += "  " + eta_text(*display.eta);
    }
    std::size_t left = columns > kBarWidth + name.size() + 4 ? columns - kBarWidth - name.size() - 4 : 10;
    out.push_back(" " + name + " " + styled(std::string(good, '#'), "32") + styled(std::string(bad, 'x'), "31") + styled(std::string(moving, '>'), "36") +
                  std::string(kBarWidth - good - bad - moving, '.') + "  " + cut(text, left));
  }
  for (std::size_t i = 0; i < display.working.size() && i < kWorkingShown; ++i) out.push_back(cut("   " + at_work_text(display.working[i]), columns));
  if (display.working.size() > kWorkingShown) out.push_back("   and " + std::to_string(display.working.size() - kWorkingShown) + " more at work");
  for (std::size_t i = 0; i < display.failures.size() && i < kFailuresShown; ++i) {
    const FailureDisplay& failure = display.failures[i];
    out.push_back(styled(cut(" x " + display_text(failure.host) + "  " + std::string(to_text(failure.state)) + "  " + display_text(failure.reason), columns), "33"));
  }
  if (display.failures.size() > kFailuresShown) out.push_back("   and " + std::to_string(display.failures.size() - kFailuresShown) + " more: prunella rollout show");
  if (display.waits_for) out.push_back(cut(" waits for: " + display_text(*display.waits_for), columns));
  return out;
}

std::string progress_line(const Display& display, Instant now) {
  std::string out = clock_text(now) + " " + display_text(display.rollout) + " " + std::string(to_text(display.state)) + ": ";
  for (const WaveDisplay& wave : display.waves)
    if (wave.current) out += wave.name + " " + std::to_string(wave.counts.done) + "/" + std::to_string(wave.counts.total) + "; ";
  out += counts_text(display.all) + " of " + std::to_string(display.all.total);
  if (display.per_minute) out += "; " + rate_text(*display.per_minute);
  if (display.eta) out += "; " + eta_text(*display.eta);
  if (!display.working.empty()) out += "; " + at_work_text(display.working.front());
  if (display.waits_for) out += "; waits for: " + display_text(*display.waits_for);
  return out;
}

Json progress_json(const Display& display, Instant now) {
  auto counts = [](const Counts& c) {
    return Json(Json::Object{{"total", c.total}, {"done", c.done}, {"in_flight", c.in_flight}, {"cannot", c.cannot}, {"failed", c.failed}, {"waiting", c.waiting}});
  };
  Json out{Json::Object{}};
  out["at"] = Json(to_rfc3339(now));
  out["rollout"] = Json(display.rollout);
  out["plan"] = Json(display.plan);
  out["state"] = Json(to_text(display.state));
  if (!display.reason.empty()) out["reason"] = Json(display.reason);
  out["hosts"] = counts(display.all);
  Json::Array waves;
  for (const WaveDisplay& wave : display.waves) {
    Json one = counts(wave.counts);
    one["name"] = Json(wave.name);
    one["current"] = Json(wave.current);
    one["passed"] = Json(wave.passed);
    waves.push_back(std::move(one));
  }
  out["waves"] = Json(std::move(waves));
  Json::Array working;
  for (const HostDisplay& host : display.working) {
    Json one{Json::Object{}};
    one["host"] = Json(host.host);
    one["state"] = Json(to_text(host.state));
    if (!host.detail.empty()) one["detail"] = Json(host.detail);
    if (host.percent) one["percent"] = Json(*host.percent);
    working.push_back(std::move(one));
  }
  out["working"] = Json(std::move(working));
  if (display.per_minute) out["per_minute"] = Json(std::round(*display.per_minute * 10) / 10);
  if (display.eta) {
    out["eta_min_ms"] = Json(display.eta->first.count());
    out["eta_max_ms"] = Json(display.eta->second.count());
  }
  if (display.waits_for) out["waits_for"] = Json(*display.waits_for);
  out["ended"] = Json(display.ended);
  return out;
}

std::string end_text(const Display& display) {
  std::string out = display_text(display.rollout) + " " + std::string(to_text(display.state)) + ": " + counts_text(display.all) + " of " +
                    count_text(display.all.total, "host", "hosts");
  if (display.all.waiting) out += ", " + std::to_string(display.all.waiting) + " not reached";
  if (!display.reason.empty()) out += "; " + display_text(display.reason);
  for (std::size_t i = 0; i < display.failures.size() && i < kFailuresShown; ++i)
    out += "\n  " + display_text(display.failures[i].host) + ": " + std::string(to_text(display.failures[i].state)) + ", " + display_text(display.failures[i].reason);
  if (display.failures.size() > kFailuresShown) out += "\n  and " + std::to_string(display.failures.size() - kFailuresShown) + " more";
  return out;
}

}  // namespace prunella::cli

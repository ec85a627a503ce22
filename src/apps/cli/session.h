#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/cli/api_client.h"
#include "apps/cli/command.h"
#include "apps/cli/config.h"
#include "base/codec.h"
#include "base/display.h"
#include "base/time.h"
#include "model/api.h"

namespace prunella::cli {

/// The world around one call of the program; tests give another one.
struct Environment {
  std::ostream& out;
  std::ostream& err;
  std::istream& in;
  bool out_is_terminal = false;
  bool in_is_terminal = false;
  std::size_t columns = 100;
  std::map<std::string, std::string> variables;
  Clock& clock;
  Random& random;
  std::function<Result<std::unique_ptr<ApiClient>>(const Context&, Duration)> connect;
  /// True once a person asked to stop (Ctrl-C) while something is watched.
  std::function<bool()> interrupted;
};

/// How data is written.
enum class Form { kText, kPlain, kJson, kJsonl, kNames };

/// Most items that a list fetches without --limit, and with one: above, a selector is what is wanted.
inline constexpr std::size_t kListDefault = 1000;
inline constexpr std::size_t kListMax = 100'000;

/// What commands share: where output goes and in which form, the context, the connection, questions, errors.
class Session {
 public:
  Session(Environment& environment, const Invocation& invocation);

  Environment& environment() { return environment_; }
  Form form() const { return form_; }
  bool is_text() const { return form_ == Form::kText; }
  bool colour() const { return colour_; }
  bool quiet() const { return quiet_; }
  Instant now() { return environment_.clock.now(); }
  ConfigDir config() const;

  // --- output
  /// Data, to standard output.
  void print(std::string_view text);
  /// A message, to standard error, unless -q.
  void say(std::string_view text);
  /// "next: ..." to standard error; only when a person reads.
  void next(std::string_view command);
  /// An error, always shown; gives the exit code for it.
  ExitCode fail(const Error& error);
  ExitCode fail(ExitCode code, std::string_view text);
  /// The value as JSON (--json, --jsonl). False when another form is wanted.
  bool print_json(const Json& value);
  /// `text` in a colour, if there is colour. Codes after ECMA-48 SGR.
  std::string styled(std::string_view text, std::string_view code) const;
  std::string bold(std::string_view text) const { return styled(text, "1"); }

  /// Asks a question that "yes" or "y" agrees to; with --yes it is agreed to already.
  /// @error kConflict  nobody is there to answer: --yes is needed.
  Result<bool> confirm(std::string_view question);

  // --- the control plane
  /// @error kNotFound  no context and no server is given.
  Result<Context> context();
  std::string context_name();
  Result<ApiClient*> api();
  /// Another connection, for a stream beside it.
  Result<std::unique_ptr<ApiClient>> another_api();
  std::optional<Duration> timeout() const { return timeout_; }

  Result<Json> get_json(const std::string& target);
  Result<Json> send_json(std::string_view method, const std::string& target, const std::optional<Json>& body);

  template <class T>
  Result<T> get(const std::string& where) {
    auto json = get_json(where);
    if (!json) return std::move(json).error();
    return read<T>(*json, where);
  }
  template <class T, class Body>
  Result<T> send(std::string_view method, const std::string& where, const Body& body) {
    auto json = send_json(method, where, to_json(body));
    if (!json) return std::move(json).error();
    return read<T>(*json, where);
  }
  template <class T>
  Result<T> post(const std::string& where) {
    auto json = send_json("POST", where, std::nullopt);
    if (!json) return std::move(json).error();
    return read<T>(*json, where);
  }

  /// All pages of a list, up to --limit. `more` tells that there are further ones.
  template <class T>
  Result<std::vector<T>> list(std::string_view path, std::vector<std::pair<std::string, std::string>> query, bool* more = nullptr) {
    std::vector<T> out;
    auto most = limit();
    if (!most) return std::move(most).error();
    query.emplace_back("limit", "");
    query.emplace_back("cursor", "");
    for (;;) {
      query[query.size() - 2].second = std::to_string(std::min<std::size_t>(*most - out.size(), 500));
      auto page = get<Page<T>>(target(path, query));
      if (!page) return std::move(page).error();
      for (T& item : page->items) out.push_back(std::move(item));
      if (more) *more = page->next.has_value();
      if (!page->next || out.size() >= *most) return out;
      query.back().second = *page->next;
    }
  }
  Result<std::size_t> limit() const;

 private:
  template <class T>
  Result<T> read(const Json& json, const std::string& where) {
    // A newer control plane says more than we know. What is signed in an answer is read from its bytes, and strictly.
    auto value = from_json<T>(json, UnknownKeys::kIgnore);
    // A 400 means that the caller is wrong; here it's the server's answer that isn't understood.
    if (!value) return corrupt("the answer of " + where + " isn't understood (a newer control plane?): " + value.error().text());
    return value;
  }

  Environment& environment_;
  const Invocation& invocation_;
  Form form_ = Form::kText;
  bool colour_ = false;
  bool quiet_ = false;
  std::optional<Duration> timeout_;
  std::optional<Error> bad_timeout_;
  std::unique_ptr<ApiClient> api_;
};

/// Escaped for a terminal; also for lines of plain output.
inline std::string shown(std::string_view text) { return display_text(text); }

}  // namespace prunella::cli

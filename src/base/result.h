#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/check.h"

namespace prunella {

/// What a caller can do about a failure. A new kind only where some caller would react differently.
enum class ErrorKind {
  kInvalidInput,  ///< the input is wrong: it stays wrong, tell whoever sent it
  kNotFound,      ///< the thing does not exist
  kConflict,      ///< the world moved, or somebody else was first: look again
  kUnavailable,   ///< not now; of a write: it may have happened, read back before you repeat it
  kDenied,        ///< a policy, a signature or a permission says no
  kExpired,       ///< it was right once and is too late now
  kCorrupt,       ///< stored data is damaged: stop, do not repair silently
  kExhausted,     ///< a named limit (budget, size, space, queue) is reached
};

/// The word for `kind` in logs, JSON and messages: "invalid input", "not found", ...
std::string_view to_text(ErrorKind kind);

/// A failure that can be expected: a kind for code, a text for people that quotes the wrong value.
class [[nodiscard]] Error {
 public:
  Error(ErrorKind kind, std::string text) : kind_(kind), text_(std::move(text)) {}

  ErrorKind kind() const { return kind_; }
  const std::string& text() const { return text_; }

  /// The same error with what was being done put in front: "reading x.json: 'y' is not a port".
  Error during(std::string_view what) && {
    text_.insert(0, std::string(what) + ": ");
    return std::move(*this);
  }
  Error during(std::string_view what) const& { return Error(*this).during(what); }

  /// A word for programs that must tell this failure from others of its kind: "nothing-to-plan". Empty for most.
  const std::string& type() const { return type_; }
  Error of_type(std::string_view type) && {
    type_ = type;
    return std::move(*this);
  }

 private:
  ErrorKind kind_;
  std::string text_;
  std::string type_;
};

inline Error invalid_input(std::string text) { return {ErrorKind::kInvalidInput, std::move(text)}; }
inline Error not_found(std::string text) { return {ErrorKind::kNotFound, std::move(text)}; }
inline Error conflict(std::string text) { return {ErrorKind::kConflict, std::move(text)}; }
inline Error unavailable(std::string text) { return {ErrorKind::kUnavailable, std::move(text)}; }
inline Error denied(std::string text) { return {ErrorKind::kDenied, std::move(text)}; }
inline Error expired(std::string text) { return {ErrorKind::kExpired, std::move(text)}; }
inline Error corrupt(std::string text) { return {ErrorKind::kCorrupt, std::move(text)}; }
inline Error exhausted(std::string text) { return {ErrorKind::kExhausted, std::move(text)}; }

/// A value or an Error. Member names are those of std::expected, so that it can become an alias of it.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  template <class U = T>
    requires(std::constructible_from<T, U> && !std::same_as<std::remove_cvref_t<U>, Result> &&
             !std::same_as<std::remove_cvref_t<U>, Error>)
  Result(U&& value) : state_(std::in_place_index<0>, std::forward<U>(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() & { return check(has_value(), "value() of a failed Result"), std::get<0>(state_); }
  const T& value() const& { return check(has_value(), "value() of a failed Result"), std::get<0>(state_); }
  T&& value() && { return check(has_value(), "value() of a failed Result"), std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& { return check(!has_value(), "error() of a good Result"), std::get<1>(state_); }
  Error&& error() && { return check(!has_value(), "error() of a good Result"), std::get<1>(std::move(state_)); }

  T value_or(T other) const& { return has_value() ? std::get<0>(state_) : std::move(other); }
  std::optional<T> to_optional() && {
    if (!has_value()) return std::nullopt;
    return std::get<0>(std::move(state_));
  }

  template <class F>
  auto and_then(F&& f) && -> std::invoke_result_t<F, T&&> {
    if (!has_value()) return std::get<1>(std::move(state_));
    return std::forward<F>(f)(std::get<0>(std::move(state_)));
  }
  template <class F>
  auto transform(F&& f) && -> Result<std::invoke_result_t<F, T&&>> {
    if (!has_value()) return std::get<1>(std::move(state_));
    return std::forward<F>(f)(std::get<0>(std::move(state_)));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool has_value() const { return !error_; }
  explicit operator bool() const { return has_value(); }
  void value() const { check(has_value(), "value() of a failed Result"); }
  const Error& error() const& { return check(!has_value(), "error() of a good Result"), *error_; }
  Error&& error() && { return check(!has_value(), "error() of a good Result"), *std::move(error_); }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace prunella

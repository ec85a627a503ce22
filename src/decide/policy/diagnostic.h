#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/codec.h"

namespace prunella::policy {

using prunella::to_text;  // or those below would hide it

/// A place in a document, for people: both start at 1, columns count characters. 0: the document as a whole.
struct Mark {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  bool operator==(const Mark&) const = default;
};

enum class Weight { kError, kWarning };
constexpr std::array<EnumWord<Weight>, 2> enum_words(Weight) { return {{{Weight::kError, "error"}, {Weight::kWarning, "warning"}}}; }

/// What is wrong with a document (error: it isn't loaded), or what its author probably didn't mean (warning).
struct Diagnostic {
  Weight weight = Weight::kError;
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string policy;  ///< empty: not known yet
  std::string text;    ///< quotes the wrong value
  std::string hint;    ///< what would be right
  bool operator==(const Diagnostic&) const = default;
};
template <class F>
void fields(F& f, Diagnostic& d) {
  f("weight", d.weight);
  f("line", d.line);
  f("column", d.column);
  f("policy", d.policy);
  f("text", d.text);
  f("hint", d.hint);
}

inline bool has_errors(const std::vector<Diagnostic>& diagnostics) {
  for (const Diagnostic& diagnostic : diagnostics)
    if (diagnostic.weight == Weight::kError) return true;
  return false;
}

/// "web.yaml:3:5: error: patch-web: unknown key 'autonomi'; did you mean 'autonomy'?" with the line of the text and a caret.
std::string render(const Diagnostic& diagnostic, std::string_view file, std::string_view text);

}  // namespace prunella::policy

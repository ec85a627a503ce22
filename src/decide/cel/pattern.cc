#include "decide/cel/pattern.h"

#include <re2/re2.h>

#include "base/text.h"

namespace prunella::cel {

Result<Pattern> Pattern::compile(std::string_view text) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kPatternBytesMax);
  auto compiled = std::make_shared<const re2::RE2>(re2::StringPiece(text.data(), text.size()), options);
  if (!compiled->ok()) return invalid_input(quoted(text) + " is no regular expression (RE2 syntax): " + compiled->error());
  return Pattern(std::move(compiled));
}

bool Pattern::found_in(std::string_view text) const {
  return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *compiled_);
}

std::uint64_t Pattern::cost(std::size_t bytes) const {
  // The automaton is linear in the text; a large program falls back to the slower simulation.
  return 1 + (bytes / 8 + 1) * (1 + static_cast<std::uint64_t>(compiled_->ProgramSize()) / 64);
}

}  // namespace prunella::cel

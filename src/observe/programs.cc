#include "observe/programs.h"

#include "base/text.h"

namespace prunella {

std::string ending_text(std::string_view program, const ProgramResult& result) {
  std::string text(program);
  if (result.exit_code) text += " ended with " + std::to_string(*result.exit_code);
  else if (result.signal) text += " was ended by signal " + std::to_string(*result.signal);
  std::string_view errors = trim(result.errors.empty() ? result.output : result.errors);
  std::string_view last = trim(errors.substr(errors.rfind('\n') + 1));
  if (!last.empty()) text += ": " + quoted(last, 300);
  return text;
}

}  // namespace prunella

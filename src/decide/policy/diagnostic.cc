#include "decide/policy/diagnostic.h"

#include "base/text.h"

namespace prunella::policy {

std::string render(const Diagnostic& diagnostic, std::string_view file, std::string_view text) {
  std::string out(file);
  if (diagnostic.line > 0) out += ":" + std::to_string(diagnostic.line) + ":" + std::to_string(diagnostic.column);
  out += ": " + std::string(to_text(diagnostic.weight)) + ": ";
  if (!diagnostic.policy.empty()) out += diagnostic.policy + ": ";
  out += diagnostic.text;
  if (!diagnostic.hint.empty()) out += "; " + diagnostic.hint;
  out += "\n";
  if (diagnostic.line == 0) return out;
  const auto lines = split(text, '\n');
  if (diagnostic.line > lines.size()) return out;
  out += "  " + std::string(lines[diagnostic.line - 1]) + "\n  " + std::string(diagnostic.column > 0 ? diagnostic.column - 1 : 0, ' ') + "^\n";
  return out;
}

}  // namespace prunella::policy

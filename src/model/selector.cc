#include "model/selector.h"

namespace prunella {

Result<Selector> parse_selector(std::string_view text) {
  Selector selector;
  selector.text = std::string(trim(text));
  if (selector.text.empty()) return invalid_input("an empty selector selects nothing: say all, or terms such as host:web-* release:12");
  if (selector.text == "all") {
    selector.all = true;
    return selector;
  }
  constexpr std::size_t kTermsMax = 32;
  for (std::string_view word : split_blanks(selector.text)) {
    std::size_t colon = word.find(':');
    if (colon == std::string_view::npos || colon == 0 || colon + 1 == word.size())
      return invalid_input(quoted(word) + " is not a term such as host:web-* or ring:canary");
    if (selector.terms.size() == kTermsMax) return exhausted("a selector of more than 32 terms");
    selector.terms.push_back({std::string(word.substr(0, colon)), std::string(word.substr(colon + 1))});
  }
  return selector;
}

bool selects(const Selector& selector, const HostView& host, const std::optional<SystemFacts>& system) {
  if (selector.all) return true;
  for (const Selector::Term& term : selector.terms) {
    auto matches = [&](std::string_view value) { return matches_pattern(term.pattern, value); };
    bool good = false;
    if (term.key == "host") good = matches(host.id.text()) || matches(host.name);
    else if (term.key == "os") good = system && matches(system->os_id);
    else if (term.key == "release") good = system && matches(system->os_version);
    else if (term.key == "codename") good = system && matches(system->os_codename);
    else if (term.key == "posture") good = matches(to_text(host.posture));
    else if (auto label = host.labels.find(term.key); label != host.labels.end()) good = matches(label->second);
    if (!good) return false;
  }
  return true;
}

}  // namespace prunella

#include "base/ids.h"

#include "base/text.h"

namespace prunella {

std::string random_id_text(Random& random, std::size_t count) {
  constexpr std::string_view kAlphabet = "0123456789abcdefghjkmnpqrstvwxyz";
  std::string text;
  while (text.size() < count) text.push_back(kAlphabet[random.below(kAlphabet.size())]);
  return text;
}

Status check_name(std::string_view what, std::string_view text) {
  constexpr std::string_view kRest = "._:+@~-";
  bool good = !text.empty() && text.size() <= 128 && text[0] != '-' && text[0] != '.';
  for (char c : text)
    good = good && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || kRest.find(c) != std::string_view::npos);
  if (good) return {};
  return invalid_input(quoted(text) + " is not " + std::string(what) + ": 1 to 128 of letters, digits and ._:+@~-, starting with none of '-' and '.'");
}

}  // namespace prunella

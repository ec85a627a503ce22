#include "observe/stanza.h"

#include <algorithm>
#include <string>

#include "base/text.h"

namespace prunella {

namespace {
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && (is_blank(text.front()) || text.front() == '\r')) text.remove_prefix(1);
  while (!text.empty() && (is_blank(text.back()) || text.back() == '\r' || text.back() == '\n')) text.remove_suffix(1);
  return text;
}

Error bad_line(std::size_t line, std::string_view text, std::string_view wanted) {
  return invalid_input("line " + std::to_string(line) + ": " + quoted(text) + " " + std::string(wanted));
}
}  // namespace

Result<bool> StanzaReader::next(std::vector<StanzaField>& fields) {
  fields.clear();
  while (at_ < text_.size()) {
    std::size_t end = text_.find('\n', at_);
    if (end == std::string_view::npos) end = text_.size();
    std::string_view line = text_.substr(at_, end - at_);
    at_ = std::min(end + 1, text_.size());
    ++line_;

    if (line.find('\0') != std::string_view::npos) return bad_line(line_, line, "has a NUL byte");
    if (line.empty() || without_blanks(line).empty()) {
      if (!fields.empty()) return true;
      continue;
    }
    if (line.front() == '#') continue;
    if (is_blank(line.front())) {
      if (fields.empty()) return bad_line(line_, line, "continues a field, but no field came before it");
      // The value so far and this line lie beside each other in the text, apart from comments, which may stay in between.
      StanzaField& field = fields.back();
      const char* begin = field.value.data();
      std::string_view whole(begin, static_cast<std::size_t>(text_.data() + end - begin));
      while (!whole.empty() && (is_blank(whole.back()) || whole.back() == '\r')) whole.remove_suffix(1);
      field.value = whole;
      continue;
    }
    std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) return bad_line(line_, line, "is not a field such as 'Package: name'");
    std::string_view name = line.substr(0, colon);
    if (name.find_first_of(" \t") != std::string_view::npos) return bad_line(line_, line, "has a blank in its field's name");
    if (fields.size() == kStanzaFieldsMax)
      return exhausted("line " + std::to_string(line_) + ": more than " + std::to_string(kStanzaFieldsMax) + " fields in a stanza");
    std::string_view value = without_blanks(line.substr(colon + 1));
    // An empty value still points into the text, so that a continuation line can extend it.
    fields.push_back({name, value.empty() ? text_.substr(end, 0) : value, line_});
  }
  return !fields.empty();
}

const StanzaField* find_field(const std::vector<StanzaField>& fields, std::string_view name) {
  for (const StanzaField& field : fields)
    if (field.name.size() == name.size() &&
        std::equal(name.begin(), name.end(), field.name.begin(), [](char a, char b) { return lower(a) == lower(b); }))
      return &field;
  return nullptr;
}

std::string_view field_value(const std::vector<StanzaField>& fields, std::string_view name) {
  const StanzaField* field = find_field(fields, name);
  return field ? field->value : std::string_view();
}

}  // namespace prunella

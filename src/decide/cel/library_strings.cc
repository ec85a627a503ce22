// What strings have beyond the standard library; positions count characters. Source: cel-go's ext/strings.go.
#include <algorithm>
#include <optional>

#include "base/text.h"
#include "decide/cel/function.h"
#include "decide/cel/literal.h"

namespace prunella::cel {

namespace {

using Arguments = std::span<const Value>;

Value bad(std::string text) { return Value::error(ErrorCode::kBadArgument, std::move(text)); }
Value out_of_range(std::int64_t index, std::size_t size) {
  return Value::error(ErrorCode::kIndex,
                      "position " + std::to_string(index) + " is not within a string of " + std::to_string(size) + " characters");
}

/// The byte at which character `index` starts; the end of the text for its size. nullopt when there is no such character.
std::optional<std::size_t> byte_of(std::string_view text, std::int64_t index) {
  if (index < 0) return std::nullopt;
  std::size_t at = 0;
  for (std::int64_t i = 0; i < index; ++i) {
    if (at >= text.size()) return std::nullopt;
    next_character(text, at);
  }
  return at;
}

Value char_at(const CallContext& context, Arguments a) {
  const std::string_view text = a[0].as_text();
  if (!context.spend_text(text.size())) return over_cost();
  const auto begin = byte_of(text, a[1].as_int());
  if (!begin) return out_of_range(a[1].as_int(), character_count(text));
  if (*begin == text.size()) return Value::string("");
  std::size_t end = *begin;
  next_character(text, end);
  return Value::string(text.substr(*begin, end - *begin));
}

/// A search costs as `contains` does.
bool spend_search(const CallContext& context, std::string_view text, std::string_view wanted) {
  const std::size_t units = text.size() / 8 + 1;
  return context.budget.spend(units + units * (wanted.size() / 64));
}
Value character_number(std::string_view text, std::size_t byte) {
  if (byte == std::string_view::npos) return Value::integer(-1);
  return Value::integer(static_cast<std::int64_t>(character_count(text.substr(0, byte))));
}
Value index_of(const CallContext& context, Arguments a) {
  if (!spend_search(context, a[0].as_text(), a[1].as_text())) return over_cost();
  return character_number(a[0].as_text(), a[0].as_text().find(a[1].as_text()));
}
Value index_of_from(const CallContext& context, Arguments a) {
  const std::string_view text = a[0].as_text();
  if (!spend_search(context, text, a[1].as_text())) return over_cost();
  const auto from = byte_of(text, a[2].as_int());
  if (!from) return out_of_range(a[2].as_int(), character_count(text));
  return character_number(text, text.find(a[1].as_text(), *from));
}
Value last_index_of(const CallContext& context, Arguments a) {
  if (!spend_search(context, a[0].as_text(), a[1].as_text())) return over_cost();
  return character_number(a[0].as_text(), a[0].as_text().rfind(a[1].as_text()));
}
Value last_index_of_to(const CallContext& context, Arguments a) {
  const std::string_view text = a[0].as_text();
  if (!spend_search(context, text, a[1].as_text())) return over_cost();
  const auto to = byte_of(text, a[2].as_int());
  if (!to) return out_of_range(a[2].as_int(), character_count(text));
  return character_number(text, text.rfind(a[1].as_text(), *to));
}

template <char First, char Last, int Shift>
Value shifted(const CallContext& context, Arguments a) {
  std::string text(a[0].as_text());
  if (!context.spend_text(text.size())) return over_cost();
  for (char& c : text) {
    if (c >= First && c <= Last) c = static_cast<char>(c + Shift);
  }
  return Value::string(text);
}

/// The places of `wanted` in `text`, at most `limit`; an empty one is found before each character and at the end.
std::vector<std::size_t> places_of(std::string_view text, std::string_view wanted, std::size_t limit) {
  std::vector<std::size_t> places;
  std::size_t at = 0;
  while (places.size() < limit) {
    const std::size_t found = text.find(wanted, at);
    if (found == std::string_view::npos) break;
    places.push_back(found);
    at = found + wanted.size();
    if (!wanted.empty()) continue;
    if (at >= text.size()) break;
    next_character(text, at);
  }
  return places;
}
Value replaced(const CallContext& context, Arguments a, std::int64_t limit) {
  const std::string_view text = a[0].as_text();
  const std::string_view old = a[1].as_text();
  const std::string_view fresh = a[2].as_text();
  if (!spend_search(context, text, old)) return over_cost();
  const auto places = places_of(text, old, limit < 0 ? SIZE_MAX : static_cast<std::size_t>(limit));
  if (!context.budget.spend((text.size() + places.size() * fresh.size()) / 8 + places.size() + 1)) return over_cost();
  std::string out;
  std::size_t at = 0;
  for (const std::size_t place : places) {
    out.append(text.substr(at, place - at)).append(fresh);
    at = place + old.size();
  }
  out.append(text.substr(at));
  return Value::string(out);
}
Value replace(const CallContext& context, Arguments a) { return replaced(context, a, -1); }
Value replace_some(const CallContext& context, Arguments a) { return replaced(context, a, a[3].as_int()); }

Value split_up(const CallContext& context, Arguments a, std::int64_t limit) {
  const std::string_view text = a[0].as_text();
  const std::string_view separator = a[1].as_text();
  if (!spend_search(context, text, separator)) return over_cost();
  if (limit == 0) return Value::list({});
  std::vector<Value> parts;
  std::size_t at = 0;
  while (limit < 0 || static_cast<std::int64_t>(parts.size()) + 1 < limit) {
    std::size_t end = at;
    if (separator.empty()) {
      if (at >= text.size()) return Value::list(std::move(parts));
      next_character(text, end);
      if (end == text.size()) break;
    } else {
      end = text.find(separator, at);
      if (end == std::string_view::npos) break;
    }
    if (!context.budget.spend(2)) return over_cost();
    parts.push_back(Value::string(text.substr(at, end - at)));
    at = end + separator.size();
  }
  if (!separator.empty() || at < text.size()) parts.push_back(Value::string(text.substr(at)));
  return Value::list(std::move(parts));
}
Value split_all(const CallContext& context, Arguments a) { return split_up(context, a, -1); }
Value split_some(const CallContext& context, Arguments a) { return split_up(context, a, a[2].as_int()); }

Value joined(const CallContext& context, const std::vector<Value>& parts, std::string_view separator) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].is(Kind::kString)) {
      return Value::error(ErrorCode::kNoSuchOverload, "join takes a list of strings, and element " + std::to_string(i) +
                                                          " is of type " + std::string(type_name(parts[i].kind())));
    }
    if (!context.spend_text(parts[i].as_text().size() + separator.size())) return over_cost();
    if (i > 0) out.append(separator);
    out.append(parts[i].as_text());
  }
  return Value::string(out);
}
Value join_plain(const CallContext& context, Arguments a) { return joined(context, a[0].as_list(), ""); }
Value join_with(const CallContext& context, Arguments a) { return joined(context, a[0].as_list(), a[1].as_text()); }

Value substring_from(const CallContext& context, Arguments a) {
  const std::string_view text = a[0].as_text();
  if (!context.spend_text(text.size())) return over_cost();
  const auto begin = byte_of(text, a[1].as_int());
  if (!begin) return out_of_range(a[1].as_int(), character_count(text));
  return Value::string(text.substr(*begin));
}
Value substring_between(const CallContext& context, Arguments a) {
  const std::string_view text = a[0].as_text();
  if (!context.spend_text(text.size())) return over_cost();
  const auto begin = byte_of(text, a[1].as_int());
  const auto end = byte_of(text, a[2].as_int());
  if (!begin) return out_of_range(a[1].as_int(), character_count(text));
  if (!end) return out_of_range(a[2].as_int(), character_count(text));
  if (*end < *begin)
    return bad("substring(" + std::to_string(a[1].as_int()) + ", " + std::to_string(a[2].as_int()) + ") ends before it begins");
  return Value::string(text.substr(*begin, *end - *begin));
}

/// Unicode's property White_Space (PropList.txt): zero-width spaces have it not.
bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}
Value trimmed(const CallContext& context, Arguments a) {
  const std::string_view text = a[0].as_text();
  if (!context.spend_text(text.size())) return over_cost();
  std::size_t begin = text.size();
  std::size_t end = text.size();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = at;
    if (is_white_space(next_character(text, at))) continue;
    if (begin == text.size()) begin = start;
    end = at;
  }
  return Value::string(text.substr(begin, end - begin));
}

Value reversed(const CallContext& context, Arguments a) {
  const std::string_view text = a[0].as_text();
  if (!context.spend_text(text.size())) return over_cost();
  std::string out(text.size(), '\0');
  std::size_t end = text.size();
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t start = at;
    next_character(text, at);
    end -= at - start;
    std::copy(text.begin() + static_cast<std::ptrdiff_t>(start), text.begin() + static_cast<std::ptrdiff_t>(at),
              out.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return Value::string(out);
}

Value quote(const CallContext& context, Arguments a) {
  if (!context.spend_text(2 * a[0].as_text().size())) return over_cost();
  static constexpr std::string_view kPlain = "\a\b\f\n\r\t\v\\\"";
  static constexpr std::string_view kEscaped = "abfnrtv\\\"";
  std::string out = "\"";
  for (const char c : a[0].as_text()) {
    const std::size_t which = kPlain.find(c);
    if (which == std::string_view::npos) {
      out += c;
    } else {
      out += '\\';
      out += kEscaped[which];
    }
  }
  return Value::string(out + "\"");
}

}  // namespace

void add_strings(Functions& f) {
  f.add("charAt", "string.(int) -> string", char_at);
  f.add("indexOf", "string.(string) -> int", index_of);
  f.add("indexOf", "string.(string, int) -> int", index_of_from);
  f.add("lastIndexOf", "string.(string) -> int", last_index_of);
  f.add("lastIndexOf", "string.(string, int) -> int", last_index_of_to);
  f.add("lowerAscii", "string.() -> string", shifted<'A', 'Z', 32>);
  f.add("upperAscii", "string.() -> string", shifted<'a', 'z', -32>);
  f.add("replace", "string.(string, string) -> string", replace);
  f.add("replace", "string.(string, string, int) -> string", replace_some);
  f.add("split", "string.(string) -> list(string)", split_all);
  f.add("split", "string.(string, int) -> list(string)", split_some);
  f.add("join", "list(string).() -> string", join_plain);
  f.add("join", "list(string).(string) -> string", join_with);
  f.add("substring", "string.(int) -> string", substring_from);
  f.add("substring", "string.(int, int) -> string", substring_between);
  f.add("trim", "string.() -> string", trimmed);
  f.add("reverse", "string.() -> string", reversed);
  f.add("strings.quote", "(string) -> string", quote);
}

}  // namespace prunella::cel

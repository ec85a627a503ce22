// string.format(list). Source: cel-spec's doc/extensions/strings.md.
#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/text.h"
#include "decide/cel/function.h"
#include "decide/cel/literal.h"
#include "decide/cel/time_text.h"

namespace prunella::cel {

namespace {

using Arguments = std::span<const Value>;

constexpr int kPrecisionMax = 1'000;  // a double has at most 1,074 digits behind the point; nobody reads more

struct Clause {
  char conversion = 's';
  int precision = 6;
};

/// Writes one format's result; after a problem `failure` is set and the rest is void.
class Formatter {
 public:
  explicit Formatter(const CallContext& context) : context_(context) {}

  Value run(std::string_view format, const std::vector<Value>& values) {
    std::size_t next = 0;
    for (std::size_t at = 0; at < format.size() && !failure_;) {
      if (format[at] != '%') {
        const std::size_t end = std::min(format.find('%', at), format.size());
        append(format.substr(at, end - at));
        at = end;
        continue;
      }
      ++at;
      if (at < format.size() && format[at] == '%') {
        append("%");
        ++at;
        continue;
      }
      Clause clause;
      if (!read_clause(format, at, clause)) break;
      if (next >= values.size()) {
        fail(ErrorCode::kIndex, "the format has more clauses than the " + std::to_string(values.size()) + " values of the list");
        break;
      }
      write(clause, values[next++]);
    }
    if (context_.budget.is_spent()) return over_cost();
    return failure_ ? *failure_ : Value::string(out_);
  }

 private:
  bool read_clause(std::string_view format, std::size_t& at, Clause& clause) {
    if (at < format.size() && format[at] == '.') {
      const std::size_t begin = ++at;
      while (at < format.size() && format[at] >= '0' && format[at] <= '9') ++at;
      const auto precision = parse_uint(format.substr(begin, at - begin));
      if (!precision || *precision > kPrecisionMax) {
        fail(ErrorCode::kBadArgument,
             quoted(format.substr(begin, at - begin)) + " is no precision: a number up to " + std::to_string(kPrecisionMax));
        return false;
      }
      clause.precision = static_cast<int>(*precision);
    }
    if (at >= format.size() || std::string_view("sdfeboxX").find(format[at]) == std::string_view::npos) {
      fail(ErrorCode::kBadArgument,
           at >= format.size()
               ? "a '%' at the end of the format starts no clause; write '%%' for a percent sign"
               : "there is no clause " + quoted("%" + std::string(format.substr(at, 1))) + "; there are %s %d %f %e %b %o %x %X");
      return false;
    }
    clause.conversion = format[at++];
    return true;
  }

  void write(const Clause& clause, const Value& value) {
    switch (clause.conversion) {
      case 's': return write_text(value);
      case 'd': return write_decimal(value);
      case 'f':
      case 'e': return write_double(clause, value);
      case 'b': return write_base(clause, value, 2);
      case 'o': return write_base(clause, value, 8);
      default: return write_base(clause, value, 16);
    }
  }

  void write_text(const Value& value) {
    if (!context_.budget.spend(1) || failure_) return;
    switch (value.kind()) {
      case Kind::kNull: return append("null");
      case Kind::kBool: return append(value.as_bool() ? "true" : "false");
      case Kind::kInt: return append(std::to_string(value.as_int()));
      case Kind::kUint: return append(std::to_string(value.as_uint()));
      case Kind::kDouble: return append(double_text(value.as_double()));
      case Kind::kDuration: return append(duration_text(value.as_duration()));
      case Kind::kTimestamp: return append(to_text(value.as_timestamp()));
      case Kind::kString:
      case Kind::kType: return append(value.as_text());
      case Kind::kBytes: return write_bytes(value.as_text());
      case Kind::kList: return write_list(value.as_list());
      case Kind::kMap: return write_map(value.as_map());
      case Kind::kIp: return append(to_text(value.as_ip()));
      case Kind::kCidr: return append(to_text(value.as_cidr()));
      case Kind::kOptional:
      case Kind::kUnknown:
      case Kind::kError: break;
    }
    wrong('s', value);
  }

  /// Runs of bytes that are no UTF-8 become one U+FFFD.
  void write_bytes(std::string_view bytes) {
    bool in_run = false;
    for (std::size_t at = 0; at < bytes.size();) {
      std::size_t end = at;
      next_character(bytes, end);
      const bool good = is_valid_utf8(bytes.substr(at, end - at));
      if (good) append(bytes.substr(at, end - at));
      if (!good && !in_run) append("\ufffd");
      in_run = !good;
      at = good ? end : at + 1;
    }
  }
  void write_list(const std::vector<Value>& list) {
    append("[");
    for (std::size_t i = 0; i < list.size() && !failure_ && !context_.budget.is_spent(); ++i) {
      if (i > 0) append(", ");
      write_text(list[i]);
    }
    append("]");
  }
  void write_map(const MapObject& map) {
    std::vector<std::pair<std::string, const Value*>> entries;
    for (const auto& [key, value] : map.entries) {
      Formatter inner(context_);
      inner.write_text(key);
      if (inner.failure_) failure_ = inner.failure_;
      entries.emplace_back(std::move(inner.out_), &value);
    }
    std::stable_sort(entries.begin(), entries.end(), [](const auto& x, const auto& y) { return x.first < y.first; });
    append("{");
    for (std::size_t i = 0; i < entries.size() && !failure_ && !context_.budget.is_spent(); ++i) {
      append((i > 0 ? ", " : "") + entries[i].first + ": ");
      write_text(*entries[i].second);
    }
    append("}");
  }

  void write_decimal(const Value& value) {
    if (value.is_number()) return write_text(value);
    wrong('d', value);
  }

  void write_double(const Clause& clause, const Value& value) {
    if (!value.is_number()) return wrong(clause.conversion, value);
    const double number = value.is(Kind::kDouble) ? value.as_double()
                          : value.is(Kind::kInt)  ? static_cast<double>(value.as_int())
                                                  : static_cast<double>(value.as_uint());
    if (!std::isfinite(number)) return append(double_text(number));
    const char format[] = {'%', '.', '*', clause.conversion, '\0'};
    std::string text(400 + static_cast<std::size_t>(clause.precision), '\0');  // DBL_MAX has 309 digits
    const int size = std::snprintf(text.data(), text.size(), format, clause.precision, number);
    append(std::string_view(text).substr(0, static_cast<std::size_t>(size)));
  }

  void write_base(const Clause& clause, const Value& value, unsigned base) {
    const bool text = value.is(Kind::kString) || value.is(Kind::kBytes);
    if (base == 16 && text) return write_hex(value.as_text(), clause.conversion == 'X');
    if (base == 2 && value.is(Kind::kBool)) return append(value.as_bool() ? "1" : "0");
    if (value.is(Kind::kUint)) return append(digits(value.as_uint(), base, clause.conversion == 'X'));
    if (!value.is(Kind::kInt)) return wrong(clause.conversion, value);
    const auto bits = static_cast<std::uint64_t>(value.as_int());
    if (value.as_int() < 0) append("-");
    append(digits(value.as_int() < 0 ? ~bits + 1 : bits, base, clause.conversion == 'X'));
  }
  static std::string digits(std::uint64_t number, unsigned base, bool upper) {
    std::string text;
    do {
      text += (upper ? "0123456789ABCDEF" : "0123456789abcdef")[number % base];
      number /= base;
    } while (number != 0);
    std::reverse(text.begin(), text.end());
    return text;
  }
  void write_hex(std::string_view bytes, bool upper) {
    const char* letters = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    if (!context_.spend_text(2 * bytes.size())) return;
    for (const char byte : bytes) {
      out_ += letters[static_cast<unsigned char>(byte) >> 4];
      out_ += letters[static_cast<unsigned char>(byte) & 0xF];
    }
  }

  void append(std::string_view text) {
    if (context_.budget.is_spent() || !context_.spend_text(text.size())) return;
    out_.append(text);
  }
  void wrong(char conversion, const Value& value) {
    fail(ErrorCode::kNoSuchOverload,
         "'%" + std::string(1, conversion) + "' can't write a value of type '" + std::string(type_name(value.kind())) + "'");
  }
  void fail(ErrorCode code, std::string text) {
    if (!failure_) failure_ = Value::error(code, std::move(text));
  }

  const CallContext& context_;
  std::string out_;
  std::optional<Value> failure_;
};

Value format(const CallContext& context, Arguments a) { return Formatter(context).run(a[0].as_text(), a[1].as_list()); }

}  // namespace

void add_format(Functions& f) { f.add("format", "string.(list(dyn)) -> string", format); }

}  // namespace prunella::cel

#include "base/time_zone.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "base/text.h"

namespace prunella {

namespace {

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::year;

constexpr std::int64_t kDaySeconds = 86'400;
constexpr std::size_t kChangesMax = 10'000;  // the largest file of the database has some 250

std::int64_t floor_days(std::int64_t seconds) {
  return seconds >= 0 ? seconds / kDaySeconds : -((-seconds + kDaySeconds - 1) / kDaySeconds);
}

/// Days since 1970 of `day` in the year `y`.
std::int64_t days_of(const ZoneRuleDay& day, year y) {
  const auto first = sys_days(y / 1 / 1);
  switch (day.kind) {
    case ZoneRuleDay::Kind::kDayOfYear: return (first + days(day.day)).time_since_epoch().count();
    case ZoneRuleDay::Kind::kJulian:
      return (first + days(day.day - 1 + (y.is_leap() && day.day >= 60 ? 1 : 0))).time_since_epoch().count();
    case ZoneRuleDay::Kind::kMonthWeekDay: break;
  }
  const auto month = y / std::chrono::month(static_cast<unsigned>(day.month));
  const std::chrono::weekday weekday(static_cast<unsigned>(day.day));
  if (day.week == 5) return sys_days(month / weekday[std::chrono::last]).time_since_epoch().count();
  return sys_days(month / weekday[static_cast<unsigned>(day.week)]).time_since_epoch().count();
}

class RuleReader {
 public:
  explicit RuleReader(std::string_view text) : text_(text) {}

  Result<ZoneRule> run() {
    ZoneRule rule;
    if (!name() || !offset(rule.standard)) return wrong();
    rule.standard = -rule.standard;  // POSIX counts west of Greenwich
    if (at_ == text_.size()) return rule;
    ZoneRule::Daylight daylight;
    if (!name()) return wrong();
    daylight.offset = rule.standard + 3600;
    if (peek() != ',') {
      if (!offset(daylight.offset)) return wrong();
      daylight.offset = -daylight.offset;
    }
    if (!take(',') || !day(daylight.begin) || !take(',') || !day(daylight.end) || at_ != text_.size()) return wrong();
    rule.daylight = daylight;
    return rule;
  }

 private:
  Error wrong() const {
    return invalid_input(quoted(text_) + " is no rule for a time zone, such as 'CET-1CEST,M3.5.0,M10.5.0/3'");
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  bool name() {
    const std::size_t begin = at_;
    if (take('<')) {
      while (at_ < text_.size() && peek() != '>') ++at_;
      return take('>');
    }
    while ((peek() >= 'a' && peek() <= 'z') || (peek() >= 'A' && peek() <= 'Z')) ++at_;
    return at_ >= begin + 3;
  }
  bool number(int& out, int max) {
    const std::size_t begin = at_;
    out = 0;
    while (peek() >= '0' && peek() <= '9' && at_ < begin + 3) out = out * 10 + (text_[at_++] - '0');
    return at_ > begin && out <= max;
  }
  /// [+-]hh[:mm[:ss]] in seconds.
  bool offset(std::int32_t& out) {
    const bool negative = take('-');
    if (!negative) take('+');
    int hours = 0;
    int minutes = 0;
    int seconds = 0;
    if (!number(hours, 167)) return false;
    if (take(':') && !number(minutes, 59)) return false;
    if (take(':') && !number(seconds, 59)) return false;
    out = (hours * 60 + minutes) * 60 + seconds;
    if (negative) out = -out;
    return true;
  }
  bool day(ZoneRuleDay& out) {
    if (take('M')) {
      out.kind = ZoneRuleDay::Kind::kMonthWeekDay;
      if (!number(out.month, 12) || !take('.') || !number(out.week, 5) || !take('.') || !number(out.day, 6)) return false;
      if (out.month < 1 || out.week < 1) return false;
    } else if (take('J')) {
      out.kind = ZoneRuleDay::Kind::kJulian;
      if (!number(out.day, 365) || out.day < 1) return false;
    } else if (!number(out.day, 365)) {
      return false;
    }
    return !take('/') || offset(out.seconds);
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

/// Reads big-endian numbers; past the end it gives zeros and remembers that.
class ByteReader {
 public:
  explicit ByteReader(BytesView bytes) : bytes_(bytes) {}
  std::uint64_t number(std::size_t size) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value = value << 8 | byte();
    return value;
  }
  std::uint8_t byte() {
    if (at_ >= bytes_.size()) {
      cut_off_ = true;
      return 0;
    }
    return bytes_[at_++];
  }
  void skip(std::size_t count) {
    if (count > bytes_.size() - at_) cut_off_ = true;
    at_ += std::min(count, bytes_.size() - at_);
  }
  std::string_view rest() const { return as_text(bytes_.subspan(at_)); }
  bool cut_off() const { return cut_off_; }

 private:
  BytesView bytes_;
  std::size_t at_ = 0;
  bool cut_off_ = false;
};

struct Header {
  bool good = false;
  std::uint8_t version = 0;
  std::uint64_t utc_marks = 0, standard_marks = 0, leaps = 0, changes = 0, types = 0, letters = 0;

  /// Bytes of the data block behind it, with times of `time_size` bytes.
  std::size_t data_size(std::size_t time_size) const {
    return changes * (time_size + 1) + types * 6 + letters + leaps * (time_size + 4) + standard_marks + utc_marks;
  }
};

Header read_header(ByteReader& reader) {
  Header header;
  header.good = reader.number(4) == 0x545A6966;  // "TZif"
  header.version = reader.byte();
  reader.skip(15);
  header.utc_marks = reader.number(4);
  header.standard_marks = reader.number(4);
  header.leaps = reader.number(4);
  header.changes = reader.number(4);
  header.types = reader.number(4);
  header.letters = reader.number(4);
  header.good = header.good && !reader.cut_off() && header.changes <= kChangesMax && header.types >= 1 && header.types <= 256 &&
                header.letters <= kChangesMax && header.leaps <= kChangesMax && header.standard_marks <= 256 &&
                header.utc_marks <= 256;
  return header;
}

}  // namespace

std::int32_t ZoneRule::offset_at(std::int64_t unix_seconds) const {
  if (!daylight) return standard;
  const auto at = sys_days(days(floor_days(unix_seconds + standard)));
  const year y = std::chrono::year_month_day(at).year();
  const std::int64_t begin = days_of(daylight->begin, y) * kDaySeconds + daylight->begin.seconds - standard;
  const std::int64_t end = days_of(daylight->end, y) * kDaySeconds + daylight->end.seconds - daylight->offset;
  const bool within = begin < end ? unix_seconds >= begin && unix_seconds < end : unix_seconds >= begin || unix_seconds < end;
  return within ? daylight->offset : standard;
}

Result<ZoneRule> parse_zone_rule(std::string_view text) { return RuleReader(text).run(); }

std::int32_t TimeZone::offset_at(std::int64_t unix_seconds) const {
  const auto after = std::upper_bound(changes_.begin(), changes_.end(), unix_seconds);
  if (after == changes_.end() && rule_) return rule_->offset_at(unix_seconds);
  if (after == changes_.begin()) return first_;
  return offsets_[static_cast<std::size_t>(after - changes_.begin() - 1)];
}

Result<TimeZone> parse_time_zone(BytesView bytes) {
  const auto wrong = [] { return invalid_input("this is no file of the time zone database (RFC 8536), or it is cut off"); };
  ByteReader reader(bytes);
  Header header = read_header(reader);
  if (!header.good) return wrong();
  std::size_t time_size = 4;
  if (header.version != 0) {  // from version 2 on the same follows with 64-bit times
    reader.skip(header.data_size(4));
    header = read_header(reader);
    if (!header.good) return wrong();
    time_size = 8;
  }
  TimeZone zone;
  for (std::uint64_t i = 0; i < header.changes; ++i) {
    const std::uint64_t raw = reader.number(time_size);
    zone.changes_.push_back(time_size == 8 ? static_cast<std::int64_t>(raw) : static_cast<std::int32_t>(raw));
  }
  std::vector<std::uint8_t> types(header.changes);
  for (auto& type : types) type = reader.byte();
  std::vector<std::int32_t> type_offsets;
  for (std::uint64_t i = 0; i < header.types; ++i) {
    type_offsets.push_back(static_cast<std::int32_t>(static_cast<std::uint32_t>(reader.number(4))));
    reader.skip(2);
  }
  reader.skip(header.letters + header.leaps * (time_size + 4) + header.standard_marks + header.utc_marks);
  if (reader.cut_off() || !std::is_sorted(zone.changes_.begin(), zone.changes_.end())) return wrong();
  for (const std::int32_t offset : type_offsets) {
    if (offset < -kDaySeconds * 2 || offset > kDaySeconds * 2) return wrong();
  }
  for (const std::uint8_t type : types) {
    if (type >= type_offsets.size()) return wrong();
    zone.offsets_.push_back(type_offsets[type]);
  }
  zone.first_ = type_offsets[0];
  const std::string_view footer = reader.rest();
  if (time_size == 8 && footer.size() > 2 && footer.front() == '\n') {
    const std::size_t end = footer.find('\n', 1);
    auto rule = parse_zone_rule(footer.substr(1, end == std::string_view::npos ? end : end - 1));
    if (!rule) return std::move(rule).error().during("reading the end of a time zone's file");
    zone.rule_ = *rule;
  }
  return zone;
}

}  // namespace prunella

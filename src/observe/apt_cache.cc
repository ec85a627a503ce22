#include "observe/apt_cache.h"

#include <utility>

#include "base/text.h"
#include "observe/dpkg_status.h"
#include "observe/stanza.h"

namespace prunella {

namespace {

Status check_size(std::string_view text) {
  if (text.size() <= kAptRecordsBytesMax) return {};
  return exhausted("apt wrote " + bytes_text(text.size()) + "; at most " + bytes_text(kAptRecordsBytesMax));
}

std::size_t indentation(std::string_view line) {
  std::size_t first = line.find_first_not_of(' ');
  return first == std::string_view::npos ? line.size() : first;
}

std::optional<std::string> version_or_none(std::string_view text) {
  if (text == "(none)") return std::nullopt;
  return std::string(text);
}

Result<int> parse_priority(std::string_view text) {
  auto number = parse_int(text);
  if (!number || *number < -32768 || *number > 32767) return invalid_input(quoted(text) + " is not a priority");
  return static_cast<int>(*number);
}

// "*** 1.2-3 500 (phased 10%)" or "1.2-3 500"
Result<OfferedVersion> parse_offered(std::string_view line) {
  OfferedVersion offered;
  std::vector<std::string_view> words = split_blanks(line);
  std::size_t at = 0;
  if (!words.empty() && words[0] == "***") {
    offered.installed = true;
    at = 1;
  }
  if (words.size() < at + 2) return invalid_input("no version and priority");
  offered.version = words[at];
  if (auto checked = check_debian_version(offered.version); !checked) return std::move(checked).error();
  auto priority = parse_priority(words[at + 1]);
  if (!priority) return std::move(priority).error();
  offered.priority = *priority;
  if (words.size() > at + 3 && words[at + 2] == "(phased" && words[at + 3].ends_with("%)")) {
    auto percent = parse_uint(words[at + 3].substr(0, words[at + 3].size() - 2));
    if (!percent || *percent > 100) return invalid_input(quoted(words[at + 3]) + " is not a percentage");
    offered.phased_percent = static_cast<std::uint32_t>(*percent);
  }
  return offered;
}

Result<Offer> parse_offer(std::string_view line) {
  line = trim(line);
  std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos) return invalid_input("no priority and index");
  auto priority = parse_priority(line.substr(0, blank));
  if (!priority) return std::move(priority).error();
  return Offer{*priority, without_credentials_within(trim(line.substr(blank)))};
}

// "libssl3:" or "libssl3:i386:"
Status read_heading(std::string_view line, PackagePolicy& policy) {
  line.remove_suffix(1);
  std::size_t colon = line.find(':');
  policy.name = line.substr(0, colon);
  if (colon != std::string_view::npos) policy.arch = line.substr(colon + 1);
  return check_package_name({policy.name, policy.arch.value_or("all")});
}

Status read_policy_line(std::string_view line, PackagePolicy& policy) {
  std::size_t depth = indentation(line);
  std::string_view text = trim(line);
  if (depth == 2) {
    auto value = [&](std::string_view key) { return trim(text.substr(key.size())); };
    if (text.starts_with("Installed:")) policy.installed = version_or_none(value("Installed:"));
    if (text.starts_with("Candidate:")) policy.candidate = version_or_none(value("Candidate:"));
    if (text.starts_with("Package pin:")) policy.pin = std::string(value("Package pin:"));
    return {};
  }
  if (depth >= 8) {
    if (policy.versions.empty()) return invalid_input("an index before any version");
    auto offer = parse_offer(text);
    if (!offer) return std::move(offer).error();
    policy.versions.back().offers.push_back(*std::move(offer));
    return {};
  }
  auto offered = parse_offered(text);
  if (!offered) return std::move(offered).error();
  policy.versions.push_back(*std::move(offered));
  return {};
}

Result<std::optional<std::uint64_t>> number_of(const std::vector<StanzaField>& fields, std::string_view name) {
  const StanzaField* field = find_field(fields, name);
  if (!field) return std::optional<std::uint64_t>();
  auto number = parse_uint(field->value);
  if (!number) return std::move(number).error().during("line " + std::to_string(field->line) + ", " + std::string(name));
  return std::optional(*number);
}

std::optional<std::string> text_of(const std::vector<StanzaField>& fields, std::string_view name) {
  const StanzaField* field = find_field(fields, name);
  if (!field) return std::nullopt;
  return std::string(field->value);
}

Result<PackageRecord> read_record(const std::vector<StanzaField>& fields) {
  PackageRecord record;
  std::string place = "line " + std::to_string(fields.front().line);
  record.package = {std::string(field_value(fields, "Package")), std::string(field_value(fields, "Architecture"))};
  if (auto checked = check_package_name(record.package); !checked) return std::move(checked).error().during(place);
  record.version = field_value(fields, "Version");
  if (auto checked = check_debian_version(record.version); !checked)
    return std::move(checked).error().during(place + ", " + record.package.name);
  auto source = source_of(record.package.name, record.version, field_value(fields, "Source"));
  if (!source) return std::move(source).error().during(place + ", " + record.package.name);
  record.source = std::move(source->source);
  record.source_version = std::move(source->version);
  if (const StanzaField* digest = find_field(fields, "SHA256")) {
    auto parsed = parse_digest(digest->value);
    if (!parsed) return std::move(parsed).error().during("line " + std::to_string(digest->line) + ", SHA256");
    record.sha256 = *parsed;
  }
  auto size = number_of(fields, "Size");
  if (!size) return std::move(size).error();
  record.size_bytes = *size;
  auto installed = number_of(fields, "Installed-Size");
  if (!installed) return std::move(installed).error();
  record.installed_size_kib = *installed;
  record.filename = text_of(fields, "Filename");
  record.depends = text_of(fields, "Depends");
  record.pre_depends = text_of(fields, "Pre-Depends");
  record.breaks = text_of(fields, "Breaks");
  record.conflicts = text_of(fields, "Conflicts");
  record.provides = text_of(fields, "Provides");
  return record;
}

// 'URI' file size TYPE:digest
Result<FetchItem> parse_fetch_item(std::string_view line) {
  FetchItem item;
  std::size_t close = line.find('\'', 1);
  if (close == std::string_view::npos) return invalid_input("no closing quote");
  item.uri = without_credentials(line.substr(1, close - 1));
  std::vector<std::string_view> words = split_blanks(line.substr(close + 1));
  if (words.size() < 2) return invalid_input("no file name and size after the URI");
  item.file = words[0];
  auto size = parse_uint(words[1]);
  if (!size) return std::move(size).error();
  item.size_bytes = *size;
  if (words.size() > 2 && words[2].starts_with("SHA256:")) {
    auto digest = parse_digest(words[2].substr(7));
    if (!digest) return std::move(digest).error();
    item.sha256 = *digest;
  }
  return item;
}

template <class Read>
Status each_line(std::string_view text, std::string_view what, Read read) {
  if (auto fits = check_size(text); !fits) return fits;
  std::size_t number = 0;
  while (!text.empty()) {
    std::size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (Status done = read(line); !done)
      return std::move(done).error().during("line " + std::to_string(number) + " of " + std::string(what) + ", " + quoted(line));
  }
  return {};
}

}  // namespace

Result<std::vector<PackagePolicy>> parse_apt_policy(std::string_view output) {
  std::vector<PackagePolicy> all;
  Status done = each_line(output, "apt-cache policy", [&](std::string_view line) -> Status {
    if (trim(line).empty() || line.starts_with("N: ") || line.starts_with("W: ")) return {};
    if (!line.starts_with(' ')) {
      if (!line.ends_with(':')) return invalid_input("no package and no line of one");
      all.emplace_back();
      return read_heading(line, all.back());
    }
    if (all.empty()) return invalid_input("no package came before it");
    return read_policy_line(line, all.back());
  });
  if (!done) return std::move(done).error();
  return all;
}

Result<std::vector<PackageRecord>> parse_package_records(std::string_view text) {
  if (auto fits = check_size(text); !fits) return std::move(fits).error();
  std::vector<PackageRecord> records;
  StanzaReader reader(text);
  std::vector<StanzaField> fields;
  for (;;) {
    auto more = reader.next(fields);
    if (!more) return std::move(more).error();
    if (!*more) return records;
    auto record = read_record(fields);
    if (!record) return std::move(record).error();
    records.push_back(*std::move(record));
  }
}

Result<std::vector<FetchItem>> parse_print_uris(std::string_view output) {
  std::vector<FetchItem> items;
  Status done = each_line(output, "apt-get --print-uris", [&](std::string_view line) -> Status {
    if (!line.starts_with('\'')) return {};
    auto item = parse_fetch_item(line);
    if (!item) return std::move(item).error();
    items.push_back(*std::move(item));
    return {};
  });
  if (!done) return std::move(done).error();
  return items;
}

std::string without_credentials(std::string_view uri) {
  std::size_t scheme = uri.find("://");
  if (scheme == std::string_view::npos) return std::string(uri);
  std::size_t host = scheme + 3;
  std::size_t path = uri.find('/', host);
  // A password may itself hold an '@': the last one before the path ends the credentials.
  std::size_t at = uri.substr(0, path).rfind('@');
  if (at == std::string_view::npos || at < host) return std::string(uri);
  return std::string(uri.substr(0, host)) + std::string(uri.substr(at + 1));
}

std::string without_credentials_within(std::string_view text) {
  std::string out;
  constexpr std::string_view kEnds = " \t\n'\"<>";
  while (!text.empty()) {
    std::size_t scheme = text.find("://");
    if (scheme == std::string_view::npos) break;
    std::size_t end = text.find_first_of(kEnds, scheme);
    out += text.substr(0, scheme);
    out += without_credentials(text.substr(scheme, end == std::string_view::npos ? end : end - scheme));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end);
  }
  return out + std::string(text);
}

}  // namespace prunella

#include "observe/dpkg_status.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "observe/stanza.h"

namespace prunella {

namespace {

Error at_line(Error error, std::size_t line) {
  return std::move(error).during("line " + std::to_string(line));
}

std::string_view without_binary_rebuild(std::string_view version) {
  std::size_t digits = version.size();
  while (digits > 0 && version[digits - 1] >= '0' && version[digits - 1] <= '9') --digits;
  if (digits == version.size() || digits < 2 || version.substr(digits - 2, 2) != "+b") return version;
  return version.substr(0, digits - 2);
}

// What a stanza says of a package, before anything is checked beyond the state.
struct Entry {
  Package package;
  std::size_t line = 0;
};


Status read_state(const StanzaField& field, Package& package) {
  std::vector<std::string_view> words = split_blanks(field.value);
  if (words.size() != 3)
    return invalid_input("Status " + quoted(field.value) + " is not three words such as 'install ok installed'");
  auto selection = parse_word<PackageSelection>(words[0]);
  if (!selection) return std::move(selection).error().during("wanted state");
  package.selection = *selection;
  // Source: lib/dpkg/parsehelp.c. "hold" and "hold-reinstreq" are obsolete and still read.
  if (words[1] == "reinstreq" || words[1] == "hold-reinstreq")
    package.reinst_required = true;
  else if (words[1] != "ok" && words[1] != "hold")
    return invalid_input(quoted(words[1]) + " is not an error flag: ok or reinstreq");
  if (words[1] == "hold" || words[1] == "hold-reinstreq") package.selection = PackageSelection::kHold;
  auto state = parse_word<PackageState>(words[2]);
  if (!state) return std::move(state).error().during("state");
  package.state = *state;
  return {};
}

Result<Entry> read_entry(const std::vector<StanzaField>& fields) {
  Entry entry;
  Package& package = entry.package;
  entry.line = fields.front().line;
  const StanzaField* name = find_field(fields, "Package");
  if (!name) return at_line(invalid_input("a stanza without Package, beginning with " + quoted(fields.front().name)), entry.line);
  package.package.name = name->value;
  package.package.arch = field_value(fields, "Architecture");
  const StanzaField* status = find_field(fields, "Status");
  if (!status) return at_line(invalid_input("package " + quoted(name->value) + " has no Status"), name->line);
  if (auto read = read_state(*status, package); !read)
    return at_line(std::move(read).error().during("package " + quoted(name->value)), status->line);
  if (package.state == PackageState::kNotInstalled) return entry;

  if (auto named = check_package_name(package.package); !named) return at_line(std::move(named).error(), name->line);
  const StanzaField* version = find_field(fields, "Version");
  if (!version) {
    // dpkg marks a package half-installed before the first unpacking gave it a version.
    if (package.state != PackageState::kHalfInstalled && package.state != PackageState::kConfigFiles)
      return at_line(invalid_input("package " + quoted(name->value) + " has no Version"), name->line);
    package.source = package.package.name;
    return entry;
  }
  if (auto checked = check_debian_version(version->value); !checked) return at_line(std::move(checked).error(), version->line);
  package.version = version->value;
  const StanzaField* source = find_field(fields, "Source");
  auto parsed = source_of(package.package.name, package.version, source ? source->value : std::string_view());
  if (!parsed) return at_line(std::move(parsed).error(), source ? source->line : version->line);
  package.source = std::move(parsed->source);
  package.source_version = std::move(parsed->version);
  return entry;
}

Status read_entries(std::string_view text, std::vector<Entry>& entries) {
  if (text.size() > kDpkgStatusBytesMax)
    return exhausted("a dpkg database of " + bytes_text(text.size()) + "; at most " + bytes_text(kDpkgStatusBytesMax));
  StanzaReader reader(text);
  std::vector<StanzaField> fields;
  for (;;) {
    auto more = reader.next(fields);
    if (!more) return std::move(more).error();
    if (!*more) return {};
    if (entries.size() >= kDpkgPackagesMax) return exhausted("more than " + std::to_string(kDpkgPackagesMax) + " packages");
    auto entry = read_entry(fields);
    if (!entry) return std::move(entry).error();
    entries.push_back(*std::move(entry));
  }
}

bool same_name(const Entry& a, const Entry& b) { return a.package.package == b.package.package; }
bool by_name(const Entry& a, const Entry& b) { return a.package.package < b.package.package; }

PackageFacts facts_of(std::vector<Entry> sorted, bool updates_pending) {
  PackageFacts facts;
  facts.updates_pending = updates_pending;
  facts.packages.reserve(sorted.size());
  for (Entry& entry : sorted)
    if (entry.package.state != PackageState::kNotInstalled) facts.packages.push_back(std::move(entry.package));
  return facts;
}

// Sorted, and no package twice. Packages that are not installed may lack an architecture and stand there several times.
Status sort_base(std::vector<Entry>& entries) {
  std::erase_if(entries, [](const Entry& e) { return e.package.state == PackageState::kNotInstalled; });
  std::ranges::stable_sort(entries, by_name);
  auto twice = std::adjacent_find(entries.begin(), entries.end(), same_name);
  if (twice == entries.end()) return {};
  return conflict("line " + std::to_string((twice + 1)->line) + ": " + quoted(twice->package.package.text()) +
                  " stands in dpkg's status twice, first in line " + std::to_string(twice->line));
}

bool is_md5(std::string_view text) {
  return text.size() == 32 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

Result<std::vector<Conffile>> read_conffiles(const StanzaField& field) {
  std::vector<Conffile> conffiles;
  for (std::string_view line : split(field.value, '\n')) {
    line = trim(line);
    if (line.empty()) continue;
    Conffile conffile;
    // " /path md5 [obsolete] [remove-on-upgrade]"; the path may hold blanks, so that words are taken off the end.
    for (;;) {
      std::size_t blank = line.rfind(' ');
      if (blank == std::string_view::npos) return invalid_input("conffile " + quoted(line) + " has no digest");
      std::string_view word = line.substr(blank + 1);
      line = trim(line.substr(0, blank));
      if (word == "obsolete") {
        conffile.obsolete = true;
      } else if (word == "remove-on-upgrade") {
        conffile.remove_on_upgrade = true;
      } else if (is_md5(word) || word == "newconffile") {
        conffile.md5 = word;
        break;
      } else {
        return invalid_input(quoted(word) + " is not an MD5 digest of 32 hexadecimal digits");
      }
    }
    if (line.empty() || line.front() != '/') return invalid_input("conffile " + quoted(line) + " is not an absolute path");
    conffile.path = line;
    conffiles.push_back(std::move(conffile));
  }
  return conffiles;
}

}  // namespace

Result<SourceVersion> source_of(std::string_view package, std::string_view version, std::string_view source_field) {
  std::string_view name = source_field.empty() ? package : source_field;
  std::string_view source_version = version;
  if (std::size_t open = name.find('('); open != std::string_view::npos) {
    if (name.back() != ')') return invalid_input("Source " + quoted(source_field) + " is not 'name' or 'name (version)'");
    source_version = trim(name.substr(open + 1, name.size() - open - 2));
    name = trim(name.substr(0, open));
  }
  if (auto checked = check_package_name({std::string(name), "all"}); !checked) return std::move(checked).error().during("Source");
  if (auto checked = check_debian_version(source_version); !checked) return std::move(checked).error().during("Source");
  return SourceVersion{std::string(name), std::string(without_binary_rebuild(source_version))};
}

Result<PackageFacts> parse_dpkg_status(std::string_view status, bool updates_pending) {
  std::vector<Entry> entries;
  if (auto read = read_entries(status, entries); !read) return std::move(read).error();
  if (auto sorted = sort_base(entries); !sorted) return std::move(sorted).error();
  return facts_of(std::move(entries), updates_pending);
}

Result<PackageFacts> parse_dpkg_database(std::string_view status, const std::vector<std::string>& fragments) {
  if (fragments.size() > kDpkgFragmentsMax)
    return exhausted(std::to_string(fragments.size()) + " fragments in dpkg's updates directory; at most " +
                     std::to_string(kDpkgFragmentsMax));
  std::vector<Entry> entries;
  if (auto read = read_entries(status, entries); !read) return std::move(read).error();
  if (auto sorted = sort_base(entries); !sorted) return std::move(sorted).error();
  for (std::size_t i = 0; i < fragments.size(); ++i) {
    std::vector<Entry> changed;
    if (auto read = read_entries(fragments[i], changed); !read)
      return std::move(read).error().during("fragment " + std::to_string(i + 1) + " of dpkg's updates");
    for (Entry& entry : changed) {
      auto place = std::ranges::lower_bound(entries, entry, by_name);
      if (place != entries.end() && same_name(*place, entry))
        *place = std::move(entry);
      else
        entries.insert(place, std::move(entry));
    }
  }
  return facts_of(std::move(entries), !fragments.empty());
}

bool is_dpkg_fragment_name(std::string_view file_name) {
  return !file_name.empty() && std::ranges::all_of(file_name, [](char c) { return c >= '0' && c <= '9'; });
}

std::optional<std::string> native_architecture(const PackageFacts& facts) {
  auto found = std::ranges::find_if(facts.packages, [](const Package& p) { return p.package.name == "dpkg" && is_present(p.state); });
  if (found == facts.packages.end()) return std::nullopt;
  return found->package.arch;
}

Result<std::map<PackageName, std::vector<Conffile>>> parse_conffiles(std::string_view status) {
  if (status.size() > kDpkgStatusBytesMax)
    return exhausted("a dpkg database of " + bytes_text(status.size()) + "; at most " + bytes_text(kDpkgStatusBytesMax));
  std::map<PackageName, std::vector<Conffile>> all;
  StanzaReader reader(status);
  std::vector<StanzaField> fields;
  for (;;) {
    auto more = reader.next(fields);
    if (!more) return std::move(more).error();
    if (!*more) return all;
    const StanzaField* conffiles = find_field(fields, "Conffiles");
    if (!conffiles) continue;
    auto entry = read_entry(fields);
    if (!entry) return std::move(entry).error();
    auto read = read_conffiles(*conffiles);
    if (!read) return at_line(std::move(read).error(), conffiles->line);
    all[entry->package.package] = *std::move(read);
    if (all.size() > kDpkgPackagesMax) return exhausted("more than " + std::to_string(kDpkgPackagesMax) + " packages");
  }
}

}  // namespace prunella

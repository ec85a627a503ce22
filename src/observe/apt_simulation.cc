#include "observe/apt_simulation.h"

#include <utility>

#include "base/text.h"

namespace prunella {

namespace {

// What stands between `open` at the start of `text` and `close`; both taken off the text.
std::optional<std::string_view> take_enclosed(std::string_view& text, char open, char close) {
  if (text.empty() || text.front() != open) return std::nullopt;
  std::size_t end = text.find(close);
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view inside = text.substr(1, end - 1);
  text = trim(text.substr(end + 1));
  return inside;
}

std::string_view take_word(std::string_view& text) {
  std::size_t end = text.find(' ');
  std::string_view word = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : trim(text.substr(end + 1));
  return word;
}

// "1.2-3 Debian:12.11/stable, Debian-Security:12/stable-security [amd64]": the inside of an Inst line's parentheses.
Status read_offer(std::string_view inside, SimulatedInstall& install) {
  inside = trim(inside);
  if (!inside.ends_with(']')) return invalid_input("no [architecture] at the end of " + quoted(inside));
  std::size_t open = inside.rfind('[');
  if (open == std::string_view::npos) return invalid_input("no [architecture] at the end of " + quoted(inside));
  install.package.arch = inside.substr(open + 1, inside.size() - open - 2);
  inside = trim(inside.substr(0, open));
  install.to_version = take_word(inside);
  if (auto checked = check_debian_version(install.to_version); !checked) return checked;
  for (std::string_view archive : split(inside, ','))
    if (archive = trim(archive); !archive.empty()) install.archives.emplace_back(archive);
  return {};
}

// "Inst name[:arch] [old] (new archives [arch]) [others...]"
Result<SimulatedInstall> parse_install(std::string_view rest) {
  SimulatedInstall install;
  std::string_view name = take_word(rest);
  install.package.name = name.substr(0, name.find(':'));
  if (auto from = take_enclosed(rest, '[', ']')) {
    if (auto checked = check_debian_version(*from); !checked) return std::move(checked).error();
    install.from_version = *from;
  }
  if (!rest.starts_with('(')) return invalid_input("no (version archive [architecture])");
  // A label may hold parentheses; the offer ends with the architecture.
  std::size_t close = rest.find("])");
  if (close == std::string_view::npos) return invalid_input("no [architecture]) at the end");
  if (auto read = read_offer(rest.substr(1, close), install); !read) return std::move(read).error();
  if (auto checked = check_package_name(install.package); !checked) return std::move(checked).error();
  return install;
}

// "Remv name[:arch] [version] [others...]"
Result<SimulatedRemoval> parse_removal(std::string_view rest) {
  SimulatedRemoval removal;
  std::string_view name = take_word(rest);
  removal.name = name.substr(0, name.find(':'));
  if (std::size_t colon = name.find(':'); colon != std::string_view::npos) removal.arch = name.substr(colon + 1);
  if (auto checked = check_package_name({removal.name, removal.arch.value_or("all")}); !checked) return std::move(checked).error();
  auto version = take_enclosed(rest, '[', ']');
  if (!version) return invalid_input("no [version]");
  removal.version = *version;
  return removal;
}

enum class Heading { kOther, kKeptBack, kPhased };

Heading heading_of(std::string_view line) {
  if (line == "The following packages have been kept back:") return Heading::kKeptBack;
  if (line == "The following upgrades have been deferred due to phasing:") return Heading::kPhased;
  return Heading::kOther;
}

}  // namespace

Result<AptSimulation> parse_apt_simulation(std::string_view output) {
  if (output.size() > kAptOutputBytesMax)
    return exhausted("apt wrote " + bytes_text(output.size()) + "; at most " + bytes_text(kAptOutputBytesMax));
  AptSimulation simulation;
  Heading heading = Heading::kOther;
  std::size_t number = 0;
  while (!output.empty()) {
    std::size_t end = output.find('\n');
    std::string_view line = output.substr(0, end);
    output.remove_prefix(end == std::string_view::npos ? output.size() : end + 1);
    ++number;
    if (line.starts_with(' ')) {
      if (heading == Heading::kOther) continue;
      for (std::string_view word : split_blanks(line))
        (heading == Heading::kKeptBack ? simulation.kept_back : simulation.phased).emplace_back(word);
      continue;
    }
    heading = heading_of(line);
    auto at_line = [&](Error error) {
      return std::move(error).during("line " + std::to_string(number) + " of apt's simulation, " + quoted(line));
    };
    if (line.starts_with("Inst ")) {
      auto install = parse_install(trim(line.substr(5)));
      if (!install) return at_line(std::move(install).error());
      simulation.installs.push_back(*std::move(install));
    } else if (line.starts_with("Remv ") || line.starts_with("Purg ")) {
      auto removal = parse_removal(trim(line.substr(5)));
      if (!removal) return at_line(std::move(removal).error());
      simulation.removals.push_back(*std::move(removal));
    }
  }
  return simulation;
}

}  // namespace prunella

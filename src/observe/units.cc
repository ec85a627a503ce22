#include "observe/units.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/encoding.h"
#include "base/text.h"

namespace prunella {

namespace {

Status read_property(std::string_view line, Unit& unit) {
  std::size_t equals = line.find('=');
  if (equals == std::string_view::npos) return invalid_input("not KEY=value");
  std::string_view key = line.substr(0, equals), value = line.substr(equals + 1);
  if (key == "Id") unit.name = value;
  else if (key == "LoadState") unit.load = value;
  else if (key == "ActiveState") unit.active = value;
  else if (key == "SubState") unit.sub = value;
  else if (key == "Result" && !value.empty()) unit.result = std::string(value);
  else if (key == "NRestarts" && !value.empty()) {
    auto number = parse_uint(value);
    if (!number) return std::move(number).error();
    if (*number > std::numeric_limits<std::uint32_t>::max()) return invalid_input(quoted(value) + " is no number of restarts");
    unit.restarts = static_cast<std::uint32_t>(*number);
  } else if (key == "InvocationID" && !value.empty()) {
    if (value.size() != 32 || !from_hex(value)) return invalid_input(quoted(value) + " is not 32 hexadecimal digits");
    unit.invocation = std::string(value);
  }
  return {};
}

}  // namespace

bool is_sensed_unit(std::string_view name) {
  for (std::string_view suffix : {".service", ".socket", ".timer", ".mount"})
    if (name.size() > suffix.size() && name.ends_with(suffix)) return true;
  return false;
}

Result<std::vector<Unit>> parse_systemctl_show(std::string_view text) {
  std::vector<Unit> units;
  Unit unit;
  std::size_t number = 0;
  auto finish = [&]() -> Status {
    if (is_sensed_unit(unit.name)) {
      if (units.size() == kUnitsMax) return exhausted("more than " + std::to_string(kUnitsMax) + " units");
      units.push_back(std::move(unit));
    }
    unit = Unit();
    return {};
  };
  for (std::string_view line : split(text, '\n')) {
    ++number;
    if (line.empty()) {
      if (auto done = finish(); !done) return std::move(done).error();
      continue;
    }
    if (auto read = read_property(line, unit); !read)
      return std::move(read).error().during("line " + std::to_string(number) + " of systemctl show, " + quoted(line));
  }
  if (auto done = finish(); !done) return std::move(done).error();
  std::ranges::sort(units, {}, &Unit::name);
  return units;
}

std::string invocation_text(const std::vector<unsigned char>& bytes) {
  if (bytes.size() != 16 || std::ranges::all_of(bytes, [](unsigned char b) { return b == 0; })) return {};
  return to_hex(bytes);
}

}  // namespace prunella

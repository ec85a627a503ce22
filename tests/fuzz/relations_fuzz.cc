// Relationship fields.
#include "observe/relations.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  prunella::Step a, b;
  a.after.depends = a.after.breaks = b.before.depends = b.after.provides = std::string(text);
  b.after.package.name = b.before.package.name = a.after.package.name = "libfoo";
  a.after.version = b.before.version = "1.0-1";
  auto edges = prunella::need_edges({a, b}, [](std::string_view x, std::string_view y) { return x.compare(y); });
  (void)prunella::reachable(edges, 0).size();
  (void)prunella::parse_relations(text).has_value();
  return 0;
}

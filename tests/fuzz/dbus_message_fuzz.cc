// What systemd writes into a D-Bus connection.
#include <cstddef>
#include <cstdint>

#include "observe/systemd_bus.h"
#include "properties.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace prunella;
  std::string_view bytes = fuzz::text_of(data, size);
  std::size_t at = 0;
  while (true) {
    std::size_t before = at;
    auto message = take_dbus_message(bytes, at);
    if (!message) {
      fuzz::check_error(message.error());
      break;
    }
    if (!*message) break;
    check(at > before && at <= bytes.size(), "a message has a length, and it is there");
    if ((*message)->reply_to || !(*message)->path.empty()) {
      std::size_t again = 0;
      auto back = take_dbus_message(to_bytes(**message), again);
      check(back && *back && **back == **message, "what was read is written and read again as the same");
    }
    if (auto units = parse_unit_list(**message); !units) fuzz::check_error(units.error());
    (void)job_result(**message, "/org/freedesktop/systemd1/job/7").has_value();
    for (int property = 0; property <= static_cast<int>(UnitProperty::kType); ++property) {
      ListedUnit unit;
      if (auto read = read_unit_property(static_cast<UnitProperty>(property), **message, unit); !read) fuzz::check_error(read.error());
    }
  }
  // A body of any kind, as the list of units.
  DbusMessage list;
  list.signature = "a(ssssssouso)";
  list.body = bytes;
  if (auto units = parse_unit_list(list); !units) fuzz::check_error(units.error());
  return 0;
}

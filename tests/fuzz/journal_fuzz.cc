// A journal as a damaged disk gives it back.
#include <cstddef>
#include <cstdint>
#include <string>

#include "act/journal.h"
#include "base/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace prunella;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (auto scan = scan_journal(bytes)) {
    check(scan->whole_bytes <= bytes.size(), "no more was read than there is");
    check(scan->torn.has_value() == (scan->whole_bytes < bytes.size()), "what wasn't read is named");
  }
  // And behind an intact frame: records with any content.
  JournalState state;
  auto record = from_json_text<JournalRecord>(bytes, {kJournalRecordMax, 32});
  if (record && apply_record(*record, state)) check(!state.open || record->accepted, "only an acceptance opens a run");
  return 0;
}

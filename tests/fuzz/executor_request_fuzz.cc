// What the agent, or whoever took it over, sends to the executor's socket.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "base/codec.h"
#include "model/link.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace prunella;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto request = from_json_text<ExecutorRequest>(text, {kExecutorMessageMax, 32});
  if (request) check(from_json<ExecutorRequest>(to_json(*request)).value() == *request, "a request that was read is written and read the same");
  return 0;
}

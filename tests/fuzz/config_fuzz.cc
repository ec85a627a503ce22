// Prunella's own files, by the first byte: agent.json, trust.json, executor.json, prunellad.json, and the command line's context.json
// and audit.json. Root or the user writes them, by hand and in a hurry: what is wrong is named.
#include "apps/agent/config.h"
#include "apps/cli/config.h"
#include "apps/control/data_dir.h"
#include "apps/executor/config.h"
#include "properties.h"

namespace {

using namespace prunella;
using namespace prunella::fuzz;

void try_address(const std::string& url) {
  auto agent = agent::parse_server(url);
  auto cli = cli::parse_server(url);
  if (!agent) check_error(agent.error());
  if (!cli) check_error(cli.error());
  // The command line alone demands a name's characters; both read the same out of what both take. Without a port it is 443.
  if (agent && cli) check(agent->host == cli->host && agent->port == cli->port, "an address means one thing");
  if (cli) check(agent.has_value(), "what the command line takes the agent takes too");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::string_view text = text_of(data + 1, size - 1);
  switch (data[0] % 7) {
    case 0:
      if (auto config = read_back<agent::AgentConfig>(text)) {
        auto checked = agent::check_config(*config);
        if (!checked) check_error(checked.error());
        else check(config->threshold >= 1 && config->threshold <= config->operators.size(), "a threshold can be reached and isn't nothing");
      }
      break;
    case 1: (void)read_back<HostTrust>(text).has_value(); break;
    case 2:
      if (auto config = read_back<ExecutorConfig>(text)) {
        auto checked = check_executor_config(*config);
        if (!checked) check_error(checked.error());
        else check(!config->health_command || config->health_command->front().starts_with('/'), "what root starts is named by its whole path");
      }
      break;
    case 3:
      if (auto settings = read_back<control::Settings>(text)) {
        auto checked = control::check_settings(*settings);
        if (!checked) check_error(checked.error());
        else check(settings->heartbeat.count() >= 1000, "a heartbeat isn't nothing");
      }
      break;
    case 4: (void)read_back<cli::Contexts>(text).has_value(); break;
    case 5: (void)read_back<std::map<std::string, cli::AuditMemory>>(text).has_value(); break;
    case 6: try_address(std::string(text)); break;
  }
  return 0;
}

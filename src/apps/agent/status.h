#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "adapters/http/ca.h"
#include "loop/agent_core.h"
#include "model/finding.h"
#include "model/posture.h"

namespace prunella::agent {

/// What one section says, in a line.
struct SectionView {
  bool known = false;
  std::string text;    ///< the reason when it isn't known
  Instant at{};
};
template <class F>
void fields(F& f, SectionView& v) {
  f("known", v.known);
  f("text", v.text);
  f("at", v.at);
}

/// `prunella-agent status --json`.
struct StatusView {
  std::string version;
  HostId host;
  std::string server;
  std::string instance;
  Instant now{};
  Instant since{};                                ///< start of the agent
  bool connected = false;                         ///< the last report was answered
  std::optional<Instant> last_answer;
  std::optional<Duration> clock_ahead;
  std::optional<std::string> report_error;
  std::optional<std::string> directions_error;
  std::optional<std::string> executor_error;
  std::optional<Instant> certificate_expires;
  std::optional<std::uint64_t> policy_serial;     ///< that the agent holds
  std::uint64_t order_sequence = 0;
  std::uint64_t orders_held = 0;
  std::uint64_t outcomes_held = 0;
  std::uint64_t dropped = 0;
  Posture posture;
  std::vector<Finding> findings;
  std::map<std::string, SectionView> sections;    ///< by name; one that never came is missing
};
template <class F>
void fields(F& f, StatusView& v) {
  f("version", v.version);
  f("host", v.host);
  f("server", v.server);
  f("instance", v.instance);
  f("now", v.now);
  f("since", v.since);
  f("connected", v.connected);
  f("last_answer", v.last_answer);
  f("clock_ahead_ms", v.clock_ahead);
  f("report_error", v.report_error);
  f("directions_error", v.directions_error);
  f("executor_error", v.executor_error);
  f("certificate_expires", v.certificate_expires);
  f("policy_serial", v.policy_serial);
  f("order_sequence", v.order_sequence);
  f("orders_held", v.orders_held);
  f("outcomes_held", v.outcomes_held);
  f("dropped", v.dropped);
  f("posture", v.posture);
  f("findings", v.findings);
  f("sections", v.sections);
}
inline constexpr std::size_t kStatusBytesMax = 8 << 20;

std::map<std::string, SectionView> section_views(const HostFacts& facts);
/// For people: the posture in a sentence, the findings, each section.
std::string posture_text(const Posture& posture, const std::vector<Finding>& findings, const std::map<std::string, SectionView>& sections);
std::string status_text(const StatusView& status);

}  // namespace prunella::agent

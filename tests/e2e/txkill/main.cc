// Signs what a crash test needs, with keys that everybody knows: never for a real host.
//   txkill-sign trust | policy SERIAL | order SEQUENCE RUN PLAN-FILE      writes JSON to standard output
//   txkill-sign ask SOCKET      sends the request on standard input to an executor and writes its answers, one a line
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "model/merkle.h"
#include "model/order.h"

using namespace prunella;

namespace {

PrivateKey key_of(std::string_view role) {
  return PrivateKey(sha256("prunella crash test key: " + std::string(role)).bytes);
}

const HostId kHost("txkill-host");

std::string trust() {
  HostTrust trust;
  trust.host = kHost;
  trust.organisation = "txkill";
  trust.operators = {key_of("operator").public_key()};
  return to_canonical_text(trust);
}

std::string policy(std::uint64_t serial, Instant now) {
  ExecutorPolicy policy;
  policy.serial = serial;
  policy.organisation = "txkill";
  policy.issued = now;
  policy.expires = now + std::chrono::hours(24);
  policy.directors = {key_of("director").public_key()};
  policy.approvers = {{"ada", key_of("ada").public_key()}};
  policy.rules = {{ActionKind::kPackageTransaction, {"*"}, {"*"}, 1}, {ActionKind::kDpkgRepair, {"*"}, {}, 1}, {ActionKind::kServiceRestart, {}, {"*"}, 1}};
  policy.standing = {{StandingTrigger::kUnitFailed, {"*"}, std::chrono::seconds(30)}, {StandingTrigger::kRestartNeeded, {"*"}, std::chrono::seconds(30)}};
  policy.budget = {1000, 1000};
  return to_canonical_text(sign_envelope(kExecutorPolicyType, to_canonical_text(policy), key_of("operator")));
}

std::string order(std::uint64_t sequence, const std::string& run, const Plan& plan, Instant now) {
  Order order;
  order.id = OrderId(sha256(run).hex().substr(0, 32));
  order.host = kHost;
  order.sequence = sequence;
  order.epoch = 1;
  order.run = RunId(run);
  order.issued = now;
  order.expires = now + std::chrono::minutes(10);
  order.plan = plan;
  order.rollout.id = PlanId("PLN-txkill");
  order.rollout.created = now;
  order.rollout.created_by = "txkill";
  order.rollout.host_count = 1;
  order.rollout.wave_ends = {1};
  order.rollout.merkle_root = merkle_root({rollout_leaf(0, kHost, digest_of(plan))});
  Approval approval;
  approval.plan = order.rollout.id;
  approval.plan_digest = digest_of(order.rollout);
  approval.approver = "ada";
  approval.at = now;
  approval.expires = now + std::chrono::hours(1);
  order.approvals = {sign_envelope(kApprovalType, to_canonical_text(approval), key_of("ada"))};
  return to_canonical_text(sign_envelope(kOrderType, to_canonical_text(order), key_of("director")));
}

int ask(const std::string& path) {
  std::string request(std::istreambuf_iterator<char>(std::cin), {});
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    std::perror(path.c_str());
    return 1;
  }
  std::string frame;
  for (int shift = 24; shift >= 0; shift -= 8) frame += static_cast<char>((request.size() >> shift) & 0xff);
  frame += request;
  for (std::size_t done = 0; done < frame.size();) {
    ssize_t put = ::write(fd, frame.data() + done, frame.size() - done);
    if (put <= 0) return 1;
    done += static_cast<std::size_t>(put);
  }
  std::string buffer;
  char piece[65536];
  for (ssize_t got; (got = ::read(fd, piece, sizeof piece)) > 0;) {
    buffer.append(piece, static_cast<std::size_t>(got));
    while (buffer.size() >= 4) {
      std::size_t size = 0;
      for (std::size_t i = 0; i < 4; ++i) size = (size << 8) | static_cast<unsigned char>(buffer[i]);
      if (buffer.size() < 4 + size) break;
      std::string answer = buffer.substr(4, size);
      buffer.erase(0, 4 + size);
      std::printf("%s\n", answer.c_str());
      if (answer.find("\"progress\":{") == std::string::npos) return 0;
    }
  }
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  auto now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  std::string verb = argc > 1 ? argv[1] : "", text;
  if (verb == "ask" && argc == 3) return ask(argv[2]);
  if (verb == "trust" && argc == 2) text = trust();
  if (verb == "policy" && argc == 3) text = policy(parse_uint(argv[2]).value_or(1), now);
  if (verb == "order" && argc == 5) {
    std::ifstream file(argv[4]);
    auto plan = from_json_text<Plan>(std::string(std::istreambuf_iterator<char>(file), {}));
    if (!plan) {
      std::fprintf(stderr, "the plan: %s\n", plan.error().text().c_str());
      return 1;
    }
    text = order(parse_uint(argv[2]).value_or(1), argv[3], *plan, now);
  }
  if (text.empty()) {
    std::fprintf(stderr, "txkill-sign trust | policy SERIAL | order SEQUENCE RUN PLAN-FILE\n");
    return 2;
  }
  std::printf("%s\n", text.c_str());
  return 0;
}

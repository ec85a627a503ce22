// A plan as it is stored, signed, sent and shown. The first byte says what the bytes are: the canonical bytes of one plan, the API's
// PlanView as the command line reads it, or a plan that gets a rollout around it with every digest right, so that what stands behind
// the digests is reached.
#include "apps/cli/checked_plan.h"
#include "model/merkle.h"
#include "plan/render.h"
#include "properties.h"

namespace {

using namespace prunella;
using namespace prunella::fuzz;

const Instant kNow = *parse_rfc3339("2026-11-24T03:00:00Z");

void check_shown(const std::string& shown, std::size_t input) {
  check(is_terminal_safe(shown), "what is shown can't move the cursor or hide a line");
  check(shown.size() <= 64 * input + (64 << 10), "what is shown is bounded by what came");
}

void try_plan(std::string_view text) {
  auto plan = read_back<Plan>(text);
  if (!plan) {
    check(!render_plan(text).has_value(), "what is no plan is not shown as one");
    return;
  }
  std::string bytes = to_canonical_text(*plan);
  check(digest_of(*plan) == sha256(bytes), "a plan's digest is that of its canonical bytes");
  auto checked = check_plan(*plan);
  if (!checked) check_error(checked.error());
  auto shown = render_plan(bytes);
  check(shown.has_value() == checked.has_value(), "a plan is shown when it may run, and not otherwise");
  if (shown) {
    check_shown(*shown, bytes.size());
    check(shown->find(plan->host.text()) != std::string::npos, "the host is named");
    check(shown->find(digest_of(*plan).hex().substr(0, 8)) != std::string::npos, "and the digest");
    for (const Action& action : plan->actions)
      if (action.transaction)
        for (const PackageChange& change : action.transaction->changes)
          check(shown->find(change.package.name) != std::string::npos && shown->find(change.to.version) != std::string::npos, "every package is named with its version");
  }
  if (text != bytes) check(!render_plan(text).has_value(), "other bytes than the canonical ones are not shown");
}

void try_view(std::string_view text) {
  auto body = parse_json(text);
  if (!body) return;
  auto checked = cli::check_plan_view(*body);
  if (!checked) return check_error(checked.error());
  check_shown(checked->text, text.size());
  check(checked->digest == sha256(checked->rollout_bytes), "what is signed is the digest of the bytes");
  check(checked->members.size() == checked->view.rollout.host_count, "every host of the rollout is there");
}

/// The plan for `hosts` hosts in one rollout.
void try_rollout(std::string_view text, std::uint64_t hosts) {
  auto plan = from_json_text<Plan>(text);
  if (!plan) return;
  PlanView view;
  view.id = PlanId("PLN-1");
  view.rollout.id = view.id;
  view.rollout.created = kNow;
  view.rollout.created_by = "token:ada";
  view.rollout.purpose = plan->purpose;
  view.rollout.selector = "all";
  view.rollout.host_count = hosts;
  for (std::uint64_t wave = 1; wave <= hosts; ++wave) view.rollout.wave_ends.push_back(wave);
  view.rollout.failures_percent_max = 5;
  view.rollout.soak_reports = 3;
  view.rollout.wave_deadline = std::chrono::hours(4);
  std::vector<Digest> leaves;
  for (std::uint64_t i = 0; i < hosts; ++i) {
    Plan one = *plan;
    one.host = HostId("web-" + std::to_string(i));
    HostPlan host{i, one.host, digest_of(one), one};
    leaves.push_back(rollout_leaf(i, host.host, host.digest));
    view.hosts.push_back(std::move(host));
  }
  view.rollout.merkle_root = merkle_root(leaves);
  view.digest = digest_of(view.rollout);
  auto body = parse_json(to_canonical_text(view), {.bytes_max = 64 << 20, .depth_max = 64});
  auto checked = cli::check_plan_view(*body);
  bool is_good = check_plan(*plan).has_value() && check_rollout_plan(view.rollout).has_value();
  if (plan->host.empty()) return;  // an empty host is mended by ours
  check(checked.has_value() == is_good, "a rollout of good plans is shown, and of others not");
  if (!checked) return check_error(checked.error());
  check_shown(checked->text, to_canonical_text(view).size());
  check(checked->text.find(view.digest.hex()) != std::string::npos, "the digest that is signed is shown");
  // One bit of one host's plan, or its place, is another plan.
  view.hosts[0].plan.download_bytes ^= 1;
  check(!cli::check_plan_view(to_json(view)).has_value(), "a changed plan is found");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  std::string_view text = text_of(data + 1, size - 1);
  switch (data[0] % 3) {
    case 0: try_plan(text); break;
    case 1: try_view(text); break;
    case 2: try_rollout(text, 1 + data[0] / 64u); break;
  }
  return 0;
}

#include "apps/cli/checked_plan.h"

namespace prunella::cli {

Result<CheckedPlan> check_plan_view(const Json& body, const RenderOptions& options) {
  auto view = from_json<PlanView>(body, UnknownKeys::kIgnore);
  if (!view) return std::move(view).error().during("reading the plan");
  CheckedPlan out;
  // The bytes as they came, not as our types would write them again: a member that this program doesn't know must not be lost
  // between what is shown and what is signed (render_rollout refuses it).
  out.rollout_bytes = to_canonical(*body.find("rollout"));
  out.digest = sha256(out.rollout_bytes);
  if (out.digest != view->digest)
    return corrupt("the plan's digest is " + out.digest.hex() + " by its bytes, but the control plane says " + view->digest.hex() + ": don't approve it");
  if (view->id != view->rollout.id)
    return corrupt("the control plane calls the plan " + quoted(view->id.text()) + ", its signed bytes say " + quoted(view->rollout.id.text()) + ": don't approve it");
  const Json::Array& hosts = *body.find("hosts")->as_array();
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    const HostPlan& host = view->hosts[i];
    std::string bytes = to_canonical(*hosts[i].find("plan"));
    if (host.index != i) return corrupt("host " + quoted(host.host.text()) + " stands at place " + std::to_string(i) + " and says it is number " + std::to_string(host.index));
    if (sha256(bytes) != host.digest)
      return corrupt("the plan of " + quoted(host.host.text()) + " has the digest " + sha256(bytes).brief() + " by its bytes, but the control plane says " + host.digest.brief());
    out.members.push_back({host.host, std::move(bytes)});
  }
  auto text = render_rollout(out.rollout_bytes, out.members, options);
  if (!text) return std::move(text).error();
  out.text = *std::move(text);
  out.view = *std::move(view);
  return out;
}

}  // namespace prunella::cli

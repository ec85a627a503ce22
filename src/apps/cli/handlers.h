#pragma once

#include "apps/cli/command.h"

/// What each command of the table does: asks the API, shows the answer on standard output, says the rest on standard error.
namespace prunella::cli {

ExitCode run_status(Session& session, const Invocation& invocation);
ExitCode run_plan(Session& session, const Invocation& invocation);
ExitCode run_plan_ls(Session& session, const Invocation& invocation);
ExitCode run_plan_show(Session& session, const Invocation& invocation);
ExitCode run_approve(Session& session, const Invocation& invocation);
ExitCode run_apply(Session& session, const Invocation& invocation);
ExitCode run_undo(Session& session, const Invocation& invocation);
ExitCode run_why(Session& session, const Invocation& invocation);
ExitCode run_host_ls(Session& session, const Invocation& invocation);
ExitCode run_host_show(Session& session, const Invocation& invocation);
ExitCode run_host_refresh(Session& session, const Invocation& invocation);
ExitCode run_host_label(Session& session, const Invocation& invocation);
ExitCode run_host_revoke(Session& session, const Invocation& invocation);
ExitCode run_finding_ls(Session& session, const Invocation& invocation);
ExitCode run_patch_ls(Session& session, const Invocation& invocation);
ExitCode run_cve_show(Session& session, const Invocation& invocation);
ExitCode run_rollout_ls(Session& session, const Invocation& invocation);
ExitCode run_rollout_show(Session& session, const Invocation& invocation);
ExitCode run_rollout_watch(Session& session, const Invocation& invocation);
ExitCode run_rollout_pause(Session& session, const Invocation& invocation);
ExitCode run_rollout_resume(Session& session, const Invocation& invocation);
ExitCode run_rollout_promote(Session& session, const Invocation& invocation);
ExitCode run_rollout_abort(Session& session, const Invocation& invocation);
ExitCode run_run_ls(Session& session, const Invocation& invocation);
ExitCode run_run_show(Session& session, const Invocation& invocation);
ExitCode run_audit_tail(Session& session, const Invocation& invocation);
ExitCode run_audit_verify(Session& session, const Invocation& invocation);
ExitCode run_audit_export(Session& session, const Invocation& invocation);
ExitCode run_enroll(Session& session, const Invocation& invocation);
ExitCode run_token_ls(Session& session, const Invocation& invocation);
ExitCode run_token_create(Session& session, const Invocation& invocation);
ExitCode run_token_revoke(Session& session, const Invocation& invocation);
ExitCode run_operator_init(Session& session, const Invocation& invocation);
ExitCode run_policy_show(Session& session, const Invocation& invocation);
ExitCode run_policy_sign(Session& session, const Invocation& invocation);
ExitCode run_policy_lint(Session& session, const Invocation& invocation);
ExitCode run_policy_test(Session& session, const Invocation& invocation);
ExitCode run_policy_explain(Session& session, const Invocation& invocation);
ExitCode run_policy_schema(Session& session, const Invocation& invocation);
ExitCode run_policy_vocabulary(Session& session, const Invocation& invocation);
ExitCode run_cel_eval(Session& session, const Invocation& invocation);
ExitCode run_cel_conformance(Session& session, const Invocation& invocation);
ExitCode run_context_ls(Session& session, const Invocation& invocation);
ExitCode run_context_add(Session& session, const Invocation& invocation);
ExitCode run_context_use(Session& session, const Invocation& invocation);
ExitCode run_doctor(Session& session, const Invocation& invocation);
ExitCode run_completion(Session& session, const Invocation& invocation);
ExitCode run_man(Session& session, const Invocation& invocation);
ExitCode run_version(Session& session, const Invocation& invocation);
ExitCode run_help(Session& session, const Invocation& invocation);

}  // namespace prunella::cli

// Every command, with its words for people. What it does is in commands_*.cc.
#include "apps/cli/command.h"
#include "apps/cli/handlers.h"

namespace prunella::cli {

namespace {

constexpr Option kYes{"yes", 'y', "", "don't ask; do it"};
constexpr Option kNoWatch{"no-watch", 0, "", "start it and return at once"};
constexpr Option kMost{"limit", 0, "N", "at most so many (default 1000, at most 100000)"};

}  // namespace

const std::vector<Option>& global_options() {
  static const std::vector<Option> options = {
      {"help", 'h', "", "explain the command"},
      {"json", 0, "", "the answer of the API as JSON; members are added, never changed"},
      {"jsonl", 0, "", "lists and streams as one JSON value a line"},
      {"plain", 0, "", "columns separated by tabs, no heading, no colour"},
      {"quiet", 'q', "", "names only, and no messages"},
      {"selector", 'l', "SELECTOR", "which hosts: all, or terms such as 'host:web-* ring:canary' that must all hold"},
      {"server", 0, "URL", "the control plane (PRUNELLA_SERVER); default: that of the context"},
      {"context", 0, "NAME", "the context to use (PRUNELLA_CONTEXT); see prunella context ls", Values::kContext},
      {"timeout", 0, "DURATION", "give up after this time: 30s, 10m (default 60s for an answer, no end for a watch)"},
      kYes,
      {"no-color", 0, "", "no colour (NO_COLOR)"},
      {"watch", 'w', "", "show it again whenever something changes"},
      {"version", 'V', "", "print the version"},
  };
  return options;
}

std::string_view noun_summary(std::string_view noun) {
  if (noun == "host") return "the machines that are looked after";
  if (noun == "finding") return "what was found on them";
  if (noun == "patch") return "security updates that are missing";
  if (noun == "cve") return "where a vulnerability is";
  if (noun == "plan") return "the exact changes that are proposed";
  if (noun == "rollout") return "plans on their way over the fleet, in waves";
  if (noun == "run") return "what was done on one host";
  if (noun == "audit") return "the record of everything, and its proof";
  if (noun == "token") return "who may use the API";
  if (noun == "policy") return "what hosts may do at all";
  if (noun == "operator") return "whose keys hosts believe";
  if (noun == "cel") return "the language of policies' conditions";
  if (noun == "context") return "which control plane this program talks to";
  return {};
}

const std::vector<Command>& commands() {
  static const std::vector<Command> table = {
      {.words = {"status"},
       .summary = "the fleet in one sentence, and what to do next",
       .scope = "read",
       .watchable = true,
       .run = run_status},

      {.words = {"plan"},
       .summary = "work out the exact changes for hosts, and change nothing",
       .description = "Shows what would be done, with versions and digests, restarts, space and who must approve. The digests are computed here, from "
                      "the bytes that an approval signs. Ends with 2 when there is something to do, with 0 when the hosts need nothing, with 5 when "
                      "none can be planned (they are silent, something isn't known, it's blocked), with 3 when no host matches. With --undo it is the plan that "
                      "takes a verified run back.",
       .arguments = {{.name = "SELECTOR", .optional = true, .repeats = true}},
       .options = {{"purpose", 0, "PURPOSE", "what for (default security-updates)", Values::kWords, "security-updates restarts"},
                   {"undo", 0, "RUN", "plan to take this verified run back", Values::kRun},
                   {"waves", 0, "LIST", "where waves end, such as 1,5%,25%,100% (default 1,1%,5%,25%,50%,100%)"},
                   {"max-failures", 0, "PERCENT", "stop above so many percent of failed hosts"},
                   {"soak", 0, "N", "healthy reports of each host before the next wave"},
                   {"wave-deadline", 0, "DURATION", "stop when a wave takes longer"},
                   {"stable-for", 0, "DURATION", "how long units must stay healthy after the change"}},
       .examples = {{"prunella plan -l all", "missing security updates of every host"},
                    {"prunella plan 'host:web-*' ring:canary", "the selector may also be written as words"},
                    {"prunella plan -l ring:canary --purpose restarts", "restart what still runs old code"}},
       .scope = "plan",
       .run = run_plan},
      {.words = {"plan", "ls"}, .summary = "plans, newest first", .options = {kMost}, .scope = "read", .run = run_plan_ls},
      {.words = {"plan", "show"},
       .summary = "one plan, checked and shown from the bytes that are approved",
       .arguments = {{.name = "PLAN", .values = Values::kPlan}},
       .scope = "read",
       .run = run_plan_show},
      {.words = {"approve"},
       .summary = "sign a plan with your approver key",
       .description = "Shows the plan from the bytes that you sign, asks, signs on this machine and hands the signature in. The control plane never has "
                      "your key, and every host checks the signature itself. An approval holds for 4 hours. Not to approve is simply not to sign.",
       .arguments = {{.name = "PLAN", .values = Values::kPlan}},
       .options = {{"digest", 0, "SHA256", "refuse unless the plan has this digest"}},
       .scope = "approve",
       .run = run_approve},
      {.words = {"apply"},
       .summary = "carry out a plan, exactly as shown, and watch it",
       .description = "Approves it first if your approval is missing, after asking. Refused when the plan is not the one that was shown or the hosts "
                      "moved on. Ends with 0 when every host is verified, 6 when some are, 1 when none is, and 8 when the watch ended first.",
       .arguments = {{.name = "PLAN", .values = Values::kPlan}},
       .options = {{"digest", 0, "SHA256", "refuse unless the plan has this digest"}, kNoWatch},
       .examples = {{"prunella apply PLN-5k2m9x7q", "show, ask, approve, start, watch"}, {"prunella apply PLN-5k2m9x7q --yes --no-watch", "for scripts"}},
       .scope = "operate",
       .run = run_apply},
      {.words = {"undo"},
       .summary = "take a verified run back: shows that plan first, then asks",
       .arguments = {{.name = "RUN", .values = Values::kRun}},
       .options = {kNoWatch},
       .scope = "operate",
       .run = run_undo},
      {.words = {"why"},
       .summary = "why a host is judged as it is, with numbered evidence",
       .description = "Also answers why nothing was done. Without a subject it is the host's posture that is explained.",
       .arguments = {{.name = "HOST", .values = Values::kHost}, {.name = "SUBJECT", .optional = true}},
       .examples = {{"prunella why web-1 CVE-2026-1234", "is it exposed, and why"}, {"prunella why web-1 nginx.service", "a unit"}},
       .scope = "read",
       .run = run_why},

      {.words = {"host", "ls"}, .summary = "hosts, by name", .options = {kMost}, .scope = "read", .watchable = true, .run = run_host_ls},
      {.words = {"host", "show"},
       .summary = "one host: facts and open findings",
       .arguments = {{.name = "HOST", .values = Values::kHost}},
       .scope = "read",
       .watchable = true,
       .run = run_host_show},
      {.words = {"host", "refresh"},
       .summary = "ask hosts to look at everything afresh, package lists too",
       .arguments = {{.name = "HOST", .optional = true, .repeats = true, .values = Values::kHost}},
       .scope = "operate",
       .run = run_host_refresh},
      {.words = {"host", "label"},
       .summary = "set and take away labels: key=value sets, key- takes away",
       .description = "Of one host by name, or of many with --selector.",
       .arguments = {{.name = "HOST|LABEL", .repeats = true, .values = Values::kHost}},
       .examples = {{"prunella host label web-1 ring=canary env-", "of one host"}, {"prunella host label -l 'host:web-*' role=web", "of many"}},
       .scope = "operate",
       .run = run_host_label},
      {.words = {"host", "revoke"},
       .summary = "take a host's certificate out of use; there is no undo save enrolling it anew",
       .arguments = {{.name = "HOST", .values = Values::kHost}},
       .scope = "admin",
       .run = run_host_revoke},

      {.words = {"finding", "ls"},
       .summary = "what was found, worst first",
       .options = {{"host", 0, "HOST", "only of this host", Values::kHost},
                   {"kind", 0, "KIND", "only of this kind", Values::kWords,
                    "missing-security-update interrupted-dpkg broken-package restart-needed reboot-needed repository-unreachable repository-untrusted "
                    "unit-failed filesystem-full clock-off unknown"},
                   {"state", 0, "STATE", "default open", Values::kWords, "open cleared all"},
                   kMost},
       .scope = "read",
       .watchable = true,
       .run = run_finding_ls},
      {.words = {"patch", "ls"}, .summary = "missing security updates, by source package", .scope = "read", .watchable = true, .run = run_patch_ls},
      {.words = {"cve", "show"},
       .summary = "which hosts a vulnerability is open on, and where it was fixed",
       .arguments = {{.name = "CVE"}},
       .scope = "read",
       .run = run_cve_show},

      {.words = {"rollout", "ls"}, .summary = "rollouts, newest first", .options = {kMost}, .scope = "read", .watchable = true, .run = run_rollout_ls},
      {.words = {"rollout", "show"},
       .summary = "where a rollout stands, host by host",
       .arguments = {{.name = "ROLLOUT", .values = Values::kRollout}},
       .scope = "read",
       .watchable = true,
       .run = run_rollout_show},
      {.words = {"rollout", "watch"},
       .summary = "follow a rollout to its end; the exit code says how it ended",
       .arguments = {{.name = "ROLLOUT", .values = Values::kRollout}},
       .scope = "read",
       .run = run_rollout_watch},
      {.words = {"rollout", "pause"},
       .summary = "send no further orders; what runs goes on to its end",
       .arguments = {{.name = "ROLLOUT", .values = Values::kRollout}},
       .scope = "operate",
       .run = run_rollout_pause},
      {.words = {"rollout", "resume"},
       .summary = "go on with a paused rollout",
       .arguments = {{.name = "ROLLOUT", .values = Values::kRollout}},
       .scope = "operate",
       .run = run_rollout_resume},
      {.words = {"rollout", "promote"},
       .summary = "begin the next wave without waiting for more health reports",
       .arguments = {{.name = "ROLLOUT", .values = Values::kRollout}},
       .scope = "operate",
       .run = run_rollout_promote},
      {.words = {"rollout", "abort"},
       .summary = "end a rollout; what runs goes on to its end",
       .arguments = {{.name = "ROLLOUT", .values = Values::kRollout}},
       .scope = "operate",
       .run = run_rollout_abort},

      {.words = {"run", "ls"},
       .summary = "runs on hosts, newest first",
       .options = {{"host", 0, "HOST", "only of this host", Values::kHost}, {"rollout", 0, "ROLLOUT", "only of this rollout", Values::kRollout}, kMost},
       .scope = "read",
       .watchable = true,
       .run = run_run_ls},
      {.words = {"run", "show"},
       .summary = "one run: its steps, its checks and how it ended",
       .arguments = {{.name = "RUN", .values = Values::kRun}},
       .scope = "read",
       .watchable = true,
       .run = run_run_show},

      {.words = {"audit", "tail"},
       .summary = "the last entries of the audit log",
       .options = {{"lines", 'n', "N", "how many (default 20)"}},
       .scope = "read",
       .watchable = true,
       .run = run_audit_tail},
      {.words = {"audit", "verify"},
       .summary = "check the whole chain and its signatures on this machine",
       .description = "Streams the log and computes every hash here. Keeps the newest signed checkpoint of each server, so that a log that was cut off or "
                      "written anew later is found. With --file it needs no server.",
       .options = {{"file", 0, "FILE", "an export, instead of asking the server", Values::kFile},
                   {"key", 0, "HEX", "the key that signs checkpoints (64 hexadecimal digits)"},
                   {"checkpoint", 0, "FILE", "a checkpoint that was kept elsewhere", Values::kFile, {}, true}},
       .scope = "read",
       .run = run_audit_verify},
      {.words = {"audit", "export"},
       .summary = "every entry, one canonical JSON line each, to standard output",
       .options = {{"after", 0, "N", "only entries above this sequence"}},
       .scope = "read",
       .run = run_audit_export},

      {.words = {"enroll"},
       .summary = "print the one line that installs the agent on a host",
       .description = "The token in it works once, for one host, for at most an hour. The server's key and the operators' keys are pinned in the line.",
       .options = {{"print", 0, "", "print the line (the default and only way)"},
                   {"name", 0, "NAME", "the host's name, if it must be that one"},
                   {"label", 0, "KEY=VALUE", "a label for it", Values::kNone, {}, true},
                   {"lifetime", 0, "DURATION", "of the token (default and at most 1h)"}},
       .scope = "admin",
       .run = run_enroll},
      {.words = {"token", "ls"}, .summary = "API and enrolment tokens, without their secrets", .options = {kMost}, .scope = "admin", .run = run_token_ls},
      {.words = {"token", "create"},
       .summary = "make an API token; it is printed once",
       .arguments = {{.name = "NAME"}},
       .options = {{"scope", 0, "SCOPE", "what it may do (default read)", Values::kWords, "read plan approve operate admin", true},
                   {"lifetime", 0, "DURATION", "default 30d, at most 90d"}},
       .scope = "admin",
       .run = run_token_create},
      {.words = {"token", "revoke"}, .summary = "take a token out of use", .arguments = {{.name = "ID"}}, .scope = "admin", .run = run_token_revoke},

      {.words = {"operator", "init"},
       .summary = "make your keys and sign the first policy of what hosts may do",
       .description = "Makes an operator key and an approver key in the configuration directory unless they are there, names the operator to the control "
                      "plane (once for ever), and signs a careful first policy: package upgrades, dpkg repairs and service restarts, each with your approval.",
       .options = {{"name", 0, "NAME", "how approvals name you (default: your login name)"}},
       .scope = "admin",
       .run = run_operator_init},
      {.words = {"policy", "show"},
       .summary = "the policy in force; with --json in the form that policy sign takes",
       .scope = "read",
       .run = run_policy_show},
      {.words = {"policy", "sign"},
       .summary = "sign an edited policy with the operator key and put it in force",
       .description = "FILE is what policy show --json prints, edited, with a higher serial; or an envelope that another operator began.",
       .arguments = {{.name = "FILE", .values = Values::kFile}},
       .options = {{"out", 0, "FILE", "write the signed envelope there, for the next operator, instead of handing it in", Values::kFile}},
       .scope = "admin",
       .run = run_policy_sign},

      {.words = {"policy", "lint"},
       .summary = "check policy documents, on this machine",
       .description = "Reads the YAML files, and those in directories, as strictly as the control plane does: unknown keys, empty selections, expressions "
                      "with wrong names or types, autonomy without a proof. Each mistake has its line and says what would be right. Ends with 1 when "
                      "there is an error.",
       .arguments = {{.name = "PATH", .repeats = true, .values = Values::kFile}},
       .options = {{"strict", 0, "", "warnings count as errors"}},
       .examples = {{"prunella policy lint policies/", "all of a directory"}},
       .run = run_policy_lint},
      {.words = {"policy", "test"},
       .summary = "run the tests beside policy documents, on this machine",
       .description = "Tests stand in files *.test.yaml: an event, a host, and what the policy must say. Ends with the line 'N passed, N failed'.",
       .arguments = {{.name = "PATH", .repeats = true, .values = Values::kFile}},
       .examples = {{"prunella policy test policies/", "policies and tests of a directory"}},
       .run = run_policy_test},
      {.words = {"policy", "explain"},
       .summary = "what policies say to an event, with the value of every sub-expression, on this machine",
       .description = "EVENT is a YAML or JSON file with the event, its host and what else policies see, as a test has them (policy test). Parts that && and "
                      "|| would skip are worked out too, so that one sees what else does not hold.",
       .arguments = {{.name = "EVENT", .values = Values::kFile}, {.name = "PATH", .repeats = true, .values = Values::kFile}},
       .options = {{"policy", 0, "NAME", "only this one"}},
       .examples = {{"prunella policy explain event.yaml policies/", "with event.yaml: {event: {type: unit.failed, unit: a.service}, host: {failed: [a.service]}}"}},
       .run = run_policy_explain},
      {.words = {"policy", "schema"},
       .summary = "the JSON Schema of policy documents, for editors",
       .examples = {{"prunella policy schema > policy.schema.json", "then '# yaml-language-server: $schema=policy.schema.json' on a policy's first line"}},
       .run = run_policy_schema},
      {.words = {"policy", "vocabulary"}, .summary = "events, objects and actions that policies may name", .run = run_policy_vocabulary},

      {.words = {"cel", "eval"},
       .summary = "the value of one expression of policies' language, on this machine",
       .description = "EXPR is in the Common Expression Language with all extensions. The variables come from the object in FILE: whole numbers are "
                      "int, others double, objects are maps. Ends with 1 when the expression ends in an error, with 3 when it depends on what is "
                      "unknown, with 64 when it is wrong.",
       .arguments = {{.name = "EXPR"}},
       .options = {{"bind", 0, "FILE", "a JSON object of variables; - is standard input", Values::kFile},
                   {"unknown", 0, "NAME", "this variable, or path such as host.labels, is not known", Values::kNone, {}, true}},
       .examples = {{"prunella cel eval \"event.unit.startsWith('app-')\" --bind event.json", "with event.json: {\"event\": {\"unit\": \"app-1\"}}"},
                    {"prunella cel eval \"timestamp('2026-03-29T01:30:00Z').getHours('Europe/Berlin')\"", "time zones are known"}},
       .run = run_cel_eval},
      {.words = {"cel", "conformance"},
       .summary = "run the cases of the language's conformance suite in a JSON file",
       .description = "Names each case that fails or is skipped, with the reason, and ends with the line 'N passed, N failed, N skipped'.",
       .arguments = {{.name = "FILE", .values = Values::kFile}},
       .run = run_cel_conformance},

      {.words = {"context", "ls"}, .summary = "the control planes that this program knows", .run = run_context_ls},
      {.words = {"context", "add"},
       .summary = "remember a control plane, its certificate authority and a token",
       .description = "The token comes from --from, --token-file or standard input, never from the command line, where others can read it.",
       .arguments = {{.name = "NAME"}},
       .options = {{"from", 0, "FILE", "what prunellad init printed: token and authority; - is standard input", Values::kFile},
                   {"ca", 0, "FILE", "the certificate authority in PEM", Values::kFile},
                   {"ca-sha256", 0, "HEX", "or its SHA-256"},
                   {"token-file", 0, "FILE", "a file that holds the token; - is standard input", Values::kFile}},
       .examples = {{"prunella context add lab --server https://10.213.0.1:8443 --from init.json", "after prunellad init > init.json"}},
       .run = run_context_add},
      {.words = {"context", "use"}, .summary = "choose the context that is used without --context", .arguments = {{.name = "NAME", .values = Values::kContext}}, .run = run_context_use},
      {.words = {"doctor"}, .summary = "check everything that must be right for the rest to work, with a fix for each", .scope = "read", .run = run_doctor},
      {.words = {"completion"},
       .summary = "completions for a shell",
       .arguments = {{.name = "SHELL", .values = Values::kWords, .words = "bash zsh fish"}},
       .examples = {{"prunella completion bash > ~/.local/share/bash-completion/completions/prunella", "for good"}},
       .run = run_completion},
      {.words = {"man"}, .summary = "the manual page in roff", .examples = {{"prunella man | man -l -", "read it"}}, .run = run_man},
      {.words = {"version"}, .summary = "this program's version", .run = run_version},
      {.words = {"help"}, .summary = "explain a command", .arguments = {{.name = "COMMAND", .optional = true, .repeats = true}}, .run = run_help},
  };
  return table;
}

}  // namespace prunella::cli

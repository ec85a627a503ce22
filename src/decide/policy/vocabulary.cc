#include "decide/policy/vocabulary.h"

#include <algorithm>

#include "decide/cel/ip.h"
#include "decide/cel/operators.h"
#include "decide/cel/value_text.h"
#include "model/deb_version.h"

namespace prunella::policy {

namespace {

using cel::Type;
using cel::TypeKind;
using cel::Value;

/// The order of two versions of a package format: negative, 0 or positive.
Value vercmp(const cel::CallContext& context, std::span<const Value> arguments) {
  for (const Value& argument : arguments)
    if (!context.spend_text(argument.as_text().size())) return cel::over_cost();
  const std::string_view format = arguments[0].as_text();
  if (format != "deb")
    return Value::error(cel::ErrorCode::kBadArgument, "vercmp: no version order for packages of the format " + quoted(format) + ", only for 'deb'");
  auto order = compare_deb_versions(arguments[1].as_text(), arguments[2].as_text());
  if (!order) return Value::error(cel::ErrorCode::kBadArgument, "vercmp: " + order.error().text());
  return Value::integer(*order < 0 ? -1 : *order > 0 ? 1 : 0);
}

/// Whether an address (or a network) lies within a network, both as texts.
Value cidr_has(const cel::CallContext& context, std::span<const Value> arguments) {
  if (!context.spend_text(arguments[0].as_text().size() + arguments[1].as_text().size())) return cel::over_cost();
  const auto range = cel::parse_ip_range(arguments[0].as_text());
  if (!range) return Value::error(cel::ErrorCode::kBadArgument, "cidrHas: " + quoted(arguments[0].as_text()) + " is no network");
  const auto address = cel::parse_ip(arguments[1].as_text());
  if (!address) return Value::error(cel::ErrorCode::kBadArgument, "cidrHas: " + quoted(arguments[1].as_text()) + " is no address");
  return Value::boolean(range->contains(*address));
}

/// The flap share of a subject; one that has no history did not change.
Value flap_of(const cel::CallContext&, std::span<const Value> arguments) {
  const Value* share = arguments[0].as_map().find(arguments[1]);
  return share ? *share : Value::number(0);
}

std::string event_object(std::string_view trigger) { return "event." + std::string(trigger); }

void declare(cel::Environment& environment, std::string name, const std::vector<Field>& own, const std::vector<Field>& common = {}) {
  std::map<std::string, Type> fields;
  for (const auto* list : {&common, &own}) {
    for (const Field& field : *list) {
      auto type = cel::parse_type(field.type);
      check(type.has_value(), "a type of the vocabulary can be read");
      fields.insert_or_assign(std::string(field.name), *std::move(type));
    }
  }
  environment.object(std::move(name), std::move(fields));
}

}  // namespace

const std::vector<Field>& common_event_fields() {
  static const std::vector<Field> fields = {
      {"id", "string", "the event's own name"},
      {"type", "string", "its kind, such as unit.failed"},
      {"at", "timestamp", "when it was seen"},
      {"subject", "string", "what it is about on the host"},
      {"severity", "string", "info, low, medium, high or critical"},
  };
  return fields;
}

const std::vector<EventType>& event_types() {
  static const std::vector<EventType> types = {
      {"advisory.matched",
       "A package of a host has a security fix that isn't installed.",
       true,
       "the source package",
       {{"package", "string", "source package"},
        {"installed", "string", "installed version of its first binary package"},
        {"fix", "string", "version with the fix"},
        {"cves", "list(string)", "CVEs that the fix names"}}},
      {"host.inventory",
       "A host's packages, updates or kernels changed.",
       true,
       "the section",
       {{"section", "string", "packages, updates or kernel"}}},
      {"unit.failed",
       "A unit of systemd failed.",
       true,
       "the unit",
       {{"unit", "string", "its name"},
        {"result", "string", "Result: exit-code, signal, oom-kill, start-limit-hit, ..."},
        {"restarts", "int", "how often systemd restarted it by itself"}}},
      {"unit.watchdog",
       "systemd killed a unit whose watchdog wasn't served.",
       true,
       "the unit",
       {{"unit", "string", "its name"}, {"result", "string", "watchdog"}, {"restarts", "int", "how often systemd restarted it by itself"}}},
      {"restart.needed", "A unit runs code that was replaced on disk.", true, "the unit", {{"unit", "string", "its name"}}},
      {"reboot.needed", "A host must boot to run what is installed.", true, "the host", {{"reasons", "list(string)", "who says so, and why"}}},
      {"package.broken", "dpkg has a package half installed or half configured.", true, "the package", {{"package", "string", "name and architecture"}}},
      {"dpkg.interrupted", "dpkg was stopped within its work.", true, "dpkg", {}},
      {"disk.full",
       "A filesystem has too little space or too few inodes left.",
       true,
       "the mount",
       {{"mount", "string", "where it is mounted"}, {"free_bytes", "int", "for unprivileged writers"}, {"free_inodes", "int", "inodes left"}}},
      {"clock.off", "A host's clock is not the control plane's.", true, "clock", {{"skew_ms", "int", "host's clock minus ours"}}},
      {"repository.unreachable", "An archive can't be fetched.", true, "uri and suite", {{"detail", "string", "apt's own words"}}},
      {"repository.untrusted", "An archive's signature is bad, missing or expired.", true, "uri and suite", {{"detail", "string", "apt's own words"}}},
      {"host.unreachable", "A host was silent for longer than it may be.", true, "the host", {{"silent_s", "int", "for how many seconds"}}},
      {"finding.opened",
       "Any finding was opened.",
       true,
       "the finding's subject",
       {{"kind", "string", "such as unit-failed"}, {"summary", "string", "one sentence"}}},
      {"finding.cleared",
       "A finding's clear condition holds.",
       true,
       "the finding's subject",
       {{"kind", "string", "such as unit-failed"}, {"summary", "string", "one sentence"}}},
      {"host.hw_fault", "Hardware reports a fault.", false, "the part", {{"part", "string", "what is broken"}, {"detail", "string", "in its own words"}}},
      {"file.changed",
       "A watched file changed.",
       false,
       "the path",
       {{"path", "string", "of the file"}, {"sha256", "string", "of what it holds now"}, {"by", "string", "who changed it"}}},
      {"runtime.alert",
       "A detector saw what looks like a compromise.",
       false,
       "the process",
       {{"rule", "string", "the detector's rule"},
        {"confidence", "double", "0 to 1"},
        {"dst_ip", "string", "where a connection leads"},
        {"pid", "int", "of the process"},
        {"exe", "string", "its program"}}},
  };
  return types;
}

const EventType* find_event_type(std::string_view name) {
  const auto found = std::ranges::find(event_types(), name, &EventType::name);
  return found == event_types().end() ? nullptr : &*found;
}

const std::vector<ObjectType>& object_types() {
  static const std::vector<ObjectType> types = {
      {"host",
       {{"id", "string", "unique and for ever"},
        {"name", "string", "as the host calls itself"},
        {"env", "string", "label env, '' without one"},
        {"pool", "string", "label pool, '' without one"},
        {"kind", "string", "vm, container or metal"},
        {"labels", "map(string, string)", "as set by people"},
        {"exposure", "string", "label exposure: internet, internal or isolated; '' without one"},
        {"os", "string", "os-release ID"},
        {"release", "string", "os-release VERSION_ID"},
        {"codename", "string", "os-release VERSION_CODENAME"},
        {"arch", "string", "dpkg's name of the architecture"},
        {"fmt", "string", "package format: deb"},
        {"kernel", "string", "release of the running kernel"},
        {"posture", "string", "ok, action-required, broken, stale or unknown"},
        {"packages", "list(package)", "all installed packages"},
        {"installed", "map(string, string)", "version by package name (native architecture first)"},
        {"updates", "list(package)", "packages that have an update waiting"},
        {"units", "map(string, unit_fact)", "services, sockets, timers and mounts by name"},
        {"failed", "list(string)", "units that failed"},
        {"restart_needed", "list(string)", "units that run replaced code"},
        {"reboot_needed", "bool", "whether it must boot to run what is installed"},
        {"filesystems", "map(string, filesystem)", "by mount"},
        {"findings", "list(finding)", "open ones"},
        {"last_seen", "timestamp", "when its agent last reported"},
        {"frozen", "bool", "root on the host froze its executor"},
        {"busy", "bool", "its executor is at work"},
        {"modules", "list(string)", "loaded kernel modules"},
        {"mgmt_cidr", "string", "network that must stay reachable"},
        {"desired", "desired", "what should be"},
        {"files", "map(string, file)", "watched files by path"}}},
      {"package",
       {{"name", "string", "binary package"},
        {"arch", "string", "architecture"},
        {"source", "string", "source package"},
        {"evr", "string", "installed version, with epoch and revision"},
        {"fix", "string", "version that is waiting, '' when there is none"},
        {"security", "bool", "the waiting version comes from a security archive"},
        {"held", "bool", "a person holds it back"},
        {"cves", "list(string)", "CVEs that the waiting version names"},
        {"kev", "bool", "one of them is known to be exploited"},
        {"epss", "double", "highest probability of exploitation, 0 to 1"},
        {"cvss", "double", "highest base score, 0 to 10"}}},
      {"unit_fact",
       {{"load", "string", "LoadState"}, {"active", "string", "ActiveState"}, {"sub", "string", "SubState"}, {"result", "string", "Result"}, {"restarts", "int", "NRestarts"}}},
      {"filesystem",
       {{"size_bytes", "int", "size"}, {"free_bytes", "int", "for unprivileged writers"}, {"free_inodes", "int", "inodes left"}, {"read_only", "bool", "mounted so"}}},
      {"finding",
       {{"id", "string", "FND-..."}, {"kind", "string", "such as unit-failed"}, {"subject", "string", "what it is about"}, {"severity", "string", "info to critical"}, {"opened", "timestamp", "since when"}}},
      {"desired", {{"files", "map(string, file)", "by path"}}},
      {"file", {{"sha256", "string", "of its content"}, {"mode", "string", "permissions, octal"}, {"owner", "string", "user:group"}}},
      {"pool_state", {{"name", "string", "the pool"}, {"size", "int", "hosts in it"}, {"ready", "int", "of them, well and reporting"}}},
      {"peer_view", {{"asked", "int", "peers that were asked about the host"}, {"unreachable", "int", "of them, can't reach it"}}},
      {"mitigation", {{"type", "string", "module_blacklist, sysctl, ..."}, {"module", "string", "kernel module"}}},
      {"advisory",
       {{"source", "string", "source package"},
        {"cves", "list(string)", "what it fixes"},
        {"fixes", "list(string)", "versions with a fix"},
        {"severity", "string", "info to critical"},
        {"kev", "bool", "known to be exploited"},
        {"epss", "double", "probability of exploitation, 0 to 1"},
        {"mitigation", "mitigation", "what helps without a fix"}}},
      {"change", {{"path", "string", "file"}, {"approved", "bool", "a person approved it"}, {"by", "string", "who"}, {"at", "timestamp", "when"}}},
      {"before",
       {{"failed", "list(string)", "units that had failed before the act"}, {"packages", "map(string, string)", "versions before the act"}, {"err", "double", "error rate before the act"}}},
      {"unit_proof", {{"active", "bool", "it is active"}, {"stable_s", "int", "for how many seconds"}, {"listeners", "list(int)", "ports it listens on"}}},
      {"probe", {{"exploit_blocked", "bool", "the exploit was tried and failed"}}},
      {"net_proof", {{"egress_flows", "int", "flows that leave the host"}, {"mgmt_ok", "bool", "the management network reaches it"}}},
      {"replacement", {{"ready", "bool", "the new instance serves"}}},
      {"fix_state", {{"installed", "bool", "the fix is installed"}}},
  };
  return types;
}

std::vector<Variable> variables(Place place) {
  std::vector<Variable> out = {{"host", "host", "the host that the event comes from", true},
                               {"pool", "pool_state", "hosts with the same label pool", false},
                               {"peers", "peer_view", "what others say of the host", false},
                               {"changes", "list(change)", "changes to its files of the last day", false},
                               {"now", "timestamp", "the moment of the decision", true}};
  switch (place) {
    case Place::kCondition: break;
    case Place::kProof:
      out.push_back({"pre", "before", "the host just before the act", true});
      out.push_back({"unit", "unit_proof", "the event's unit after the act", true});
      out.push_back({"probe", "probe", "what trying the exploit showed", false});
      out.push_back({"net", "net_proof", "the host's network after the act", false});
      out.push_back({"replacement", "replacement", "the new instance", false});
      break;
    case Place::kLifetime: out.push_back({"fix", "fix_state", "the fix that makes it needless", false}); break;
  }
  return out;
}

const std::vector<ActionType>& action_types() {
  using enum ArgumentForm;
  static const std::vector<ActionType> types = {
      {"pkg.upgrade",
       "Installs waiting security fixes.",
       ActionKind::kPackageTransaction,
       Undo::kSnapshot,
       BlastClass::kService,
       {{"only", kExpression, "list(string)", {}, false, "names of the packages; without it all with a security fix"}}},
      {"service.restart_stale", "Restarts the units that run replaced code.", ActionKind::kServiceRestart, Undo::kNone, BlastClass::kService, {}},
      {"unit.restart",
       "Restarts one unit.",
       ActionKind::kServiceRestart,
       Undo::kNone,
       BlastClass::kLocal,
       {{"unit", kExpression, "string", {}, false, "its name; without it the event's"}, {"backoff", kRange, {}, {}, false, "first and longest wait between tries"}}},
      {"dpkg.repair", "Brings half done packages into order.", ActionKind::kDpkgRepair, Undo::kNone, BlastClass::kService, {}},
      {"host.reboot",
       "Boots the host.",
       std::nullopt,
       Undo::kNone,
       BlastClass::kService,
       {{"if", kExpression, "bool", {}, false, "only when this holds"}, {"grace", kDuration, {}, {}, false, "time between the warning of users and the boot"}}},
      {"host.drain_and_reboot", "Takes the host out of its pool, boots it, and puts it back.", std::nullopt, Undo::kNone, BlastClass::kService, {}},
      {"notify", "Tells people, and changes nothing.", std::nullopt, Undo::kInverse, BlastClass::kObserve, {{"text", kExpression, "string", {}, false, "one sentence"}}},
      {"open_incident", "Opens an incident, and changes nothing.", std::nullopt, Undo::kInverse, BlastClass::kObserve, {}},
      {"evidence.keep",
       "Keeps what shows who did it.",
       std::nullopt,
       Undo::kInverse,
       BlastClass::kObserve,
       {{"who", kTruth, {}, {}, false, "user and process"}, {"diff", kTruth, {}, {}, false, "the difference"}}},
      {"evidence.snapshot",
       "Keeps what a compromise leaves in memory.",
       std::nullopt,
       Undo::kInverse,
       BlastClass::kObserve,
       {{"mem", kWord, {}, "maps full", false, "of memory"}, {"proc", kWord, {}, "tree one", false, "of processes"}, {"net", kWord, {}, "conns none", false, "of connections"}}},
      {"file.restore", "Puts back what a file should hold.", std::nullopt, Undo::kSnapshot, BlastClass::kLocal, {{"path", kExpression, "string", {}, true, "of the file"}}},
      {"service.reload",
       "Has a service read its configuration again.",
       std::nullopt,
       Undo::kNone,
       BlastClass::kLocal,
       {{"unit", kExpression, "string", {}, false, "its name"}, {"owner_of", kExpression, "string", {}, false, "or a file that belongs to it"}}},
      {"fence", "Proves that an instance can do nothing any more.", std::nullopt, Undo::kNone, BlastClass::kService, {{"proof", kWord, {}, "required", true, "without proof nothing goes on"}}},
      {"instance.create", "Makes a new instance.", std::nullopt, Undo::kInverse, BlastClass::kService, {{"like", kExpression, "dyn", {}, true, "what it shall be like"}}},
      {"traffic.shift", "Leads traffic to the new instance.", std::nullopt, Undo::kInverse, BlastClass::kService, {}},
      {"instance.quarantine", "Keeps the old instance for evidence.", std::nullopt, Undo::kInverse, BlastClass::kService, {{"ttl", kDuration, {}, {}, true, "how long"}}},
      {"kmod.block", "Keeps a kernel module from being loaded.", std::nullopt, Undo::kInverse, BlastClass::kLocal, {{"module", kExpression, "string", {}, true, "its name"}}},
      {"sysctl.set",
       "Sets a kernel parameter.",
       std::nullopt,
       Undo::kInverse,
       BlastClass::kLocal,
       {{"key", kExpression, "string", {}, true, "its name"}, {"value", kExpression, "string", {}, true, "what it shall be"}}},
      {"net.isolate",
       "Cuts a host off, except from the management network.",
       std::nullopt,
       Undo::kInverse,
       BlastClass::kService,
       {{"keep", kExpression, "string", {}, true, "network that stays reachable"}, {"commit_confirm", kDuration, {}, {}, true, "after this it is undone unless confirmed"}}},
      {"cred.revoke", "Takes credentials out of use.", std::nullopt, Undo::kIrreversible, BlastClass::kIrreversible, {{"scope", kWord, {}, "host user", true, "whose"}}},
  };
  return types;
}

const ActionType* find_action_type(std::string_view name) {
  const auto found = std::ranges::find(action_types(), name, &ActionType::name);
  return found == action_types().end() ? nullptr : &*found;
}

cel::Environment environment_for(const EventType& trigger, Place place) {
  cel::Environment environment;
  for (const ObjectType& object : object_types()) declare(environment, std::string(object.name), object.fields);
  declare(environment, event_object(trigger.name), trigger.fields, common_event_fields());
  environment.variable("event", Type::object(event_object(trigger.name)));
  if (trigger.name == "advisory.matched") environment.variable("advisory", Type::object("advisory"));
  for (const Variable& variable : variables(place)) {
    auto type = cel::parse_type(variable.type);
    check(type.has_value(), "a type of the vocabulary can be read");
    environment.variable(std::string(variable.name), *std::move(type));
  }
  environment.function("vercmp", "(string, string, string) -> int", &vercmp);
  environment.function("cidrHas", "(string, string) -> bool", &cidr_has);
  environment.function("@flap", "(map(string, double), string) -> double", &flap_of);
  environment.variable("@flaps", Type::map(TypeKind::kString, TypeKind::kDouble));
  return environment;
}

Value typed_value(const Json& json, const Type& type, const cel::Environment& environment, std::string_view path) {
  switch (type.kind()) {
    case TypeKind::kDouble:
      if (const auto* whole = json.as_int()) return Value::number(static_cast<double>(*whole));
      break;
    case TypeKind::kTimestamp:
      if (const auto* text = json.as_string()) {
        auto at = parse_rfc3339(*text);
        if (!at) return Value::error(cel::ErrorCode::kBadConversion, std::string(path) + ": " + at.error().text());
        const auto ms = at->time_since_epoch().count();
        const auto seconds = ms >= 0 ? ms / 1000 : (ms - 999) / 1000;
        return Value::timestamp({seconds, static_cast<std::uint32_t>(ms - seconds * 1000) * 1'000'000});
      }
      break;
    case TypeKind::kList:
      if (const auto* items = json.as_array()) {
        std::vector<Value> values;
        values.reserve(items->size());
        const std::string below = std::string(path) + "[]";
        for (const Json& item : *items) values.push_back(typed_value(item, type.parameter(0), environment, below));
        return Value::list(std::move(values));
      }
      break;
    case TypeKind::kMap:
      if (const auto* object = json.as_object()) {
        cel::MapBuilder builder(object->size());
        const std::string below = std::string(path) + "[]";
        for (const auto& [key, value] : *object)
          check(builder.add(Value::string(key), typed_value(value, type.parameter(1), environment, below)), "keys of an object differ");
        return std::move(builder).finish();
      }
      break;
    case TypeKind::kObject:
      if (const auto* object = json.as_object()) {
        const auto names = environment.field_names(type.name());
        cel::MapBuilder builder(names.size());
        for (const std::string& name : names) {
          const std::string below = std::string(path) + "." + name;
          const auto found = object->find(name);
          Value value = found == object->end() ? Value::unknown({below})
                                               : typed_value(found->second, *environment.field_type(type.name(), name), environment, below);
          check(builder.add(Value::string(name), std::move(value)), "fields of an object differ");
        }
        return std::move(builder).finish();
      }
      break;
    default: break;
  }
  // A null stands for what isn't known; anything of another type than declared is left to the run, which says so.
  if (json.is_null()) return Value::unknown({std::string(path)});
  return cel::from_json(json);
}

}  // namespace prunella::policy

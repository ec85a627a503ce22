#include "decide/cel/conformance.h"

#include <charconv>
#include <cmath>

#include "base/json.h"
#include "base/text.h"
#include "decide/cel/checker.h"
#include "decide/cel/emitter.h"
#include "decide/cel/evaluator.h"
#include "decide/cel/parser.h"
#include "decide/cel/value_text.h"

namespace prunella::cel {

namespace {

constexpr std::size_t kSuiteBytesMax = 64 << 20;

struct Case {
  std::string file;
  std::string name;
  std::string expression;
  std::string container;
  bool check_only = false;
  bool no_macros = false;
  bool error = false;
  const Json* bindings = nullptr;
  const Json* value = nullptr;
};

double read_double(const std::string& text) {
  if (text == "Infinity" || text == "inf") return HUGE_VAL;
  if (text == "-Infinity" || text == "-inf") return -HUGE_VAL;
  if (text == "NaN" || text == "nan") return NAN;
  return std::strtod(text.c_str(), nullptr);
}

/// nullopt: the value needs a message, or has a form of which nothing is known.
std::optional<Value> read_value(const Json& json) {
  const auto* object = json.as_object();
  if (object == nullptr || object->size() != 1) return std::nullopt;
  const auto& [kind, content] = *object->begin();
  const std::string* text = content.as_string();
  if (kind == "null") return Value();
  if (kind == "bool" && content.as_bool() != nullptr) return Value::boolean(*content.as_bool());
  if (kind == "string" && text != nullptr) return Value::string(*text);
  if (kind == "type" && text != nullptr) return Value::type(*text);
  if (kind == "double" && text != nullptr) return Value::number(read_double(*text));
  if (kind == "int" && text != nullptr) {
    const auto number = parse_int(*text);
    return number ? std::optional(Value::integer(*number)) : std::nullopt;
  }
  if (kind == "uint" && text != nullptr) {
    const auto number = parse_uint(*text);
    return number ? std::optional(Value::unsigned_integer(*number)) : std::nullopt;
  }
  const Json::Array* items = content.as_array();
  if (items == nullptr) return std::nullopt;
  if (kind == "bytes") {
    std::string bytes;
    for (const Json& item : *items) {
      if (item.as_int() == nullptr) return std::nullopt;
      bytes += static_cast<char>(*item.as_int());
    }
    return Value::bytes(bytes);
  }
  if (kind == "list") {
    std::vector<Value> elements;
    for (const Json& item : *items) {
      auto element = read_value(item);
      if (!element) return std::nullopt;
      elements.push_back(*std::move(element));
    }
    return Value::list(std::move(elements));
  }
  if (kind != "map") return std::nullopt;
  MapBuilder map;
  for (const Json& item : *items) {
    const Json::Array* pair = item.as_array();
    if (pair == nullptr || pair->size() != 2) return std::nullopt;
    auto key = read_value((*pair)[0]);
    auto value = read_value((*pair)[1]);
    if (!key || !value || !map.add(*std::move(key), *std::move(value))) return std::nullopt;
  }
  return std::move(map).finish();
}

/// Same kind and same value: here 1 is not 1.0, NaN is NaN and -0.0 is not 0.0, since the suite says which one it wants.
bool is_exactly(const Value& a, const Value& b) {
  if (a.kind() != b.kind()) return false;
  if (a.is(Kind::kDouble)) {
    if (std::isnan(a.as_double())) return std::isnan(b.as_double());
    return a.as_double() == b.as_double() && std::signbit(a.as_double()) == std::signbit(b.as_double());
  }
  if (a.is(Kind::kList)) {
    if (a.as_list().size() != b.as_list().size()) return false;
    for (std::size_t i = 0; i < a.as_list().size(); ++i) {
      if (!is_exactly(a.as_list()[i], b.as_list()[i])) return false;
    }
    return true;
  }
  if (a.is(Kind::kMap)) {
    if (a.as_map().entries.size() != b.as_map().entries.size()) return false;
    for (const auto& [key, value] : a.as_map().entries) {
      const Value* other = b.as_map().find(key);
      if (other == nullptr || !is_exactly(value, *other)) return false;
    }
    return true;
  }
  Budget budget(kRunCostMax);
  return equal(a, b, budget);
}

/// Why a case can't run here, empty when it can.
std::string reason_to_skip(const Case& one) {
  for (const std::string_view message :
       {"TestAllTypes", "TestRequired", "NestedEnum", "GlobalEnum", "TestMessage", "cel.expr.conformance.proto"}) {
    if (one.expression.find(message) != std::string::npos) return "needs the protobuf types of " + std::string(message);
  }
  if (one.bindings != nullptr && one.bindings->as_object() != nullptr) {
    for (const auto& [name, value] : *one.bindings->as_object()) {
      if (!read_value(value)) return "the variable " + quoted(name) + " is a protobuf message that the file leaves out";
    }
  }
  if (one.value != nullptr && !one.value->is_null() && !read_value(*one.value))
    return "the result is a protobuf message that the file leaves out";
  if (one.check_only && one.value != nullptr && one.value->is_null() && one.expression.find("msg.") != std::string::npos) {
    return "checks fields of a protobuf message";
  }
  return "";
}

/// The functions that cases of type_deduction.textproto declare for themselves; the JSON form leaves declarations out.
void add_suite_functions(Environment& environment) {
  environment.function("tuple", "(T, U, V) -> tuple(T, U, V)", nullptr);
  environment.function("sort", "(tuple(T, T, T)) -> tuple(T, T, T)", nullptr);
  environment.function("fn", "(string, int) -> string", nullptr);
}

class Runner {
 public:
  explicit Runner(TimeZones& zones) : evaluator_(zones) {}

  /// Empty when the case passes, else what was wrong.
  std::string run(const Case& one) {
    Environment environment;
    environment.container(one.container);
    if (one.check_only) add_suite_functions(environment);
    const Json::Object none;
    const Json::Object& bindings =
        one.bindings != nullptr && one.bindings->as_object() != nullptr ? *one.bindings->as_object() : none;
    for (const auto& [name, value] : bindings) environment.variable(name);
    ParseOptions options;
    options.macros = !one.no_macros;
    options.block_macros = true;
    const Parsed parsed = parse(one.expression, options);
    if (!parsed.ast) return one.error ? "" : "it doesn't parse: " + render(parsed.problems, one.expression);
    const Resolved resolved = resolve(*parsed.ast, environment);
    if (one.check_only) {
      const Checked checked = check_types(*parsed.ast, resolved, environment);
      return checked.problems.empty() ? "" : "it doesn't check: " + render(checked.problems, one.expression);
    }
    return evaluate(one, *parsed.ast, resolved, environment, bindings);
  }

 private:
  std::string evaluate(const Case& one, const Ast& ast, const Resolved& resolved, const Environment& environment,
                       const Json::Object& bindings) {
    Slots slots;
    const Emitted emitted = emit(ast, resolved, environment, slots);
    Activation activation(slots);
    for (const auto& [name, value] : bindings) activation.set(name, *read_value(value));
    const Outcome outcome = evaluator_.run(*emitted.program, activation);
    if (one.error) return outcome.value.is_error() ? "" : "an error is right, and it gives " + to_text(outcome.value);
    const auto wanted = read_value(*one.value);
    if (is_exactly(outcome.value, *wanted)) return "";
    return "it gives " + to_text(outcome.value) + ", and " + to_text(*wanted) + " is right";
  }

  Evaluator evaluator_;
};

Result<Case> read_case(const Json& json) {
  Case one;
  const auto text = [&](std::string_view name, std::string& out) {
    const Json* found = json.find(name);
    if (found == nullptr || found->as_string() == nullptr) return false;
    out = *found->as_string();
    return true;
  };
  const auto flag = [&](std::string_view name) {
    const Json* found = json.find(name);
    return found != nullptr && found->as_bool() != nullptr && *found->as_bool();
  };
  if (!text("file", one.file) || !text("name", one.name) || !text("expr", one.expression)) {
    return invalid_input("a case needs the texts 'file', 'name' and 'expr'");
  }
  text("container", one.container);
  one.check_only = flag("check_only");
  one.no_macros = flag("dm");
  one.error = flag("error");
  one.bindings = json.find("bind");
  one.value = json.find("value");
  if (one.value == nullptr && !one.error)
    return invalid_input("the case " + quoted(one.name) + " has neither 'value' nor 'error'");
  if (one.value != nullptr && one.value->is_null() && !one.check_only)
    return invalid_input("the case " + quoted(one.name) + " has no value");
  return one;
}

}  // namespace

Result<ConformanceReport> run_conformance(std::string_view json, TimeZones& zones) {
  auto suite = parse_json(json, {kSuiteBytesMax, 64});
  if (!suite) return std::move(suite).error();
  if (suite->as_array() == nullptr)
    return invalid_input("a list of cases is wanted, and this is " + std::string(suite->type_name()));
  ConformanceReport report;
  Runner runner(zones);
  for (const Json& json_case : *suite->as_array()) {
    auto one = read_case(json_case);
    if (!one) return std::move(one).error();
    if (auto reason = reason_to_skip(*one); !reason.empty()) {
      report.skipped.push_back({one->file, one->name, one->expression, std::move(reason)});
    } else if (auto wrong = runner.run(*one); !wrong.empty()) {
      report.failed.push_back({one->file, one->name, one->expression, std::move(wrong)});
    } else {
      ++report.passed;
    }
  }
  return report;
}

}  // namespace prunella::cel

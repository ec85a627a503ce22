#include "decide/policy/windows.h"

#include <optional>

#include "base/text.h"
#include "decide/policy/vocabulary.h"

namespace prunella::policy {

namespace {

std::optional<WindowUse::Function> function_of(std::string_view name) {
  if (name == "count") return WindowUse::Function::kCount;
  if (name == "rate") return WindowUse::Function::kRate;
  if (name == "slo") return WindowUse::Function::kSlo;
  return std::nullopt;
}

class Rewriter {
 public:
  Rewriter(cel::Ast& ast, std::vector<cel::Problem>& problems, const std::function<void(const WindowUse&)>& found)
      : ast_(ast), problems_(problems), found_(found) {}

  void run() {
    // New nodes come behind the last one and need no look.
    const std::size_t count = ast_.nodes.size();
    for (cel::NodeId id = 0; id < count; ++id) {
      const cel::Node& node = ast_.nodes[id];
      if (node.kind != cel::NodeKind::kCall || node.member) continue;
      if (node.name == "flap") {
        flap(id);
      } else if (auto function = function_of(node.name)) {
        window(id, *function);
      }
    }
  }

 private:
  void fail(const cel::Node& node, std::string text, std::string hint) {
    problems_.push_back({node.offset, cel::place_of(ast_.source, node.offset), std::move(text), std::move(hint)});
  }

  const cel::Value* text_literal(const cel::Node& call, std::size_t index) const {
    const cel::Node& argument = ast_.node(call.children[index]);
    return argument.kind == cel::NodeKind::kLiteral && argument.literal.is(cel::Kind::kString) ? &argument.literal : nullptr;
  }

  void window(cel::NodeId id, WindowUse::Function function) {
    const cel::Node& node = ast_.nodes[id];
    const std::string shape = node.name + (function == WindowUse::Function::kSlo ? "('http_5xx', '10m')" : "('unit.failed', '10m')");
    const cel::Value* of = node.children.size() == 2 ? text_literal(node, 0) : nullptr;
    const cel::Value* time = node.children.size() == 2 ? text_literal(node, 1) : nullptr;
    if (of == nullptr || time == nullptr) return fail(node, node.name + " takes two texts that are written out, since its window is laid out when the policy is loaded", "write " + shape);
    if (function != WindowUse::Function::kSlo && find_event_type(of->as_text()) == nullptr) {
      std::vector<std::string> names;
      for (const EventType& type : event_types()) names.emplace_back(type.name);
      auto near = nearest_word(of->as_text(), names);
      return fail(node, quoted(of->as_text()) + " is no kind of event", near ? "did you mean '" + *near + "'?" : "see 'prunella policy vocabulary'");
    }
    auto within = parse_duration(time->as_text());
    if (!within || *within <= Duration(0) || *within > kWindowMax)
      return fail(node, quoted(time->as_text()) + " is no length of a window", "write a time of at most " + to_text(kWindowMax) + ", such as '10m'");
    WindowUse use{function, std::string(of->as_text()), *within, {}};
    use.name = node.name + "('" + use.of + "', '" + to_text(*within) + "')";
    found_(use);
    cel::Node name;
    name.kind = cel::NodeKind::kName;
    name.absolute = true;
    name.offset = node.offset;
    name.name = std::move(use.name);
    ast_.nodes[id] = std::move(name);
  }

  void flap(cel::NodeId id) {
    if (ast_.nodes[id].children.size() != 1) return fail(ast_.nodes[id], "flap takes one subject", "write flap(event.unit)");
    cel::Node table;
    table.kind = cel::NodeKind::kName;
    table.absolute = true;
    table.offset = ast_.nodes[id].offset;
    table.name = "@flaps";
    ast_.nodes.push_back(std::move(table));
    cel::Node& node = ast_.nodes[id];
    node.name = "@flap";
    node.internal = true;
    node.children.insert(node.children.begin(), static_cast<cel::NodeId>(ast_.nodes.size() - 1));
  }

  cel::Ast& ast_;
  std::vector<cel::Problem>& problems_;
  const std::function<void(const WindowUse&)>& found_;
};

}  // namespace

cel::Type type_of(const WindowUse& use) { return use.function == WindowUse::Function::kCount ? cel::TypeKind::kInt : cel::TypeKind::kDouble; }

void rewrite_windows(cel::Ast& ast, std::vector<cel::Problem>& problems, const std::function<void(const WindowUse&)>& found) {
  Rewriter(ast, problems, found).run();
}

}  // namespace prunella::policy

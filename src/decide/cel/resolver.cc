#include "decide/cel/resolver.h"

#include <algorithm>

#include "decide/cel/well_known.h"

namespace prunella::cel {

namespace {

class Resolver {
 public:
  Resolver(const Ast& ast, const Environment& environment) : ast_(ast), environment_(environment) {
    out_.nodes.resize(ast.nodes.size());
  }

  Resolved run() && {
    visit(ast_.root);
    return std::move(out_);
  }

 private:
  void visit(NodeId id) {
    const Node& node = ast_.node(id);
    switch (node.kind) {
      case NodeKind::kName:
      case NodeKind::kSelect: return visit_chain(id);
      case NodeKind::kCall: return visit_call(id);
      case NodeKind::kStruct: visit_struct(id); break;
      case NodeKind::kLoop: visit(node.children[0]); return visit_scope(id, {node.children[1], node.children[2]});
      case NodeKind::kBind: visit(node.children[0]); return visit_scope(id, {node.children[1]});
      default: break;
    }
    for (const NodeId child : node.children) visit(child);
  }

  /// The node's variables get numbers from its own on, and are alive within `inner`.
  void visit_scope(NodeId id, std::initializer_list<NodeId> inner) {
    out_.nodes[id].number = static_cast<std::uint32_t>(scope_.size());
    for (const std::string& name : ast_.node(id).names) scope_.push_back(name);
    out_.locals = std::max(out_.locals, static_cast<std::uint32_t>(scope_.size()));
    for (const NodeId child : inner) {
      if (child != kNoNode) visit(child);
    }
    scope_.resize(scope_.size() - ast_.node(id).names.size());
  }

  const std::string* local(const Node& name, std::uint32_t& number) const {
    if (name.absolute) return nullptr;
    for (std::size_t i = scope_.size(); i-- > 0;) {
      if (scope_[i] != name.name) continue;
      number = static_cast<std::uint32_t>(i);
      return &scope_[i];
    }
    return nullptr;
  }

  void visit_chain(NodeId id) {
    const NodeId first = first_of_chain(ast_, id);
    if (first == kNoNode) return visit(ast_.node(id).children[0]);
    Resolution& start = out_.nodes[first];
    if (local(ast_.node(first), start.number) != nullptr) {
      start.meaning = Meaning::kLocal;
      return;
    }
    for (NodeId at = id;; at = ast_.node(at).children[0]) {
      if (look_up(at, ast_.node(first).absolute) || at == first) break;
    }
  }

  /// Whether the whole chain at `id` is the name of something.
  bool look_up(NodeId id, bool absolute) {
    Resolution& found = out_.nodes[id];
    const auto names = environment_.candidates(dotted_name(ast_, id), absolute);
    for (const std::string& name : names) {
      if (environment_.variable_type(name) == nullptr) continue;
      found = {Meaning::kVariable, false, 0, name};
      return true;
    }
    for (const std::string& name : names) {
      if (!denoted_type(name)) continue;
      found = {Meaning::kType, false, 0, name};
      return true;
    }
    if (ast_.node(id).kind == NodeKind::kName) found.meaning = Meaning::kNothing;
    return false;
  }

  void visit_call(NodeId id) {
    const Node& node = ast_.node(id);
    Resolution& call = out_.nodes[id];
    call = {Meaning::kFunction, false, 0, node.name};
    if (node.member) {
      call.namespaced = is_namespace(node.children[0], node.name, call.name);
    } else if (!node.internal) {
      for (const std::string& name : environment_.candidates(node.name, node.absolute)) {
        if (environment_.find_function(name) == nullptr) continue;
        call.name = name;
        break;
      }
    }
    for (std::size_t i = call.namespaced ? 1 : 0; i < node.children.size(); ++i) visit(node.children[i]);
  }

  /// Whether `target`.`function` is the name of a function, as in math.abs(x); then `full` is it.
  bool is_namespace(NodeId target, const std::string& function, std::string& full) const {
    const NodeId first = first_of_chain(ast_, target);
    std::uint32_t number = 0;
    if (first == kNoNode || local(ast_.node(first), number) != nullptr) return false;
    for (const std::string& name :
         environment_.candidates(dotted_name(ast_, target) + "." + function, ast_.node(first).absolute)) {
      if (environment_.find_function(name) == nullptr) continue;
      full = name;
      return true;
    }
    return false;
  }

  void visit_struct(NodeId id) {
    const Node& node = ast_.node(id);
    for (const std::string& name : environment_.candidates(node.name, node.absolute)) {
      if (!is_well_known(name)) continue;
      out_.nodes[id] = {Meaning::kMessage, false, 0, name};
      return;
    }
    out_.nodes[id] = {Meaning::kNothing, false, 0, node.name};
  }

  const Ast& ast_;
  const Environment& environment_;
  std::vector<std::string> scope_;
  Resolved out_;
};

}  // namespace

Resolved resolve(const Ast& ast, const Environment& environment) { return Resolver(ast, environment).run(); }

}  // namespace prunella::cel

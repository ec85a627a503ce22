#include "decide/policy/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <charconv>
#include <map>
#include <set>
#include <sstream>

#include "base/text.h"

namespace prunella::policy {

namespace {

/// Ends the parse; the library reports by exceptions, so its callbacks do the same.
struct Stop {
  Diagnostic problem;
};

Mark place_of(const YAML::Mark& mark) {
  if (mark.is_null()) return {};
  return {static_cast<std::uint32_t>(mark.line + 1), static_cast<std::uint32_t>(mark.column + 1)};
}

[[noreturn]] void stop(Mark mark, std::string text, std::string hint = {}) {
  throw Stop{{Weight::kError, mark.line, mark.column, {}, std::move(text), std::move(hint)}};
}

YamlNode node_of(YamlNode::Kind kind, Mark mark) {
  YamlNode node;
  node.kind = kind;
  node.mark = mark;
  return node;
}

class TreeBuilder final : public YAML::EventHandler {
 public:
  explicit TreeBuilder(const YamlLimits& limits) : limits_(limits) {}

  YamlNode root;
  bool has_root = false;
  std::optional<int> begins;  ///< where the document begins, in bytes

  void OnDocumentStart(const YAML::Mark& mark) override { begins = mark.pos; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { leaf(node_of(YamlNode::Kind::kNull, place_of(mark)), anchor); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) stop(place_of(mark), "an alias stands within what it stands for", "write the value out");
    YamlNode copy = found->second;
    copy.mark = place_of(mark);
    count(copy, open_.size() + 1);
    place(std::move(copy));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    // yaml-cpp gives "!" for what is in quotes and "?" for what is plain.
    if (tag != "!" && tag != "?" && !tag.empty()) stop(place_of(mark), "the tag " + quoted(tag) + " is not allowed", "leave it out");
    if (!is_valid_utf8(value)) stop(place_of(mark), quoted(value) + " is no valid UTF-8", "save the file as UTF-8");
    YamlNode node = node_of(YamlNode::Kind::kScalar, place_of(mark));
    node.text = value;
    node.quoted = tag == "!";
    leaf(std::move(node), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(YamlNode::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    YamlNode node;
    YAML::anchor_t anchor;
    std::set<std::string> keys;
  };

  void leaf(YamlNode node, YAML::anchor_t anchor) {
    count(node, open_.size() + 1);
    if (anchor) anchors_[anchor] = node;
    place(std::move(node));
  }
  void open(YamlNode::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (tag != "?" && !tag.empty()) stop(place_of(mark), "the tag " + quoted(tag) + " is not allowed", "leave it out");
    if (is_key()) stop(place_of(mark), "a key must be a name, and here it is a list or a map");
    Open open{node_of(kind, place_of(mark)), anchor, {}};
    count(open.node, open_.size() + 1);
    open_.push_back(std::move(open));
  }
  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    if (done.anchor) anchors_[done.anchor] = done.node;
    place(std::move(done.node));
  }

  bool is_key() const { return !open_.empty() && open_.back().node.is_map() && open_.back().node.items.size() % 2 == 0; }

  void place(YamlNode node) {
    if (open_.empty()) {
      root = std::move(node);
      has_root = true;
      return;
    }
    if (is_key()) {
      if (!node.is_scalar()) stop(node.mark, "a key must be a name, and here it is " + shown(node));
      if (!open_.back().keys.insert(node.text).second) stop(node.mark, "the key " + quoted(node.text) + " stands here twice", "keep one of them");
    }
    open_.back().node.items.push_back(std::move(node));
  }

  /// Counts the nodes below and including `node`, which is `depth` deep.
  void count(const YamlNode& node, std::size_t depth) {
    if (depth > limits_.depth_max) stop(node.mark, "the document is nested deeper than " + std::to_string(limits_.depth_max));
    if (++nodes_ > limits_.nodes_max)
      stop(node.mark, "the document has more than " + std::to_string(limits_.nodes_max) + " values, aliases counted as what they stand for");
    for (const YamlNode& item : node.items) count(item, depth + 1);
  }

  const YamlLimits& limits_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, YamlNode> anchors_;
  std::size_t nodes_ = 0;
};

/// Whether brackets of flow style nest too deep for the library's own recursion to be left to itself.
bool nests_too_deep(std::string_view text, std::size_t depth_max) {
  std::size_t depth = 0;
  for (const char c : text) {
    if (c == '[' || c == '{') ++depth;
    // Brackets in texts count as well: a document with that many of them unclosed isn't a policy.
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (depth > depth_max * 8) return true;
  }
  return false;
}

bool is_whole_number(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

std::optional<double> number_of(std::string_view text) {
  if (text.find_first_not_of("0123456789+-.eE") != std::string_view::npos || text.find_first_of("0123456789") == std::string_view::npos)
    return std::nullopt;
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

Result<Json> scalar_json(const YamlNode& node) {
  if (node.quoted) return Json(node.text);
  if (node.text == "true" || node.text == "True" || node.text == "TRUE") return Json(true);
  if (node.text == "false" || node.text == "False" || node.text == "FALSE") return Json(false);
  if (is_whole_number(node.text)) {
    auto value = parse_int(node.text.starts_with('+') ? node.text.substr(1) : node.text);
    if (!value || *value > (std::int64_t{1} << 53) || *value < -(std::int64_t{1} << 53))
      return invalid_input("line " + std::to_string(node.mark.line) + ": " + quoted(node.text) + " is beyond 2^53; write it in quotes");
    return Json(*value);
  }
  if (auto number = number_of(node.text)) return Json(*number);
  return Json(node.text);
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view wanted) const {
  if (!is_map()) return nullptr;
  for (std::size_t i = 0; i < entries(); ++i)
    if (key(i).text == wanted) return &value(i);
  return nullptr;
}

std::string shown(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull: return "nothing";
    case YamlNode::Kind::kScalar: return quoted(node.text);
    case YamlNode::Kind::kList: return "a list";
    case YamlNode::Kind::kMap: return "a map";
  }
  return "nothing";
}

YamlDocuments parse_yaml(std::string_view text, const YamlLimits& limits) {
  YamlDocuments out;
  const auto fail = [&](Mark mark, std::string what, std::string hint = {}) {
    out.problems.push_back({Weight::kError, mark.line, mark.column, {}, std::move(what), std::move(hint)});
    return out;
  };
  if (text.size() > limits.bytes_max) return fail({}, "the text has " + bytes_text(text.size()) + ", at most " + bytes_text(limits.bytes_max) + " are read");
  if (text.find('\0') != std::string_view::npos) return fail({}, "the text has a NUL byte, and is no YAML");
  if (nests_too_deep(text, limits.depth_max)) return fail({}, "the document is nested deeper than " + std::to_string(limits.depth_max));
  std::istringstream stream{std::string(text)};
  try {
    YAML::Parser parser(stream);
    std::optional<int> before;
    for (;;) {
      TreeBuilder builder(limits);
      if (!parser.HandleNextDocument(builder)) break;
      // At a character that can't begin a document the library gives empty ones for ever, and reads nothing (yaml-cpp 0.7 on ",").
      if (builder.begins == before) return fail(builder.root.mark, "not YAML: no document begins here");
      before = builder.begins;
      if (!builder.has_root || builder.root.is_null()) continue;
      if (out.documents.size() == limits.documents_max) return fail(builder.root.mark, "the file has more than " + std::to_string(limits.documents_max) + " documents");
      out.documents.push_back(std::move(builder.root));
    }
  } catch (const Stop& stopped) {
    out.problems.push_back(stopped.problem);
  } catch (const YAML::Exception& error) {
    return fail(place_of(error.mark), "not YAML: " + error.msg);
  }
  return out;
}

Result<Json> json_of(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull: return Json();
    case YamlNode::Kind::kScalar: return node.text == "null" && !node.quoted ? Json() : scalar_json(node);
    case YamlNode::Kind::kList: {
      Json::Array items;
      for (const YamlNode& item : node.items) {
        auto json = json_of(item);
        if (!json) return json;
        items.push_back(*std::move(json));
      }
      return Json(std::move(items));
    }
    case YamlNode::Kind::kMap: {
      Json::Object object;
      for (std::size_t i = 0; i < node.entries(); ++i) {
        auto json = json_of(node.value(i));
        if (!json) return json;
        object.insert_or_assign(node.key(i).text, *std::move(json));
      }
      return Json(std::move(object));
    }
  }
  return Json();
}

}  // namespace prunella::policy

// base64. Source: cel-go's ext/README.md, "Encoders".
#include "base/encoding.h"
#include "base/text.h"
#include "decide/cel/function.h"

namespace prunella::cel {

namespace {

using Arguments = std::span<const Value>;

Value encode(const CallContext& context, Arguments a) {
  if (!context.spend_text(2 * a[0].as_text().size())) return over_cost();
  return Value::string(to_base64(as_bytes(a[0].as_text())));
}
Value decode(const CallContext& context, Arguments a) {
  if (!context.spend_text(a[0].as_text().size())) return over_cost();
  std::string text(a[0].as_text());
  // Padding may be left out, as cel-go has it; from_base64 wants it.
  while (text.size() % 4 != 0 && text.find('=') == std::string::npos && text.size() % 4 != 1)
    text.append(4 - text.size() % 4, '=');
  const auto bytes = from_base64(text);
  if (!bytes) return Value::error(ErrorCode::kBadConversion, quoted(a[0].as_text()) + " is no base64 text");
  return Value::bytes(as_text(*bytes));
}

}  // namespace

void add_encoders(Functions& f) {
  f.add("base64.encode", "(bytes) -> string", encode);
  f.add("base64.decode", "(string) -> bytes", decode);
}

}  // namespace prunella::cel

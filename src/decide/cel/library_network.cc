// IP addresses and ranges. Source: Kubernetes' CEL library (apiserver/pkg/cel/library/ip.go, cidr.go) and cel-go's
// ext/network.go.
#include "decide/cel/function.h"

namespace prunella::cel {

namespace {

using Arguments = std::span<const Value>;

Value wrong(const Error& error) { return Value::error(ErrorCode::kBadConversion, error.text()); }

Value ip_of_string(const CallContext& context, Arguments a) {
  if (!context.spend_text(a[0].as_text().size())) return over_cost();
  const auto address = parse_ip(a[0].as_text());
  return address ? Value::ip(*address) : wrong(address.error());
}
Value cidr_of_string(const CallContext& context, Arguments a) {
  if (!context.spend_text(a[0].as_text().size())) return over_cost();
  const auto range = parse_ip_range(a[0].as_text());
  return range ? Value::cidr(*range) : wrong(range.error());
}
Value is_ip(const CallContext& context, Arguments a) {
  if (!context.spend_text(a[0].as_text().size())) return over_cost();
  return Value::boolean(parse_ip(a[0].as_text()).has_value());
}
Value is_cidr(const CallContext& context, Arguments a) {
  if (!context.spend_text(a[0].as_text().size())) return over_cost();
  return Value::boolean(parse_ip_range(a[0].as_text()).has_value());
}
Value is_canonical(const CallContext& context, Arguments a) {
  if (!context.spend_text(a[0].as_text().size())) return over_cost();
  const auto address = parse_ip(a[0].as_text());
  return address ? Value::boolean(to_text(*address) == a[0].as_text()) : wrong(address.error());
}

Value family(const CallContext&, Arguments a) { return Value::integer(a[0].as_ip().family); }
template <bool (IpAddress::*Question)() const>
Value asked(const CallContext&, Arguments a) {
  return Value::boolean((a[0].as_ip().*Question)());
}

Value contains_ip(const CallContext&, Arguments a) { return Value::boolean(a[0].as_cidr().contains(a[1].as_ip())); }
Value contains_ip_text(const CallContext& context, Arguments a) {
  if (!context.spend_text(a[1].as_text().size())) return over_cost();
  const auto address = parse_ip(a[1].as_text());
  return address ? Value::boolean(a[0].as_cidr().contains(*address)) : wrong(address.error());
}
Value contains_cidr(const CallContext&, Arguments a) { return Value::boolean(a[0].as_cidr().contains(a[1].as_cidr())); }
Value contains_cidr_text(const CallContext& context, Arguments a) {
  if (!context.spend_text(a[1].as_text().size())) return over_cost();
  const auto range = parse_ip_range(a[1].as_text());
  return range ? Value::boolean(a[0].as_cidr().contains(*range)) : wrong(range.error());
}
Value address_of(const CallContext&, Arguments a) { return Value::ip(a[0].as_cidr().address); }
Value masked(const CallContext&, Arguments a) { return Value::cidr(a[0].as_cidr().masked()); }
Value prefix_length(const CallContext&, Arguments a) { return Value::integer(a[0].as_cidr().prefix); }

}  // namespace

void add_network(Functions& f) {
  f.add("ip", "(string) -> net.IP", ip_of_string);
  f.add("ip", "net.CIDR.() -> net.IP", address_of);
  f.add("cidr", "(string) -> net.CIDR", cidr_of_string);
  f.add("isIP", "(string) -> bool", is_ip);
  f.add("isCIDR", "(string) -> bool", is_cidr);
  f.add("ip.isCanonical", "(string) -> bool", is_canonical);
  f.add("family", "net.IP.() -> int", family);
  f.add("isUnspecified", "net.IP.() -> bool", asked<&IpAddress::is_unspecified>);
  f.add("isLoopback", "net.IP.() -> bool", asked<&IpAddress::is_loopback>);
  f.add("isGlobalUnicast", "net.IP.() -> bool", asked<&IpAddress::is_global_unicast>);
  f.add("isLinkLocalMulticast", "net.IP.() -> bool", asked<&IpAddress::is_link_local_multicast>);
  f.add("isLinkLocalUnicast", "net.IP.() -> bool", asked<&IpAddress::is_link_local_unicast>);
  f.add("containsIP", "net.CIDR.(net.IP) -> bool", contains_ip);
  f.add("containsIP", "net.CIDR.(string) -> bool", contains_ip_text);
  f.add("containsCIDR", "net.CIDR.(net.CIDR) -> bool", contains_cidr);
  f.add("containsCIDR", "net.CIDR.(string) -> bool", contains_cidr_text);
  f.add("masked", "net.CIDR.() -> net.CIDR", masked);
  f.add("prefixLength", "net.CIDR.() -> int", prefix_length);
}

}  // namespace prunella::cel

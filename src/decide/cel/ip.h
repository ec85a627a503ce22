#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace prunella::cel {

/// An IPv4 or IPv6 address, without a zone.
struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};  ///< in network order; IPv4 uses the first four
  std::uint8_t family = 4;               ///< 4 or 6
  bool operator==(const IpAddress&) const = default;

  int bits() const { return family == 4 ? 32 : 128; }
  bool is_unspecified() const;
  bool is_loopback() const;
  bool is_multicast() const;
  bool is_link_local_multicast() const;
  bool is_link_local_unicast() const;
  /// As Go's net/netip: neither unspecified, loopback, multicast, link-local unicast nor IPv4's broadcast; private ones count.
  bool is_global_unicast() const;
};

/// An address with a prefix length: "192.168.0.1/24" keeps its host bits.
struct IpRange {
  IpAddress address;
  std::uint8_t prefix = 0;
  bool operator==(const IpRange&) const = default;

  IpRange masked() const;
  bool contains(const IpAddress& other) const;
  bool contains(const IpRange& other) const;
};

/// Strict, as Kubernetes' CEL library: no zone, no IPv4 within IPv6, no leading zeros in IPv4.
/// @error kInvalidInput  with the text quoted.
Result<IpAddress> parse_ip(std::string_view text);
/// @error kInvalidInput  as parse_ip, or no prefix length that the family has.
Result<IpRange> parse_ip_range(std::string_view text);

/// IPv6 after RFC 5952: lower case, the longest run of zeros as "::".
std::string to_text(const IpAddress& address);
std::string to_text(const IpRange& range);

}  // namespace prunella::cel

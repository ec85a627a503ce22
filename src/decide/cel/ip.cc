#include "decide/cel/ip.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "base/text.h"

namespace prunella::cel {

namespace {

std::uint16_t group(const IpAddress& address, std::size_t index) {
  return static_cast<std::uint16_t>(address.bytes[2 * index] << 8 | address.bytes[2 * index + 1]);
}

/// "1.2.3.4" into four bytes.
bool read_dotted(std::string_view text, std::uint8_t* out) {
  const auto parts = split(text, '.');
  if (parts.size() != 4) return false;
  for (const std::string_view part : parts) {
    if (part.empty() || part.size() > 3 || (part.size() > 1 && part[0] == '0')) return false;
    if (!std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; })) return false;
    const auto value = parse_uint(part);
    if (!value || *value > 255) return false;
    *out++ = static_cast<std::uint8_t>(*value);
  }
  return true;
}

std::optional<std::uint16_t> read_group(std::string_view text) {
  if (text.empty() || text.size() > 4) return std::nullopt;
  unsigned value = 0;
  for (const char c : text) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return std::nullopt;
    value = value * 16 + static_cast<unsigned>(digit);
  }
  return static_cast<std::uint16_t>(value);
}

/// Groups between colons into bytes, a dotted IPv4 tail included; nullopt when one is none.
std::optional<std::vector<std::uint8_t>> read_groups(std::string_view text, bool last) {
  std::vector<std::uint8_t> bytes;
  if (text.empty()) return bytes;
  const auto parts = split(text, ':');
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (last && i + 1 == parts.size() && parts[i].find('.') != std::string_view::npos) {
      std::uint8_t dotted[4];
      if (!read_dotted(parts[i], dotted)) return std::nullopt;
      bytes.insert(bytes.end(), dotted, dotted + 4);
      continue;
    }
    const auto value = read_group(parts[i]);
    if (!value) return std::nullopt;
    bytes.push_back(static_cast<std::uint8_t>(*value >> 8));
    bytes.push_back(static_cast<std::uint8_t>(*value & 0xFF));
  }
  return bytes;
}

std::optional<IpAddress> read_ipv6(std::string_view text) {
  IpAddress address;
  address.family = 6;
  const std::size_t gap = text.find("::");
  const std::string_view head = text.substr(0, gap);
  const auto front = read_groups(head, gap == std::string_view::npos);
  if (!front) return std::nullopt;
  if (gap == std::string_view::npos) {
    if (front->size() != 16) return std::nullopt;
    std::copy(front->begin(), front->end(), address.bytes.begin());
    return address;
  }
  const auto back = read_groups(text.substr(gap + 2), true);
  if (!back || front->size() + back->size() > 14) return std::nullopt;
  std::copy(front->begin(), front->end(), address.bytes.begin());
  std::copy(back->begin(), back->end(), address.bytes.end() - static_cast<std::ptrdiff_t>(back->size()));
  return address;
}

bool is_ipv4_within_ipv6(const IpAddress& address) {
  return address.family == 6 &&
         std::all_of(address.bytes.begin(), address.bytes.begin() + 10, [](std::uint8_t b) { return b == 0; }) &&
         address.bytes[10] == 0xFF && address.bytes[11] == 0xFF;
}

}  // namespace

bool IpAddress::is_unspecified() const {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t b) { return b == 0; });
}
bool IpAddress::is_loopback() const {
  if (family == 4) return bytes[0] == 127;
  return std::all_of(bytes.begin(), bytes.end() - 1, [](std::uint8_t b) { return b == 0; }) && bytes[15] == 1;
}
bool IpAddress::is_multicast() const { return family == 4 ? (bytes[0] & 0xF0) == 0xE0 : bytes[0] == 0xFF; }
bool IpAddress::is_link_local_multicast() const {
  if (family == 4) return bytes[0] == 224 && bytes[1] == 0 && bytes[2] == 0;
  return bytes[0] == 0xFF && (bytes[1] & 0x0F) == 0x02;
}
bool IpAddress::is_link_local_unicast() const {
  if (family == 4) return bytes[0] == 169 && bytes[1] == 254;
  return bytes[0] == 0xFE && (bytes[1] & 0xC0) == 0x80;
}
bool IpAddress::is_global_unicast() const {
  const bool broadcast = family == 4 && std::all_of(bytes.begin(), bytes.begin() + 4, [](std::uint8_t b) { return b == 255; });
  return !broadcast && !is_unspecified() && !is_loopback() && !is_multicast() && !is_link_local_unicast();
}

IpRange IpRange::masked() const {
  IpRange range = *this;
  const auto length = static_cast<std::size_t>(address.bits() / 8);
  for (std::size_t i = 0; i < length; ++i) {
    const int kept = std::clamp(static_cast<int>(prefix) - static_cast<int>(8 * i), 0, 8);
    range.address.bytes[i] = static_cast<std::uint8_t>(range.address.bytes[i] & (0xFF00 >> kept));
  }
  return range;
}
bool IpRange::contains(const IpAddress& other) const {
  return other.family == address.family && IpRange{other, prefix}.masked() == masked();
}
bool IpRange::contains(const IpRange& other) const { return other.prefix >= prefix && contains(other.address); }

Result<IpAddress> parse_ip(std::string_view text) {
  const std::string shown = quoted(text);
  if (text.find('%') != std::string_view::npos) return invalid_input(shown + " is no IP address here: a zone is not allowed");
  if (text.find(':') == std::string_view::npos) {
    IpAddress address;
    if (!read_dotted(text, address.bytes.data()))
      return invalid_input(shown + " is no IP address, such as '192.168.0.1' or '2001:db8::1'");
    return address;
  }
  const auto address = read_ipv6(text);
  if (!address) return invalid_input(shown + " is no IP address, such as '192.168.0.1' or '2001:db8::1'");
  if (is_ipv4_within_ipv6(*address))
    return invalid_input(shown + " is no IP address here: write the IPv4 address without '::ffff:'");
  return *address;
}

Result<IpRange> parse_ip_range(std::string_view text) {
  const std::size_t slash = text.rfind('/');
  const std::string wanted = quoted(text) + " is no address range, such as '192.168.0.0/24' or '2001:db8::/32'";
  if (slash == std::string_view::npos) return invalid_input(wanted);
  auto address = parse_ip(text.substr(0, slash));
  if (!address) return std::move(address).error().during("reading the range " + quoted(text));
  const std::string_view length = text.substr(slash + 1);
  const auto prefix = parse_uint(length);
  if (!prefix || (length.size() > 1 && length[0] == '0') || *prefix > static_cast<std::uint64_t>(address->bits()))
    return invalid_input(wanted);
  return IpRange{*address, static_cast<std::uint8_t>(*prefix)};
}

std::string to_text(const IpAddress& address) {
  if (address.family == 4) {
    std::string text;
    for (std::size_t i = 0; i < 4; ++i) text += (i ? "." : "") + std::to_string(address.bytes[i]);
    return text;
  }
  std::size_t best = 8;
  std::size_t best_length = 1;  // a single zero group stays as it is (RFC 5952 section 4.2.2)
  for (std::size_t i = 0; i < 8;) {
    std::size_t end = i;
    while (end < 8 && group(address, end) == 0) ++end;
    if (end - i > best_length) {
      best = i;
      best_length = end - i;
    }
    i = end == i ? i + 1 : end;
  }
  std::string text;
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == best) {
      text += "::";
      i += best_length - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    char digits[5];
    std::snprintf(digits, sizeof digits, "%x", group(address, i));
    text += digits;
  }
  return text;
}

std::string to_text(const IpRange& range) { return to_text(range.address) + "/" + std::to_string(range.prefix); }

}  // namespace prunella::cel

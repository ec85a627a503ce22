#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

/// D-Bus messages as bytes, as far as talking with systemd needs them: little-endian, without file descriptors.
/// Source: D-Bus Specification 0.42, "Message Protocol" and "Marshaling".
namespace prunella {

enum class DbusKind : std::uint8_t { kCall = 1, kReturn = 2, kError = 3, kSignal = 4 };

struct DbusMessage {
  DbusKind kind = DbusKind::kCall;
  std::uint32_t serial = 0;                ///< never 0 on the wire
  std::optional<std::uint32_t> reply_to;   ///< the serial of the call that this answers
  std::string path, interface, member;
  std::string error;                       ///< the error's name
  std::string signature;                   ///< of the body
  std::string body;
  bool operator==(const DbusMessage&) const = default;
};

/// 16 MiB: systemd's list of 20,000 units has 8 MB; the specification allows 128 MiB.
inline constexpr std::size_t kDbusMessageMax = 16u << 20;

std::string to_bytes(const DbusMessage& message);
/// Takes the message that begins at `at` of `bytes`, and moves `at` behind it; nothing while it isn't whole.
/// @error kInvalidInput  it's no message of this protocol, or big-endian. kExhausted  it has more than kDbusMessageMax bytes.
Result<std::optional<DbusMessage>> take_dbus_message(std::string_view bytes, std::size_t& at);

/// Puts values one after the other, each at its alignment.
class DbusWriter {
 public:
  void u32(std::uint32_t value);
  void text(std::string_view value);                     ///< s, and o
  void texts(const std::vector<std::string>& values);    ///< as
  std::string take() { return std::move(bytes_); }

 private:
  void align(std::size_t to);
  std::string bytes_;
};

/// Reads values one after the other. After the first that isn't there whole, every value is empty or zero, and ok() is false.
class DbusReader {
 public:
  explicit DbusReader(std::string_view bytes) : bytes_(bytes) {}
  std::uint8_t byte();
  std::uint32_t u32();
  std::string_view text();                               ///< s, and o
  std::string_view signature();                          ///< g
  /// The bytes of an array whose elements align to `to`; they are skipped.
  std::string_view array(std::size_t to);
  void align(std::size_t to);
  /// Enters a variant; false, and not ok(), when what it holds isn't of the type `wanted`.
  bool variant(std::string_view wanted);
  bool at_end() const { return at_ == bytes_.size(); }
  bool ok() const { return ok_; }

 private:
  std::string_view take(std::size_t size);
  std::string_view bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace prunella

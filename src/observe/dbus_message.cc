#include "observe/dbus_message.h"

#include "base/text.h"

namespace prunella {

namespace {

constexpr std::size_t kHeadBytes = 16;  // up to and with the length of the header's fields
enum Field : std::uint8_t { kPath = 1, kInterface = 2, kMember = 3, kErrorName = 4, kReplySerial = 5, kDestination = 6, kSender = 7, kSignature = 8 };

std::size_t padded(std::size_t size, std::size_t to) { return (size + to - 1) / to * to; }

std::uint32_t u32_at(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  return value;
}

void put_u32(std::string& bytes, std::uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(value >> shift & 0xff);
}

/// The header's fields, each a structure of a code and a variant.
Status read_fields(std::string_view bytes, DbusMessage& message) {
  DbusReader fields(bytes);
  while (!fields.at_end()) {
    fields.align(8);
    auto text = [&](std::string& into, std::string_view type) {
      if (fields.variant(type)) into = fields.text();
    };
    std::string unused;
    switch (fields.byte()) {
      case kPath: text(message.path, "o"); break;
      case kInterface: text(message.interface, "s"); break;
      case kMember: text(message.member, "s"); break;
      case kErrorName: text(message.error, "s"); break;
      case kDestination:
      case kSender: text(unused, "s"); break;
      case kReplySerial:
        if (fields.variant("u")) message.reply_to = fields.u32();
        break;
      case kSignature:
        if (fields.variant("g")) message.signature = fields.signature();
        break;
      default: return invalid_input("a D-Bus message with a header field that isn't known here");
    }
    if (!fields.ok()) return invalid_input("a D-Bus message whose header's fields can't be read");
  }
  return {};
}

}  // namespace

std::string to_bytes(const DbusMessage& message) {
  std::string bytes = "l";
  bytes += static_cast<char>(message.kind);
  bytes += '\0';
  bytes += '\1';
  put_u32(bytes, static_cast<std::uint32_t>(message.body.size()));
  put_u32(bytes, message.serial);
  // Fields begin at an offset that 8 divides, so that alignment within them is alignment within the message.
  std::string fields;
  auto field = [&](Field code, std::string_view type) {
    fields.resize(padded(fields.size(), 8));
    fields += static_cast<char>(code);
    fields += static_cast<char>(type.size());
    fields += type;
    fields += '\0';
  };
  auto text = [&](Field code, std::string_view type, const std::string& value) {
    if (value.empty()) return;
    field(code, type);
    put_u32(fields, static_cast<std::uint32_t>(value.size()));
    fields += value;
    fields += '\0';
  };
  text(kPath, "o", message.path);
  text(kInterface, "s", message.interface);
  text(kMember, "s", message.member);
  text(kErrorName, "s", message.error);
  if (message.reply_to) {
    field(kReplySerial, "u");
    put_u32(fields, *message.reply_to);
  }
  if (!message.signature.empty()) {
    field(kSignature, "g");
    fields += static_cast<char>(message.signature.size());
    fields += message.signature;
    fields += '\0';
  }
  put_u32(bytes, static_cast<std::uint32_t>(fields.size()));
  bytes += fields;
  bytes.resize(padded(bytes.size(), 8));
  return bytes + message.body;
}

Result<std::optional<DbusMessage>> take_dbus_message(std::string_view bytes, std::size_t& at) {
  std::string_view rest = bytes.substr(at);
  if (rest.size() < kHeadBytes) return std::optional<DbusMessage>();
  if (rest[0] != 'l') return invalid_input("a D-Bus message that begins with byte " + std::to_string(static_cast<std::uint8_t>(rest[0])) + ", expected 'l' (little-endian)");
  if (rest[3] != 1) return invalid_input("a D-Bus message of protocol version " + std::to_string(static_cast<std::uint8_t>(rest[3])) + ", expected 1");
  std::size_t body = u32_at(rest, 4), fields = u32_at(rest, 12);
  std::size_t body_at = padded(kHeadBytes + fields, 8);
  if (body_at + body > kDbusMessageMax) return exhausted("a D-Bus message of " + std::to_string(body_at + body) + " bytes, at most " + std::to_string(kDbusMessageMax));
  if (rest.size() < body_at + body) return std::optional<DbusMessage>();
  DbusMessage message;
  if (rest[1] < 1 || rest[1] > 4) return invalid_input("a D-Bus message of type " + std::to_string(static_cast<std::uint8_t>(rest[1])) + ", expected 1 to 4");
  message.kind = static_cast<DbusKind>(rest[1]);
  message.serial = u32_at(rest, 8);
  if (message.serial == 0) return invalid_input("a D-Bus message with serial 0");
  if (auto read = read_fields(rest.substr(kHeadBytes, fields), message); !read) return std::move(read).error();
  message.body = rest.substr(body_at, body);
  at += body_at + body;
  return std::optional(std::move(message));
}

void DbusWriter::align(std::size_t to) { bytes_.resize(padded(bytes_.size(), to)); }

void DbusWriter::u32(std::uint32_t value) {
  align(4);
  put_u32(bytes_, value);
}

void DbusWriter::text(std::string_view value) {
  u32(static_cast<std::uint32_t>(value.size()));
  bytes_ += value;
  bytes_ += '\0';
}

void DbusWriter::texts(const std::vector<std::string>& values) {
  DbusWriter elements;
  for (const std::string& value : values) elements.text(value);
  // The elements align to 4, and so does what stands before them.
  u32(static_cast<std::uint32_t>(elements.bytes_.size()));
  bytes_ += elements.bytes_;
}

std::string_view DbusReader::take(std::size_t size) {
  if (!ok_ || size > bytes_.size() - at_) {
    ok_ = false;
    return {};
  }
  at_ += size;
  return bytes_.substr(at_ - size, size);
}

void DbusReader::align(std::size_t to) { take(padded(at_, to) - at_); }

std::uint8_t DbusReader::byte() {
  std::string_view one = take(1);
  return one.empty() ? 0 : static_cast<std::uint8_t>(one[0]);
}

std::uint32_t DbusReader::u32() {
  align(4);
  std::string_view four = take(4);
  return four.empty() ? 0 : u32_at(four, 0);
}

std::string_view DbusReader::text() {
  std::string_view value = take(u32());
  if (std::string_view end = take(1); ok_ && (end[0] != '\0' || value.find('\0') != value.npos)) ok_ = false;
  return ok_ ? value : std::string_view();
}

std::string_view DbusReader::signature() {
  std::string_view value = take(byte());
  if (std::string_view end = take(1); ok_ && end[0] != '\0') ok_ = false;
  return ok_ ? value : std::string_view();
}

std::string_view DbusReader::array(std::size_t to) {
  std::size_t size = u32();
  align(to);
  return take(size);
}

bool DbusReader::variant(std::string_view wanted) {
  if (signature() != wanted) ok_ = false;
  return ok_;
}

}  // namespace prunella

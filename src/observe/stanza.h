#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace prunella {

/// One "Name: value" of a stanza. Both views point into the text that was given.
struct StanzaField {
  std::string_view name;
  std::string_view value;  ///< without blanks at both ends; continuation lines stay in it as they are, newline and blank
  std::size_t line = 0;    ///< of the name, counted from 1
};

/// 512: the widest stanza in Debian's own archives has 40 fields.
inline constexpr std::size_t kStanzaFieldsMax = 512;

/// Reads a file of stanzas (deb822(5), deb-control(5)) one after the other without copying: dpkg's status, Packages, Release,
/// *.sources, `apt-cache show`, `apt-get indextargets`. Lines that start with '#' are comments, as in deb822(5).
///
/// Any thread; one reader belongs to one thread.
class StanzaReader {
 public:
  explicit StanzaReader(std::string_view text) : text_(text) {}

  /// The next stanza's fields into `fields` (emptied first). False at the end.
  /// @error kInvalidInput  a line that is no field, a continuation before any field, a NUL: quoted, with its number.
  /// @error kExhausted     more than kStanzaFieldsMax fields.
  Result<bool> next(std::vector<StanzaField>& fields);

 private:
  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_ = 0;
};

/// The field of this name; nullptr when there is none. Names are compared without case, after deb822(5).
const StanzaField* find_field(const std::vector<StanzaField>& fields, std::string_view name);
/// Its value; empty when there is none.
std::string_view field_value(const std::vector<StanzaField>& fields, std::string_view name);

}  // namespace prunella

#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace prunella::cel {

enum class LiteralKind { kString, kBytes };

/// What the inside of a quoted literal (without prefix and quotes) stands for: a string's escapes are characters, those of bytes
/// are bytes. Source: langdef.md, "String and Bytes Values".
/// @error kInvalidInput  an escape that there isn't, too few digits, no character (a surrogate, beyond U+10FFFF).
Result<std::string> unescape(std::string_view inside, LiteralKind kind);

/// The character as UTF-8.
void append_character(std::string& out, char32_t character);
/// The character that starts at `at`, which is moved behind it; U+FFFD for a byte that starts none.
char32_t next_character(std::string_view text, std::size_t& at);

}  // namespace prunella::cel

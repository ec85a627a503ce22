#pragma once

#include <string>
#include <string_view>

namespace prunella {

/// 512: longer than any path or sentence worth reading in a list; what is cut shows as "...".
inline constexpr std::size_t kDisplayMax = 512;

/// `text`, which a host or a person elsewhere wrote, made safe to show on a terminal to someone who must judge it: control bytes
/// (escape sequences, line feeds) and invalid UTF-8 become \xNN, and characters that are invisible or turn the direction of text
/// (C1 controls, U+200B to U+200F, U+2028 to U+202E, U+2060 to U+206F, U+FEFF) become \u{HEX}, so that nothing can hide or move
/// a part of a line. Everything else is kept.
std::string display_text(std::string_view text, std::size_t max = kDisplayMax);

}  // namespace prunella

#include "observe/apt_status_fd.h"

#include <charconv>
#include <cmath>

#include "base/text.h"

namespace prunella {

namespace {

// 500: a sentence; whoever writes more writes no progress.
inline constexpr std::size_t kProgressTextMax = 500;

std::optional<AptProgressKind> kind_of(std::string_view word) {
  if (word == "dlstatus") return AptProgressKind::kDownload;
  if (word == "pmstatus") return AptProgressKind::kPackage;
  if (word == "pmerror") return AptProgressKind::kError;
  if (word == "pmconffile") return AptProgressKind::kConffile;
  if (word == "media-change") return AptProgressKind::kMedia;
  return std::nullopt;
}

std::optional<std::uint32_t> percent_of(std::string_view text) {
  double value = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed != std::errc() || end != text.data() + text.size() || !std::isfinite(value) || value < 0 || value > 100.01)
    return std::nullopt;
  return value >= 100 ? 100u : static_cast<std::uint32_t>(value);
}

}  // namespace

std::optional<AptProgress> parse_apt_progress(std::string_view line) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return std::nullopt;
  auto kind = kind_of(line.substr(0, colon));
  if (!kind) return std::nullopt;
  AptProgress progress;
  progress.kind = *kind;
  std::string_view rest = line.substr(colon + 1);
  if (*kind == AptProgressKind::kMedia) {
    progress.text = rest.substr(0, kProgressTextMax);
    return progress;
  }
  // A package's name may hold a colon before its architecture: the subject ends where a percentage follows.
  for (std::size_t start = 0;;) {
    std::size_t end = rest.find(':', start);
    if (end == std::string_view::npos) return std::nullopt;
    std::size_t next = rest.find(':', end + 1);
    std::string_view number = rest.substr(end + 1, next == std::string_view::npos ? next : next - end - 1);
    if (auto percent = percent_of(number)) {
      progress.subject = rest.substr(0, end);
      progress.percent = *percent;
      if (next != std::string_view::npos) progress.text = rest.substr(next + 1, kProgressTextMax);
      return progress;
    }
    start = end + 1;
  }
}

}  // namespace prunella

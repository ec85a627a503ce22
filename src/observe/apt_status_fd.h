#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace prunella {

enum class AptProgressKind {
  kDownload,   ///< dlstatus
  kPackage,    ///< pmstatus
  kError,      ///< pmerror: dpkg failed on a package
  kConffile,   ///< pmconffile: dpkg asks about a configuration file
  kMedia,      ///< media-change: apt waits for a disc
};

/// A line of apt's APT::Status-Fd stream.
struct AptProgress {
  AptProgressKind kind = AptProgressKind::kPackage;
  std::string subject;                    ///< the package, the file's number, or the conffile's path
  std::optional<std::uint32_t> percent;   ///< of the whole, 0 to 100
  std::string text;                       ///< for people: "Unpacking libssl3:amd64"
  bool operator==(const AptProgress&) const = default;
};

/// Nothing for a line of another kind or form: progress is shown, nothing depends on it.
/// Source: apt's README.progress-reporting.
std::optional<AptProgress> parse_apt_progress(std::string_view line);

}  // namespace prunella

#include "base/result.h"

namespace prunella {

std::string_view to_text(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidInput: return "invalid input";
    case ErrorKind::kNotFound: return "not found";
    case ErrorKind::kConflict: return "conflict";
    case ErrorKind::kUnavailable: return "unavailable";
    case ErrorKind::kDenied: return "denied";
    case ErrorKind::kExpired: return "expired";
    case ErrorKind::kCorrupt: return "corrupt";
    case ErrorKind::kExhausted: return "exhausted";
  }
  return "unknown";
}

}  // namespace prunella

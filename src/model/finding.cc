#include "model/finding.h"

namespace prunella {

FindingId finding_id(const HostId& host, FindingKind kind, std::string_view subject) {
  std::string text = host.text() + "\n" + std::string(to_text(kind)) + "\n" + std::string(subject);
  return FindingId("FND-" + sha256(text).hex().substr(0, 10));
}

}  // namespace prunella

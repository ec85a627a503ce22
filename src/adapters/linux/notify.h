#pragma once

#include <string_view>

namespace prunella {

/// Tells systemd how the service stands ("READY=1", "WATCHDOG=1", "STOPPING=1"), when it started us with Type=notify; otherwise
/// does nothing. Any thread. Source: sd_notify(3), the protocol over $NOTIFY_SOCKET.
void notify_systemd(std::string_view state);

}  // namespace prunella

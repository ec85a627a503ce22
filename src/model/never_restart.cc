#include "model/never_restart.h"

#include "model/order.h"

namespace prunella {

namespace {

struct NeverRule {
  std::string_view pattern;
  std::string_view why;
};

constexpr std::string_view kBus = "the message bus: every service and session hangs on it";
constexpr std::string_view kLogin = "it keeps people's sessions";
constexpr std::string_view kNetwork = "the network could be lost";
constexpr std::string_view kGuests = "its containers or virtual machines could stop";
constexpr std::string_view kSystemd = "a part of systemd itself";
constexpr std::string_view kOneShot = "it runs once and ends by itself";
// The person who has to repair what a run broke comes this way. needrestart and unattended-upgrades once drove sshd into its start
// limit together and locked people out (needrestart issue 340).
constexpr std::string_view kWayIn = "people come in this way to repair what a run broke";
constexpr std::string_view kFilter = "the packet filter could be left open or shut";
// The first thing that ransomware does is turning these off (TRUST.md T22), so no order may.
constexpr std::string_view kWatch = "it watches this host, and no order may make it look away";
constexpr std::string_view kOwn = "a part of Prunella: it would end the run that restarts it";

constexpr NeverRule kNever[] = {
    {"dbus.service", kBus},
    {"dbus.socket", kBus},
    {"dbus-broker.service", kBus},
    {"systemd-*", kSystemd},
    {"init.scope", "the first process: only a reboot or `systemctl daemon-reexec` renews it"},
    {"emergency.service", kLogin},
    {"rescue.service", kLogin},
    {"user@*", kLogin},
    {"session-*", kLogin},
    {"getty@*", kLogin},
    {"serial-getty@*", kLogin},
    {"console-getty.service", kLogin},
    {"container-getty@*", kLogin},
    {"autovt@*", kLogin},
    {"display-manager.service", kLogin},
    {"gdm*", kLogin},
    {"kdm*", kLogin},
    {"lightdm*", kLogin},
    {"lxdm*", kLogin},
    {"nodm*", kLogin},
    {"sddm*", kLogin},
    {"slim*", kLogin},
    {"wdm*", kLogin},
    {"xdm*", kLogin},
    {"NetworkManager*", kNetwork},
    {"ModemManager.service", kNetwork},
    {"networking.service", kNetwork},
    {"ifup@*", kNetwork},
    {"wpa_supplicant*", kNetwork},
    {"dhcpcd*", kNetwork},
    {"bird*", kNetwork},
    {"frr*", kNetwork},
    {"quagga*", kNetwork},
    {"openvpn*", kNetwork},
    {"wg-quick@*", kNetwork},
    {"strongswan*", kNetwork},
    {"tinc*", kNetwork},
    {"docker*", kGuests},
    {"containerd*", kGuests},
    {"podman*", kGuests},
    {"libvirt*", kGuests},
    {"virt*", kGuests},
    {"lxc*", kGuests},
    {"machine-*", kGuests},
    {"xendomains.service", kGuests},
    {"unattended-upgrades*", "it installs packages itself"},
    {"apt-*", kOneShot},
    {"rc-local.service", kOneShot},
    {"cloud-*", kOneShot},
    {"prunella-agent.service", kOwn},
    {"prunella-executor*", kOwn},
    {"prunellad.service", kOwn},
    {"prunella-*", kOwn},
    {"ssh.*", kWayIn},
    {"ssh@*", kWayIn},
    {"sshd*", kWayIn},
    {"dropbear*", kWayIn},
    {"debug-shell.service", kWayIn},
    {"polkit*", kBus},
    {"dbus*", kBus},
    {"udev.*", kSystemd},
    {"user-runtime-dir@*", kLogin},
    {"nftables.service", kFilter},
    {"netfilter-persistent.service", kFilter},
    {"iptables.service", kFilter},
    {"ip6tables.service", kFilter},
    {"ufw.service", kFilter},
    {"firewalld.service", kFilter},
    {"fail2ban.service", kFilter},
    {"crowdsec*", kFilter},
    {"tailscaled*", kNetwork},
    {"audit*", kWatch},
    {"apparmor*", kWatch},
    {"selinux*", kWatch},
    {"wazuh*", kWatch},
    {"ossec*", kWatch},
    {"osqueryd*", kWatch},
    {"falco*", kWatch},
    {"falcon-sensor*", kWatch},
    {"mdatp*", kWatch},
    {"clamav*", kWatch},
    {"sysmon*", kWatch},
    {"tetragon*", kWatch},
    {"samhain*", kWatch},
    {"rsyslog*", kWatch},
    {"syslog*", kWatch},
    {"lxd*", kGuests},
    {"incus*", kGuests},
    {"qemu-guest-agent*", kGuests},
    {"*.target", "it is no service: restarting it stops whatever hangs on it"},
    {"*.mount", "it is no service: restarting it takes the files away from whoever uses them"},
};

}  // namespace

std::optional<std::string_view> never_restarted(std::string_view unit) {
  for (const NeverRule& rule : kNever)
    if (matches_pattern(rule.pattern, unit)) return rule.why;
  return std::nullopt;
}

}  // namespace prunella

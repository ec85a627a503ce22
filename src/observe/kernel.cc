#include "observe/kernel.h"

#include <algorithm>

#include "base/text.h"

namespace prunella {

namespace {

// 100: more packages than ever asked for a reboot at once.
inline constexpr std::size_t kRebootPackagesMax = 100;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view take_digits(std::string_view& text) {
  std::size_t end = 0;
  while (end < text.size() && is_digit(text[end])) ++end;
  std::string_view digits = text.substr(0, end);
  text.remove_prefix(end);
  while (digits.size() > 1 && digits.front() == '0') digits.remove_prefix(1);
  return digits;
}

std::vector<InstalledKernel> installed_kernels(const PackageFacts& facts) {
  std::vector<InstalledKernel> kernels;
  for (const Package& package : facts.packages) {
    if (!is_present(package.state)) continue;
    auto release = kernel_release_of_package(package.package.name);
    if (release) kernels.push_back({std::string(*release), package.package.name, package.version});
  }
  std::ranges::sort(kernels, [](const InstalledKernel& a, const InstalledKernel& b) {
    int compared = compare_kernel_releases(a.release, b.release);
    return compared != 0 ? compared < 0 : a.package < b.package;
  });
  return kernels;
}

// Debian and Ubuntu write the package's version into the build: "... Debian 6.1.153-1 (2025-09-20)", "#100-Ubuntu SMP ...".
bool build_names_another_version(std::string_view build, std::string_view version) {
  constexpr std::string_view kDebian = " Debian ";
  std::size_t at = build.find(kDebian);
  if (at == std::string_view::npos) return false;
  std::string_view named = build.substr(at + kDebian.size());
  named = named.substr(0, named.find(' '));
  return !named.empty() && is_digit(named[0]) && named != version;
}

bool is_kernel_package(std::string_view package) { return package.starts_with("linux-"); }

void add_marker(const KernelProbe& probe, KernelFacts& facts) {
  if (!probe.marker || !probe.marker->present) return;
  const std::vector<std::string>& packages = probe.marker->packages;
  bool only_kernels = !packages.empty() && std::ranges::all_of(packages, is_kernel_package);
  if (probe.container && only_kernels) return;
  facts.reboot = RebootNeed::kYes;
  facts.reasons.push_back({"/run/reboot-required", packages.empty() ? "it exists" : "asked for by " + join(packages, ", ")});
}

struct KernelVerdict {
  RebootNeed need = RebootNeed::kUnknown;
  std::string detail;
};

KernelVerdict judge_kernel(const KernelProbe& probe, const KernelFacts& facts) {
  if (!probe.release) return {RebootNeed::kUnknown, "the running kernel could not be told"};
  if (!probe.packages) return {RebootNeed::kUnknown, "the package database could not be read"};
  if (facts.newest_same_flavour && compare_kernel_releases(*facts.newest_same_flavour, facts.running) > 0)
    return {RebootNeed::kYes, facts.running + " runs, " + *facts.newest_same_flavour + " is installed"};
  if (facts.running_version && probe.build && build_names_another_version(*probe.build, *facts.running_version))
    return {RebootNeed::kYes, "the running build is " + quoted(*probe.build) + ", installed is " + *facts.running_version};
  if (facts.running_version) return {RebootNeed::kNo, ""};
  if (facts.installed.empty()) return {RebootNeed::kNo, "no kernel is installed by a package; " + facts.running + " came another way"};
  return {RebootNeed::kUnknown, facts.running + " runs and belongs to no installed package"};
}

}  // namespace

std::vector<std::string> parse_reboot_packages(std::string_view text) {
  std::vector<std::string> packages;
  for (std::string_view line : split(text, '\n')) {
    line = trim(line);
    if (line.empty() || std::ranges::find(packages, line) != packages.end()) continue;
    if (packages.size() == kRebootPackagesMax) break;
    packages.emplace_back(line.substr(0, 128));
  }
  return packages;
}

KernelFacts kernel_facts(const KernelProbe& probe) {
  KernelFacts facts;
  facts.running = probe.release.value_or("unknown");
  if (probe.packages) facts.installed = installed_kernels(*probe.packages);
  for (const InstalledKernel& kernel : facts.installed) {
    if (kernel.release == facts.running) facts.running_version = kernel.version;
    // Sorted: the last one of the flavour is the newest.
    if (probe.release && kernel_flavour(kernel.release) == kernel_flavour(*probe.release)) facts.newest_same_flavour = kernel.release;
  }
  add_marker(probe, facts);
  if (probe.container_known && probe.container) {
    if (facts.reboot == RebootNeed::kYes) return facts;
    facts.reboot = probe.marker ? RebootNeed::kNo : RebootNeed::kUnknown;
    facts.reasons.push_back({"container", "the kernel belongs to the machine that runs this " + *probe.container + " container"});
    if (!probe.marker) facts.reasons.push_back({"/run/reboot-required", "it could not be looked at"});
    return facts;
  }
  KernelVerdict verdict = judge_kernel(probe, facts);
  if (!verdict.detail.empty()) facts.reasons.push_back({"kernel", verdict.detail});
  if (facts.reboot == RebootNeed::kYes) return facts;
  facts.reboot = verdict.need;
  if (facts.reboot == RebootNeed::kNo && (!probe.marker || !probe.container_known)) {
    facts.reboot = RebootNeed::kUnknown;
    facts.reasons.push_back({"probe", probe.marker ? "whether this is a container could not be told" : "/run/reboot-required could not be looked at"});
  }
  return facts;
}

int compare_kernel_releases(std::string_view a, std::string_view b) {
  while (!a.empty() && !b.empty()) {
    if (is_digit(a[0]) && is_digit(b[0])) {
      std::string_view x = take_digits(a), y = take_digits(b);
      if (x.size() != y.size()) return x.size() < y.size() ? -1 : 1;
      if (int compared = x.compare(y); compared != 0) return compared < 0 ? -1 : 1;
      continue;
    }
    if (a[0] != b[0]) {
      // "6.1.0-40" against "6.1.0-rc7" or "6.1-amd64" against "6.1.1-amd64": a number goes on, a letter ends it.
      if (a[0] == '.' || b[0] == '.') return a[0] == '.' ? 1 : -1;
      if (is_digit(a[0]) != is_digit(b[0])) return is_digit(a[0]) ? 1 : -1;
      return a[0] < b[0] ? -1 : 1;
    }
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  if (a.empty() == b.empty()) return 0;
  return a.empty() ? -1 : 1;
}

std::string_view kernel_flavour(std::string_view release) {
  // The version, then parts that start with a digit (the ABI's number, a backport's "0.deb11.7"), then the flavour.
  std::size_t at = 0;
  for (;;) {
    std::size_t dash = release.find('-', at);
    if (dash == std::string_view::npos) return {};
    at = dash + 1;
    if (at < release.size() && !is_digit(release[at])) return release.substr(at);
  }
}

std::optional<std::string_view> kernel_release_of_package(std::string_view package) {
  for (std::string_view prefix : {std::string_view("linux-image-unsigned-"), std::string_view("linux-image-")}) {
    if (!package.starts_with(prefix)) continue;
    std::string_view release = package.substr(prefix.size());
    if (release.empty() || !is_digit(release[0]) || release.find('.') == std::string_view::npos) return std::nullopt;
    for (std::string_view other : {"-dbg", "-dbgsym", "-rescue", "-unsigned", "-signed-template"})
      if (release.ends_with(other)) return std::nullopt;
    return release;
  }
  return std::nullopt;
}

}  // namespace prunella

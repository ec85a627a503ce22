#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/package.h"

/// What apt knows of packages: `apt-cache policy`, `apt-cache show`, Packages files (LC_ALL=C.UTF-8).
namespace prunella {

/// 128 MiB: `apt-cache show` of every package of a host writes about 10 MB, a whole Packages file 50 MB.
inline constexpr std::size_t kAptRecordsBytesMax = 128u << 20;

/// An index that offers a version: "500 http://host/debian bookworm/main amd64 Packages".
struct Offer {
  int priority = 0;
  std::string index;  ///< as `apt-get indextargets` writes it in Description; "/var/lib/dpkg/status" for the installed one
  bool operator==(const Offer&) const = default;
};
struct OfferedVersion {
  std::string version;
  int priority = 0;
  bool installed = false;
  std::optional<std::uint32_t> phased_percent;  ///< set when its archive gives it to this share of machines only
  std::vector<Offer> offers;
  bool operator==(const OfferedVersion&) const = default;
};
/// What apt chose for a package, and among what.
struct PackagePolicy {
  std::string name;
  std::optional<std::string> arch;       ///< absent: the native one, or all
  std::optional<std::string> installed;
  std::optional<std::string> candidate;
  std::optional<std::string> pin;        ///< "Package pin": the version that preferences ask for
  std::vector<OfferedVersion> versions;  ///< the highest first, as apt lists them
  bool operator==(const PackagePolicy&) const = default;
};

/// @error kInvalidInput  a line that `apt-cache policy` does not write: quoted, with its number.
/// @error kExhausted     larger than kAptRecordsBytesMax.
Result<std::vector<PackagePolicy>> parse_apt_policy(std::string_view output);

/// A package's record in an index. What a record of the dpkg database lacks is absent.
struct PackageRecord {
  PackageName package;
  std::string version;
  std::string source;
  std::string source_version;
  std::optional<Digest> sha256;
  std::optional<std::uint64_t> size_bytes;
  std::optional<std::uint64_t> installed_size_kib;
  std::optional<std::string> filename;  ///< below the archive's URI
  // Relationship fields as they are; observe/relations.h reads them.
  std::optional<std::string> depends;
  std::optional<std::string> pre_depends;
  std::optional<std::string> breaks;
  std::optional<std::string> conflicts;
  std::optional<std::string> provides;
  bool operator==(const PackageRecord&) const = default;
};
/// The records in the text's order; some may stand there twice.
/// @error as above.
Result<std::vector<PackageRecord>> parse_package_records(std::string_view text);

/// A line of `apt-get --print-uris`: 'URI' file size SHA256:digest
struct FetchItem {
  std::string uri;   ///< without user name and password
  std::string file;  ///< the name apt would store it under
  std::uint64_t size_bytes = 0;
  std::optional<Digest> sha256;
  bool operator==(const FetchItem&) const = default;
};
/// @error as above. Lines that don't start with a quote are skipped.
Result<std::vector<FetchItem>> parse_print_uris(std::string_view output);

/// `uri` with user name and password taken out, so that it may be shown.
std::string without_credentials(std::string_view uri);
/// `text` with the credentials of every URI in it taken out.
std::string without_credentials_within(std::string_view text);

}  // namespace prunella

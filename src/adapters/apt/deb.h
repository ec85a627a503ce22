#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "model/package.h"
#include "observe/conffiles.h"
#include "observe/programs.h"

/// What a .deb file holds, read with dpkg-deb and never unpacked. Any thread.
namespace prunella {

/// The control file's text. @error kCorrupt  dpkg-deb can't read the file. kUnavailable as Programs::run.
Result<std::string> control_of(Programs& programs, const std::string& deb);

/// The conffiles with the digests of their content, sorted by path; none for most packages.
/// @error kCorrupt  dpkg-deb can't read the file, or a conffile is listed and not there.
Result<std::vector<ShippedConffile>> conffiles_of(Programs& programs, const std::string& deb);

/// The text of the package's Debian changelog, its newest entries first, cut at kChangelogBytesMax.
/// @error kNotFound  it carries none: its documentation belongs to a sibling, or was left out.
/// @error kCorrupt   dpkg-deb or zlib can't read it.
Result<std::string> changelog_of(Programs& programs, const std::string& deb, const std::string& package);

}  // namespace prunella

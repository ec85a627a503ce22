#include "adapters/apt/deb.h"

#include <zlib.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

#include "adapters/apt/md5.h"
#include "base/text.h"
#include "observe/changelog.h"
#include "observe/tar.h"

namespace prunella {

namespace {

using namespace std::chrono_literals;

// Ten minutes: the largest packages of Debian have a gigabyte; on a small machine xz gives 20 MB a second.
inline constexpr Duration kReadTimeMax = 10min;
inline constexpr std::size_t kControlBytesMax = 4u << 20;
inline constexpr std::size_t kConffilesMax = 10'000;

// Runs dpkg-deb on one of the archive's two tar files. `done` ends it early.
Status read_tar(Programs& programs, const std::string& part, const std::string& deb, TarReader& reader, const bool& done) {
  Status read;
  ProgramCall call;
  call.arguments = {"/usr/bin/dpkg-deb", part, deb};
  call.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"};
  call.time_max = kReadTimeMax;
  call.on_stdout = [&](std::string_view piece) {
    read = reader.add(piece);
    return read.has_value() && !done && !reader.finished();
  };
  auto result = programs.run(call);
  if (!result) return std::move(result).error();
  if (!read) return corrupt(deb + ": " + read.error().text());
  if (!result->succeeded()) return corrupt(ending_text("dpkg-deb", *result));
  return {};
}

// The named members of the control archive, whole.
Result<std::map<std::string, std::string>> control_members(Programs& programs, const std::string& deb, const std::set<std::string>& names) {
  std::map<std::string, std::string> members;
  std::size_t bytes = 0;
  bool done = false;
  TarReader reader(
      [&](const TarEntry& entry) {
        bool wanted = entry.type == '0' && names.contains(entry.path);
        if (wanted) members[entry.path];
        return wanted ? TarReader::Want::kRead : TarReader::Want::kSkip;
      },
      [&](const TarEntry& entry, std::string_view piece) {
        bytes += piece.size();
        if (bytes <= kControlBytesMax) members[entry.path].append(piece);
      });
  if (auto read = read_tar(programs, "--ctrl-tarfile", deb, reader, done); !read) return std::move(read).error();
  if (bytes > kControlBytesMax) return exhausted(deb + ": control files of " + bytes_text(bytes));
  return members;
}

// gzip data that comes in pieces, inflated up to a limit.
class Gunzip {
 public:
  explicit Gunzip(std::size_t bytes_max) : bytes_max_(bytes_max) {
    check(inflateInit2(&stream_, 15 + 16) == Z_OK, "zlib starts");  // 16: a gzip header
  }
  ~Gunzip() { inflateEnd(&stream_); }
  Gunzip(const Gunzip&) = delete;
  Gunzip& operator=(const Gunzip&) = delete;

  /// False when the data is damaged.
  bool add(std::string_view piece) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));  // zlib only reads
    stream_.avail_in = static_cast<uInt>(piece.size());
    char buffer[32768];
    while (stream_.avail_in > 0 && !ended_ && text_.size() < bytes_max_) {
      stream_.next_out = reinterpret_cast<Bytef*>(buffer);
      stream_.avail_out = sizeof buffer;
      int code = inflate(&stream_, Z_NO_FLUSH);
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) return false;
      text_.append(buffer, std::min(sizeof buffer - stream_.avail_out, bytes_max_ - text_.size()));
      ended_ = code == Z_STREAM_END;
      if (code == Z_BUF_ERROR) break;
    }
    return true;
  }
  bool full() const { return text_.size() >= bytes_max_; }
  bool ended() const { return ended_; }
  std::string take() { return std::move(text_); }

 private:
  z_stream stream_{};
  std::size_t bytes_max_;
  std::string text_;
  bool ended_ = false;
};

// Looks for the changelog while the archive goes by.
class ChangelogSearch {
 public:
  explicit ChangelogSearch(const std::string& package) : directory_("usr/share/doc/" + package) {}

  TarReader::Want entry(const TarEntry& entry) {
    if (entry.path == directory_ && entry.type == '2') {
      sibling_ = entry.target;
      done_ = true;
    }
    bool inside = entry.path.starts_with(directory_ + "/");
    // dpkg-deb writes a directory's entries together: past it there is nothing more to find.
    if (inside_ && !inside && found_) done_ = true;
    inside_ = inside;
    if (!inside || entry.type != '0' || done_) return TarReader::Want::kSkip;
    std::string_view name = std::string_view(entry.path).substr(directory_.size() + 1);
    // A Debian changelog beats the author's own, which a native package does not have.
    bool debian = name == "changelog.Debian.gz" || name == "changelog.Debian";
    if (!debian && ((name != "changelog.gz" && name != "changelog") || found_)) return TarReader::Want::kSkip;
    debian_ = debian;
    gzip_ = name.ends_with(".gz");
    found_ = true;
    text_.clear();
    gunzip_ = std::make_unique<Gunzip>(kChangelogBytesMax);
    return TarReader::Want::kRead;
  }

  void content(std::string_view piece) {
    if (piece.empty()) {
      if (gzip_ && !gunzip_->ended() && !gunzip_->full()) damaged_ = true;
      if (gzip_) text_ = gunzip_->take();
      if (debian_) done_ = true;
      return;
    }
    if (gzip_) damaged_ |= !gunzip_->add(piece);
    else text_.append(piece.substr(0, kChangelogBytesMax - std::min(kChangelogBytesMax, text_.size())));
  }

  const bool& done() const { return done_; }
  bool damaged() const { return damaged_; }
  bool found() const { return found_; }
  const std::optional<std::string>& sibling() const { return sibling_; }
  std::string take() { return std::move(text_); }

 private:
  std::string directory_;
  std::string text_;
  std::unique_ptr<Gunzip> gunzip_;
  std::optional<std::string> sibling_;
  bool gzip_ = false, debian_ = false, found_ = false, inside_ = false, damaged_ = false, done_ = false;
};

}  // namespace

Result<std::string> control_of(Programs& programs, const std::string& deb) {
  auto members = control_members(programs, deb, {"control"});
  if (!members) return std::move(members).error();
  if (!members->contains("control")) return corrupt(deb + " has no control file");
  return std::move(members->at("control"));
}

Result<std::vector<ShippedConffile>> conffiles_of(Programs& programs, const std::string& deb) {
  auto members = control_members(programs, deb, {"conffiles"});
  if (!members) return std::move(members).error();
  std::set<std::string> wanted;
  for (std::string_view line : split((*members)["conffiles"], '\n')) {
    line = trim(line);
    // "remove-on-upgrade /path" names a file that the package no longer ships.
    if (line.starts_with("/")) wanted.insert(std::string(line.substr(1)));
    if (wanted.size() > kConffilesMax) return exhausted(deb + " lists more than " + std::to_string(kConffilesMax) + " conffiles");
  }
  std::vector<ShippedConffile> conffiles;
  if (wanted.empty()) return conffiles;
  bool done = false;
  std::optional<Md5> md5;
  TarReader reader(
      [&](const TarEntry& entry) {
        if (entry.type != '0' || !wanted.contains(entry.path)) return TarReader::Want::kSkip;
        md5.emplace();
        return TarReader::Want::kRead;
      },
      [&](const TarEntry& entry, std::string_view piece) {
        if (!piece.empty()) return md5->add(piece);
        conffiles.push_back({"/" + entry.path, md5->finish()});
        wanted.erase(entry.path);
        done = wanted.empty();
      });
  if (auto read = read_tar(programs, "--fsys-tarfile", deb, reader, done); !read) return std::move(read).error();
  if (!wanted.empty()) return corrupt(deb + " lists the conffile " + quoted("/" + *wanted.begin()) + " and has no such file");
  std::ranges::sort(conffiles);
  return conffiles;
}

Result<std::string> changelog_of(Programs& programs, const std::string& deb, const std::string& package) {
  ChangelogSearch search(package);
  TarReader reader([&](const TarEntry& entry) { return search.entry(entry); },
                   [&](const TarEntry&, std::string_view piece) { search.content(piece); });
  if (auto read = read_tar(programs, "--fsys-tarfile", deb, reader, search.done()); !read) return std::move(read).error();
  if (search.damaged()) return corrupt("the changelog in " + deb + " is not whole");
  if (search.sibling()) return not_found(package + " takes its documentation from " + quoted(*search.sibling()));
  if (!search.found()) return not_found(package + " carries no changelog");
  return search.take();
}

}  // namespace prunella

#include "disk.h"

#include <algorithm>

namespace prunella::sim {

namespace {
constexpr std::size_t kSector = 512;
Error no_space() { return exhausted("No space left on device"); }
}  // namespace

std::string SimJournal::with_holes(std::string bytes) const {
  for (auto [from, to] : dropped_)
    for (std::size_t i = from; i < std::min(to, bytes.size()); ++i) bytes[i] = '\0';
  return bytes;
}

Result<std::string> SimJournal::read_all() {
  user_.point("journal read");
  return cached_;
}

Status SimJournal::append(std::string_view bytes) {
  user_.point("journal append");
  if (disk_.full) {
    cached_ += bytes.substr(0, dice_.below(bytes.size()));
    return no_space();
  }
  cached_ += bytes;
  user_.point("journal appended");
  return {};
}

Status SimJournal::sync() {
  user_.point("journal sync");
  if (dice_.chance(disk_.sync_error_rate)) {
    if (cached_.size() > written_to_) dropped_.emplace_back(written_to_, cached_.size());
    written_to_ = cached_.size();
    return unavailable("fsync: Input/output error");
  }
  written_to_ = cached_.size();
  durable_ = with_holes(cached_);
  durable_changed_(false);
  user_.point("journal synced");
  return {};
}

Status SimJournal::replace(std::string_view bytes) {
  user_.point("journal replace");
  bool error = dice_.chance(disk_.sync_error_rate);
  if (disk_.full) return no_space();
  // The new file is whole beside the old one before its name is changed; an error of the last sync leaves open which is there.
  if (!error || dice_.chance(0.5)) {
    durable_ = cached_ = std::string(bytes);
    written_to_ = cached_.size();
    dropped_.clear();
    durable_changed_(true);
  }
  if (error) return unavailable("fsync: Input/output error");
  user_.point("journal replaced");
  return {};
}

void SimJournal::lose_power() {
  if (cached_.size() > durable_.size()) {
    const std::size_t base = durable_.size();
    std::string whole = with_holes(cached_);
    auto lose_sector = [&](std::size_t from) {
      auto end = whole.begin() + static_cast<std::ptrdiff_t>(std::min(whole.size(), (from / kSector + 1) * kSector));
      std::fill(whole.begin() + static_cast<std::ptrdiff_t>(from), end, '\0');
    };
    switch (dice_.below(3)) {
      case 0: whole.resize(base + dice_.below(whole.size() - base + 1)); break;
      case 1: {
        // The file's new size got to the disk, and its sectors from some one on did not.
        std::size_t first = base + dice_.below(whole.size() - base);
        if (first / kSector != base / kSector) first = first / kSector * kSector;
        else first = base;
        for (std::size_t at = first; at < whole.size(); at = (at / kSector + 1) * kSector) lose_sector(at);
        break;
      }
      default:
        // Sectors are written in any order: each one got there or not. The one that holds the end of what was there before keeps that.
        for (std::size_t at = base; at < whole.size(); at = (at / kSector + 1) * kSector)
          if (dice_.chance(0.4)) lose_sector(at);
    }
    durable_ = std::move(whole);
  }
  cached_ = durable_;
  written_to_ = cached_.size();
  dropped_.clear();
}

Status SimRunFiles::write(const RunId& run, std::string_view text) {
  user_.point("run file write");
  if (disk_.full) return no_space();
  files_[run] = std::string(text);
  user_.point("run file written");
  return {};
}

Result<std::string> SimRunFiles::read(const RunId& run) {
  auto found = files_.find(run);
  if (found == files_.end()) return not_found("no file of " + run.text());
  return found->second;
}

void SimRunFiles::clear(const RunId& run) {
  user_.point("run files clear");
  files_.erase(run);
}

Result<std::string> SimPolicyStore::read() {
  if (!text_) return not_found("no policy was ever installed");
  return *text_;
}

Status SimPolicyStore::replace(std::string_view text) {
  user_.point("policy replace");
  if (disk_.full) return no_space();
  text_ = std::string(text);
  user_.point("policy replaced");
  return {};
}

}  // namespace prunella::sim

#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "act/journal.h"
#include "act/ports.h"
#include "kernel.h"

namespace prunella::sim {

/// The program that uses a port: it may die at each step, and others go on while it waits.
class Running {
 public:
  virtual ~Running() = default;
  virtual void point(std::string_view where) = 0;  ///< may throw Killed
  virtual void pause(Duration time) = 0;           ///< may throw Killed
};

/// How a host's disk is at the moment.
struct DiskState {
  bool full = false;
  double sync_error_rate = 0;
};

/// A journal file that knows what is on the disk and what is in the page cache only. Power loss keeps a prefix of what was never
/// synced, cut at any byte, or each sector of it or not, in any order: one that is missing reads as zeros. After a failed sync its pages count as clean though they were
/// never written (fsync(2); "fsyncgate"): they read well until the power goes, and are zeros then.
class SimJournal : public JournalFile {
 public:
  SimJournal(Running& user, DiskState& disk, Dice& dice, std::function<void(bool replaced)> durable)
      : user_(user), disk_(disk), dice_(dice), durable_changed_(std::move(durable)) {}
  Result<std::string> read_all() override;
  Status append(std::string_view bytes) override;
  Status sync() override;
  Status replace(std::string_view bytes) override;

  void lose_power();
  const std::string& durable() const { return durable_; }
  /// Bytes of `durable` that a failed sync dropped: they read as zeros.
  bool damaged() const { return !dropped_.empty(); }

 private:
  std::string with_holes(std::string bytes) const;
  Running& user_;
  DiskState& disk_;
  Dice& dice_;
  std::function<void(bool)> durable_changed_;
  std::string durable_, cached_;
  std::vector<std::pair<std::size_t, std::size_t>> dropped_;  // from, to: clean in the cache, never written
  std::size_t written_to_ = 0;                                // of `cached_`: what a sync has dealt with
};

class SimRunFiles : public RunFiles {
 public:
  SimRunFiles(Running& user, DiskState& disk) : user_(user), disk_(disk) {}
  Status write(const RunId& run, std::string_view text) override;
  Result<std::string> read(const RunId& run) override;
  void clear(const RunId& run) override;
  std::size_t size() const { return files_.size(); }

 private:
  Running& user_;
  DiskState& disk_;
  std::map<RunId, std::string> files_;
};

class SimPolicyStore : public PolicyStore {
 public:
  SimPolicyStore(Running& user, DiskState& disk) : user_(user), disk_(disk) {}
  Result<std::string> read() override;
  Status replace(std::string_view text) override;
  const std::optional<std::string>& text() const { return text_; }

 private:
  Running& user_;
  DiskState& disk_;
  std::optional<std::string> text_;
};

}  // namespace prunella::sim

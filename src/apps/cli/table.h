#pragma once

#include <string>
#include <vector>

#include "apps/cli/session.h"

namespace prunella::cli {

/// Rows under headings. Cells are escaped here, so that no caller forgets it. In plain form columns are separated by tabs and there's
/// no heading; with -q only the first column is written.
class Table {
 public:
  explicit Table(std::vector<std::string> headings) : headings_(std::move(headings)) {}
  void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// The row's first `columns` cells get this colour (an SGR code).
  void add(std::vector<std::string> cells, std::string colour) {
    colours_.resize(rows_.size());
    colours_.push_back(std::move(colour));
    rows_.push_back(std::move(cells));
  }
  std::size_t size() const { return rows_.size(); }
  std::string text(const Session& session) const;

 private:
  std::vector<std::string> headings_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::string> colours_;
};

/// Columns of a terminal that `text` takes, as far as counting code points tells.
std::size_t width_of(std::string_view text);
/// "3 hosts", "1 host".
std::string count_text(std::uint64_t count, std::string_view one, std::string_view many);
/// "5 s", "12 min", "3 h", "4 days": how long ago or in the future, coarse.
std::string rough(Duration duration);
/// "3 min ago", "never" for none, "in the future" for a clock that is wrong.
std::string ago(const std::optional<Instant>& at, Instant now);
/// "10:02:03" of today in UTC, for lines of progress.
std::string clock_text(Instant at);
/// SGR colour and a sign for a posture, since colour is never the only signal.
std::string_view colour_of(PostureState posture);
std::string_view sign_of(PostureState posture);
std::string_view colour_of(RunState state);

}  // namespace prunella::cli

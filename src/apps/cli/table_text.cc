#include <algorithm>

#include "apps/cli/table.h"
#include "base/text.h"

namespace prunella::cli {

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string Table::text(const Session& session) const {
  auto form = const_cast<Session&>(session).form();
  std::string out;
  if (form == Form::kNames) {
    for (const auto& row : rows_) out += shown(row[0]) + "\n";
    return out;
  }
  if (form == Form::kPlain) {
    for (const auto& row : rows_) {
      std::vector<std::string> cells;
      for (const std::string& cell : row) cells.push_back(shown(cell));
      out += join(cells, "\t") + "\n";
    }
    return out;
  }
  std::vector<std::vector<std::string>> lines = {headings_};
  for (const auto& row : rows_) {
    lines.emplace_back();
    for (const std::string& cell : row) lines.back().push_back(shown(cell));
  }
  std::vector<std::size_t> widths(headings_.size(), 0);
  for (const auto& line : lines)
    for (std::size_t i = 0; i < line.size() && i < widths.size(); ++i) widths[i] = std::max(widths[i], width_of(line[i]));
  for (std::size_t n = 0; n < lines.size(); ++n) {
    std::string line;
    for (std::size_t i = 0; i < lines[n].size(); ++i) {
      std::string cell = lines[n][i];
      bool last = i + 1 == lines[n].size();
      std::string padding = last ? "" : std::string(widths[i] - width_of(cell) + 2, ' ');
      if (n == 0) cell = session.bold(cell);
      else if (n - 1 < colours_.size() && !colours_[n - 1].empty() && i < 2) cell = session.styled(cell, colours_[n - 1]);
      line += cell + padding;
    }
    out += std::string(trim(line) == "" ? "" : line.substr(0, line.find_last_not_of(' ') + 1)) + "\n";
  }
  return out;
}

std::string count_text(std::uint64_t count, std::string_view one, std::string_view many) {
  return std::to_string(count) + " " + std::string(count == 1 ? one : many);
}

std::string rough(Duration duration) {
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  if (seconds < 0) seconds = -seconds;
  if (seconds < 90) return std::to_string(seconds) + " s";
  if (seconds < 90 * 60) return std::to_string((seconds + 30) / 60) + " min";
  if (seconds < 48 * 3600) return std::to_string((seconds + 1800) / 3600) + " h";
  return std::to_string((seconds + 43200) / 86400) + " days";
}

std::string ago(const std::optional<Instant>& at, Instant now) {
  if (!at) return "never";
  // Two clocks are never exactly alike.
  if (*at > now + std::chrono::seconds(5)) return "in " + rough(*at - now);
  return rough(std::max(now - *at, Duration(0))) + " ago";
}

std::string clock_text(Instant at) { return to_rfc3339(at).substr(11, 8); }

std::string_view colour_of(PostureState posture) {
  switch (posture) {
    case PostureState::kHealthy: return "32";
    case PostureState::kPending:
    case PostureState::kUnknown:
    case PostureState::kStale: return "33";
    case PostureState::kNeedsUpdate:
    case PostureState::kBroken: return "31";
  }
  return "";
}

std::string_view sign_of(PostureState posture) {
  switch (posture) {
    case PostureState::kHealthy: return "ok";
    case PostureState::kPending: return "~";
    case PostureState::kUnknown: return "?";
    case PostureState::kNeedsUpdate: return "!";
    case PostureState::kBroken: return "X";
    case PostureState::kStale: return "...";
  }
  return "?";
}

std::string_view colour_of(RunState state) {
  switch (state) {
    case RunState::kVerified: return "32";
    case RunState::kReverted:
    case RunState::kRefused: return "33";
    case RunState::kEscalated: return "31";
    case RunState::kOrdered:
    case RunState::kAccepted:
    case RunState::kStaging:
    case RunState::kRepairing:
    case RunState::kActing:
    case RunState::kRestarting:
    case RunState::kVerifying:
    case RunState::kReverting: return "";
  }
  return "";
}

}  // namespace prunella::cli

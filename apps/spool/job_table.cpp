// spool jobs: a table.
#include <fmt/format.h>

#include <algorithm>

#include "job_view.h"
#include "terminal.h"

namespace spool {
namespace {

constexpr int kIdColumns = 36;
constexpr int kStateColumns = 10;
constexpr int kAgeColumns = 8;
constexpr int kKindColumns = 14;

std::string state_of(const Job& job) {
  if (job.state == State::kRunning && job.progress > 0) return fmt::format("run {:.0f}%", 100 * job.progress);
  return job.limited ? "limited" : std::string(name(job.state));
}

std::string row(std::string_view id, std::string_view state, Style style, std::string_view age,
                std::string_view kind, std::string_view what, const TableView& view) {
  const int used = kIdColumns + kStateColumns + kAgeColumns + kKindColumns + 6 + 4;
  std::string out = fmt::format("{}  {}  {:>{}}  {}  ", padded(id, kIdColumns),
                                paint(padded(state, kStateColumns), style, view.colour), age, kAgeColumns,
                                padded(kind, kKindColumns));
  out += fit(what, std::max(12, view.width - used + 2));
  out.resize(out.find_last_not_of(' ') + 1);
  return out + '\n';
}

}  // namespace

std::string render_table(std::span<const Job> jobs, const TableView& view) {
  if (jobs.empty()) return {};
  std::string out = row("ID", "STATE", Style::kPlain, "AGE", "KIND", "NAME", view);
  for (const Job& job : jobs)
    out += row(job.id.text(), state_of(job), style_of(job.state), short_duration(view.now - job.created),
               job.kind, printable(job.name), view);
  return out;
}

}  // namespace spool

// spool show: a job's tree.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

#include "job_view.h"
#include "queue/progress.h"
#include "terminal.h"

namespace spool {
namespace {

constexpr std::size_t kMostOfAKind = 8;  // more that went well are counted, not listed
constexpr int kStateColumns = 16;
constexpr int kTimeColumns = 9;
constexpr int kLogLines = 5;

struct Line {
  std::string lead;  // the box drawing before it
  const Job* job = nullptr;
  std::string text;  // a note below a job; used when there is no job
  Style style = Style::kPlain;
};

class Tree {
 public:
  Tree(std::span<const Job> jobs, const TreeView& view) : jobs_(jobs), view_(view) {
    for (const Job& job : jobs) {
      by_id_[job.id] = &job;
      if (job.parent) children_[*job.parent].push_back(&job);
    }
  }

  std::string render(Uuid top) {
    const auto found = by_id_.find(top);
    if (found == by_id_.end()) return {};
    add(*found->second, "", "");
    std::string out;
    for (const Line& line : lines_) out += line.job != nullptr ? job_line(line) : note_line(line);
    return out;
  }

 private:
  void add(const Job& job, const std::string& lead, const std::string& below) {
    lines_.push_back({lead, &job, {}, {}});
    const auto [shown, counted] = divide(children_[job.id]);
    const bool more = !shown.empty() || !counted.empty();
    add_notes(job, below + (more ? "│ " : "  "));
    for (std::size_t i = 0; i < shown.size(); ++i) {
      const bool last = i + 1 == shown.size() && counted.empty();
      add(*shown[i], below + (last ? "└─ " : "├─ "), below + (last ? "   " : "│  "));
    }
    std::size_t left = counted.size();
    for (const auto& [key, count] : counted)
      lines_.push_back(
          {below + (--left == 0 ? "└─ " : "├─ "), nullptr,
           fmt::format("{} and {} more {} {}", mark_of(key.second), count, key.first, name(key.second)),
           Style::kDim});
  }

  using Counted = std::map<std::pair<std::string, State>, std::size_t>;

  // Those to list, and for the rest how many there are of a kind and state.
  std::pair<std::vector<const Job*>, Counted> divide(const std::vector<const Job*>& all) const {
    std::vector<const Job*> shown;
    Counted counted;
    if (view_.all) return {all, counted};
    std::map<std::pair<std::string, State>, std::size_t> seen;
    std::map<std::string, std::size_t> of_kind;
    for (const Job* job : all) ++of_kind[job->kind];
    for (const Job* job : all) {
      const bool dull =
          job->state != State::kFailed && job->state != State::kRunning && children_.count(job->id) == 0;
      if (of_kind[job->kind] > kMostOfAKind && dull && ++seen[{job->kind, job->state}] > kMostOfAKind / 4)
        ++counted[{job->kind, job->state}];
      else
        shown.push_back(job);
    }
    return {std::move(shown), std::move(counted)};
  }

  void add_notes(const Job& job, const std::string& lead) {
    for (const AttemptError& error : job.errors) {
      const std::string where = error.worker.empty() ? "" : fmt::format(" ({})", printable(error.worker));
      // What failed without having run, for its needs or its children, had no attempt.
      const std::string when = error.attempt == 0
                                   ? ""
                                   : fmt::format("attempt {} after {}{}: ", error.attempt,
                                                 short_duration(error.ended - error.began), where);
      note(lead, fmt::format("{}{}: {}", when, name(error.error.code), printable(error.error.message)),
           Style::kRed);
    }
    if (job.state == State::kFailed && !job.errors.empty()) add_log(job.errors.back().log_tail, lead);
    if (job.cancel_requested && !ended(job.state)) note(lead, "asked to cancel", Style::kYellow);
  }

  void add_log(std::string_view log, const std::string& lead) {
    std::vector<std::string_view> tail;
    while (!log.empty()) {
      const auto end = std::min(log.find('\n'), log.size());
      if (end > 0) tail.push_back(log.substr(0, end));
      log.remove_prefix(std::min(end + 1, log.size()));
    }
    const std::size_t from = tail.size() > kLogLines ? tail.size() - kLogLines : 0;
    for (std::size_t i = from; i < tail.size(); ++i) note(lead, "  " + printable(tail[i]), Style::kDim);
  }

  // Long notes go on in the next line, for an error must be readable whole.
  void note(const std::string& lead, std::string text, Style style) {
    const int room = std::max(20, view_.width - columns(lead));
    while (columns(text) > room) {
      std::string head = fit(text, room + 1);
      head.resize(head.size() - std::string_view("…").size());
      if (const auto space = head.rfind(' '); space != std::string::npos && space > head.size() / 2)
        head.resize(space);
      lines_.push_back({lead, nullptr, head, style});
      text.erase(0, head.size());
      text.erase(0, text.find_first_not_of(' '));
    }
    lines_.push_back({lead, nullptr, std::move(text), style});
  }

  // The first start of it or of what is below it: a parent's own phases are moments, what it took is not.
  std::optional<Time> began(const Job& job) const {
    std::optional<Time> first = job.claimed;
    if (const auto below = children_.find(job.id); below != children_.end())
      for (const Job* child : below->second)
        if (const auto start = began(*child); start && (!first || *start < *first)) first = start;
    return first;
  }

  bool goes_on(const Job& job) const {
    return job.state == State::kRunning || (job.state == State::kWaiting && children_.count(job.id) > 0);
  }

  std::string state_text(const Job& job) const {
    if (goes_on(job)) return fmt::format("{} {:.0f}%", name(job.state), 100 * tree_progress(jobs_, job.id));
    return std::string(name(job.state));
  }

  std::string time_text(const Job& job) const {
    const auto from = began(job);
    if (!from) return "";
    const Time until = job.ended ? *job.ended : goes_on(job) ? view_.now : *from;
    return until > *from ? short_duration(until - *from) : "";
  }

  std::string job_line(const Line& line) const {
    const Job& job = *line.job;
    std::string what = job.name.empty() ? job.kind : fmt::format("{} ({})", printable(job.name), job.kind);
    if (job.optional) what += ", optional";
    // A start that the lease's loss or an error repeated; the first one needs no words.
    std::string tries =
        job.attempts > 1 ? fmt::format("attempt {} of {}", job.attempts, job.most_attempts) : "";
    if (job.rescues > 0) tries += fmt::format("{}rescued {}", tries.empty() ? "" : ", ", job.rescues);
    if (!tries.empty()) what += fmt::format(" [{}]", tries);
    if (!job.parent || job.id == lines_.front().job->id) what += "  " + job.id.text();
    const int right = kStateColumns + kTimeColumns;
    const int room = std::max(10, view_.width - columns(line.lead) - 2 - right);
    std::string out = paint(line.lead, Style::kDim, view_.colour);
    out += paint(mark_of(job.state), style_of(job.state), view_.colour);
    out += ' ' + padded(what, room - 1) + ' ';
    const std::string state = padded(state_text(job), kStateColumns - 1);
    const std::string time = time_text(job);
    out += paint(state, style_of(job.state), view_.colour);
    out += fmt::format(" {:>{}}", time, kTimeColumns - 1);
    out.resize(out.find_last_not_of(' ') + 1);
    return out + '\n';
  }

  std::string note_line(const Line& line) const {
    return paint(line.lead, Style::kDim, view_.colour) +
           paint(fit(line.text, std::max(10, view_.width - columns(line.lead))), line.style, view_.colour) +
           '\n';
  }

  std::span<const Job> jobs_;
  const TreeView& view_;
  std::map<Uuid, const Job*> by_id_;
  std::map<Uuid, std::vector<const Job*>> children_;
  std::vector<Line> lines_;
};

}  // namespace

std::string render_tree(std::span<const Job> jobs, Uuid top, const TreeView& view) {
  return Tree(jobs, view).render(top);
}

}  // namespace spool

#include "queue/report_box.h"

#include <algorithm>

namespace spool {
namespace {

void add_older(ProgressReport& newer, ProgressReport&& older) {
  if (newer.token != older.token) return;
  if (!newer.fraction) newer.fraction = older.fraction;
  if (newer.detail.is_null()) newer.detail = std::move(older.detail);
  if (!newer.checkpoint) newer.checkpoint = std::move(older.checkpoint);
}

}  // namespace

bool ReportBox::put(ProgressReport report, BootClock::time_point now) {
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[report.job];
  const auto wait = report.checkpoint ? interval_ / 10 : interval_;
  const auto due = std::min(entry.due, std::max(now, entry.last + wait));
  const bool earlier = due < entry.due;
  entry.due = due;
  if (entry.waiting) add_older(report, std::move(*entry.waiting));
  entry.waiting = std::move(report);
  return earlier;
}

BootClock::time_point ReportBox::due() const {
  const std::lock_guard lock(mutex_);
  auto due = BootClock::time_point::max();
  for (const auto& [job, entry] : entries_) due = std::min(due, entry.due);
  return due;
}

bool ReportBox::is_idle() const {
  const std::unique_lock sending(sending_, std::try_to_lock);
  return sending && due() == BootClock::time_point::max();
}

Result<ReportBox::Sent> ReportBox::send_due(Store& store, BootClock::time_point now) {
  const std::lock_guard sending(sending_);
  std::vector<ProgressReport> reports;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [job, entry] : entries_) {
      if (entry.due > now || !entry.waiting) continue;
      reports.push_back(std::move(*entry.waiting));
      entry.waiting.reset();
      entry.last = now;
      entry.due = BootClock::time_point::max();
    }
  }
  return send(store, std::move(reports));
}

Result<ReportBox::Sent> ReportBox::flush(Store& store, std::span<const Settlement> ending) {
  {
    // The usual case of tiny jobs: nothing was ever said.
    const std::lock_guard lock(mutex_);
    if (entries_.empty()) return Sent{};
    const auto has_entry = [&](const Settlement& s) { return entries_.contains(s.job); };
    if (std::none_of(ending.begin(), ending.end(), has_entry)) return Sent{};
  }
  const std::lock_guard sending(sending_);
  std::vector<ProgressReport> reports;
  {
    const std::lock_guard lock(mutex_);
    for (const Settlement& settlement : ending) {
      const auto it = entries_.find(settlement.job);
      if (it == entries_.end()) continue;
      if (it->second.waiting) reports.push_back(std::move(*it->second.waiting));
      entries_.erase(it);
    }
  }
  return send(store, std::move(reports));
}

Result<ReportBox::Sent> ReportBox::send(Store& store, std::vector<ProgressReport> reports) {
  if (reports.empty()) return Sent{};
  auto answers = store.report(reports);
  if (!answers) {
    put_back(reports);
    return fail(std::move(answers).error());
  }
  Sent sent;
  std::vector<ProgressReport> held;
  std::unique_lock lock(mutex_);
  for (std::size_t i = 0; i < reports.size(); ++i) {
    const Uuid job = reports[i].job;
    const auto& answer = (*answers)[i];
    if (!answer && answer.error().code == Code::kUnavailable) {
      sent.held.push_back(job);
      held.push_back(std::move(reports[i]));
      continue;
    }
    if (const auto it = entries_.find(job); !answer && it != entries_.end() && !it->second.waiting)
      entries_.erase(it);
    if (!answer && answer.error().code == Code::kLeaseLost) sent.lost.push_back(job);
    if (!answer) continue;
    if (*answer) sent.cancel.push_back(job);
    if (reports[i].checkpoint) sent.checkpointed.push_back(job);
  }
  lock.unlock();
  put_back(held);
  return sent;
}

void ReportBox::put_back(std::vector<ProgressReport>& reports) {
  const std::lock_guard lock(mutex_);
  for (ProgressReport& report : reports) {
    Entry& entry = entries_[report.job];
    entry.due = std::min(entry.due, entry.last + interval_);
    if (entry.waiting) {
      add_older(*entry.waiting, std::move(report));
    } else {
      entry.waiting = std::move(report);
    }
  }
}

void ReportBox::keep_only(const std::set<Uuid>& jobs) {
  const std::lock_guard lock(mutex_);
  std::erase_if(entries_, [&](const auto& entry) { return !jobs.contains(entry.first); });
}

}  // namespace spool

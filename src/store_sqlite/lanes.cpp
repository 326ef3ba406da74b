#include "store_sqlite/lanes.h"

#include <fmt/format.h>

#include <algorithm>

namespace spool::sqlite {
namespace {

constexpr const char* kNewLanes = "SELECT lane, queue, slots, tags FROM lane WHERE lane > ?1";  // primary key
constexpr const char* kPaused = "SELECT queue FROM paused_queue";                               // few
constexpr const char* kAddLane = "INSERT INTO lane (queue, slots, tags) VALUES (?1, ?2, ?3)";

std::string key_of(std::string_view queue, int slots, std::string_view tags) {
  return fmt::format("{}\n{}\n{}", slots, queue, tags);
}

}  // namespace

void Lanes::load_new(Database& db) {
  Rows rows = db.query(kNewLanes, newest_);
  while (rows.next()) {
    Lane lane{rows.i64(0), rows.text(1), rows.i32(2), split_tags(rows.view(3))};
    by_key_[key_of(lane.queue, lane.slots, rows.view(3))] = lane.lane;
    newest_ = std::max(newest_, lane.lane);
    lanes_.emplace(lane.lane, std::move(lane));
  }
}

std::int64_t Lanes::of(Database& db, const std::string& queue, int slots,
                       const std::vector<std::string>& tags) {
  if (last_ != 0 && queue == last_queue_ && slots == last_slots_ && tags == last_tags_) return last_;
  const std::string joined = join_tags(tags);
  const std::string key = key_of(queue, slots, joined);
  auto found = by_key_.find(key);
  if (found == by_key_.end()) {
    load_new(db);
    found = by_key_.find(key);
  }
  if (found == by_key_.end()) {
    db.run(kAddLane, std::string_view(queue), slots, std::string_view(joined));
    load_new(db);
    found = by_key_.find(key);
  }
  last_queue_ = queue;
  last_slots_ = slots;
  last_tags_ = tags;
  last_ = found->second;
  return last_;
}

std::vector<const Lane*> Lanes::open_to(Database& db, const ClaimRequest& want) {
  load_new(db);
  const auto holds = [](const std::vector<std::string>& list, const std::string& word) {
    return std::find(list.begin(), list.end(), word) != list.end();
  };
  std::vector<std::string> paused;
  {
    Rows rows = db.query(kPaused);
    while (rows.next()) paused.push_back(rows.text(0));
  }
  std::vector<const Lane*> open;
  for (const auto& [number, lane] : lanes_) {
    if (lane.slots > std::max(want.all_slots, want.slots)) continue;
    if (!want.queues.empty() && !holds(want.queues, lane.queue)) continue;
    if (holds(paused, lane.queue)) continue;
    if (!std::all_of(lane.tags.begin(), lane.tags.end(),
                     [&](const auto& tag) { return holds(want.tags, tag); }))
      continue;
    open.push_back(&lane);
  }
  return open;
}

const Lane& Lanes::at(Database& db, std::int64_t lane) {
  auto found = lanes_.find(lane);
  if (found == lanes_.end()) {
    load_new(db);
    found = lanes_.find(lane);
    if (found == lanes_.end()) refuse(Code::kInternal, fmt::format("database: lane {} is missing", lane));
  }
  return found->second;
}

void Lanes::forget() {
  *this = Lanes();
}

}  // namespace spool::sqlite

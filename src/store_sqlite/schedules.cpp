#include "store_sqlite/schedules.h"

#include <fmt/format.h>

#include "queue/new_job_json.h"
#include "queue/stored.h"

namespace spool::sqlite {
namespace {

// Few rows, by their primary key.
constexpr const char* kPut =
    "INSERT OR REPLACE INTO schedule (name, cron, zone, missed, job, paused, next)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
constexpr const char* kPause = "UPDATE schedule SET paused = ?2 WHERE name = ?1";
constexpr const char* kRemove = "DELETE FROM schedule WHERE name = ?1";
constexpr const char* kMove =
    "UPDATE schedule SET next = ?3 WHERE name = ?1 AND next = ?2 AND (paused = 0 OR ?4 = 0)";
constexpr const char* kAll = "SELECT name, cron, zone, missed, job, paused, next FROM schedule ORDER BY name";

void must_have_changed(Database& db, const std::string& name) {
  if (db.changes() == 0) refuse(Code::kNotFound, fmt::format("there is no schedule {}", name));
}

}  // namespace

void put_schedule(Database& db, const Schedule& schedule) {
  db.run(kPut, std::string_view(schedule.name), std::string_view(schedule.cron),
         std::string_view(schedule.zone), static_cast<int>(schedule.missed),
         std::string_view(to_text(to_json(schedule.job))), schedule.paused, schedule.next);
}

void pause_schedule(Database& db, const std::string& name, bool paused) {
  db.run(kPause, std::string_view(name), paused);
  must_have_changed(db, name);
}

void remove_schedule(Database& db, const std::string& name) {
  db.run(kRemove, std::string_view(name));
  must_have_changed(db, name);
}

bool tick(LifeCycle& life, Lanes& lanes, const std::string& name, Time expected, Time next,
          std::span<const NewJob> jobs) {
  life.db().run(kMove, std::string_view(name), expected, next, static_cast<std::int64_t>(jobs.size()));
  if (life.db().changes() == 0) return false;
  Inserter inserter(life, lanes);
  for (const NewJob& job : jobs)
    if (auto inserted = inserter.insert(draft(job)); !inserted) throw StoreError{std::move(inserted).error()};
  inserter.finish();
  return true;
}

std::vector<Schedule> read_schedules(Database& db) {
  std::vector<Schedule> schedules;
  Rows rows = db.query(kAll);
  while (rows.next()) {
    auto schedule = schedule_of(rows.text(0), rows.text(1), rows.text(2), rows.i32(3), rows.view(4),
                                rows.i32(5) != 0, rows.time(6));
    if (!schedule) throw StoreError{std::move(schedule).error()};
    schedules.push_back(std::move(*schedule));
  }
  return schedules;
}

}  // namespace spool::sqlite

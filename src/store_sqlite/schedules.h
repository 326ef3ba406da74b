// Schedules, as rows. In one write transaction, but for read_schedules().
#pragma once

#include <span>
#include <string>
#include <vector>

#include "queue/store.h"
#include "store_sqlite/insert.h"

namespace spool::sqlite {

void put_schedule(Database& db, const Schedule& schedule);
void pause_schedule(Database& db, const std::string& name, bool paused);  // throws kNotFound
void remove_schedule(Database& db, const std::string& name);              // throws kNotFound
// False when another one moved it, and when it is paused and there are jobs. Throws the error of a job.
bool tick(LifeCycle& life, Lanes& lanes, const std::string& name, Time expected, Time next,
          std::span<const NewJob> jobs);

[[nodiscard]] std::vector<Schedule> read_schedules(Database& db);  // by name

}  // namespace spool::sqlite

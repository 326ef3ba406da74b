// What an operator asks of whole queues. In one write transaction.
#pragma once

#include <string>

#include "store_sqlite/life_cycle.h"

namespace spool::sqlite {

void pause_queue(Database& db, const std::string& queue);
void resume_queue(Database& db, const std::string& queue);
// Cancels trees of which nothing has begun, at most so many. Returns how many.
int clear_queue(LifeCycle& life, const std::string& queue, int most);

}  // namespace spool::sqlite

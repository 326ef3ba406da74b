// What time and people ask of whole trees: due jobs, deadlines, opening again, removal, forgetting.
// In one write transaction.
#pragma once

#include <span>

#include "queue/store.h"
#include "store_sqlite/life_cycle.h"

namespace spool::sqlite {

// Jobs whose time has come become available, at most so many. Returns how many.
int move_due(LifeCycle& life, int most);
// Stops trees whose deadline has passed; whole ones, until so many jobs were moved.
void stop_late(LifeCycle& life, int most);

void start(LifeCycle& life, const Node& top);
// Throws kConflict when it is not failed or cancelled, when what it needs did not succeed, when its parent
// has ended or runs, and when its unique key is held by another job.
void reopen(LifeCycle& life, const Node& top);
// The tree is not seen any more. `with_outputs`: what it published goes with it.
void hide(LifeCycle& life, Seq top, bool with_outputs);
// Hidden trees of which nothing runs are forgotten, the last inserted jobs first. Returns how many jobs went.
int purge(LifeCycle& life, int most);
// Hides trees by the rules, whole ones and at least one, until it hid so many jobs; and purges.
int prune(LifeCycle& life, const PruneRules& rules, int most);
void forget_purged(Database& db, std::span<const Uuid> jobs);

}  // namespace spool::sqlite

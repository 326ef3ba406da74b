#include "store_sqlite/queues.h"

#include <algorithm>
#include <vector>

#include "store_sqlite/insert.h"

namespace spool::sqlite {
namespace {

constexpr const char* kPause = "INSERT OR IGNORE INTO paused_queue (queue) VALUES (?1)";
constexpr const char* kResume = "DELETE FROM paused_queue WHERE queue = ?1";
// The lines of the queue's lanes, then all that is parked; the rest by primary keys and job_of_root.
#define SPOOL_UNBEGUN                                                                                     \
  " AND j.parent IS NULL AND NOT EXISTS (SELECT 1 FROM hidden h WHERE h.seq = j.seq)"                     \
  " AND NOT EXISTS (SELECT 1 FROM job t LEFT JOIN running r ON r.seq = t.seq"                             \
  " LEFT JOIN life l ON l.seq = t.seq LEFT JOIN outcome o ON o.seq = t.seq AND o.superseded = 0"          \
  " WHERE (t.seq = j.seq OR t.root = j.seq) AND (r.seq IS NOT NULL OR l.attempts > 0 OR l.rescues > 0 OR" \
  " l.phase <> '' OR o.attempt > 0)) LIMIT ?2"
constexpr const char* kUnbegunReady =
    "SELECT j.seq FROM lane a CROSS JOIN ready x ON x.lane = a.lane CROSS JOIN job j ON j.seq = x.seq"
    " WHERE a.queue = ?1" SPOOL_UNBEGUN;
constexpr const char* kUnbegunParked =
    "SELECT j.seq FROM parked x CROSS JOIN job j ON j.seq = x.seq JOIN lane a ON a.lane = j.lane"
    " WHERE a.queue = ?1" SPOOL_UNBEGUN;

}  // namespace

void pause_queue(Database& db, const std::string& queue) {
  db.run(kPause, std::string_view(queue));
}

void resume_queue(Database& db, const std::string& queue) {
  db.run(kResume, std::string_view(queue));
}

int clear_queue(LifeCycle& life, const std::string& queue, int most) {
  std::vector<Seq> roots;
  for (const char* sql : {kUnbegunReady, kUnbegunParked}) {
    Rows rows =
        life.db().query(sql, std::string_view(queue), std::max(most, 0) - static_cast<int>(roots.size()));
    while (rows.next()) roots.push_back(rows.i64(0));
  }
  for (const Seq root : roots) life.stop_tree(root, Stop::kCancel, "its queue was cleared");
  return static_cast<int>(roots.size());
}

}  // namespace spool::sqlite

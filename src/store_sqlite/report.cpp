#include "store_sqlite/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "queue/draft.h"

namespace spool::sqlite {
namespace {

constexpr const char* kHeld =  // job.id, primary keys
    "SELECT j.seq, coalesce(l.stop, 0), coalesce(l.deadline, j.deadline), coalesce(l.progress, 0) FROM job j"
    " JOIN running r ON r.seq = j.seq LEFT JOIN life l ON l.seq = j.seq WHERE j.id = ?1 AND r.token = ?2";
constexpr const char* kProgress =
    "INSERT INTO life (seq, progress, detail) VALUES (?1, ?2, ?3)"
    " ON CONFLICT (seq) DO UPDATE SET progress = excluded.progress, detail = coalesce(excluded.detail, "
    "detail)";
constexpr const char* kCheckpoint =
    "INSERT INTO checkpoint (seq, value) VALUES (?1, ?2)"
    " ON CONFLICT (seq) DO UPDATE SET value = excluded.value WHERE value IS NOT excluded.value";
constexpr const char* kForgetRescues = "UPDATE life SET rescues = 0 WHERE seq = ?1 AND rescues > 0";

}  // namespace

Result<bool> write_report(LifeCycle& life, const ProgressReport& report) {
  Database& db = life.db();
  Seq seq = 0;
  bool stop = false;
  double progress = 0;
  {
    Rows row = db.query(kHeld, report.job, report.token);
    if (!row.next())
      return fail(Code::kLeaseLost,
                  fmt::format("job {}: another attempt owns it, or none", report.job.text()));
    seq = row.i64(0);
    const auto deadline = row.maybe_time(2);
    stop = row.i32(1) != 0 || (deadline && *deadline <= life.now());
    progress = row.real(3);
  }
  const ReportDraft said = draft(report);
  if (said.error) return fail(*said.error);

  bool moved_on = false;
  if (said.fraction > progress || said.detail) {
    moved_on = said.fraction > progress;
    db.run(kProgress, seq, std::max(said.fraction, progress), std::optional<std::string_view>(said.detail));
  }
  if (said.checkpoint) {
    db.run(kCheckpoint, seq, std::string_view(*said.checkpoint));
    moved_on |= db.changes() > 0;
  }
  if (moved_on) db.run(kForgetRescues, seq);
  return stop;
}

}  // namespace spool::sqlite

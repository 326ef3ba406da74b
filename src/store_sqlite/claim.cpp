#include "store_sqlite/claim.h"

#include <algorithm>
#include <queue>

#include "queue/stored.h"

namespace spool::sqlite {
namespace {

// The primary key is the order.
constexpr const char* kHeads =
    "SELECT rank, seq FROM ready WHERE lane = ?1 AND (rank, seq) > (?2, ?3) ORDER BY rank, seq LIMIT ?4";
constexpr const char* kTakeUpTo = "DELETE FROM ready WHERE lane = ?1 AND (rank, seq) <= (?2, ?3)";
// Several rows a statement: starting one costs more than a row of it.
#define SPOOL_RUN "INSERT INTO running (seq, token, session, attempt, claimed) VALUES "
#define SPOOL_FOUR_ROWS "(?, ?, ?, ?, ?), (?, ?, ?, ?, ?), (?, ?, ?, ?, ?), (?, ?, ?, ?, ?)"
constexpr std::size_t kMany = 16;
constexpr const char* kRun = SPOOL_RUN "(?, ?, ?, ?, ?)";
constexpr const char* kRunMany =
    SPOOL_RUN SPOOL_FOUR_ROWS ", " SPOOL_FOUR_ROWS ", " SPOOL_FOUR_ROWS ", " SPOOL_FOUR_ROWS;
#define SPOOL_CLAIMED                                                                                  \
  "SELECT j.seq, j.id, j.parent, j.root, j.kind, j.name, j.owner, j.args, j.most_attempts, j.timeout," \
  " coalesce(l.deadline, j.deadline), l.seq IS NOT NULL, l.attempts, l.phase, l.has_children, c.value"
#define SPOOL_WITH_LIFE \
  " LEFT JOIN life l ON l.seq = j.seq LEFT JOIN checkpoint c ON c.seq = j.seq"  // primary keys
constexpr const char* kClaimed = SPOOL_CLAIMED " FROM job j" SPOOL_WITH_LIFE " WHERE j.seq = ?1";
// The primary key of ready is the order; the left join keeps it the outer loop.
constexpr const char* kHeadJobs =
    SPOOL_CLAIMED ", r.rank, r.seq FROM ready r LEFT JOIN job j ON j.seq = r.seq" SPOOL_WITH_LIFE
                  " WHERE r.lane = ?1 ORDER BY r.rank, r.seq LIMIT ?2";
constexpr const char* kIdOf = "SELECT id FROM job WHERE seq = ?1";
constexpr const char* kChildren =  // job_of_parent, outcome_of_job
    "SELECT c.id, c.kind, c.name, o.state, o.token, c.args, o.result FROM job c"
    " JOIN outcome o ON o.seq = c.seq AND o.superseded = 0 WHERE c.parent = ?1"
    " AND NOT EXISTS (SELECT 1 FROM hidden h WHERE h.seq = c.seq) ORDER BY c.seq";

}  // namespace

struct Claimer::Head {
  const Lane* lane = nullptr;
  std::vector<Pick> buffer;
  std::size_t at = 0;
  Pick last{INT64_MIN, 0};  // claimed, or read before the buffer
  bool drained = false;

  [[nodiscard]] bool empty() const { return at == buffer.size(); }
};

void Claimer::refill(Head& head, std::size_t most) {
  head.buffer.clear();
  head.at = 0;
  if (head.drained) return;
  Rows rows =
      db_.query(kHeads, head.lane->lane, head.last.rank, head.last.seq, static_cast<std::int64_t>(most));
  while (rows.next()) head.buffer.push_back({rows.i64(0), rows.i64(1)});
  head.drained = head.buffer.size() < most;
}

std::vector<Claimer::Picked> Claimer::pick(const std::vector<const Lane*>& lanes, const ClaimRequest& want) {
  std::vector<Head> heads;
  for (const Lane* lane : lanes) heads.emplace_back().lane = lane;
  // Of several lanes few give many: small bites.
  const auto bite = static_cast<std::size_t>(std::min(want.slots, want.most_jobs)) /
                        std::max<std::size_t>(heads.size(), 1) +
                    1;
  const auto later = [&](std::size_t a, std::size_t b) {
    const Pick& x = heads[a].buffer[heads[a].at];
    const Pick& y = heads[b].buffer[heads[b].at];
    return std::tie(x.rank, x.seq) > std::tie(y.rank, y.seq);
  };
  std::priority_queue<std::size_t, std::vector<std::size_t>, decltype(later)> line(later);
  for (std::size_t i = 0; i < heads.size(); ++i) {
    refill(heads[i], bite);
    if (!heads[i].empty()) line.push(i);
  }
  std::vector<Picked> picked;
  int free = want.slots;
  while (!line.empty() && free > 0 && picked.size() < static_cast<std::size_t>(want.most_jobs)) {
    Head& head = heads[line.top()];
    if (head.lane->slots > free) break;  // reserved for it
    free -= head.lane->slots;
    head.last = head.buffer[head.at++];
    picked.push_back({head.last.seq, head.lane->slots});
    const std::size_t index = line.top();
    line.pop();
    if (head.empty()) refill(head, bite);
    if (!head.empty()) line.push(index);
  }
  // Of each lane a prefix was picked.
  for (const Head& head : heads)
    if (head.last.rank != INT64_MIN) db_.run(kTakeUpTo, head.lane->lane, head.last.rank, head.last.seq);
  return picked;
}

std::vector<Claim> Claimer::claim(std::int64_t session, const ClaimRequest& want) {
  std::vector<Claim> claims;
  if (want.slots <= 0 || want.most_jobs <= 0) return claims;
  const std::vector<const Lane*> lanes = lanes_.open_to(db_, want);
  if (lanes.size() == 1) {
    claims = claim_from(*lanes.front(), want);
  } else {
    const std::vector<Picked> picked = pick(lanes, want);
    claims.reserve(picked.size());
    for (const Picked& job : picked) claims.push_back(take(job));
  }
  run(session, claims);
  life_.started(seqs_);
  return claims;
}

// Of the one lane that most stores have: the jobs come with the line.
std::vector<Claim> Claimer::claim_from(const Lane& lane, const ClaimRequest& want) {
  const int most = std::min(want.slots / lane.slots, want.most_jobs);
  std::vector<Claim> claims;
  if (most <= 0) return claims;
  claims.reserve(static_cast<std::size_t>(most));
  Pick last{};
  {
    Rows rows = db_.query(kHeadJobs, lane.lane, most);
    while (rows.next()) {
      claims.push_back(read(rows, lane.slots));
      last = {rows.i64(16), rows.i64(17)};
    }
  }
  if (!claims.empty()) db_.run(kTakeUpTo, lane.lane, last.rank, last.seq);
  return claims;
}

Claim Claimer::take(const Picked& job) {
  Rows row = db_.query(kClaimed, job.seq);
  if (!row.next()) refuse(Code::kInternal, "database: a ready job is missing");
  return read(row, job.slots);
}

Claim Claimer::read(const Rows& row, int slots) {
  if (row.null(0)) refuse(Code::kInternal, "database: a ready job is missing");
  Claim claim;
  const Seq seq = row.i64(0), parent = row.i64(2), root = row.i64(3);
  claim.job = row.uuid(1);
  claim.kind = row.text(4);
  claim.name = row.text(5);
  claim.owner = row.text(6);
  claim.args = json_of(row.view(7));
  claim.most_attempts = row.i32(8);
  claim.slots = slots;
  claim.timeout = row.maybe_duration(9);
  if (const auto deadline = row.maybe_time(10))
    claim.until_deadline = std::max(*deadline - now_, Duration(0));
  if (row.i32(11) != 0) {
    claim.attempt = row.i32(12) + 1;
    claim.phase = row.text(13);
    if (row.i32(14) != 0) claim.children = children_of(seq);
  }
  claim.checkpoint = json_of(row.view(15));
  claim.token = Token::random();
  claim.root = claim.job;
  if (parent != 0) {
    const auto id_of = [&](Seq of) {
      Rows found = db_.query(kIdOf, of);
      return found.next() ? found.uuid(0) : Uuid{};
    };
    claim.parent = id_of(parent);
    claim.root = root == parent ? *claim.parent : id_of(root);
  }
  seqs_.push_back(seq);
  return claim;
}

void Claimer::run(std::int64_t session, const std::vector<Claim>& claims) {
  const auto insert = [&](std::size_t from, std::size_t count) {
    db_.run_with(count == kMany ? kRunMany : kRun, [&](Statement& statement) {
      int at = 0;
      for (std::size_t i = from; i < from + count; ++i) {
        statement.bind(++at, seqs_[i]);
        statement.bind(++at, claims[i].token);
        statement.bind(++at, session);
        statement.bind(++at, claims[i].attempt);
        statement.bind(++at, now_);
      }
    });
  };
  std::size_t i = 0;
  for (; i + kMany <= claims.size(); i += kMany) insert(i, kMany);
  for (; i < claims.size(); ++i) insert(i, 1);
}

std::vector<ChildResult> Claimer::children_of(Seq seq) {
  std::vector<ChildResult> children;
  Rows rows = db_.query(kChildren, seq);
  while (rows.next()) {
    ChildResult& child = children.emplace_back();
    child.id = rows.uuid(0);
    child.kind = rows.text(1);
    child.name = rows.text(2);
    child.state = static_cast<State>(rows.i32(3));
    if (!rows.null(4)) child.token = rows.token(4);
    child.args = json_of(rows.view(5));
    child.result = json_of(rows.view(6));
  }
  return children;
}

}  // namespace spool::sqlite

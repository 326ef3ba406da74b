#include "store_sqlite/claim.h"

#include <algorithm>
#include <queue>

namespace spool::sqlite {
namespace {

// The primary key is the order.
constexpr const char* kHeads =
    "SELECT rank, seq FROM ready WHERE lane = ?1 AND (rank, seq) > (?2, ?3) ORDER BY rank, seq LIMIT ?4";
constexpr const char* kTakeUpTo = "DELETE FROM ready WHERE lane = ?1 AND (rank, seq) <= (?2, ?3)";
constexpr const char* kRun =
    "INSERT INTO running (seq, token, session, attempt, claimed) VALUES (?1, ?2, ?3, ?4, ?5)";
constexpr const char* kClaimed =
    "SELECT j.id, j.parent, j.root, j.kind, j.name, j.owner, j.args, j.most_attempts, j.lane, j.timeout,"
    " coalesce(l.deadline, j.deadline), l.seq IS NOT NULL, l.attempts, l.phase, l.has_children,"
    " (SELECT value FROM checkpoint c WHERE c.seq = j.seq)"
    " FROM job j LEFT JOIN life l ON l.seq = j.seq WHERE j.seq = ?1";
constexpr const char* kIdOf = "SELECT id FROM job WHERE seq = ?1";
constexpr const char* kChildren =  // job_of_parent, outcome_of_job
    "SELECT c.id, c.kind, c.name, o.state, o.token, c.args, o.result FROM job c"
    " JOIN outcome o ON o.seq = c.seq AND o.superseded = 0 WHERE c.parent = ?1"
    " AND NOT EXISTS (SELECT 1 FROM hidden h WHERE h.seq = c.seq) ORDER BY c.seq";

}  // namespace

Json json_of(std::string_view text) {
  if (text.empty()) return nullptr;
  if (text == "{}") return Json::object();
  auto parsed = parse_json(text, "a stored text");
  return parsed ? std::move(*parsed) : Json(nullptr);
}

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

std::vector<Seq> Claimer::pick(const ClaimRequest& want) {
  std::vector<Head> heads;
  for (const Lane* lane : lanes_.open_to(db_, want)) {
    heads.emplace_back().lane = lane;
    // Of several lanes few give many: small bites. The one lane of most queues is read at once.
  }
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
  std::vector<Seq> picked;
  int free = want.slots;
  while (!line.empty() && free > 0 && picked.size() < static_cast<std::size_t>(want.most_jobs)) {
    Head& head = heads[line.top()];
    if (head.lane->slots > free) break;  // reserved for it
    free -= head.lane->slots;
    head.last = head.buffer[head.at++];
    picked.push_back(head.last.seq);
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
  const std::vector<Seq> picked = pick(want);
  claims.reserve(picked.size());
  for (const Seq seq : picked) claims.push_back(take(seq, session));
  return claims;
}

Claim Claimer::take(Seq seq, std::int64_t session) {
  Claim claim;
  Seq parent = 0, root = 0;
  bool has_children = false;
  int charged = 0;
  {
    Rows row = db_.query(kClaimed, seq);
    if (!row.next()) refuse(Code::kCorruptInput, "database: a ready job is missing");
    claim.job = row.uuid(0);
    parent = row.i64(1);
    root = row.i64(2);
    claim.kind = row.text(3);
    claim.name = row.text(4);
    claim.owner = row.text(5);
    claim.args = json_of(row.view(6));
    claim.most_attempts = row.i32(7);
    claim.slots = lanes_.at(db_, row.i64(8)).slots;
    claim.timeout = row.maybe_duration(9);
    if (const auto deadline = row.maybe_time(10))
      claim.timeout =
          std::min(claim.timeout.value_or(Duration::max()), std::max(*deadline - now_, Duration(0)));
    if (row.i32(11) != 0) {
      charged = row.i32(12);
      claim.phase = row.text(13);
      has_children = row.i32(14) != 0;
    }
    claim.checkpoint = json_of(row.view(15));
  }
  claim.attempt = charged + 1;
  claim.token = Token::random();
  claim.root = claim.job;
  if (parent != 0) {
    const auto id_of = [&](Seq of) {
      Rows row = db_.query(kIdOf, of);
      return row.next() ? row.uuid(0) : Uuid{};
    };
    claim.parent = id_of(parent);
    claim.root = root == parent ? *claim.parent : id_of(root);
  }
  if (has_children) claim.children = children_of(seq);
  db_.run(kRun, seq, claim.token, session, claim.attempt, now_);
  return claim;
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

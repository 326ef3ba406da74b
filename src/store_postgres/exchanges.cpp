#include "store_postgres/exchanges.h"

#include <fmt/format.h>

#include <charconv>

#include "base/utf8.h"
#include "queue/stored.h"
#include "store_postgres/new_jobs.h"

namespace spool::postgres {
namespace {

constexpr const char* kExchange =
    "SELECT * FROM spool.exchange($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, "
    "$17, $18, $19, $20,"
    " $21, $22, $23, $24)";

enum What { kSettled = 0, kClaimed = 1, kChild = 2, kSummary = 3, kLane = 4, kLeaseGone = 9 };
enum Column {
  kWhat,
  kN,
  kJob,
  kParent,
  kRoot,
  kToken,
  kKind,
  kJobName,
  kOwner,
  kPhase,
  kArgs,
  kExtra,
  kAttempt,
  kMostAttempts,
  kSlots,
  kTimeout,
  kUntilDeadline,
  kUnchecked
};

// What most settlements do not have. As a whole it is null when none of them has it: nothing is sent then.
template <class T>
class SparseColumn {
 public:
  explicit SparseColumn(std::size_t rows) : rows_(rows) {}
  void set(std::size_t row, T value) {
    if (!values_) values_.emplace(rows_);
    (*values_)[row] = std::move(value);
  }
  void set_unless_zero(std::size_t row, T value) {
    if (value != T{}) set(row, value);
  }
  [[nodiscard]] const std::optional<std::vector<std::optional<T>>>& values() const { return values_; }

 private:
  std::size_t rows_;
  std::optional<std::vector<std::optional<T>>> values_;
};

// The settlements, column by column.
struct Columns {
  std::vector<Uuid> jobs;
  std::vector<Token> tokens;
  std::vector<int> what;
  SparseColumn<std::string> results, codes, messages, logs, fan_outs;
  SparseColumn<std::int64_t> after;
  SparseColumn<int> natives;
  SparseColumn<double> cpu;
  SparseColumn<std::int64_t> memory, read, written;

  explicit Columns(std::span<const Settlement> settlements) : Columns(settlements.size()) {
    for (const Settlement& s : settlements) add(s);
  }

 private:
  explicit Columns(std::size_t rows)
      : results(rows),
        codes(rows),
        messages(rows),
        logs(rows),
        fan_outs(rows),
        after(rows),
        natives(rows),
        cpu(rows),
        memory(rows),
        read(rows),
        written(rows) {}

  [[nodiscard]] std::size_t row() const { return jobs.size() - 1; }

  void add(const Settlement& s) {
    jobs.push_back(s.job);
    tokens.push_back(s.token);
    what.push_back(static_cast<int>(s.ending.index()));  // in the order of Ending: spool.settlement
    cpu.set_unless_zero(row(), s.usage.cpu_seconds);
    memory.set_unless_zero(row(), s.usage.peak_memory_bytes);
    read.set_unless_zero(row(), s.usage.bytes_read);
    written.set_unless_zero(row(), s.usage.bytes_written);
    std::visit([&](const auto& ending) { add_ending(s, ending); }, s.ending);
  }

  void add_error(const Settlement& s, const Error& error) {
    codes.set(row(), std::string(name(error.code)));
    messages.set(row(), to_utf8_text(error.message));
    natives.set(row(), error.native);
    logs.set(row(), to_utf8_text(tail(s.log_tail, kMostLogTailBytes)));
  }
  void add_ending(const Settlement& s, const Succeeded& ending) {
    if (ending.result.is_null()) return;
    std::string result = to_text(ending.result);
    if (result.size() > kMostResultBytes)
      return add_error(s, {Code::kLimitExceeded, fmt::format("its result has {} bytes: the most is {}",
                                                             result.size(), kMostResultBytes)});
    results.set(row(), std::move(result));
  }
  void add_ending(const Settlement& s, const FanOut& ending) {
    Json children = Json::array();
    for (const NewJob& child : ending.children) {
      const Draft made = draft(child);
      if (made.error)
        return add_error(s, {made.error->code, fmt::format("its fan-out was refused: {} {}: {}", child.kind,
                                                           child.name, made.error->message)});
      children.push_back(to_new_job(made));
    }
    fan_outs.set(row(), to_text({{"children", std::move(children)},
                                 {"next_phase", to_utf8_text(ending.next_phase)},
                                 {"fail_fast", ending.fail_fast}}));
  }
  void add_ending(const Settlement& s, const RetryLater& ending) {
    add_error(s, ending.error);
    if (ending.after) after.set(row(), ending.after->count());
  }
  void add_ending(const Settlement&, const Snooze& ending) { after.set(row(), ending.duration.count()); }
  void add_ending(const Settlement& s, const Failed& ending) { add_error(s, ending.error); }
  void add_ending(const Settlement&, const Released&) {}
};

std::vector<int> numbers(std::string_view text) {
  std::vector<int> list;
  while (!text.empty()) {
    int number = 0;
    const auto end = std::min(text.find(','), text.size());
    std::from_chars(text.data(), text.data() + end, number);
    list.push_back(number);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return list;
}

}  // namespace

Exchanges::Marks::Start Exchanges::Marks::start() const {
  Start start;
  if (BootClock::now() >= slow_until_) return start;
  constexpr Duration kSlack = std::chrono::milliseconds(200);
  for (const auto& [lane, rank] : last_) {
    start.lanes.push_back(lane);
    start.ranks.push_back(rank - kSlack.count());
  }
  return start;
}

void Exchanges::Marks::took(const Start& start, Duration time, std::size_t claimed) {
  constexpr Duration kQuick = std::chrono::milliseconds(5), kEach = std::chrono::microseconds(20);
  constexpr int kNoAccident = 3;
  if (!start.at_head()) return;
  slow_in_a_row_ = time > kQuick + claimed * kEach ? slow_in_a_row_ + 1 : 0;
  if (slow_in_a_row_ >= kNoAccident) slow_until_ = BootClock::now() + 100 * time;
}

std::vector<std::optional<std::int64_t>> Exchanges::seqs_of(std::span<const Settlement> settlements) {
  std::vector<std::optional<std::int64_t>> seqs;
  seqs.reserve(settlements.size());
  for (const Settlement& s : settlements) {
    const auto known = seqs_.extract(s.job);
    seqs.push_back(known.empty() ? std::nullopt : std::optional<std::int64_t>(known.mapped()));
  }
  return seqs;
}

void Exchanges::read_claim(Rows& rows, std::vector<Claim>& claims) {
  constexpr std::size_t kMostRemembered = 100'000;
  Claim& claim = claims.emplace_back();
  claim.job = rows.uuid(kJob);
  claim.root = rows.uuid(kRoot);
  if (!rows.null(kParent)) claim.parent = rows.uuid(kParent);
  claim.token = rows.token(kToken);
  claim.kind = rows.text(kKind);
  claim.name = rows.text(kJobName);
  claim.owner = rows.text(kOwner);
  claim.phase = rows.text(kPhase);
  claim.args = json_of(rows.view(kArgs));
  claim.checkpoint = json_of(rows.view(kExtra));
  claim.attempt = rows.i32(kAttempt);
  claim.most_attempts = rows.i32(kMostAttempts);
  claim.slots = rows.i32(kSlots);
  claim.timeout = rows.maybe_duration(kTimeout);
  claim.until_deadline = rows.maybe_duration(kUntilDeadline);
  claim.unchecked = rows.boolean(kUnchecked);
  if (seqs_.size() > kMostRemembered) seqs_.clear();
  seqs_[claim.job] = rows.i64(kN);
}

Exchanged Exchanges::run(Connection& db, Duration shift, Session session,
                         std::span<const Settlement> settlements, const ClaimRequest& want) {
  const Columns columns(settlements);
  Marks::Start start;
  std::vector<std::optional<std::int64_t>> seqs;
  {
    const std::lock_guard lock(mutex_);
    start = marks_.start();
    seqs = seqs_of(settlements);
  }
  Rows rows = db.query(kExchange, shift, session.id, columns.jobs, seqs, columns.tokens, columns.what,
                       columns.results.values(), columns.after.values(), columns.codes.values(),
                       columns.messages.values(), columns.natives.values(), columns.logs.values(),
                       columns.cpu.values(), columns.memory.values(), columns.read.values(),
                       columns.written.values(), columns.fan_outs.values(), want.slots, want.all_slots,
                       want.most_jobs, want.queues, want.tags, start.lanes, start.ranks);
  Exchanged exchanged;
  exchanged.exchange.settled.resize(settlements.size());
  std::unordered_map<std::int64_t, std::size_t> of_seq;  // claims with children
  const std::lock_guard lock(mutex_);
  while (rows.next()) {
    std::vector<Claim>& claims = exchanged.exchange.claimed;
    switch (rows.i32(kWhat)) {
      case kSettled:
        exchanged.exchange.settled[static_cast<std::size_t>(rows.i64(kN) - 1)] =
            fail(code_from_name(rows.view(kPhase)), rows.text(kExtra));
        break;
      case kClaimed:
        read_claim(rows, claims);
        of_seq[rows.i64(kN)] = claims.size() - 1;
        break;
      case kChild: {
        ChildResult& child = claims[of_seq.at(rows.i64(kN))].children.emplace_back();
        child.id = rows.uuid(kJob);
        child.kind = rows.text(kKind);
        child.name = rows.text(kJobName);
        child.state = static_cast<State>(rows.i32(kAttempt));
        if (!rows.null(kToken)) child.token = rows.token(kToken);
        child.args = json_of(rows.view(kArgs));
        child.result = json_of(rows.view(kExtra));
        break;
      }
      case kLane:
        marks_.claimed(static_cast<int>(rows.i64(kN)), rows.i64(kTimeout));
        break;
      case kSummary:
        if (!rows.null(kN)) exchanged.next_due = std::max(Duration(rows.i64(kN)), Duration(0));
        exchanged.woken = numbers(rows.view(kExtra));
        if (want.slots > 0) marks_.took(start, Duration(rows.i32(kAttempt)), claims.size());
        break;
      default:
        exchanged.lease_lost = true;
    }
  }
  return exchanged;
}

}  // namespace spool::postgres

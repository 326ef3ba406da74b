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

// The settlements, column by column.
struct Columns {
  std::vector<Uuid> jobs;
  std::vector<Token> tokens;
  std::vector<int> what;
  std::vector<std::optional<std::string>> results, codes, messages, logs, fan_outs;
  std::vector<std::optional<std::int64_t>> after;
  std::vector<std::optional<int>> natives;
  std::vector<double> cpu;
  std::vector<std::int64_t> memory, read, written;

  explicit Columns(std::span<const Settlement> settlements) {
    for (const Settlement& s : settlements) add(s);
  }

 private:
  void add(const Settlement& s) {
    jobs.push_back(s.job);
    tokens.push_back(s.token);
    what.push_back(static_cast<int>(s.ending.index()));  // in the order of Ending: spool.settlement
    for (auto* column : {&results, &codes, &messages, &logs, &fan_outs}) column->emplace_back();
    after.emplace_back();
    natives.emplace_back();
    cpu.push_back(s.usage.cpu_seconds);
    memory.push_back(s.usage.peak_memory_bytes);
    read.push_back(s.usage.bytes_read);
    written.push_back(s.usage.bytes_written);
    std::visit([&](const auto& ending) { add_ending(s, ending); }, s.ending);
  }

  void add_error(const Settlement& s, const Error& error) {
    codes.back() = std::string(name(error.code));
    messages.back() = to_utf8_text(error.message);
    natives.back() = error.native;
    logs.back() = to_utf8_text(tail(s.log_tail, kMostLogTailBytes));
  }
  void add_ending(const Settlement& s, const Succeeded& ending) {
    if (ending.result.is_null()) return;
    results.back() = to_text(ending.result);
    if (results.back()->size() > kMostResultBytes)
      add_error(s, {Code::kLimitExceeded, fmt::format("its result has {} bytes: the most is {}",
                                                      results.back()->size(), kMostResultBytes)});
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
    fan_outs.back() = to_text({{"children", std::move(children)},
                               {"next_phase", to_utf8_text(ending.next_phase)},
                               {"fail_fast", ending.fail_fast}});
  }
  void add_ending(const Settlement& s, const RetryLater& ending) {
    add_error(s, ending.error);
    if (ending.after) after.back() = ending.after->count();
  }
  void add_ending(const Settlement&, const Snooze& ending) { after.back() = ending.duration.count(); }
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
  Rows rows =
      db.query(kExchange, shift, session.id, columns.jobs, seqs, columns.tokens, columns.what,
               columns.results, columns.after, columns.codes, columns.messages, columns.natives, columns.logs,
               columns.cpu, columns.memory, columns.read, columns.written, columns.fan_outs, want.slots,
               want.all_slots, want.most_jobs, want.queues, want.tags, start.lanes, start.ranks);
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

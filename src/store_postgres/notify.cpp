#include "store_postgres/notify.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

namespace spool::postgres {
namespace {

constexpr const char* kListen = "LISTEN spool";
// Whoever waits holds a shared lock in its session; where nobody does there is nobody to tell. The number:
// "SPOL".
constexpr const char* kWaitHere = "SELECT pg_advisory_lock_shared(1397771084, 2)";
constexpr const char* kBusyHere = "SELECT pg_advisory_unlock_shared(1397771084, 2)";
constexpr const char* kNotify =
    "SELECT pg_notify($1, $2) WHERE CASE WHEN pg_try_advisory_lock(1397771084, 2)"
    " THEN NOT pg_advisory_unlock(1397771084, 2) ELSE true END";
constexpr const char* kHeartbeat = "SELECT 1";

constexpr auto kDeafPoll = std::chrono::seconds(1);  // where nothing can be heard
constexpr auto kConnectAgain = std::chrono::seconds(1);
constexpr auto kPatience = std::chrono::seconds(5);  // for its answers
constexpr std::size_t kMostLanes = 500;              // in a payload, which is shorter than 8000 bytes

Conninfo impatient(Conninfo conninfo) {
  conninfo.connect_timeout = std::min<Duration>(conninfo.connect_timeout, kPatience);
  conninfo.answer_timeout = std::min<Duration>(conninfo.answer_timeout, kPatience);
  return conninfo;
}

int make_event() {
  const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event < 0) throw StoreError{errno_error(errno, "eventfd")};
  return event;
}

// Until the socket or the event has something.
void sleep_on(int socket, int event, Duration most) {
  pollfd both[] = {{event, POLLIN, 0}, {socket, POLLIN, 0}};
  ::poll(both, socket < 0 ? 1 : 2,
         static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(most).count()));
  std::uint64_t count = 0;
  [[maybe_unused]] const auto taken = ::read(event, &count, sizeof count);
}

}  // namespace

Notifier::Notifier(Conninfo conninfo, Duration heartbeat)
    : conninfo_(impatient(std::move(conninfo))),
      heartbeat_(heartbeat),
      handle_(Token::random().text()),
      event_(make_event()) {}

Notifier::~Notifier() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  kick();
  if (thread_.joinable()) thread_.join();
  ::close(event_);
}

bool Notifier::listening() const {
  const std::lock_guard lock(mutex_);
  return listening_;
}

void Notifier::wake() {
  {
    const std::lock_guard lock(mutex_);
    ++generation_;
  }
  changed_.notify_all();
}

void Notifier::tell(const std::vector<int>& lanes) {
  {
    const std::lock_guard lock(mutex_);
    ++generation_;
    to_tell_.insert(lanes.begin(), lanes.end());
    start_thread();
  }
  changed_.notify_all();
  kick();
}

void Notifier::busy(bool busy) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(busy_, busy) == busy || !listening_) return;
  }
  kick();
}

void Notifier::due_in(std::optional<Duration> time) {
  {
    const std::lock_guard lock(mutex_);
    const auto before = std::exchange(due_, time ? std::optional(BootClock::now() + *time) : std::nullopt);
    if (!due_ || (before && *before <= *due_)) return;
  }
  changed_.notify_all();  // who waits already waits less
}

void Notifier::wait(Duration most) {
  const auto begin = BootClock::now();
  const auto me = std::this_thread::get_id();
  std::unique_lock lock(mutex_);
  if (!std::exchange(wants_to_listen_, true)) {
    start_thread();
    kick();
  }
  while (seen_[me] == generation_) {
    const auto now = BootClock::now();
    const auto end = begin + (listening_ ? most : std::min<Duration>(most, kDeafPoll));
    if (due_ && now >= *due_) {
      due_.reset();
      ++generation_;
      changed_.notify_all();
      break;
    }
    if (now >= end) return;
    changed_.wait_for(lock, std::min(end, due_.value_or(end)) - now);
  }
  seen_[me] = generation_;
}

void Notifier::start_thread() {
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
}

void Notifier::kick() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(event_, &one, sizeof one);
}

void Notifier::run() {
  for (;;) {
    try {
      Connection db(conninfo_);
      serve(db);
    } catch (const StoreError&) {
      // The store's own calls meet the same trouble, and say so.
    }
    pause();
    const std::lock_guard lock(mutex_);
    if (ending_) return;
  }
}

// After a connection was lost, or could not be made.
void Notifier::pause() {
  std::unique_lock lock(mutex_);
  if (std::exchange(listening_, false)) changed_.notify_all();
  if (!ending_) changed_.wait_for(lock, kConnectAgain, [&] { return ending_; });
}

void Notifier::serve(Connection& db) {
  const bool direct = db.direct();
  bool said_that_it_waits = false;
  for (auto heartbeat = BootClock::now() + heartbeat_;;) {
    if (direct) {
      begin_listening(db, said_that_it_waits);
      say_whether_it_waits(db, said_that_it_waits);
    }
    while (const auto payload = next_payload()) db.run(kNotify, kChannel, *payload);
    if (heard_others(db)) wake();
    {
      const std::lock_guard lock(mutex_);
      if (!to_tell_.empty()) continue;
      if (ending_) return;
      if (direct && said_that_it_waits == busy_ && listening_) continue;
    }
    if (BootClock::now() >= heartbeat) {
      db.run(kHeartbeat);
      heartbeat = BootClock::now() + heartbeat_;
      continue;
    }
    sleep_on(db.socket(), event_, heartbeat_);
  }
}

void Notifier::begin_listening(Connection& db, bool& said) {
  {
    const std::lock_guard lock(mutex_);
    if (!wants_to_listen_ || listening_ || ending_) return;
  }
  db.run(kListen);
  db.run(kWaitHere);
  said = true;
  {
    const std::lock_guard lock(mutex_);
    listening_ = true;
  }
  wake();  // to look for what came before
}

void Notifier::say_whether_it_waits(Connection& db, bool& said) {
  bool waits = false;
  {
    const std::lock_guard lock(mutex_);
    waits = listening_ && !busy_;
  }
  if (waits == said) return;
  db.run(waits ? kWaitHere : kBusyHere);
  said = waits;
  if (waits) wake();  // to look for what came before it was said
}

bool Notifier::heard_others(Connection& db) const {
  bool heard = false;
  while (const auto payload = db.notification()) heard |= !payload->starts_with(handle_);
  return heard;
}

std::optional<std::string> Notifier::next_payload() {
  std::set<int> lanes;
  {
    const std::lock_guard lock(mutex_);
    lanes.swap(to_tell_);
  }
  if (lanes.empty()) return std::nullopt;
  if (lanes.size() > kMostLanes) return handle_;
  return fmt::format("{} {}", handle_, fmt::join(lanes, ","));
}

}  // namespace spool::postgres

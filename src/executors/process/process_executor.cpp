#include "executors/process/process_executor.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <thread>

#include "executors/process/broker.h"
#include "executors/process/child_pool.h"
#include "executors/process/event_loop.h"
#include "executors/process/memory_cgroup.h"
#include "executors/process/sandbox.h"

namespace spool {

using namespace process;

namespace {

constexpr auto kMostStartUp = std::chrono::seconds(30);  // of a child, until it says that it is ready
constexpr auto kMostFarewell = std::chrono::seconds(1);  // between a child's closed socket and its end
constexpr Clock::duration kSparePause = std::chrono::seconds(1);  // after a spare that could not be started
constexpr Clock::duration kLongestSparePause = std::chrono::minutes(1);
constexpr int kMostFailedStarts = 20;  // one behind the other: then it is no passing trouble
constexpr auto kSweepEvery = std::chrono::seconds(10);
constexpr std::size_t kMostFileThreads = 64;  // each child waits for one at most

std::string first_line(const std::string& text) {
  return printable(text.substr(0, text.find('\n')), 400);
}

}  // namespace

class ProcessExecutor::Core final : public ChildListener {
 public:
  Core(ProcessOptions options, AttemptFiles& files, AttemptEvents events)
      : options_(std::move(options)), events_(std::move(events)), pool_(options_) {
    auto loop = EventLoop::make();
    if (!loop) {
      broken_ = std::move(loop).error();
      return;
    }
    loop_ = std::move(*loop);
    files_ = std::make_unique<Broker>(*loop_, files, kMostFileThreads);
    thread_ = std::thread([this] { run(); });
  }

  ~Core() override {
    if (!loop_) return;
    loop_->stop();
    thread_.join();
  }

  void start(std::shared_ptr<const Claim> claim, const Kind& kind) {
    if (!loop_) return end(*claim, Failed{broken_}, {}, "");
    loop_->post([this, claim = std::move(claim), &kind] { begin(claim, kind); });
  }

  void stop(Uuid job, StopReason reason, Duration grace) {
    if (!loop_) return;
    loop_->post([this, job, reason, grace] {
      for (auto& [child, slot] : pool_)
        if (slot.run && slot.run->claim()->job == job) ask_to_stop(slot, reason, grace);
    });
  }

  void discard(std::shared_ptr<const Claim> claim) {
    if (!loop_) return;
    loop_->post([this, claim = std::move(claim)] {
      for (auto& [serial, late] : unanswered_)
        if (late.claim->token == claim->token) {
          late.discard = true;
          return;
        }
      files_->discard(claim);
    });
  }

 private:
  // --- the thread

  void run() {
    find_sandbox();
    loop_->run([this] { return tick(); });
    finish_all();
  }

  void find_sandbox() {
    auto sandbox = Sandbox::find(
        {options_.program, options_.arguments, options_.bubblewrap, options_.unsafe_no_sandbox});
    if (sandbox) {
      sandbox_ = std::move(*sandbox);
      sandbox_->end_orphans();
      cgroups_ = MemoryCgroups::find();
      return;
    }
    broken_ = std::move(sandbox).error();
    if (broken_.code == Code::kUnsupported)
      broken_.message += "; or --unsafe-no-sandbox, for files that you trust";
  }

  // On this thread, for the kernel kills its children when it ends, and then nobody counts their CPU time.
  void finish_all() {
    files_.reset();
    for (auto& [child, slot] : pool_) {
      if (slot.run) end(*slot.run->claim(), Released{}, slot.run->usage({}), slot.child->log().text());
      slot.child->kill();
    }
    pool_.clear();
  }

  Clock::time_point tick() {
    const auto now = Clock::now();
    auto next = now + std::chrono::seconds(5);
    for (auto& [child, slot] : pool_) next = std::min(next, tend(slot, now));
    for (Slot* slot : pool_.spent(now)) retire(*slot);
    if (const auto at = pool_.next_spent()) next = std::min(next, *at);
    if (now >= sweep_at_) {
      cgroups_.sweep();
      sweep_at_ = now + kSweepEvery;
    }
    if (!sandbox_ || pool_.missing_spares() <= 0) return next;
    // One a turn: what children say meanwhile comes first.
    if (now >= spares_from_ && start_child()) return now;
    return std::min(next, std::max(spares_from_, now + std::chrono::milliseconds(1)));
  }

  // What one child needs now; when it should be looked at again.
  Clock::time_point tend(Slot& slot, Clock::time_point now) {
    if (!slot.ready) {
      if (now - slot.since < kMostStartUp) return slot.since + kMostStartUp;
      if (!slot.retired) note_start_error("it did not say that it is ready", any_ready_);
      fail_run(slot, {Code::kUnavailable, "did not say that it is ready", 0});
      return now + std::chrono::seconds(1);
    }
    if (slot.closed_at && now - *slot.closed_at >= kMostFarewell)
      fail_run(slot, {Code::kCrashed, "closed its connection without an ending", 0});
    if (!slot.run) return slot.closed_at ? *slot.closed_at + kMostFarewell : now + std::chrono::seconds(5);
    AttemptRun& run = *slot.run;
    if (const auto report = run.report_due(now)) events_.report(*run.claim(), *report);
    if (now >= slot.look_at) {
      watch(slot, now);
      slot.look_at = run.next_look(now);
    }
    if (run.grace_is_over(now)) slot.child->kill();
    auto next = slot.look_at;
    if (const auto at = run.kill_at(); at && *at > now) next = std::min(next, *at);
    if (slot.closed_at) next = std::min(next, *slot.closed_at + kMostFarewell);
    return next;
  }

  void watch(Slot& slot, Clock::time_point now) {
    AttemptRun& run = *slot.run;
    const auto stats = slot.child->stats();
    run.look(stats, now);
    if (const auto reason = run.overdue(options_.limits, now)) ask_to_stop(slot, *reason, options_.grace);
    if (!slot.child->has_cgroup() && stats && stats->resident_bytes > options_.limits.memory_bytes)
      fail_run(slot, {Code::kCrashed, out_of_memory_words(options_.limits.memory_bytes), 0});
  }

  // --- attempts

  void begin(const std::shared_ptr<const Claim>& claim, const Kind& kind) {
    // What this machine lacked at first it may have by now.
    if (!sandbox_ && disposition(broken_.code) == Disposition::kRetry) find_sandbox();
    if (!sandbox_ && disposition(broken_.code) == Disposition::kRetry) {
      note_start_error(broken_.message, true);
      return end_unstarted(*claim);
    }
    if (!sandbox_) return end(*claim, Failed{broken_}, {}, "");
    const Tree tree{claim->owner, claim->root};
    Slot* slot = pool_.choose(tree);
    if (slot == nullptr) slot = start_child();
    if (slot == nullptr) return end_unstarted(*claim);
    slot->tree = tree;
    slot->serial = ++last_serial_;
    if (slot->ready) {  // else it holds what a child says that cannot start
      slot->child->read_output();
      slot->child->log().clear();
    }
    slot->run = std::make_unique<AttemptRun>(claim, kind, Clock::now());
    if (slot->ready) send_run(*slot);
  }

  void send_run(Slot& slot) {
    const auto now = Clock::now();
    slot.child->forget_peak();
    slot.run->begin(slot.child->stats(), now);
    slot.look_at = slot.run->next_look(now);
    slot.child->send(Run{*slot.run->claim()});
  }

  void ask_to_stop(Slot& slot, StopReason reason, Duration grace) {
    const auto now = Clock::now();
    slot.run->ask_to_stop(reason, now + std::chrono::duration_cast<Clock::duration>(grace));
    slot.look_at = now;
    if (slot.ready) slot.child->send(Stop{reason});
  }

  // By force: the process is killed, and what it says in its last moment is not heard. `error` says what the
  // process did.
  void fail_run(Slot& slot, Error error) {
    slot.retired = true;
    if (slot.run) {
      error.message = fmt::format("{}: its process {}", slot.run->kind().name, error.message);
      slot.run->condemn(std::move(error));
    }
    slot.child->kill();
  }

  void retire(Slot& slot) {
    slot.retired = true;
    slot.child->kill();
  }

  void finish(Slot& slot, Ending ending, const Usage& said) {
    const std::unique_ptr<AttemptRun> run = std::move(slot.run);
    slot.child->read_output();
    // Before the worker hears of it, and has the next attempt.
    for (Slot* spent : pool_.spent(Clock::now())) retire(*spent);
    if (const auto report = run->report_due(Clock::now(), true)) events_.report(*run->claim(), *report);
    end(*run->claim(), std::move(ending), run->usage(said), slot.child->log().text());
    slot.child->log().clear();
    if (run->question != AttemptRun::Question::kNone) unanswered_[slot.serial] = {run->claim(), false};
  }

  void end(const Claim& claim, Ending ending, const Usage& usage, std::string log) const {
    events_.ended(claim, Settlement{claim.job, claim.token, std::move(ending), usage, std::move(log)});
  }

  // No child could be started for it. That is no fault of its own: it waits for as long as we do. But where
  // no child has ever been ready the program itself may be broken, and the attempt says so.
  void end_unstarted(const Claim& claim) const {
    if (!machine_lacks_) return end(claim, RetryLater{start_error_, {}}, {}, "");
    const auto pause = std::max<Clock::duration>(spares_from_ - Clock::now(), {});
    end(claim, Snooze{std::chrono::duration_cast<Duration>(pause)}, {}, start_error_.message + "\n");
  }

  // --- children

  Slot* start_child() {
    const auto now = Clock::now();
    auto child = Child::start(*loop_, *this, *sandbox_, options_.limits, cgroups_);
    if (child) return &pool_.add(std::move(*child), now);
    note_start_error(child.error().message,
                     any_ready_ || disposition(child.error().code) == Disposition::kRetry);
    return nullptr;
  }

  // `machine_lacks`: something of which there may be enough later, as far as we can tell.
  void note_start_error(const std::string& problem, bool machine_lacks) {
    Error error{Code::kUnavailable, fmt::format("cannot start a child: {}", problem), 0};
    if (error != start_error_) spdlog::warn("{}", error.message);
    start_error_ = std::move(error);
    machine_lacks_ = machine_lacks && ++failed_starts_ < kMostFailedStarts;
    const auto now = Clock::now();
    if (now < spares_from_) return;  // several at once: one pause
    spares_from_ = now + spare_pause_;
    spare_pause_ = std::min(2 * spare_pause_, kLongestSparePause);
  }

  void on_message(Child& child, FromChild message) override {
    Slot* slot = pool_.find(child);
    if (slot == nullptr || slot->retired) return;
    if (const auto* ready = std::get_if<Ready>(&message)) return on_ready(*slot, *ready);
    if (!slot->ready || !slot->run)
      return on_violation(child, {Code::kInvalidArgument, "it spoke while it had no job", 0});
    if (const auto* close = std::get_if<CloseInput>(&message)) {
      slot->run->inputs.erase(close->input);
      return;
    }
    const bool reads = std::holds_alternative<ReadInput>(message);
    if (reads)
      slot->run->sign(Clock::now());
    else
      slot->run->message(Clock::now());
    if (auto* ended = std::get_if<Ended>(&message)) return on_ended(*slot, std::move(*ended));
    if (auto* progress = std::get_if<Progress>(&message))
      slot->run->on_progress(progress->fraction, std::move(progress->detail));
    else if (auto* checkpoint = std::get_if<Checkpoint>(&message))
      slot->run->on_checkpoint(std::move(checkpoint->value));
    else if (const auto* log = std::get_if<LogLine>(&message)) {
      child.read_output();  // what it wrote on stderr before
      child.log().append(log->line + "\n");
    } else if (slot->run->question != AttemptRun::Question::kNone)
      return on_violation(child, {Code::kInvalidArgument, "it asked again before it was answered", 0});
    else
      ask(*slot, message, reads ? AttemptRun::Question::kRead : AttemptRun::Question::kOther);
    if (const auto report = slot->run->report_due(Clock::now())) events_.report(*slot->run->claim(), *report);
  }

  void ask(Slot& slot, const FromChild& question, AttemptRun::Question sort) {
    const std::uint64_t serial = slot.serial;
    slot.run->question = sort;
    files_->ask(*slot.run, question, [this, serial](Broker::Answer answer) {
      Slot* asker = pool_.find_attempt(serial);
      if (const auto late = unanswered_.extract(serial); !late.empty() && late.mapped().discard)
        files_->discard(late.mapped().claim);
      if (asker == nullptr) return;
      if (std::exchange(asker->run->question, AttemptRun::Question::kNone) == AttemptRun::Question::kRead)
        asker->run->sign(Clock::now());
      else
        asker->run->message(Clock::now());
      if (asker->retired) return;
      UniqueFd descriptor = answer.deliver(*asker->run);
      asker->child->send(answer.reply, std::move(descriptor));
    });
  }

  void on_ready(Slot& slot, const Ready& ready) {
    if (slot.ready || ready.version != kProtocolVersion)
      return on_violation(*slot.child, {Code::kInvalidArgument, "it does not speak this version", 0});
    slot.ready = any_ready_ = true;
    failed_starts_ = 0;
    spare_pause_ = kSparePause;
    slot.since = Clock::now();
    if (slot.run) send_run(slot);
    if (slot.run && slot.run->asked_to_stop()) slot.child->send(Stop{*slot.run->asked_to_stop()});
  }

  void on_ended(Slot& slot, Ended ended) {
    AttemptRun& run = *slot.run;
    if (run.question != AttemptRun::Question::kNone)
      return on_violation(*slot.child, {Code::kInvalidArgument, "it ended before it was answered", 0});
    if (auto allowed = check_ending(ended.ending, *run.claim(), run.kind()); !allowed)
      return on_violation(*slot.child, std::move(allowed).error());
    const auto now = Clock::now();
    const auto stats = slot.child->stats();
    run.look(stats, now);
    ++slot.attempts;
    slot.since = now;
    finish(slot, run.ending_said(std::move(ended.ending)), ended.usage);
    if (pool_.worn(slot, stats)) retire(slot);
  }

  void on_violation(Child& child, Error error) override {
    Slot* slot = pool_.find(child);
    if (slot == nullptr || slot->retired) return;
    error.message = fmt::format("broke the protocol: {}", error.message);
    if (!slot->ready) note_start_error("it " + error.message, false);
    fail_run(*slot, std::move(error));
  }

  void on_closed(Child& child) override {
    if (Slot* slot = pool_.find(child)) slot->closed_at = Clock::now();
  }

  void on_gone(Child& child, const Gone& gone) override {
    Slot* slot = pool_.find(child);
    if (slot == nullptr) return;
    const std::string words = gone.words(options_.limits.memory_bytes);
    if (!slot->ready && !slot->retired)
      note_start_error(fmt::format("it {}: {}", words, first_line(child.log().text())), any_ready_);
    if (slot->run && !slot->ready && !slot->run->asked_to_stop()) {
      const auto run = std::move(slot->run);
      end_unstarted(*run->claim());
    } else if (slot->run) {
      finish(*slot, slot->run->ending_of_process(words), {});
    }
    pool_.remove(child);
  }

  ProcessOptions options_;
  AttemptEvents events_;
  Error broken_;  // why nothing can run at all
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<Broker> files_;
  std::optional<Sandbox> sandbox_;
  MemoryCgroups cgroups_;
  ChildPool pool_;
  Error start_error_;  // of the last child that could not be started
  bool machine_lacks_ = false, any_ready_ = false;
  int failed_starts_ = 0;  // since a child was last ready
  std::uint64_t last_serial_ = 0;
  // Attempts that ended while their last question was being answered, by serial.
  struct Unanswered {
    std::shared_ptr<const Claim> claim;
    bool discard = false;  // as soon as the answer is there
  };
  std::map<std::uint64_t, Unanswered> unanswered_;
  Clock::time_point spares_from_{}, sweep_at_{};
  Clock::duration spare_pause_ = kSparePause;
  std::thread thread_;
};

ProcessExecutor::ProcessExecutor(ProcessOptions options, AttemptFiles& files, AttemptEvents events)
    : core_(std::make_unique<Core>(std::move(options), files, std::move(events))) {}
ProcessExecutor::~ProcessExecutor() = default;

void ProcessExecutor::start(std::shared_ptr<const Claim> claim, const Kind& kind) {
  core_->start(std::move(claim), kind);
}
void ProcessExecutor::stop(Uuid job, StopReason reason, Duration grace) {
  core_->stop(job, reason, grace);
}
void ProcessExecutor::discard(std::shared_ptr<const Claim> claim) {
  core_->discard(std::move(claim));
}

}  // namespace spool

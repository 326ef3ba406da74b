#include "transcode_display.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "live_display.h"
#include "parts.h"

namespace spool {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

}  // namespace

struct TranscodeDisplay::State {
  Store& store;
  const Uuid job;
  const fs::path folder;
  const std::string title;
  const std::function<bool()> draining;
  std::mutex mutex;
  std::condition_variable changed;
  bool finished = false;
  std::thread thread;

  struct Said {
    bool early = false, master = false, draining = false;
  };

  // Says each once, as soon as it is so.
  void say_what_is_new(LiveDisplay& display, Said& said) const {
    const auto say = [&](const std::string& line) {
      display.is_on() ? display.say(line) : fmt::print(stderr, "{}\n", line);
    };
    if (!said.draining && draining()) {
      say("spool: what is at work is finished; Ctrl-C again stops at once");
      said.draining = true;
    }
    std::error_code error;
    if (!said.master && fs::exists(folder / "master.m3u8", error)) {
      say(fmt::format("playable while it grows: {}", (folder / "master.m3u8").string()));
      said.master = said.early = true;
    }
    if (!said.early && fs::exists(folder / "early.m3u8", error)) {
      say(fmt::format("playable while it grows: {}", (folder / "early.m3u8").string()));
      said.early = true;
    }
  }

  void run() {
    const auto began = BootClock::now();
    LiveDisplay display;
    TreeWatch watch;
    Said said;
    Duration pause = 0us;
    std::unique_lock lock(mutex);
    while (!changed.wait_for(lock, pause, [this] { return finished; })) {
      lock.unlock();
      const auto look_began = BootClock::now();
      say_what_is_new(display, said);
      if (display.is_on()) {
        if (const auto tree = read_tree(store, job)) {
          const auto elapsed = std::chrono::duration_cast<Duration>(look_began - began);
          ViewModel view = watch.look(*tree, job, elapsed);
          view.title = title;
          display.show(view);
        }
      }
      // A long film's tree takes a while to read: looking must not cost more than a few hundredths of a core.
      const auto cost = std::chrono::duration_cast<Duration>(BootClock::now() - look_began);
      pause = std::max<Duration>(100ms, 30 * cost);
      lock.lock();
    }
    display.clear();
  }
};

TranscodeDisplay::TranscodeDisplay(Store& store, Uuid job, std::filesystem::path folder, std::string title,
                                   std::function<bool()> draining)
    : state_(new State{
          store, job, std::move(folder), std::move(title), std::move(draining), {}, {}, false, {}}) {
  state_->thread = std::thread([state = state_.get()] { state->run(); });
}

TranscodeDisplay::~TranscodeDisplay() {
  finish();
}

void TranscodeDisplay::finish() {
  if (!state_->thread.joinable()) return;
  {
    const std::lock_guard guard(state_->mutex);
    state_->finished = true;
  }
  state_->changed.notify_one();
  state_->thread.join();
}

}  // namespace spool

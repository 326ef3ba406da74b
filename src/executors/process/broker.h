// Broker: opens inputs and makes and commits outputs on behalf of children, which see no file system.
//
// What may be opened is checked here: a file only if the args name it, regular files only, inputs read-only.
// An input that is no local file is read here too, and left in memory that the child has a descriptor of. The
// work is done on threads of its own, as it may block; ask() and the answers belong to the event loop's
// thread.
#pragma once

#include <functional>
#include <memory>

#include "base/file_threads.h"
#include "executors/process/attempt_run.h"
#include "executors/process/event_loop.h"
#include "executors/process/protocol.h"

namespace spool::process {

class Broker {
 public:
  struct Answer {
    Reply reply;
    UniqueFd descriptor;                       // for the child
    std::string output_name;                   // of an output that was made
    UniqueFd output;                           // the manager's own hold on it
    std::shared_ptr<const RemoteInput> input;  // that was opened

    // Notes what the attempt has now; gives the descriptor to send.
    UniqueFd deliver(AttemptRun& run);
  };

  // Both outlive it, the loop's functions that it posts too: destroy it after the loop has stopped.
  Broker(EventLoop& loop, AttemptFiles& files, std::size_t most_threads)
      : loop_(loop), files_(files), threads_(std::make_unique<FileThreads>(most_threads)) {}

  // `question`: OpenInput, ReadInput, CreateOutput or CommitOutput. `answer` is called later, on the loop's
  // thread, once.
  void ask(AttemptRun& run, const FromChild& question, std::function<void(Answer)> answer);
  // What the attempt wrote goes. Its last question must have been answered.
  void discard(std::shared_ptr<const Claim> claim);

 private:
  using Work = std::function<Answer()>;
  void work(Work work, std::function<void(Answer)> answer);
  Work open_input(const AttemptRun& run, std::string reference);
  static Work read_input(const AttemptRun& run, const ReadInput& question);
  Work create_output(const AttemptRun& run, std::string name);
  Work commit_output(AttemptRun& run, std::string name);

  EventLoop& loop_;
  AttemptFiles& files_;
  std::unique_ptr<FileThreads> threads_;
};

}  // namespace spool::process

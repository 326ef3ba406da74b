#include "executors/process/broker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <exception>

#include "executors/process/clean_text.h"

namespace spool::process {
namespace {

Broker::Answer refusal(Error error) {
  return {{std::move(error), false}, {}, {}, {}};
}

// A child must get bytes and nothing else: a folder, a socket or a device would be a way out.
Result<void> check_descriptor(int fd, std::string_view name, bool read_only) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return fail_errno(errno, name);
  if (!S_ISREG(info.st_mode))
    return fail(Code::kInvalidArgument, fmt::format("{}: not a regular file", name));
  const int mode = fcntl(fd, F_GETFL) & O_ACCMODE;
  if (read_only && mode != O_RDONLY)
    return fail(Code::kInternal, fmt::format("{}: opened to be written", name));
  return {};
}

Result<Broker::Answer> opened(Result<UniqueFd> fd, const std::string& reference) {
  if (!fd) return fail(std::move(fd).error());
  SPOOL_TRY(check_descriptor(fd->get(), reference, true));
  return Broker::Answer{{std::nullopt, true}, std::move(*fd), {}, {}};
}

Result<Broker::Answer> created(Result<UniqueFd> fd, const std::string& name) {
  if (!fd) return fail(std::move(fd).error());
  SPOOL_TRY(check_descriptor(fd->get(), name, false));
  UniqueFd own(fcntl(fd->get(), F_DUPFD_CLOEXEC, 0));
  if (!own) return fail_errno(errno, name);
  return Broker::Answer{{std::nullopt, true}, std::move(*fd), name, std::move(own)};
}

Broker::Answer or_refusal(Result<Broker::Answer> answer) {
  if (answer) return std::move(*answer);
  return refusal(std::move(answer).error());
}

}  // namespace

UniqueFd Broker::Answer::deliver(AttemptRun& run) {
  if (output) run.outputs[output_name] = std::move(output);
  return std::move(descriptor);
}

void Broker::ask(AttemptRun& run, const FromChild& question, std::function<void(Answer)> answer) {
  if (const auto* input = std::get_if<OpenInput>(&question))
    return work(open_input(run, input->reference), answer);
  if (const auto* output = std::get_if<CreateOutput>(&question))
    return work(create_output(run, output->name), answer);
  if (const auto* output = std::get_if<CommitOutput>(&question))
    return work(commit_output(run, output->name), answer);
}

void Broker::discard(std::shared_ptr<const Claim> claim) {
  threads_->run([this, claim = std::move(claim)] { files_.discard(*claim); });
}

void Broker::work(Work work, std::function<void(Answer)> answer) {
  threads_->run([this, work = std::move(work), answer = std::move(answer)] {
    const auto result = std::make_shared<Answer>();
    try {
      *result = work();
    } catch (const std::exception& error) {
      *result = refusal({Code::kInternal, error.what(), 0});
    }
    loop_.post([result, answer] { answer(std::move(*result)); });
  });
}

Broker::Work Broker::open_input(const AttemptRun& run, std::string reference) {
  if (!may_open(*run.claim(), reference))
    return [reference] {
      return refusal({Code::kPermissionDenied,
                      fmt::format("{} is not among the inputs of this job", printable(reference, 200)), 0});
    };
  return [this, claim = run.claim(), reference = std::move(reference)] {
    return or_refusal(opened(files_.open_input(*claim, reference), reference));
  };
}

Broker::Work Broker::create_output(const AttemptRun& run, std::string name) {
  if (auto good = check_output_name(name); !good) return [error = good.error()] { return refusal(error); };
  if (run.outputs.size() >= kMostOpenOutputs)
    return [] {
      return refusal(
          {Code::kLimitExceeded, fmt::format("more than {} outputs are open", kMostOpenOutputs), 0});
    };
  if (run.outputs.contains(name))
    return [name] { return refusal({Code::kConflict, fmt::format("output {} is open already", name), 0}); };
  return [this, claim = run.claim(), name = std::move(name)] {
    return or_refusal(created(files_.create_output(*claim, name), name));
  };
}

Broker::Work Broker::commit_output(AttemptRun& run, std::string name) {
  const auto it = run.outputs.find(name);
  if (it == run.outputs.end())
    return [name] {
      return refusal(
          {Code::kInvalidArgument, fmt::format("output {} was not created", printable(name, 200)), 0});
    };
  const auto fd = std::make_shared<UniqueFd>(std::move(it->second));
  run.outputs.erase(it);
  return [this, claim = run.claim(), name = std::move(name), fd] {
    if (auto done = files_.commit_output(*claim, name, fd->get()); !done)
      return refusal(std::move(done).error());
    return Answer{};
  };
}

}  // namespace spool::process

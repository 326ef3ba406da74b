#include "executors/process/broker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <exception>
#include <vector>

#include "executors/process/clean_text.h"

namespace spool::process {
namespace {

Broker::Answer refusal(Error error) {
  Broker::Answer answer;
  answer.reply.error = std::move(error);
  return answer;
}

Broker::Answer with_descriptor(UniqueFd fd) {
  Broker::Answer answer;
  answer.reply.descriptor = true;
  answer.descriptor = std::move(fd);
  return answer;
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

// Of memory that only the manager writes: the child's descriptor is another one, for reading.
Result<Broker::Answer> opened(ByteSource source, const std::string& reference) {
  auto input = std::make_shared<RemoteInput>();
  input->memory = UniqueFd(memfd_create("input", MFD_CLOEXEC));
  if (!input->memory) return fail_errno(errno, reference);
  SPOOL_ASSIGN(UniqueFd fd, open_file(fmt::format("/proc/self/fd/{}", input->memory.get()), O_RDONLY));
  Broker::Answer answer = with_descriptor(std::move(fd));
  answer.reply.size = static_cast<std::int64_t>(source.size);
  input->source = std::move(source);
  answer.input = std::move(input);
  return answer;
}

Result<Broker::Answer> opened(Result<OpenedInput> input, const std::string& reference) {
  if (!input) return fail(std::move(input).error());
  if (auto* source = std::get_if<ByteSource>(&*input)) return opened(std::move(*source), reference);
  UniqueFd& fd = std::get<UniqueFd>(*input);
  SPOOL_TRY(check_descriptor(fd.get(), reference, true));
  return with_descriptor(std::move(fd));
}

// Into the input's memory.
Result<Broker::Answer> read(const RemoteInput& input, const ReadInput& question) {
  std::vector<std::byte> bytes(static_cast<std::size_t>(question.length));
  SPOOL_ASSIGN(const std::size_t n, input.source.read_at(static_cast<std::uint64_t>(question.offset), bytes));
  for (std::size_t done = 0; done < n;) {
    const ssize_t wrote = pwrite(input.memory.get(), bytes.data() + done, n - done, static_cast<off_t>(done));
    if (wrote < 0 && errno != EINTR) return fail_errno(errno, input.source.name);
    done += static_cast<std::size_t>(std::max<ssize_t>(wrote, 0));
  }
  Broker::Answer answer;
  answer.reply.bytes = static_cast<int>(n);
  return answer;
}

Result<Broker::Answer> created(Result<UniqueFd> fd, const std::string& name) {
  if (!fd) return fail(std::move(fd).error());
  SPOOL_TRY(check_descriptor(fd->get(), name, false));
  UniqueFd own(fcntl(fd->get(), F_DUPFD_CLOEXEC, 0));
  if (!own) return fail_errno(errno, name);
  Broker::Answer answer = with_descriptor(std::move(*fd));
  answer.output_name = name;
  answer.output = std::move(own);
  return answer;
}

Broker::Answer or_refusal(Result<Broker::Answer> answer) {
  if (answer) return std::move(*answer);
  return refusal(std::move(answer).error());
}

}  // namespace

UniqueFd Broker::Answer::deliver(AttemptRun& run) {
  if (output) run.outputs[output_name] = std::move(output);
  if (input != nullptr) {
    reply.input = ++run.last_input;
    run.inputs[reply.input] = std::move(input);
  }
  return std::move(descriptor);
}

void Broker::ask(AttemptRun& run, const FromChild& question, std::function<void(Answer)> answer) {
  if (const auto* input = std::get_if<OpenInput>(&question))
    return work(open_input(run, input->reference), answer);
  if (const auto* piece = std::get_if<ReadInput>(&question)) return work(read_input(run, *piece), answer);
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
  if (run.inputs.size() >= kMostOpenInputs)
    return [] {
      return refusal({Code::kLimitExceeded, fmt::format("more than {} inputs are open", kMostOpenInputs), 0});
    };
  return [this, claim = run.claim(), reference = std::move(reference)] {
    return or_refusal(opened(files_.open_input(*claim, reference), reference));
  };
}

Broker::Work Broker::read_input(const AttemptRun& run, const ReadInput& question) {
  const auto it = run.inputs.find(question.input);
  if (it == run.inputs.end())
    return [number = question.input] {
      return refusal({Code::kInvalidArgument, fmt::format("input {} is not open", number), 0});
    };
  return [input = it->second, question] { return or_refusal(read(*input, question)); };
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

#include "executor/kinds.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "executor/media_kinds.h"
#include "executors/process/protocol.h"
#include "executors/process/sandbox.h"

namespace spool {
namespace {

Ending done(Json result = Json::object()) {
  return Succeeded{std::move(result)};
}

// What a system call said: 0, or its errno's name.
Json said(long result) {
  return result >= 0 ? Json("allowed") : Json(strerrorname_np(errno));
}

void wait_for_stop(Attempt& attempt) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait(lock, attempt.stop_token(), [] { return false; });
}

[[noreturn]] void sleep_forever() {
  for (;;) ::pause();
}

Ending sleep_deaf(Attempt& attempt) {
  attempt.log("going to sleep");
  attempt.progress(0.5);
  sleep_forever();
}

Ending copy(Attempt& attempt) {
  auto input = attempt.open_input(attempt.claim().args.at("from").get<std::string>());
  if (!input) return Failed{input.error()};
  std::string bytes(input->size, '\0');
  const auto n = input->read_at(0, std::as_writable_bytes(std::span(bytes)));
  if (!n) return Failed{n.error()};
  if (auto put = attempt.put_output(attempt.claim().args.at("to").get<std::string>(),
                                    std::as_bytes(std::span(bytes)));
      !put)
    return Failed{put.error()};
  return done({{"bytes", *n}});
}

// Reads at an offset, and says how many bytes it got; or opens inputs until it may not.
Ending read_somewhere(Attempt& attempt) {
  const Json& args = attempt.claim().args;
  std::vector<ByteSource> open;
  for (int i = 0; i < args.value("inputs", 1); ++i) {
    auto input = attempt.open_input(args.at("from").get<std::string>());
    if (!input) return Failed{input.error()};
    if (!args.value("keep", false)) open.clear();
    open.push_back(std::move(*input));
  }
  std::vector<std::byte> buffer(args.value("length", std::size_t{100}));
  const auto n = open.back().read_at(args.at("offset").get<std::uint64_t>(), buffer);
  if (!n) return RetryLater{n.error(), {}};
  return done({{"bytes", *n}});
}

Ending write_too_much(Attempt& attempt) {
  auto fd = attempt.create_output("large");
  if (!fd) return Failed{fd.error()};
  const std::string block(1 << 20, 'x');
  for (;;)
    if (auto written = write_all(fd->get(), std::as_bytes(std::span(block))); !written)
      return Failed{written.error()};
}

Ending allocate_without_end(Attempt& attempt) {
  attempt.log("allocating");
  for (;;) {
    constexpr std::size_t kBlock = 16 << 20;
    void* block = mmap(nullptr, kBlock, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) throw std::bad_alloc();
    std::memset(block, 1, kBlock);
  }
}

Ending spin(Attempt&) {
  for (std::atomic<std::uint64_t> turns = 0;; ++turns) {
  }
}

// Says what the kernel answers to a try to get out.
Ending try_out(Attempt& attempt) {
  const std::string what = attempt.claim().args.at("what");
  if (what == "inet") return done(said(::socket(AF_INET, SOCK_STREAM, 0)));
  if (what == "unix") return done(said(::socket(AF_UNIX, SOCK_STREAM, 0)));
  if (what == "netlink") return done(said(::socket(AF_NETLINK, SOCK_RAW, 0)));
  if (what == "fork") return done(said(::fork()));
  if (what == "open")
    return done(said(::open(attempt.claim().args.at("path").get<std::string>().c_str(), O_RDONLY)));
  if (what == "write")
    return done(
        said(::open(attempt.claim().args.at("path").get<std::string>().c_str(), O_WRONLY | O_CREAT, 0644)));
  if (what == "kill") return done(said(::kill(1, SIGKILL)));
  if (what == "memfd") return done(said(::memfd_create("x", 0)));
  if (what == "exec") return done(said(::execl("/bin/sh", "sh", nullptr)));
  if (what == "ptrace") return done(said(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr)));
  if (what == "environment") return done(Json(::getenv("SPOOL_SECRET") == nullptr ? "none" : "seen"));
  if (what == "user") return done(Json(static_cast<int>(::getuid())));
  if (what == "pid") return done(Json(static_cast<int>(::getpid())));
  return Failed{{Code::kInvalidArgument, what, 0}};
}

// Speaks to the manager behind the attempt's back.
Ending send_raw(Attempt& attempt) {
  const std::string bytes = attempt.claim().args.at("bytes");
  if (::write(process::kChildSocket, bytes.data(), bytes.size()) < 0)
    return Failed{{Code::kInternal, "write", errno}};
  if (attempt.claim().args.value("wait", true)) sleep_forever();
  return done();
}

Ending fan_out(Attempt& attempt) {
  const Json& args = attempt.claim().args;
  FanOut ending;
  ending.next_phase = "assemble";
  for (int i = 0; i < args.at("count").get<int>(); ++i) {
    NewJob job;
    job.kind = args.at("kind");
    // Put together here, so that it does not stand in the job's own args.
    if (args.value("smuggle", false)) job.args["input"] = std::string("file:") + "/etc/shadow";
    ending.children.push_back(std::move(job));
  }
  return ending;
}

Kind kind(const std::string& name, Handler run) {
  Kind made;
  made.name = name;
  made.run = std::move(run);
  made.fan_out = {{"echo", "exec"}, 3};
  return made;
}

// Reads its input again and again, for so many seconds of CPU time.
Ending read_on(Attempt& attempt) {
  const auto input = attempt.open_input(attempt.claim().args.at("from").get<std::string>());
  if (!input) return Failed{input.error()};
  std::vector<std::byte> block(1 << 20);
  timespec used{};
  for (std::uint64_t at = 0; used.tv_sec < attempt.claim().args.at("seconds"); at += block.size()) {
    if (at >= input->size) at = 0;
    if (const auto n = input->read_at(at, block); !n) return Failed{n.error()};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  }
  return done();
}

// Kinds with a short patience.
void add_watched(Kinds& kinds) {
  Kind stall = kind("stall", sleep_deaf);
  stall.stall_timeout = std::chrono::milliseconds(300);
  kinds.add(stall);
  Kind work = kind("work_silently", [](Attempt&) {
    timespec used{};
    do clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    while (used.tv_sec < 2);
    return done();
  });
  work.stall_timeout = std::chrono::milliseconds(1500);
  kinds.add(work);
  Kind busy = kind("busy", spin);
  busy.progress_timeout = std::chrono::milliseconds(300);
  kinds.add(busy);
  Kind reading = kind("read_on", read_on);
  reading.progress_timeout = std::chrono::seconds(3);
  kinds.add(reading);
  kinds.add(kind("count", [](Attempt&) {
    static int attempts = 0;
    return done({{"attempts", ++attempts}});
  }));
}

Ending ask_for_input(Attempt& attempt) {
  const Json& args = attempt.claim().args;
  std::string reference = args.contains("reference") ? args["reference"][0] : args.at("scrambled");
  if (args.contains("scrambled")) std::reverse(reference.begin(), reference.end());
  const auto input = attempt.open_input(reference);
  return input ? done() : Failed{input.error()};
}

Ending create(Attempt& attempt) {
  const Json& args = attempt.claim().args;
  auto fd = attempt.create_output(args.at("name").get<std::string>());
  if (!fd) return Failed{fd.error()};
  const auto committed = attempt.commit_output(
      args.contains("commit_other") ? "other" : args.at("name").get<std::string>(), std::move(*fd));
  return committed ? done() : Failed{committed.error()};
}

// More than a message may hold, in many pieces.
Ending send_a_million_children(Attempt&) {
  const std::string child = R"({"kind":"echo","args":{}},)";
  std::string bytes = R"({"type":"ended","ending":{"is":"fan_out","next_phase":"x","children":[)";
  for (int i = 0; i < 600'000; ++i) bytes += child;
  bytes.back() = ']';
  bytes += "}}";
  const std::string framed = process::frame(bytes);
  (void)write_all(process::kChildSocket, std::as_bytes(std::span(framed)));
  sleep_forever();
}

Ending send_descriptor(Attempt&) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  *rights = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
  const int fd = 2;
  std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  ::sendmsg(process::kChildSocket, &header, 0);
  sleep_forever();
}

void add_liars(Kinds& kinds) {
  kinds.add(kind("ask", ask_for_input));
  kinds.add(kind("create", create));
  kinds.add(kind("million", send_a_million_children));
  kinds.add(kind("send_descriptor", send_descriptor));
  kinds.add(kind("chatter", [](Attempt& attempt) {
    for (int i = 0; i < 20'000; ++i) {
      attempt.log("talk, talk, talk");
      std::fputs("more talk\n", stderr);
    }
    attempt.log("the end");
    return done();
  }));
}

Kinds make() {
  Kinds kinds;
  kinds.add(kind("echo", [](Attempt& attempt) { return done(attempt.claim().args); }));
  kinds.add(kind("process", [](Attempt&) { return done({{"pid", ::getpid()}}); }));
  kinds.add(kind("crash", [](Attempt& attempt) -> Ending {
    attempt.log("about to crash");
    std::fputs("\x1b[31mlast words\x1b[0m\n", stderr);
    const int number = attempt.claim().args.at("signal");
    signal(number, SIG_DFL);
    raise(number);
    return done();
  }));
  kinds.add(kind("abort", [](Attempt&) -> Ending { std::abort(); }));
  kinds.add(kind("throw", [](Attempt&) -> Ending { throw std::runtime_error("no such luck"); }));
  kinds.add(
      kind("exit", [](Attempt& attempt) -> Ending { ::_exit(attempt.claim().args.at("code").get<int>()); }));
  kinds.add(kind("close", [](Attempt&) -> Ending {
    ::shutdown(process::kChildSocket, SHUT_WR);
    sleep_forever();
  }));
  kinds.add(kind("copy", copy));
  kinds.add(kind("read", read_somewhere));
  kinds.add(kind("write_too_much", write_too_much));
  kinds.add(kind("allocate", allocate_without_end));
  kinds.add(kind("refused_memory", [](Attempt&) -> Ending { throw std::bad_alloc(); }));
  kinds.add(kind("spin", spin));
  kinds.add(kind("sleep", sleep_deaf));
  kinds.add(kind("obey", [](Attempt& attempt) -> Ending {
    attempt.progress(0.1);
    wait_for_stop(attempt);
    return Failed{{Code::kInternal, "stopped", 0}};
  }));
  kinds.add(kind("finish_when_stopped", [](Attempt& attempt) -> Ending {
    attempt.progress(0.1);
    wait_for_stop(attempt);
    return done({{"finished", true}});
  }));
  kinds.add(kind("try", try_out));
  kinds.add(kind("raw", send_raw));
  kinds.add(kind("fan_out", fan_out));
  kinds.add(kind("report", [](Attempt& attempt) -> Ending {
    attempt.progress(0.25, {{"frames", 10}});
    if (auto kept = attempt.checkpoint({{"done", {1, 2}}}); !kept) return Failed{kept.error()};
    attempt.log("half-way");
    attempt.progress(1.0);
    return done();
  }));
  kinds.add(kind("large_result", [](Attempt& attempt) {
    return done({{"text", std::string(attempt.claim().args.at("bytes").get<std::size_t>(), 'x')}});
  }));
  kinds.add(kind("large_checkpoint", [](Attempt& attempt) -> Ending {
    const auto kept = attempt.checkpoint(std::string(70'000, 'x'));
    return kept ? done() : Failed{kept.error()};
  }));
  add_watched(kinds);
  add_liars(kinds);
  add_media_kinds(kinds);
  return kinds;
}

}  // namespace

const Kinds& child_kinds() {
  static const Kinds kinds = make();
  return kinds;
}

}  // namespace spool

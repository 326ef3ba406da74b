#include "executors/process/broker.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <optional>

namespace spool::process {
namespace {

// One object that is no local file.
class OneObject : public AttemptFiles {
 public:
  Result<OpenedInput> open_input(const Claim&, std::string_view) override {
    ByteSource source;
    source.size = 10;
    source.read_at = [](std::uint64_t, std::span<std::byte> into) -> Result<std::size_t> {
      into[0] = std::byte{'x'};
      return std::size_t{1};
    };
    return OpenedInput(std::move(source));
  }
  Result<UniqueFd> create_output(const Claim&, std::string_view) override { return UniqueFd(); }
  Result<void> commit_output(const Claim&, std::string_view, int) override { return {}; }
  void discard(const Claim&) override {}
};

class BrokerTest : public testing::Test {
 protected:
  static std::shared_ptr<const Claim> claim() {
    auto made = std::make_shared<Claim>();
    made->args = {{"input", "object:film"}};
    return made;
  }
  Broker::Answer ask(const FromChild& question) {
    const auto loop = EventLoop::make().value();
    Broker broker(*loop, files_, 2);
    std::optional<Broker::Answer> answer;
    broker.ask(run_, question, [&](Broker::Answer got) {
      answer = std::move(got);
      loop->stop();
    });
    loop->run([] { return BootClock::now() + std::chrono::seconds(5); });
    return std::move(*answer);
  }
  int open() {
    Broker::Answer answer = ask(OpenInput{"object:film"});
    memory_ = answer.deliver(run_);
    return answer.reply.input;
  }

  OneObject files_;
  Kind kind_;
  AttemptRun run_{claim(), kind_, BootClock::now()};
  UniqueFd memory_;
};

TEST_F(BrokerTest, WhatWasReadIsFoundInTheInputsMemory) {
  const int input = open();
  EXPECT_EQ(input, 1);
  EXPECT_EQ(ask(ReadInput{input, 3, 10}).reply.bytes, 1);
  char byte = 0;
  EXPECT_EQ(pread(memory_.get(), &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'x');
}

TEST_F(BrokerTest, AChildCanOnlyReadThatMemory) {
  open();
  EXPECT_EQ(fcntl(memory_.get(), F_GETFL) & O_ACCMODE, O_RDONLY);
  EXPECT_LT(pwrite(memory_.get(), "y", 1, 0), 0);
  EXPECT_NE(ftruncate(memory_.get(), 1 << 30), 0);
  EXPECT_EQ(mmap(nullptr, 4096, PROT_WRITE, MAP_SHARED, memory_.get(), 0), MAP_FAILED);
}

TEST_F(BrokerTest, AnInputThatIsNotOpenIsRefusedInWords) {
  EXPECT_EQ(ask(ReadInput{1, 0, 10}).reply.error->message, "input 1 is not open");
  const int input = open();
  EXPECT_EQ(ask(ReadInput{input + 1, 0, 10}).reply.error->message, "input 2 is not open");
  run_.inputs.erase(input);
  EXPECT_EQ(ask(ReadInput{input, 0, 10}).reply.error->message, "input 1 is not open");
}

}  // namespace
}  // namespace spool::process

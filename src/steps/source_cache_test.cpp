#include "steps/source_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>
#include <random>

namespace spool::steps {
namespace {

constexpr std::uint64_t kKiB = 1 << 10, kMiB = 1 << 20;

std::byte byte_at(std::uint64_t offset) {
  return static_cast<std::byte>((offset * 2654435761U) >> 24);
}

// An object of which every byte tells its place; it notes what is asked of it.
class FarAway {
 public:
  explicit FarAway(std::uint64_t size) : size_(size) {}

  ByteSource source(std::string version = "v1") {
    ByteSource out;
    out.size = size_;
    out.name = "object:film";
    out.version = std::move(version);
    out.read_at = [this](std::uint64_t offset, std::span<std::byte> into) -> Result<std::size_t> {
      if (before_read) SPOOL_TRY(before_read(offset));
      const std::size_t n = std::min<std::uint64_t>({into.size(), size_ - offset, most_at_once});
      for (std::size_t i = 0; i < n; ++i) into[i] = byte_at(offset + i);
      const std::lock_guard lock(mutex_);
      ++requests_;
      bytes_ += n;
      return n;
    };
    return out;
  }
  std::uint64_t bytes() {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }
  int requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  std::function<Result<void>(std::uint64_t offset)> before_read;
  std::uint64_t most_at_once = UINT64_MAX;

 private:
  const std::uint64_t size_;
  std::mutex mutex_;
  std::uint64_t bytes_ = 0;
  int requests_ = 0;
};

// Reads [from, from + count) in steps, and looks at each byte.
Result<void> read(const ByteSource& source, std::uint64_t from, std::uint64_t count,
                  std::size_t step = 64 * kKiB) {
  std::vector<std::byte> buffer(step);
  for (const std::uint64_t end = std::min(from + count, source.size); from < end;) {
    SPOOL_ASSIGN(const std::size_t n, source.read_at(from, buffer));
    if (n == 0) return fail(Code::kInternal, "ended early");
    for (std::size_t i = 0; i < n; ++i)
      if (buffer[i] != byte_at(from + i)) return fail(Code::kInternal, "wrong bytes");
    from += n;
  }
  return {};
}

TEST(SourceCache, WhatIsReadIsWhatIsThereWhereverOneJumps) {
  FarAway film(9 * kMiB + 12345);
  film.most_at_once = 100'000;
  SourceCache cache(kMiB);  // much is forgotten on the way
  const ByteSource reader = cache.reader("film", film.source());
  EXPECT_EQ(reader.size, 9 * kMiB + 12345);
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    const std::uint64_t from = random() % reader.size;
    ASSERT_TRUE(read(reader, from, random() % (i % 3 == 0 ? kMiB : 1000), 1 + random() % 200'000)) << i;
  }
  std::byte last[2];
  EXPECT_EQ(reader.read_at(reader.size - 1, last).value(), 1u);
  EXPECT_EQ(reader.read_at(reader.size, last).value(), 0u);
  EXPECT_EQ(reader.read_at(UINT64_MAX, last).value(), 0u);
}

TEST(SourceCache, AStretchCostsLittleMoreThanItsBytes) {
  for (const std::uint64_t stretch : {kMiB, 3 * kMiB, 10 * kMiB, 40 * kMiB}) {
    FarAway film(200 * kMiB);
    std::uint64_t requests = 0;
    {
      SourceCache cache;
      const ByteSource reader = cache.reader("film", film.source());
      ASSERT_TRUE(read(reader, 77 * kMiB + 1234, stretch));
    }  // what is read ahead has come to its end
    requests = static_cast<std::uint64_t>(film.requests());
    EXPECT_LE(film.bytes(), stretch * 12 / 10 + 1'000'000) << stretch;
    EXPECT_LE(requests, 8 + stretch / (256 * kKiB)) << stretch;
  }
}

TEST(SourceCache, WhoOnlyJumpsGetsLittle) {
  FarAway film(200 * kMiB);
  SourceCache cache;
  const ByteSource reader = cache.reader("film", film.source());
  for (std::uint64_t at = 0; at < 50; ++at) ASSERT_TRUE(read(reader, at * 4 * kMiB, 100, 100));
  EXPECT_LE(film.bytes(), 50 * 64 * kKiB);
}

TEST(SourceCache, SeveralWhoWantTheSameWaitForOneRequest) {
  FarAway film(kMiB);
  std::atomic<int> asked = 0;
  std::latch let_go(1);
  film.before_read = [&](std::uint64_t) -> Result<void> {
    ++asked;
    let_go.wait();
    return {};
  };
  SourceCache cache;
  std::vector<std::future<Result<void>>> readers;
  for (int i = 0; i < 8; ++i)
    readers.push_back(std::async(std::launch::async,
                                 [&] { return read(cache.reader("film", film.source()), 5000, 100, 100); }));
  while (asked == 0) std::this_thread::yield();
  let_go.count_down();
  for (auto& reader : readers) EXPECT_TRUE(reader.get());
  EXPECT_EQ(asked, 1);
}

TEST(SourceCache, AnotherVersionIsAnotherObjectAndOneWithoutIsNobodyElses) {
  FarAway film(kMiB);
  SourceCache cache;
  const auto head = [&](std::string version) {
    const std::uint64_t before = film.bytes();
    EXPECT_TRUE(read(cache.reader("film", film.source(std::move(version))), 0, 1000, 1000));
    return film.bytes() > before;
  };
  EXPECT_TRUE(head("v1"));
  EXPECT_FALSE(head("v1"));
  EXPECT_TRUE(head("v2"));
  EXPECT_FALSE(head("v1"));
  EXPECT_TRUE(head(""));
  EXPECT_TRUE(head(""));
}

TEST(SourceCache, TheIndexThatEverybodyLooksAtStaysWhileFilmsStreamBy) {
  FarAway film(100 * kMiB);
  SourceCache cache(8 * kMiB);
  std::atomic<int> index_read = 0;
  film.before_read = [&](std::uint64_t offset) -> Result<void> {
    if (offset >= 98 * kMiB) ++index_read;
    return {};
  };
  for (std::uint64_t chunk = 0; chunk < 6; ++chunk) {
    const ByteSource reader = cache.reader("film", film.source());
    ASSERT_TRUE(read(reader, 98 * kMiB, 2 * kMiB));
    if (chunk == 0) continue;  // the plan: it looks at the index alone
    ASSERT_TRUE(read(reader, chunk * 15 * kMiB, 14 * kMiB));
  }
  const int once = index_read;
  EXPECT_LE(once, 10) << "pieces of 2 MiB";
  ASSERT_TRUE(read(cache.reader("film", film.source()), 98 * kMiB, 2 * kMiB));
  EXPECT_EQ(index_read, once);
}

TEST(SourceCache, AnErrorComesOutAsItIsAndIsNotKept) {
  FarAway film(kMiB);
  bool away = true;
  film.before_read = [&](std::uint64_t) -> Result<void> {
    if (away) return fail(Code::kUnavailable, "the service is away");
    return {};
  };
  SourceCache cache;
  const ByteSource reader = cache.reader("film", film.source());
  std::byte buffer[10];
  const auto failed = reader.read_at(0, buffer);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Code::kUnavailable);
  EXPECT_EQ(failed.error().message, "the service is away");
  away = false;
  EXPECT_TRUE(read(reader, 0, 1000));
}

TEST(SourceCache, ASourceThatEndsEarlyIsAnErrorAndNoEnd) {
  FarAway film(kMiB);
  ByteSource longer = film.source();
  longer.size += 100;
  longer.read_at = [read = longer.read_at](std::uint64_t offset, std::span<std::byte> into) {
    return offset >= kMiB ? Result<std::size_t>(0) : read(offset, into);
  };
  SourceCache cache;
  const ByteSource reader = cache.reader("film", std::move(longer));
  std::byte buffer[10];
  EXPECT_EQ(reader.read_at(kMiB + 10, buffer).error().code, Code::kInternal);
}

TEST(SourceCache, ManyReadersInManyThreadsSeeTheirBytes) {
  FarAway film(30 * kMiB);
  SourceCache cache(4 * kMiB);
  std::vector<std::future<Result<void>>> readers;
  for (unsigned i = 0; i < 8; ++i)
    readers.push_back(std::async(std::launch::async, [&cache, &film, i]() -> Result<void> {
      std::mt19937 random(i);
      const ByteSource reader = cache.reader("film", film.source());
      for (int turn = 0; turn < 20; ++turn)
        SPOOL_TRY(read(reader, random() % reader.size, random() % (2 * kMiB)));
      return {};
    }));
  for (auto& reader : readers) EXPECT_TRUE(reader.get());
}

}  // namespace
}  // namespace spool::steps

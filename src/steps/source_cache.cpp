#include "steps/source_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace spool::steps {
namespace {

constexpr std::uint64_t kGranule = 64 << 10;
constexpr std::uint64_t kLeastAhead = 256 << 10, kMostAhead = 1 << 20;
constexpr std::uint64_t kPartAhead = 16;      // of what was read in one go
constexpr std::uint64_t kMostSkip = 1 << 20;  // over what is not wanted: still in one go
constexpr std::size_t kMostThreads = 32;

}  // namespace

// Bytes [begin, end) of an object; once they are ready they never change.
struct SourceCache::Piece {
  std::uint64_t begin = 0, end = 0;
  std::shared_ptr<Object> object;
  std::vector<std::byte> bytes;
  bool ready = false;
  std::optional<Error> error;  // for those who waited
  std::uint64_t reader = 0;    // who had it fetched
  Pieces* list = nullptr;      // that it stands in
  Pieces::iterator place;
};

struct SourceCache::Object {
  std::map<std::uint64_t, std::weak_ptr<Piece>> pieces;  // by their begin; they do not overlap

  [[nodiscard]] std::shared_ptr<Piece> find(std::uint64_t offset) const {
    const auto after = pieces.upper_bound(offset);
    if (after == pieces.begin()) return nullptr;
    auto piece = std::prev(after)->second.lock();
    return piece != nullptr && offset < piece->end ? piece : nullptr;
  }
};

class SourceCache::Reader : public std::enable_shared_from_this<Reader> {
 public:
  Reader(SourceCache& cache, std::shared_ptr<Object> object, ByteSource source, std::uint64_t number)
      : cache_(cache), object_(std::move(object)), source_(std::move(source)), number_(number) {}

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> into) {
    if (offset >= source_.size || into.empty()) return std::size_t{0};
    std::unique_lock lock(cache_.mutex_);
    if (offset < run_begin_ || offset > run_end_ + kMostSkip) {
      run_begin_ = run_end_ = offset;
      run_bytes_ = 0;
    }
    std::shared_ptr<Piece> piece = object_->find(offset);
    if (piece == nullptr) {
      piece = begin(offset / kGranule * kGranule, run_bytes_ == 0 ? kGranule : ahead());
      lock.unlock();
      fetch(piece);
      lock.lock();
    }
    cache_.fetched_.wait(lock, [&] { return piece->ready || piece->error; });
    if (piece->error) return fail(*piece->error);
    cache_.touch(piece, number_);
    const std::size_t n = std::min<std::uint64_t>(into.size(), piece->end - offset);
    if (run_bytes_ > 0) read_ahead(piece->end);
    run_bytes_ += n;
    run_end_ = std::max(run_end_, offset + n);
    lock.unlock();
    std::memcpy(into.data(), piece->bytes.data() + (offset - piece->begin), n);
    return n;
  }

 private:
  [[nodiscard]] std::uint64_t ahead() const {
    return std::clamp(run_bytes_ / kPartAhead / kGranule * kGranule, kLeastAhead, kMostAhead);
  }

  // A new piece of at most so many bytes, up to what is there already.
  std::shared_ptr<Piece> begin(std::uint64_t from, std::uint64_t most) {
    const auto next = object_->pieces.upper_bound(from);
    const std::uint64_t end = std::min(from + most, source_.size);
    return cache_.begin_piece(object_, from,
                              next == object_->pieces.end() ? end : std::min(end, next->first));
  }

  void read_ahead(std::uint64_t from) {
    if (from >= source_.size || object_->find(from) != nullptr) return;
    cache_.ahead_.run([self = shared_from_this(), piece = begin(from, ahead())] { self->fetch(piece); });
  }

  // Not under the cache's mutex.
  void fetch(const std::shared_ptr<Piece>& piece) {
    std::optional<Error> error;
    {
      const std::lock_guard reading(reading_);
      std::vector<std::byte> bytes(piece->end - piece->begin);
      if (auto whole = read_whole(piece->begin, bytes); !whole) error = std::move(whole).error();
      piece->bytes = std::move(bytes);
    }
    const std::lock_guard lock(cache_.mutex_);
    cache_.end_piece(piece, number_, std::move(error));
  }

  Result<void> read_whole(std::uint64_t offset, std::span<std::byte> into) const {
    while (!into.empty()) {
      SPOOL_ASSIGN(const std::size_t n, source_.read_at(offset, into));
      if (n == 0) return fail(Code::kInternal, fmt::format("{}: shorter than it was", source_.name));
      offset += n;
      into = into.subspan(n);
    }
    return {};
  }

  SourceCache& cache_;
  const std::shared_ptr<Object> object_;
  const ByteSource source_;
  const std::uint64_t number_;
  std::mutex reading_;  // the source: by who reads, and by who reads ahead
  // What is read in one go; under the cache's mutex.
  std::uint64_t run_begin_ = 0, run_end_ = 0, run_bytes_ = 0;
};

SourceCache::SourceCache(std::size_t most_bytes) : most_bytes_(most_bytes), ahead_(kMostThreads) {}
SourceCache::~SourceCache() = default;

ByteSource SourceCache::reader(const std::string& key, ByteSource source) {
  ByteSource out{{}, source.size, source.name, source.version};
  auto object = std::make_shared<Object>();
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(objects_, [](const auto& entry) { return entry.second.expired(); });
    number = ++last_reader_;
    if (!source.version.empty()) {
      std::weak_ptr<Object>& known = objects_[{key, source.version}];
      if (auto shared = known.lock()) object = std::move(shared);
      known = object;
    }
  }
  auto reader = std::make_shared<Reader>(*this, std::move(object), std::move(source), number);
  out.read_at = [reader = std::move(reader)](std::uint64_t offset, std::span<std::byte> into) {
    return reader->read_at(offset, into);
  };
  return out;
}

std::shared_ptr<SourceCache::Piece> SourceCache::begin_piece(const std::shared_ptr<Object>& object,
                                                             std::uint64_t from, std::uint64_t end) {
  auto piece = std::make_shared<Piece>();
  piece->begin = from;
  piece->end = end;
  piece->object = object;
  object->pieces[from] = piece;
  return piece;
}

void SourceCache::end_piece(const std::shared_ptr<Piece>& piece, std::uint64_t reader,
                            std::optional<Error> error) {
  if (error) {
    piece->error = std::move(error);
    piece->object->pieces.erase(piece->begin);
  } else {
    piece->ready = true;
    piece->reader = reader;
    piece->list = &passing_;
    piece->place = passing_.insert(passing_.begin(), piece);
    bytes_ += piece->bytes.size();
    make_room();
  }
  fetched_.notify_all();
}

void SourceCache::touch(const std::shared_ptr<Piece>& piece, std::uint64_t reader) {
  if (piece->list == nullptr) return;  // forgotten meanwhile
  if (piece->list == &passing_ && piece->reader != reader) kept_bytes_ += piece->bytes.size();
  Pieces& to = piece->reader != reader ? kept_ : *piece->list;
  to.splice(to.begin(), *piece->list, piece->place);
  piece->list = &to;
  make_room();
}

void SourceCache::make_room() {
  while (kept_bytes_ > most_bytes_ / 2) {
    const std::shared_ptr<Piece>& oldest = kept_.back();
    kept_bytes_ -= oldest->bytes.size();
    oldest->list = &passing_;
    passing_.splice(passing_.begin(), kept_, oldest->place);
  }
  while (bytes_ > most_bytes_) {
    Piece& oldest = passing_.empty() ? *kept_.back() : *passing_.back();
    if (oldest.list == &kept_) kept_bytes_ -= oldest.bytes.size();
    bytes_ -= oldest.bytes.size();
    oldest.object->pieces.erase(oldest.begin);
    std::exchange(oldest.list, nullptr)->erase(oldest.place);
  }
}

}  // namespace spool::steps

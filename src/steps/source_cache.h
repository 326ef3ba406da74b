// SourceCache: what the attempts of this worker read of objects that are no local files. In memory, bounded,
// shared by all who read the same version of an object, with read-ahead.
//
// An object is fetched in pieces of whole granules. Who jumps gets one granule; who goes on gets ever larger
// pieces, a sixteenth of what it has read so far, and the next one is fetched while it reads: what is fetched
// in vain stays a small part of what is read. Several who want the same piece wait for one request. When room
// is needed, pieces that only one reader has seen go first: a film that streams by does not drive out the
// index at its head or its end, which everybody looks at.
//
// Thread-safe; one reader belongs to one thread at a time. It outlives its readers.
#pragma once

#include <condition_variable>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/file.h"
#include "base/file_threads.h"

namespace spool::steps {

class SourceCache {
 public:
  // Beyond `most_bytes` is only what is fetched in this moment.
  explicit SourceCache(std::size_t most_bytes = std::size_t{64} << 20);
  SourceCache(const SourceCache&) = delete;
  SourceCache& operator=(const SourceCache&) = delete;
  ~SourceCache();

  // A further reader of the object `key`; each read gives at least one byte, but at the end. Errors of
  // `source` come out as they are, and are not kept; kInternal for one that ends before its size. What has no
  // version is shared with nobody.
  [[nodiscard]] ByteSource reader(const std::string& key, ByteSource source);

 private:
  struct Piece;
  struct Object;
  class Reader;
  using Pieces = std::list<std::shared_ptr<Piece>>;

  // All of them under the mutex.
  std::shared_ptr<Piece> begin_piece(const std::shared_ptr<Object>& object, std::uint64_t from,
                                     std::uint64_t end);
  void end_piece(const std::shared_ptr<Piece>& piece, std::uint64_t reader, std::optional<Error> error);
  void touch(const std::shared_ptr<Piece>& piece, std::uint64_t reader);
  void make_room();

  const std::size_t most_bytes_;
  std::mutex mutex_;
  std::condition_variable fetched_;
  std::map<std::pair<std::string, std::string>, std::weak_ptr<Object>> objects_;  // by key and version
  Pieces passing_, kept_;  // seen by one reader, by several; newest first
  std::size_t bytes_ = 0, kept_bytes_ = 0;
  std::uint64_t last_reader_ = 0;
  FileThreads ahead_;  // ends first: what it runs uses the rest
};

}  // namespace spool::steps

// S3ObjectStore: ObjectStore in a bucket of any S3-compatible service.
//
// Small objects go up in one request, larger files in parts. What comes down is held against its length and
// MD5. A reader of an object that is replaced meanwhile gets kConflict: services keep no old versions.
// Thread-safe. docs/adding_a_store.md says what services differ in.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>

#include "objects/object_store.h"
#include "objects/s3_client.h"

namespace spool {

class S3ObjectStore : public ObjectStore {
 public:
  // Asks for a listing first, so that a wrong endpoint, key, region or bucket, or a wrong clock, is said at
  // once.
  [[nodiscard]] static Result<std::unique_ptr<S3ObjectStore>> at(const S3Config& config);

  Result<void> put(std::string_view key, std::span<const std::byte> bytes) override;
  Result<void> put_file(std::string_view key, int fd) override;
  // On a service without conditional writes (asked once) it looks first and writes then: of two at the same
  // moment the later one replaces the earlier.
  Result<void> put_if_absent(std::string_view key, std::span<const std::byte> bytes) override;
  Result<std::string> get(std::string_view key, std::size_t most) override;
  Result<ByteSource> open(std::string_view key) override;
  Result<std::optional<ObjectInfo>> stat(std::string_view key) override;
  Result<std::vector<ObjectInfo>> list(std::string_view prefix) override;
  Result<void> answers() override;  // within some 10 s
  Result<void> copy(std::string_view from, std::string_view to) override;
  Result<void> remove(std::string_view key) override;
  Result<void> remove_all(std::string_view prefix) override;
  // Of all uploads below the prefix; without a prefix, in the whole bucket.
  Result<int> sweep_uploads(Duration older_than) override;
  void interrupt() override {
    client_->interrupt();
    asking_.interrupt();
  }

  // A URL with which anybody may get or put this object until it expires; nothing is asked of the service.
  // Errors: kInvalidArgument for a key that is none, or for more than 7 days.
  enum class Method { kGet, kPut };
  [[nodiscard]] Result<std::string> presign(Method method, std::string_view key,
                                            std::chrono::seconds validity) const;

 private:
  explicit S3ObjectStore(const S3Config& config);

  [[nodiscard]] const S3Config& config() const { return client_->config(); }
  // As it is called in the bucket. Errors: kInvalidArgument.
  [[nodiscard]] Result<std::string> in_bucket(std::string_view key) const { return in_bucket(config(), key); }
  [[nodiscard]] static Result<std::string> in_bucket(const S3Config& config, std::string_view key);
  // A page of at most 1000, with the keys of the bucket.
  struct Page {
    std::vector<ObjectInfo> objects;
    std::string next;
  };
  static Result<Page> page(S3Client& client, std::string_view prefix, const std::string& from);
  Result<void> put_source(const std::string& key, const ByteSource& body);
  // Asks the service, once, by putting an object twice.
  Result<bool> has_conditional_writes();
  Result<bool> asks_for_conditional_writes();

  std::shared_ptr<S3Client> client_;  // and of the sources that were opened
  S3Client asking_;                   // of little patience
  enum class Conditional { kUnknown, kYes, kNo };
  std::atomic<Conditional> conditional_ = Conditional::kUnknown;
};

}  // namespace spool

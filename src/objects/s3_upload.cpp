#include "objects/s3_upload.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "base/id.h"
#include "objects/s3_documents.h"
#include "objects/s3_transfer.h"

namespace spool {
namespace {

constexpr std::uint64_t kMostParts = 10'000;

// Puts one part, or copies it on the service's side, and tells its ETag.
using PutPart =
    std::function<Result<std::string>(S3Request request, std::uint64_t offset, std::uint64_t size)>;

template <class T>
Result<T> as_result(tl::expected<T, S3Failure> result) {
  if (!result) return fail(std::move(result).error().error);
  return *std::move(result);
}

Result<void> abort_upload(S3Client& client, const std::string& key, const std::string& id) {
  const S3Result aborted = client.send({.method = "DELETE", .key = key, .query = {{"uploadId", id}}});
  if (aborted || aborted.error().code == "NoSuchUpload") return {};
  return fail(aborted.error().error);
}

class Upload {
 public:
  Upload(S3Client& client, std::string_view key) : client_(client), key_(key) {}

  // `check` is asked before the parts become the object.
  Result<void> run(std::uint64_t size, std::uint64_t part_bytes, const PutPart& put_part,
                   const std::function<Result<void>()>& check = {}) {
    SPOOL_TRY(begin());
    auto done = put_parts(size, part_bytes, put_part);
    if (done && check) done = check();
    if (done) done = complete();
    if (done) return {};
    if (const auto aborted = abort_upload(client_, key_, id_); !aborted)
      spdlog::warn("object {}: its upload is left behind until it is swept: {}", key_,
                   aborted.error().message);
    return done;
  }

 private:
  Result<void> begin() {
    SPOOL_ASSIGN(
        const S3Answer answer,
        as_result(client_.send(
            {.method = "POST", .key = key_, .query = {{"uploads", ""}}, .headers = {mark_header(mark_)}})));
    SPOOL_ASSIGN(id_, read_upload_id(answer.body));
    return {};
  }

  Result<void> put_parts(std::uint64_t size, std::uint64_t part_bytes, const PutPart& put_part) {
    const std::uint64_t part = std::max(part_bytes, (size + kMostParts - 1) / kMostParts);
    for (std::uint64_t at = 0; at < size; at += part) {
      S3Request request{.method = "PUT", .key = key_};
      request.query = {{"partNumber", fmt::format("{}", etags_.size() + 1)}, {"uploadId", id_}};
      SPOOL_ASSIGN(std::string etag, put_part(std::move(request), at, std::min(part, size - at)));
      etags_.push_back(std::move(etag));
    }
    return {};
  }

  Result<void> complete() {
    const std::string document = complete_document(etags_);
    const ByteSource body = bytes_source(std::as_bytes(std::span(document)), key_);
    const S3Result done = send_body(
        client_,
        {.method = "POST", .key = key_, .query = {{"uploadId", id_}}, .body = &body, .long_work = true});
    if (done) return {};
    // Perhaps an earlier try was done, and its answer was lost.
    const bool in_doubt = done.error().tries > 1 || done.error().error.native == 0;
    if (in_doubt && bears_mark(client_, key_, mark_)) return {};
    return fail(done.error().error);
  }

  S3Client& client_;
  const std::string key_;
  const std::string mark_ = Token::random().text();
  std::string id_;
  std::vector<std::string> etags_;
};

// The service's time at which it gave this answer.
Result<Time> time_of(const S3Answer& answer) {
  if (const auto date = answer.date()) return *date;
  return fail(Code::kUnavailable, "the service does not say what time it is");
}

}  // namespace

std::string mark_header(std::string_view mark) {
  return fmt::format("x-amz-meta-spool-put: {}", mark);
}

bool bears_mark(S3Client& client, std::string_view key, std::string_view mark) {
  const S3Result head = client.send({.method = "HEAD", .key = std::string(key)});
  return head && head->header("x-amz-meta-spool-put") == mark;
}

Result<void> upload_in_parts(S3Client& client, std::string_view key, const ByteSource& file) {
  return Upload(client, key)
      .run(file.size, client.config().part_bytes,
           [&](S3Request request, std::uint64_t offset, std::uint64_t size) -> Result<std::string> {
             const ByteSource piece = slice(file, offset, size);
             request.body = &piece;
             SPOOL_ASSIGN(const S3Answer answer, as_result(send_body(client, std::move(request))));
             return answer.header("etag");
           });
}

std::string copy_source(const S3Config& config, std::string_view key) {
  return fmt::format("x-amz-copy-source: /{}/{}", config.bucket, percent_encode(key, true));
}

Result<void> copy_in_parts(S3Client& client, std::string_view from, std::string_view to) {
  const auto look = [&] { return as_result(client.send({.method = "HEAD", .key = std::string(from)})); };
  SPOOL_ASSIGN(const S3Answer before, look());
  const auto put_part = [&](S3Request request, std::uint64_t offset,
                            std::uint64_t size) -> Result<std::string> {
    request.headers = {copy_source(client.config(), from),
                       fmt::format("x-amz-copy-source-range: bytes={}-{}", offset, offset + size - 1)};
    request.long_work = true;
    request.curl_cannot_sign = true;
    SPOOL_ASSIGN(const S3Answer answer, as_result(client.send(request)));
    return read_copied_etag(answer.body);
  };
  // The condition that each part could bear refuses objects in parts on Swift: it knows them by another ETag.
  const auto is_the_same = [&]() -> Result<void> {
    SPOOL_ASSIGN(const S3Answer after, look());
    if (after.header("etag") == before.header("etag")) return {};
    return fail(Code::kConflict,
                fmt::format("object {}: was replaced while it was copied; start again", from));
  };
  return Upload(client, to).run(before.length(), client.config().copy_part_bytes, put_part, is_the_same);
}

Result<int> sweep(S3Client& client, std::string_view prefix, Duration older_than) {
  int count = 0;
  S3Query query{{"encoding-type", "url"}, {"uploads", ""}};
  if (!prefix.empty()) query["prefix"] = prefix;
  for (;;) {
    SPOOL_ASSIGN(const S3Answer answer, as_result(client.send({.query = query})));
    SPOOL_ASSIGN(const Time now, time_of(answer));
    SPOOL_ASSIGN(const S3Uploads found, read_uploads(answer.body));
    for (const S3Upload& upload : found.uploads) {
      // Both times are whole seconds, one may be rounded up.
      if (upload.began > now + std::chrono::seconds(1) - older_than) continue;
      SPOOL_TRY(abort_upload(client, upload.key, upload.id));
      ++count;
    }
    if (found.next_key.empty()) return count;
    query["key-marker"] = found.next_key;
    query["upload-id-marker"] = found.next_id;
  }
}

}  // namespace spool

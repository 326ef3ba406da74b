#include "objects/s3_store.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/id.h"
#include "base/json.h"
#include "objects/s3_documents.h"
#include "objects/s3_signature.h"
#include "objects/s3_transfer.h"
#include "objects/s3_upload.h"

namespace spool {
namespace {

constexpr std::string_view kProbes = ".spool/probes/";
constexpr int kTriesAtFirst = 3;

template <class T>
Result<void> outcome(const tl::expected<T, S3Failure>& result) {
  if (!result) return fail(result.error().error);
  return {};
}

// JSON replaces what is none.
bool is_utf8(std::string_view text) {
  return Json::parse(to_text(Json(text))) == text;
}

// For a small question: 10 s of silence are no answer.
S3Config impatient(S3Config config) {
  S3Patience& patience = config.patience;
  patience.tries = std::min(patience.tries, 2);
  patience.request = std::min(patience.request, std::chrono::seconds(5));
  patience.connect = std::min<std::chrono::milliseconds>(patience.connect, patience.request);
  return config;
}

S3Request put_request(const std::string& key, const ByteSource& body) {
  return {.method = "PUT", .key = key, .body = &body};
}

}  // namespace

S3ObjectStore::S3ObjectStore(const S3Config& config)
    : client_(std::make_shared<S3Client>(config)), asking_(impatient(config)) {}

Result<std::unique_ptr<S3ObjectStore>> S3ObjectStore::at(const S3Config& config) {
  S3Config quick = config;  // an endpoint that is none is said soon
  quick.patience.tries = std::min(quick.patience.tries, kTriesAtFirst);
  const S3ObjectStore first(quick);
  SPOOL_TRY(page(*first.client_, "", ""));
  std::unique_ptr<S3ObjectStore> store(new S3ObjectStore(config));
  store->client_->clock().learn_from(first.client_->clock());
  store->asking_.clock().learn_from(first.client_->clock());
  return store;
}

Result<std::string> S3ObjectStore::in_bucket(const S3Config& config, std::string_view key) {
  SPOOL_TRY(check_key(key));
  if (!is_utf8(key)) return fail(Code::kInvalidArgument, "an object's key is no UTF-8, which S3 asks for");
  if (config.prefix.empty()) return std::string(key);
  return fmt::format("{}/{}", config.prefix, key);
}

Result<void> S3ObjectStore::put_source(const std::string& key, const ByteSource& body) {
  return outcome(send_body(*client_, put_request(key, body)));
}

Result<void> S3ObjectStore::put(std::string_view key, std::span<const std::byte> bytes) {
  SPOOL_ASSIGN(const std::string full, in_bucket(key));
  return put_source(full, bytes_source(bytes, full));
}

Result<void> S3ObjectStore::put_file(std::string_view key, int fd) {
  SPOOL_ASSIGN(const std::string full, in_bucket(key));
  UniqueFd own(fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!own) return fail_errno(errno, fmt::format("object {}", full));
  SPOOL_ASSIGN(const ByteSource file, file_source(std::move(own), fmt::format("object {}: its file", full)));
  if (file.size <= config().part_bytes) return put_source(full, file);
  return upload_in_parts(*client_, full, file);
}

Result<bool> S3ObjectStore::asks_for_conditional_writes() {
  const std::string probe = fmt::format("{}{}", kProbes, Token::random().text());
  SPOOL_ASSIGN(const std::string key, in_bucket(probe));
  const ByteSource body = bytes_source({}, key);
  S3Request request = put_request(key, body);
  request.headers = {"If-None-Match: *"};
  // The second is refused; or the first is, when an earlier try of it was done and the answer was lost.
  S3Result put = send_body(*client_, request);
  if (put) put = send_body(*client_, request);
  const Result<void> removed = remove(probe);  // also when it failed: perhaps it stands there
  const bool has = !put && put.error().code == "PreconditionFailed";
  const bool has_not = put || put.error().error.code == Code::kUnsupported;
  if (!has && !has_not) return fail(put.error().error);
  SPOOL_TRY(removed);
  return has;
}

Result<bool> S3ObjectStore::has_conditional_writes() {
  if (conditional_ == Conditional::kUnknown) {
    SPOOL_ASSIGN(const bool has, asks_for_conditional_writes());
    conditional_ = has ? Conditional::kYes : Conditional::kNo;
  }
  return conditional_ == Conditional::kYes;
}

Result<void> S3ObjectStore::put_if_absent(std::string_view key, std::span<const std::byte> bytes) {
  SPOOL_ASSIGN(const std::string full, in_bucket(key));
  const auto there = [&full] {
    return fail(Code::kConflict, fmt::format("object {}: there is one already", full));
  };
  const ByteSource body = bytes_source(bytes, full);
  S3Request request = put_request(full, body);
  SPOOL_ASSIGN(const bool conditional, has_conditional_writes());
  if (!conditional) {
    SPOOL_ASSIGN(const auto found, stat(key));
    if (found) return there();
    return outcome(send_body(*client_, std::move(request)));
  }
  const std::string mark = Token::random().text();
  request.headers = {"If-None-Match: *", mark_header(mark)};
  const S3Result put = send_body(*client_, std::move(request));
  if (put || put.error().code != "PreconditionFailed") return outcome(put);
  // What stands there may be our own, of an earlier try whose answer was lost.
  if (put.error().tries > 1 && bears_mark(*client_, full, mark)) return {};
  return there();
}

Result<std::string> S3ObjectStore::get(std::string_view key, std::size_t most) {
  SPOOL_ASSIGN(const std::string full, in_bucket(key));
  return download(*client_, full, most);
}

Result<ByteSource> S3ObjectStore::open(std::string_view key) {
  SPOOL_ASSIGN(const std::string full, in_bucket(key));
  const S3Result head = client_->send({.method = "HEAD", .key = full});
  SPOOL_TRY(outcome(head));
  const std::string etag = head->header("etag");
  if (etag.empty())
    return fail(Code::kUnsupported, fmt::format("object {}: the service gives no ETag", full));
  ByteSource source;
  source.size = head->length();
  source.name = key;
  source.version = etag;
  source.read_at = [client = client_, full, etag, size = source.size](
                       std::uint64_t offset, std::span<std::byte> into) -> Result<std::size_t> {
    const std::size_t n = std::min<std::uint64_t>(into.size(), size - std::min(offset, size));
    if (n != 0) SPOOL_TRY(download_range(*client, full, etag, offset, into.first(n)));
    return n;
  };
  return source;
}

Result<std::optional<ObjectInfo>> S3ObjectStore::stat(std::string_view key) {
  SPOOL_ASSIGN(const std::string full, in_bucket(key));
  const S3Result head = client_->send({.method = "HEAD", .key = full});
  if (!head && head.error().error.code == Code::kNotFound) return std::nullopt;
  SPOOL_TRY(outcome(head));
  return ObjectInfo{std::string(key), static_cast<std::int64_t>(head->length())};
}

Result<S3ObjectStore::Page> S3ObjectStore::page(S3Client& client, std::string_view prefix,
                                                const std::string& from) {
  S3Query query{{"encoding-type", "url"}, {"list-type", "2"}};
  std::string full = client.config().prefix;
  if (!prefix.empty()) {
    SPOOL_ASSIGN(full, in_bucket(client.config(), prefix));
  }
  if (!full.empty()) query["prefix"] = full + "/";
  if (!from.empty()) query["continuation-token"] = from;
  const S3Result answer = client.send({.query = query});
  SPOOL_TRY(outcome(answer));
  SPOOL_ASSIGN(S3Listing listing, read_listing(answer->body));
  return Page{std::move(listing.objects), std::move(listing.next)};
}

Result<std::vector<ObjectInfo>> S3ObjectStore::list(std::string_view prefix) {
  const std::size_t ours = config().prefix.empty() ? 0 : config().prefix.size() + 1;
  std::vector<ObjectInfo> found;
  Page last;
  do {
    SPOOL_ASSIGN(last, page(*client_, prefix, last.next));
    for (ObjectInfo& object : last.objects) {
      object.key.erase(0, ours);
      // What others put there under names that are no keys ("folder/") cannot be asked for by them.
      if (check_key(object.key)) found.push_back(std::move(object));
    }
  } while (!last.next.empty());
  std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  return found;
}

Result<void> S3ObjectStore::answers() {
  SPOOL_TRY(page(asking_, kNothing, ""));
  return {};
}

Result<void> S3ObjectStore::copy(std::string_view from, std::string_view to) {
  SPOOL_ASSIGN(const std::string source, in_bucket(from));
  SPOOL_ASSIGN(const std::string target, in_bucket(to));
  if (source == target) {  // which S3 refuses
    SPOOL_ASSIGN(const auto found, stat(from));
    if (!found) return fail(Code::kNotFound, fmt::format("object {}: there is no such object", source));
    return {};
  }
  const S3Result copied = client_->send(
      {.method = "PUT", .key = target, .headers = {copy_source(config(), source)}, .long_work = true});
  // AWS calls it InvalidRequest when there is more than goes into one copy.
  if (!copied && (copied.error().code == "EntityTooLarge" || copied.error().code == "InvalidRequest"))
    return copy_in_parts(*client_, source, target);
  if (!copied && copied.error().error.code == Code::kNotFound)
    return fail(Code::kNotFound, fmt::format("object {}: there is no such object", source));
  return outcome(copied);
}

Result<void> S3ObjectStore::remove(std::string_view key) {
  SPOOL_ASSIGN(const std::string full, in_bucket(key));
  const S3Result removed = client_->send({.method = "DELETE", .key = full});
  if (!removed && removed.error().error.code == Code::kNotFound) return {};
  return outcome(removed);
}

Result<void> S3ObjectStore::remove_all(std::string_view prefix) {
  SPOOL_TRY(check_key(prefix));
  Page last;
  do {
    SPOOL_ASSIGN(last, page(*client_, prefix, last.next));
    if (last.objects.empty()) continue;
    const std::string document = delete_document(last.objects);
    const ByteSource body = bytes_source(std::as_bytes(std::span(document)), "a list of objects to remove");
    const S3Result removed =
        send_body(*client_, {.method = "POST", .query = {{"delete", ""}}, .body = &body, .long_work = true});
    SPOOL_TRY(outcome(removed));
    SPOOL_TRY(read_deleted(removed->body));
  } while (!last.next.empty());
  return {};
}

Result<int> S3ObjectStore::sweep_uploads(Duration older_than) {
  return sweep(*client_, config().prefix.empty() ? "" : config().prefix + "/", older_than);
}

Result<std::string> S3ObjectStore::presign(Method method, std::string_view key,
                                           std::chrono::seconds validity) const {
  SPOOL_ASSIGN(const std::string full, in_bucket(key));
  if (validity.count() < 1 || validity > std::chrono::days(7))
    return fail(Code::kInvalidArgument, "a presigned URL may be good for 1 second to 7 days");
  return presigned_url(client_->config_now(), method == Method::kGet ? "GET" : "PUT", full, client_->now(),
                       validity);
}

}  // namespace spool

#include "objects/s3_transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <vector>

#include "base/digest.h"

namespace spool {
namespace {

Result<Md5> md5_of(const ByteSource& source) {
  Md5Sum sum;
  std::vector<std::byte> buffer(std::min<std::uint64_t>(source.size, 1 << 20));
  for (std::uint64_t at = 0; at < source.size;) {
    const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), source.size - at);
    SPOOL_ASSIGN(const std::size_t n, source.read_at(at, std::span(buffer).first(wanted)));
    if (n == 0) return fail(Code::kInternal, fmt::format("{} became shorter while it was read", source.name));
    sum.add(std::span(buffer).first(n));
    at += n;
  }
  return sum.end();
}

// Whether this answer's ETag is the MD5 of another body. It is no MD5 at all of an object in parts, or of one
// that another key encrypts.
bool is_of_another_body(const S3Response& response, const Md5& sum) {
  const std::string encrypted = response.header("x-amz-server-side-encryption");
  const bool own_key = !response.header("x-amz-server-side-encryption-customer-algorithm").empty();
  if ((!encrypted.empty() && encrypted != "AES256") || own_key) return false;
  std::string etag = response.header("etag");
  std::erase(etag, '"');
  const bool is_md5 = etag.find_first_not_of("0123456789abcdef") == std::string::npos && etag.size() == 32;
  return is_md5 && etag != hex(sum);
}

S3Failure again(Code code, std::string message) {
  return {Error{code, std::move(message)}, "", true};
}

std::uint64_t number_in(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// "bytes 5-9/10" begins at 5.
Result<void> check_range(const S3Response& head, std::string_view key, std::uint64_t first) {
  const std::string range = head.header("content-range");
  if (head.status == 206 && range.starts_with("bytes ") &&
      number_in(std::string_view(range).substr(6)) == first)
    return {};
  return fail(Code::kUnsupported,
              fmt::format("object {}: the service does not give the range that it was asked for", key));
}

// The text of an object as it arrives, in one answer or several.
struct Arrival {
  std::string_view key;
  std::size_t most;
  std::string text{};
  S3Response head{};  // of the version that the text is of

  // Of the whole object, or of the rest of what was begun.
  [[nodiscard]] S3Request request() const {
    S3Request request{.key = std::string(key)};
    if (!text.empty())
      request.headers = {fmt::format("Range: bytes={}-", text.size()), "If-Match: " + head.header("etag")};
    return request;
  }
  Result<void> begin(const S3Response& answer) {
    if (answer.status == 206) return check_range(answer, key, text.size());
    text.clear();
    head = answer;
    if (head.length() > most) return too_large();
    return {};
  }
  Result<void> take(std::span<const std::byte> bytes) {
    if (text.size() + bytes.size() > most) return too_large();
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }
  [[nodiscard]] bool is_damaged() const {
    Md5Sum sum;
    sum.add(std::as_bytes(std::span(text)));
    return is_of_another_body(head, sum.end());
  }
  [[nodiscard]] tl::unexpected<Error> too_large() const {
    return fail(Code::kLimitExceeded, fmt::format("object {}: larger than {} bytes", key, most));
  }
};

}  // namespace

ByteSource bytes_source(std::span<const std::byte> bytes, std::string name) {
  ByteSource source;
  source.size = bytes.size();
  source.name = std::move(name);
  source.read_at = [bytes](std::uint64_t offset, std::span<std::byte> into) -> Result<std::size_t> {
    const std::size_t n = std::min<std::uint64_t>(into.size(), bytes.size() - std::min(offset, bytes.size()));
    if (n != 0) std::memcpy(into.data(), bytes.data() + offset, n);
    return n;
  };
  return source;
}

ByteSource slice(const ByteSource& source, std::uint64_t offset, std::uint64_t size) {
  ByteSource piece;
  piece.size = size;
  piece.name = source.name;
  piece.read_at = [&source, offset](std::uint64_t at, std::span<std::byte> into) {
    return source.read_at(offset + at, into);
  };
  return piece;
}

S3Result send_body(S3Client& client, S3Request request) {
  const Result<Md5> sum = md5_of(*request.body);
  if (!sum) return tl::unexpected(S3Failure{sum.error(), ""});
  request.headers.push_back("Content-MD5: " + base64(*sum));
  S3Result answer = client.send(request);
  if (!answer) return answer;
  if (request.method == "PUT" && is_of_another_body(*answer, *sum))
    return tl::unexpected(
        again(Code::kUnavailable, fmt::format("object {}: the service stored something else", request.key)));
  return answer;
}

Result<std::string> download(S3Client& client, std::string_view key, std::size_t most) {
  Arrival arrival{key, most};
  for (S3Retries retries(client);;) {
    S3Request request = arrival.request();
    bool begun = false;
    request.sink = [&](const S3Response& head, std::span<const std::byte> bytes) -> Result<void> {
      if (!begun) SPOOL_TRY(arrival.begin(head));
      begun = true;
      return arrival.take(bytes);
    };
    const S3Result answer = client.once(request);
    S3Failure failure;
    if (answer) {
      if (!begun) SPOOL_TRY(arrival.begin(*answer));  // an empty one
      if (!arrival.is_damaged()) return std::move(arrival.text);
      failure = again(Code::kUnavailable, fmt::format("object {}: was damaged on its way", key));
      arrival.text.clear();
    } else {
      failure = answer.error();
    }
    if (failure.code == "PreconditionFailed" && !arrival.text.empty()) {  // replaced: from the beginning
      arrival.text.clear();
      failure.again = true;
    }
    if (!retries.again(failure)) return fail(failure.error);
  }
}

Result<void> download_range(S3Client& client, std::string_view key, const std::string& etag,
                            std::uint64_t offset, std::span<std::byte> into) {
  const auto replaced = [&key] {
    return fail(Code::kConflict,
                fmt::format("object {}: was replaced or removed while it was read; start again", key));
  };
  std::size_t done = 0;
  for (S3Retries retries(client);;) {
    S3Request request{.key = std::string(key)};
    request.headers = {fmt::format("Range: bytes={}-{}", offset + done, offset + into.size() - 1),
                       "If-Match: " + etag};
    bool begun = false;
    request.sink = [&](const S3Response& head, std::span<const std::byte> bytes) -> Result<void> {
      if (head.header("etag") != etag) return replaced();  // a service that overlooked If-Match
      if (!begun) SPOOL_TRY(check_range(head, key, offset + done));
      begun = true;
      const std::size_t n = std::min(bytes.size(), into.size() - done);
      std::memcpy(into.data() + done, bytes.data(), n);
      done += n;
      return {};
    };
    const S3Result answer = client.once(request);
    if (done == into.size()) return {};
    S3Failure failure =
        answer ? again(Code::kUnavailable, fmt::format("object {}: broke off", key)) : answer.error();
    if (failure.code == "PreconditionFailed" || failure.code == "NoSuchKey" || failure.code == "InvalidRange")
      return replaced();
    if (!retries.again(failure)) return fail(failure.error);
  }
}

}  // namespace spool

#include "objects/s3_failure.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <pugixml.hpp>

namespace spool {
namespace {

struct Known {
  std::string_view code;  // the service's
  Code is;
  bool again;
  std::string_view advice;
};

// docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
constexpr Known kKnown[] = {
    {"NoSuchKey", Code::kNotFound, false, "there is no such object"},
    {"NoSuchUpload", Code::kNotFound, false, "the upload has ended"},
    {"NoSuchBucket", Code::kInvalidArgument, false, "there is no such bucket: make it, or mend --objects"},
    {"InvalidBucketName", Code::kInvalidArgument, false, "this is no name of a bucket: mend --objects"},
    {"KeyTooLongError", Code::kInvalidArgument, false, "the key is too long for this service"},
    {"InvalidObjectName", Code::kInvalidArgument, false,
     "the key is too long for this service, or holds what it does not take"},
    {"InvalidAccessKeyId", Code::kPermissionDenied, false,
     "the service does not know this access key: see AWS_ACCESS_KEY_ID"},
    {"SignatureDoesNotMatch", Code::kPermissionDenied, false,
     "the secret key does not belong to the access key: see AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"},
    {"AccessDenied", Code::kPermissionDenied, false,
     "these keys may not do that: they need to list, read, write and remove in this bucket"},
    {"AllAccessDisabled", Code::kPermissionDenied, false, "the service has closed this bucket"},
    {"ExpiredToken", Code::kPermissionDenied, false, "the keys have expired"},
    {"InvalidToken", Code::kPermissionDenied, false, "the session token is wrong"},
    {"RequestTimeTooSkewed", Code::kUnavailable, false, "this machine's clock is off: set it (NTP)"},
    {"AuthorizationHeaderMalformed", Code::kInvalidArgument, false,
     "the bucket lies in another region: write region=NAME into --objects"},
    {"IllegalLocationConstraintException", Code::kInvalidArgument, false,
     "the bucket lies in another region: write region=NAME into --objects"},
    {"PermanentRedirect", Code::kInvalidArgument, false,
     "the bucket lies elsewhere: write its region=NAME or endpoint=URL into --objects"},
    {"EntityTooLarge", Code::kLimitExceeded, false, "larger than the service takes"},
    {"QuotaExceeded", Code::kStorageFull, false, "the quota is used up"},
    {"XMinioStorageFull", Code::kStorageFull, false, "the service has no room left"},
    {"PreconditionFailed", Code::kConflict, false, "it is not what it was: somebody has written it"},
    {"ConditionalRequestConflict", Code::kUnavailable, true, "somebody writes it at this moment"},
    {"OperationAborted", Code::kUnavailable, true, "another request stood in the way"},
    {"BadDigest", Code::kUnavailable, true, "it was damaged on its way"},
    {"IncompleteBody", Code::kUnavailable, true, "it broke off on its way"},
    {"RequestTimeout", Code::kUnavailable, true, "it took too long on its way"},
    {"SlowDown", Code::kUnavailable, true, "the service asks for fewer requests"},
    {"InternalError", Code::kUnavailable, true, "the service has a trouble of its own"},
    {"ServiceUnavailable", Code::kUnavailable, true, "the service has a trouble of its own"},
    {"NotImplemented", Code::kUnsupported, false, "this service cannot do that"},
    {"MethodNotAllowed", Code::kUnsupported, false, "this service cannot do that"},
};

// What a status means whose answer has no code that we know. A HEAD never has one.
Known known_by_status(int status) {
  switch (status) {
    case 301:
    case 307:
    case 308:
      return {"", Code::kInvalidArgument, false,
              "it lies elsewhere: write its region=NAME or endpoint=URL into --objects"};
    case 401:
    case 403:
      return {"AccessDenied", Code::kPermissionDenied, false, "these keys may not do that"};
    case 404:
      return {"NoSuchKey", Code::kNotFound, false, "there is no such object"};
    case 405:
    case 501:
      return {"NotImplemented", Code::kUnsupported, false, "this service cannot do that"};
    case 408:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return {"", Code::kUnavailable, true, "the service has a trouble of its own"};
    case 412:
      return {"PreconditionFailed", Code::kConflict, false, "it is not what it was: somebody has written it"};
    case 413:
      return {"EntityTooLarge", Code::kLimitExceeded, false, "larger than the service takes"};
    case 507:
      return {"", Code::kStorageFull, false, "the service has no room left"};
    default:
      return {"", Code::kInvalidArgument, false, "the service refuses that"};
  }
}

// At most a line of what a stranger wrote.
std::string in_a_line(std::string_view text) {
  std::string line(text.substr(0, 200));
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return line;
}

// "by 61 minutes", from the time that the service put onto its answer.
std::string clocks_apart(const S3Response& response, const S3Config& config) {
  const std::optional<Time> theirs = response.date();
  if (!theirs) return "";
  const Duration ahead = config.clock() - *theirs;
  return fmt::format(", it is {} minutes {} the service's", std::chrono::abs(ahead) / std::chrono::minutes(1),
                     ahead < Duration(0) ? "behind" : "ahead of");
}

// Where other keys than temporary ones that are over would come from.
std::string renewal(const S3Config& config) {
  if (config.credentials_file)
    return fmt::format(": new ones are read from [{}] of {} once they stand there",
                       config.credentials_file->profile, config.credentials_file->path);
  return ": renew AWS_SESSION_TOKEN and the keys beside it, and start again; those of a file "
         "(AWS_SHARED_CREDENTIALS_FILE) may be renewed meanwhile";
}

pugi::xml_node error_in(std::string_view body, pugi::xml_document& document) {
  if (!document.load_buffer(body.data(), body.size())) return {};
  return document.child("Error");
}

std::chrono::seconds retry_after(const S3Response& response) {
  const std::string text = response.header("retry-after");
  int seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return std::chrono::seconds(std::max(seconds, 0));
}

}  // namespace

bool is_s3_error(std::string_view body) {
  pugi::xml_document document;
  return !error_in(body, document).empty();
}

S3Failure s3_failure(const S3Response& response, const S3Request& request, const S3Config& config) {
  pugi::xml_document document;
  const pugi::xml_node error = error_in(response.body, document);
  const std::string code = in_a_line(error.child("Code").text().get());
  const auto* row =
      std::find_if(std::begin(kKnown), std::end(kKnown), [&](const Known& k) { return k.code == code; });
  const bool is_known = row != std::end(kKnown);
  Known known = is_known ? *row : known_by_status(response.status);
  // Behind a status of 200 an unknown error is the service's.
  if (!is_known && response.status / 100 == 2) known = known_by_status(500);
  std::string advice(known.advice);
  const bool may_be_elsewhere =
      known.is == Code::kNotFound || known.is == Code::kInvalidArgument || known.is == Code::kUnsupported;
  if (request.method != "HEAD" && error.empty() && may_be_elsewhere) {
    advice = "what answers there is no S3 service: mend the endpoint";
    known.is = Code::kInvalidArgument;
  }
  if (code == "RequestTimeTooSkewed") advice += clocks_apart(response, config);
  if (code == "ExpiredToken" || code == "InvalidToken") advice += renewal(config);

  const std::string_view their_words = error.child("Message").text().get();
  const std::string region = in_a_line(error.child("Region").text().get());
  std::string message = request.key.empty() ? "" : fmt::format("object {}: ", request.key);
  message += fmt::format("{} (bucket {} at {}: {}{}{}{}{})", advice, config.bucket, config.endpoint,
                         code.empty() ? fmt::format("HTTP {}", response.status) : code,
                         their_words.empty() ? "" : ", ", in_a_line(their_words),
                         region.empty() ? "" : ", region ", region);
  return {Error{known.is, std::move(message), response.status}, code.empty() ? std::string(known.code) : code,
          known.again, retry_after(response)};
}

}  // namespace spool

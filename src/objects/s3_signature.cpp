#include "objects/s3_signature.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "base/digest.h"

namespace spool {
namespace {

// What a signature is good for: a day, a region and this interface.
struct Scope {
  std::string stamp, day, text;

  Scope(const S3Config& config, Time now)
      : stamp(fmt::format("{:%Y%m%dT%H%M%SZ}", std::chrono::time_point_cast<std::chrono::seconds>(now))),
        day(stamp.substr(0, 8)),
        text(fmt::format("{}/{}/s3/aws4_request", day, config.region)) {}
};

// The names, and the lines of names and values that are signed; in order of names.
struct SignedHeaders {
  std::string names, lines;

  explicit SignedHeaders(const std::map<std::string, std::string>& headers) {
    for (const auto& [name, value] : headers) {
      names += (names.empty() ? "" : ";") + name;
      lines += fmt::format("{}:{}\n", name, value);
    }
  }
};

std::string signature(const S3Config& config, const Scope& scope, std::string_view canonical_request) {
  const std::string to_sign = fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", scope.stamp, scope.text,
                                          sha256_hex(std::as_bytes(std::span(canonical_request))));
  const std::string secret = "AWS4" + config.credentials.secret_key;
  Sha256 key = hmac_sha256({reinterpret_cast<const std::uint8_t*>(secret.data()), secret.size()}, scope.day);
  for (const std::string_view part :
       {std::string_view(config.region), std::string_view("s3"), std::string_view("aws4_request")})
    key = hmac_sha256(key, part);
  return hex(hmac_sha256(key, to_sign));
}

}  // namespace

std::string presigned_url(const S3Config& config, std::string_view method, std::string_view key_in_bucket,
                          Time now, std::chrono::seconds validity) {
  const S3Place place = s3_place(config, key_in_bucket);
  const Scope scope(config, now);
  const SignedHeaders headers({{"host", std::string(place.host())}});
  S3Query query{{"X-Amz-Algorithm", "AWS4-HMAC-SHA256"},
                {"X-Amz-Credential", fmt::format("{}/{}", config.credentials.access_key, scope.text)},
                {"X-Amz-Date", scope.stamp},
                {"X-Amz-Expires", fmt::format("{}", validity.count())},
                {"X-Amz-SignedHeaders", headers.names}};
  if (!config.credentials.session_token.empty())
    query["X-Amz-Security-Token"] = config.credentials.session_token;
  const std::string request = fmt::format("{}\n{}\n{}\n{}\n{}\nUNSIGNED-PAYLOAD", method, place.path,
                                          query_text(query), headers.lines, headers.names);
  return fmt::format("{}&X-Amz-Signature={}", place.url(query), signature(config, scope, request));
}

std::vector<std::string> signed_headers(const S3Config& config, std::string_view method,
                                        std::string_view key_in_bucket, const S3Query& query,
                                        const std::vector<std::string>& headers, Time now) {
  const S3Place place = s3_place(config, key_in_bucket);
  const Scope scope(config, now);
  std::map<std::string, std::string> all{{"host", std::string(place.host())}, {"x-amz-date", scope.stamp}};
  for (const std::string& header : headers) {
    std::string name = header.substr(0, header.find(": "));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    all[name] = header.substr(name.size() + 2);
  }
  const SignedHeaders canonical(all);
  const std::string request = fmt::format("{}\n{}\n{}\n{}\n{}\n{}", method, place.path, query_text(query),
                                          canonical.lines, canonical.names, all["x-amz-content-sha256"]);
  return {"x-amz-date: " + scope.stamp,
          fmt::format("Authorization: AWS4-HMAC-SHA256 Credential={}/{},SignedHeaders={},Signature={}",
                      config.credentials.access_key, scope.text, canonical.names,
                      signature(config, scope, request))};
}

}  // namespace spool

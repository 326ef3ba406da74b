#include "objects/s3_url.h"

#include <fmt/format.h>

namespace spool {
namespace {

bool is_plain(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string percent_encode(std::string_view text, bool keep_slashes) {
  std::string out;
  for (const char c : text)
    if (is_plain(c) || (keep_slashes && c == '/'))
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  return out;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? digit(text[i + 1]) : -1;
    const int low = high >= 0 ? digit(text[i + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::string query_text(const S3Query& query) {
  std::string text;
  for (const auto& [name, value] : query)
    text += fmt::format("{}{}={}", text.empty() ? "" : "&", percent_encode(name), percent_encode(value));
  return text;
}

std::string_view S3Place::host() const {
  return std::string_view(origin).substr(origin.find("://") + 3);
}

std::string S3Place::url(const S3Query& query) const {
  return query.empty() ? origin + path : fmt::format("{}{}?{}", origin, path, query_text(query));
}

S3Place s3_place(const S3Config& config, std::string_view key_in_bucket) {
  const std::size_t host = config.endpoint.find("://") + 3;
  const std::size_t slash = std::min(config.endpoint.find('/', host), config.endpoint.size());
  S3Place place{config.endpoint.substr(0, slash), config.endpoint.substr(slash)};
  if (config.virtual_hosted)
    place.origin.insert(host, config.bucket + ".");
  else
    place.path += "/" + percent_encode(config.bucket);
  if (!key_in_bucket.empty() || config.virtual_hosted)
    place.path += "/" + percent_encode(key_in_bucket, true);
  return place;
}

}  // namespace spool

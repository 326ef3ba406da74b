#include "objects/s3_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/file.h"
#include "objects/object_store.h"
#include "objects/s3_url.h"

namespace spool {
namespace {

constexpr std::string_view kShape = "s3://BUCKET[/PREFIX][?endpoint=URL&region=NAME&style=path|virtual]";
constexpr std::string_view kKeysAdvice = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write";

template <class... Args>
tl::unexpected<Error> wrong(fmt::format_string<Args...> format, Args&&... args) {
  return fail(Code::kInvalidArgument, fmt::format(format, std::forward<Args>(args)...));
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// What stands behind '?'.
Result<std::map<std::string, std::string>> options_of(std::string_view text) {
  std::map<std::string, std::string> options;
  while (!text.empty()) {
    const std::string_view pair = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(pair.size() + 1, text.size()));
    const auto equals = pair.find('=');
    const std::string name(pair.substr(0, equals));
    if (name != "endpoint" && name != "region" && name != "style")
      return wrong("objects: '{}' is no option of an S3 URL: {}", name, kShape);
    if (equals == std::string_view::npos || equals + 1 == pair.size())
      return wrong("objects: the option {} of the S3 URL has no value: {}", name, kShape);
    options[name] = percent_decode(pair.substr(equals + 1));
  }
  return options;
}

Result<std::string> endpoint_of(std::string endpoint) {
  const auto scheme = endpoint.find("://");
  const std::string_view after =
      scheme == std::string::npos ? "" : std::string_view(endpoint).substr(scheme + 3);
  const std::string_view host = after.substr(0, after.find('/'));
  if ((!endpoint.starts_with("http://") && !endpoint.starts_with("https://")) || host.empty() ||
      after.find_first_of("?# ") != std::string_view::npos)
    return wrong(
        "the endpoint of an S3 service must be like https://s3.example.org or http://127.0.0.1:8080");
  if (host.find('@') != std::string_view::npos)
    return wrong("keys do not belong into the endpoint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
  // Signed is what clients send as their Host, and that is without the scheme's own port.
  const std::string_view own_port = endpoint.starts_with("http://") ? ":80" : ":443";
  if (host.ends_with(own_port)) endpoint.erase(scheme + 3 + host.size() - own_port.size(), own_port.size());
  while (endpoint.ends_with('/')) endpoint.pop_back();
  return endpoint;
}

// The pairs of one section of an INI file.
std::map<std::string, std::string> section_of(std::string_view text, std::string_view section) {
  std::map<std::string, std::string> found;
  bool inside = false;
  while (!text.empty()) {
    const std::string_view whole = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(whole.size() + 1, text.size()));
    const std::string_view line = trimmed(whole);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[') {
      inside = trimmed(line.substr(1, line.find(']') - 1)) == section;
      continue;
    }
    const auto equals = line.find('=');
    if (inside && equals != std::string_view::npos)
      found[std::string(trimmed(line.substr(0, equals)))] = trimmed(line.substr(equals + 1));
  }
  return found;
}

Result<void> credentials_of_file(const S3Environment& environment, S3Config& config) {
  S3CredentialsFile file{environment("AWS_SHARED_CREDENTIALS_FILE").value_or(""),
                         environment("AWS_PROFILE").value_or("default")};
  const bool named = !file.path.empty();
  if (!named) file.path = environment("HOME").value_or("") + "/.aws/credentials";
  std::error_code unknown;
  if (!named && !std::filesystem::exists(file.path, unknown) && !unknown)
    return wrong("there are no keys for S3: {} them into {}", kKeysAdvice, file.path);
  SPOOL_ASSIGN(config.credentials, read_credentials(file));
  config.credentials_file = std::move(file);
  return {};
}

Result<void> credentials_of(const S3Environment& environment, S3Config& config) {
  const auto access = environment("AWS_ACCESS_KEY_ID"), secret = environment("AWS_SECRET_ACCESS_KEY");
  if (!access && !secret) return credentials_of_file(environment, config);
  if (!access || !secret)
    return wrong("one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set without the other: set both");
  config.credentials = {*access, *secret, environment("AWS_SESSION_TOKEN").value_or("")};
  return {};
}

Result<void> read_url(std::string_view url, S3Config& config) {
  if (!url.starts_with("s3://")) return wrong("objects: must be a folder or {}", kShape);
  const std::string_view place = url.substr(5, url.find('?') - 5);
  config.bucket = place.substr(0, place.find('/'));
  // A secret key may hold a '/', and a bucket's name neither of the two.
  if (config.bucket.find_first_of("@:") != std::string::npos)
    return wrong(
        "objects: keys do not belong into the S3 URL: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
  const auto is_fine = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  };
  if (config.bucket.empty() || !std::all_of(config.bucket.begin(), config.bucket.end(), is_fine))
    return wrong("objects: '{}' is no name of a bucket: {}", config.bucket, kShape);
  if (place.size() > config.bucket.size()) config.prefix = place.substr(config.bucket.size() + 1);
  if (config.prefix.ends_with('/')) config.prefix.pop_back();
  if (config.prefix.empty()) return {};
  if (const auto checked = check_key(config.prefix); !checked)
    return wrong("objects: the prefix '{}' of the S3 URL: {}", config.prefix, checked.error().message);
  return {};
}

}  // namespace

Result<S3Credentials> read_credentials(const S3CredentialsFile& file) {
  const auto text = read_file(file.path, 1 << 20);
  if (!text) return wrong("the file of the keys for S3 cannot be read: {}", text.error().message);
  const auto section = section_of(*text, file.profile);
  const auto value = [&](const char* name) {
    const auto it = section.find(name);
    return it == section.end() ? std::string() : it->second;
  };
  S3Credentials keys{value("aws_access_key_id"), value("aws_secret_access_key"), value("aws_session_token")};
  if (keys.access_key.empty() || keys.secret_key.empty())
    return wrong("{} has no keys for S3: {} aws_access_key_id and aws_secret_access_key below [{}]",
                 file.path, kKeysAdvice, file.profile);
  return keys;
}

Result<S3Config> s3_config(std::string_view url, const S3Environment& environment) {
  S3Config config;
  SPOOL_TRY(read_url(url, config));
  const auto question = url.find('?');
  SPOOL_ASSIGN(auto options, options_of(question == std::string_view::npos ? "" : url.substr(question + 1)));
  const auto first_set = [&](const char* option, std::initializer_list<const char*> variables) {
    if (const auto it = options.find(option); it != options.end()) return it->second;
    for (const char* variable : variables)
      if (auto value = environment(variable)) return *value;
    return std::string();
  };
  if (const std::string region = first_set("region", {"AWS_REGION", "AWS_DEFAULT_REGION"}); !region.empty())
    config.region = region;
  const std::string endpoint = first_set("endpoint", {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"});
  // Certificates of AWS are good for one label before s3.REGION: a bucket with dots goes into the path.
  config.virtual_hosted = endpoint.empty() && config.bucket.find('.') == std::string::npos;
  SPOOL_ASSIGN(
      config.endpoint,
      endpoint_of(endpoint.empty() ? fmt::format("https://s3.{}.amazonaws.com", config.region) : endpoint));
  if (const auto style = options.find("style"); style != options.end()) {
    if (style->second != "path" && style->second != "virtual")
      return wrong("objects: the style of an S3 URL is path or virtual, not '{}'", style->second);
    config.virtual_hosted = style->second == "virtual";
  }
  config.ca_bundle = environment("AWS_CA_BUNDLE").value_or("");
  SPOOL_TRY(credentials_of(environment, config));
  return config;
}

}  // namespace spool

#include "base/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <set>

#include "base/file.h"
#include "base/json_schema.h"
#include "base/toml.h"
#include "base/units.h"

namespace spool {
namespace {

// What the file may hold; the same keys come from flags and the environment.
const JsonSchema& schema() {
  static const JsonSchema compiled = JsonSchema::compile(Json::parse(R"({
    "type": "object", "additionalProperties": false,
    "properties": {
      "store": {"type": "string", "pattern": "^(?!sqlite:$)."},
      "objects": {"type": "string", "pattern": "^(?![sS]3:(?!//))."},
      "ladders": {"type": "string", "minLength": 1},
      "worker": {
        "type": "object", "additionalProperties": false,
        "properties": {
          "slots": {"type": "integer", "minimum": 1, "maximum": 4096},
          "queues": {"type": "array", "items": {"type": "string", "minLength": 1}},
          "tags": {"type": "array", "items": {"type": "string", "minLength": 1}},
          "unsafe_no_sandbox": {"type": "boolean"},
          "local_files": {"type": "boolean"}
        }
      },
      "commands": {
        "type": "object",
        "additionalProperties": {
          "type": "object", "additionalProperties": false, "required": ["command"],
          "properties": {
            "command": {"type": "array", "minItems": 1, "items": {"type": "string"}},
            "environment": {"type": "object", "additionalProperties": {"type": "string"}},
            "timeout": {"type": "string"}
          }
        }
      },
      "retention": {
        "type": "object",
        "additionalProperties": {
          "type": "object", "additionalProperties": false, "minProperties": 1,
          "properties": {
            "older_than": {"type": "string"},
            "keep": {"type": "integer", "minimum": 0, "maximum": 1000000000000},
            "with_outputs": {"type": "boolean"}
          }
        }
      }
    }
  })"))
                                         .value();
  return compiled;
}

enum class Shape { kText, kPath, kWhole, kList, kSwitch };

// The keys that can also be set outside the file.
struct Key {
  std::string_view name;  // "worker.slots"
  const char* variable;   // "SPOOL_SLOTS"
  Shape shape;
};
constexpr Key kKeys[] = {
    {"store", "SPOOL_STORE", Shape::kText},
    {"objects", "SPOOL_OBJECTS", Shape::kText},
    {"ladders", "SPOOL_LADDERS", Shape::kPath},
    {"worker.slots", "SPOOL_SLOTS", Shape::kWhole},
    {"worker.queues", "SPOOL_QUEUES", Shape::kList},
    {"worker.tags", "SPOOL_TAGS", Shape::kList},
    {"worker.unsafe_no_sandbox", "SPOOL_UNSAFE_NO_SANDBOX", Shape::kSwitch},
    {"worker.local_files", "SPOOL_LOCAL_FILES", Shape::kSwitch},
};

Json::json_pointer pointer_of(std::string_view key) {
  Json::json_pointer pointer;
  for (;;) {
    const auto dot = key.find('.');
    pointer.push_back(std::string(key.substr(0, dot)));
    if (dot == std::string_view::npos) return pointer;
    key.remove_prefix(dot + 1);
  }
}

Result<Json> value_of(const Key& key, const std::string& text, std::string_view origin) {
  const auto wrong = [&](std::string_view what) {
    return fail(Code::kInvalidArgument, fmt::format("{}: must be {}", origin, what));
  };
  switch (key.shape) {
    case Shape::kText:
    case Shape::kPath:
      return Json(text);
    case Shape::kWhole: {
      int value = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (error != std::errc{} || end != text.data() + text.size()) return wrong("a whole number");
      return Json(value);
    }
    case Shape::kSwitch:
      if (text == "1" || text == "true") return Json(true);
      if (text == "0" || text == "false") return Json(false);
      return wrong("1 or 0");
    case Shape::kList:
      break;
  }
  Json list = Json::array();
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t comma = std::min(text.find(',', from), text.size());
    if (comma > from) list.push_back(text.substr(from, comma - from));
    from = comma + 1;
  }
  return list;
}

// A store's URL may hold a password: its value is not quoted. The patterns say little to people.
std::string in_words(const SchemaViolation& violation) {
  if (violation.pointer.starts_with("/store")) return "store: must be a URL like \"sqlite:PATH\"";
  if (violation.pointer.starts_with("/objects"))
    return "objects: must be a folder, or a bucket as s3://BUCKET";
  return violation.message;
}

std::optional<std::string> process_environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

class Loader {
 public:
  explicit Loader(const ConfigSources& sources) : sources_(sources) {
    if (!sources_.environment) sources_.environment = process_environment;
  }

  Result<Config> load() {
    SPOOL_TRY(read_file_of_config());
    for (const Key& key : kKeys)
      if (const auto value = sources_.environment(key.variable))
        SPOOL_TRY(overlay(key, *value, key.variable));
    for (const Key& key : kKeys)
      if (const auto flag = sources_.flags.find(std::string(key.name)); flag != sources_.flags.end())
        SPOOL_TRY(overlay(key, flag->second, fmt::format("--{}", flag_name(key.name))));
    return build();
  }

 private:
  static std::string flag_name(std::string_view key) {
    if (key.starts_with("worker.")) key.remove_prefix(7);
    std::string out(key);
    for (char& c : out)
      if (c == '_') c = '-';
    return out;
  }

  Result<void> read_file_of_config() {
    std::filesystem::path path = sources_.folder / "spool.toml";
    if (sources_.file)
      path = *sources_.file;
    else if (const auto named = sources_.environment("SPOOL_CONFIG"))
      path = *named;
    else if (std::error_code ignored; !std::filesystem::exists(path, ignored))
      return {};
    SPOOL_ASSIGN(const std::string text, read_file(path, 1 << 20));
    SPOOL_ASSIGN(const TomlDocument document, parse_toml(text, path.string()));
    const auto violations = schema().violations(document.value);
    std::string wrong;
    for (const SchemaViolation& violation : violations)
      wrong += fmt::format(
          "{}{}: {}", wrong.empty() ? "" : "\n",
          violation.of_key ? document.place_of_key(violation.pointer) : document.place(violation.pointer),
          in_words(violation));
    if (!wrong.empty()) return fail(Code::kInvalidArgument, std::move(wrong));
    for (const Key& key : kKeys)
      if (document.value.contains(pointer_of(key.name)))
        config_.origins[std::string(key.name)] = document.place(pointer_of(key.name).to_string());
    values_ = document.value;
    file_ = document;
    config_.file = path;
    resolve_paths(path.parent_path());
    return {};
  }

  // What stands in the file is relative to it.
  void resolve_paths(const std::filesystem::path& folder) {
    const auto resolve = [&folder](const std::string& path) {
      return (folder / path).lexically_normal().string();
    };
    if (values_.contains("ladders")) values_["ladders"] = resolve(values_["ladders"]);
    if (values_.contains("objects") && values_["objects"].get<std::string>().find("://") == std::string::npos)
      values_["objects"] = resolve(values_["objects"]);
    if (!values_.contains("store")) return;
    const std::string store = values_["store"];
    if (store.starts_with("sqlite:")) values_["store"] = "sqlite:" + resolve(store.substr(7));
  }

  Result<void> overlay(const Key& key, const std::string& text, const std::string& origin) {
    SPOOL_ASSIGN(Json value, value_of(key, text, origin));
    Json alone;
    alone[pointer_of(key.name)] = value;
    if (const auto violations = schema().violations(alone); !violations.empty())
      return fail(Code::kInvalidArgument, fmt::format("{}: {}", origin, in_words(violations.front())));
    values_[pointer_of(key.name)] = std::move(value);
    config_.origins[std::string(key.name)] = origin;
    return {};
  }

  Result<Config> build() {
    const auto take = [this](std::string_view key, auto& into) {
      const auto pointer = pointer_of(key);
      if (values_.contains(pointer)) values_[pointer].get_to(into);
    };
    take("store", config_.store);
    take("objects", config_.objects);
    take("worker.slots", config_.slots);
    take("worker.queues", config_.queues);
    take("worker.tags", config_.tags);
    take("worker.unsafe_no_sandbox", config_.unsafe_no_sandbox);
    if (bool allowed = false; values_.contains(pointer_of("worker.local_files"))) {
      take("worker.local_files", allowed);
      config_.local_files = allowed;
    }
    std::string ladders;
    take("ladders", ladders);
    config_.ladders = ladders;
    SPOOL_TRY(build_commands());
    SPOOL_TRY(build_retention());
    return std::move(config_);
  }

  Result<void> build_commands() {
    const Json commands = values_.value("commands", Json::object());
    for (const auto& [name, entry] : commands.items()) {
      CommandConfig command;
      command.command = entry["command"].get<std::vector<std::string>>();
      command.environment = entry.value("environment", std::map<std::string, std::string>{});
      SPOOL_ASSIGN(command.timeout, duration_of(entry, "timeout", "/commands/" + name));
      config_.commands.emplace(name, std::move(command));
    }
    return {};
  }

  Result<void> build_retention() {
    const Json queues = values_.value("retention", Json::object());
    for (const auto& [queue, entry] : queues.items()) {
      const std::string place = "/retention/" + queue;
      if (queue.empty())
        return fail(Code::kInvalidArgument, fmt::format("{}: of which queue? [retention.\"*\"] is for all",
                                                        file_.place("/retention")));
      RetentionConfig retention;
      SPOOL_ASSIGN(retention.older_than, duration_of(entry, "older_than", place));
      if (entry.contains("keep")) retention.keep = entry["keep"].get<std::int64_t>();
      retention.with_outputs = entry.value("with_outputs", false);
      if (!retention.older_than && !retention.keep)
        return fail(
            Code::kInvalidArgument,
            fmt::format("{}: what goes? Say older_than = \"30d\", keep = 1000, or both", file_.place(place)));
      config_.retention.emplace(queue, retention);
    }
    return {};
  }

  Result<std::optional<Duration>> duration_of(const Json& entry, const char* key,
                                              const std::string& place) const {
    if (!entry.contains(key)) return std::nullopt;
    const auto seconds = parse_duration(entry[key].get<std::string>());
    if (!seconds)
      return fail(Code::kInvalidArgument,
                  fmt::format("{}: {}", file_.place(place + "/" + key), seconds.error().message));
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(*seconds));
  }

  ConfigSources sources_;
  Config config_;
  Json values_ = Json::object();
  TomlDocument file_;
};

// Where "user:password" ends, at its '@'; npos: there is none. A password that should have been encoded may
// hold '@', '/', '?' and '#', which end this part of a proper URL: so the last '@' of all ends it. Only a
// host with a port, where no '@' stands before the path, ends the search at the parameters.
std::size_t end_of_user(std::string_view url, std::size_t from) {
  const std::string_view authority = url.substr(0, url.find_first_of("/?#", from));
  if (authority.find('@', from) != std::string_view::npos) return url.rfind('@');
  if (authority.ends_with(']')) return std::string_view::npos;
  const std::string_view port = authority.substr(authority.rfind(':') + 1);
  const bool number = !port.empty() && port.find_first_not_of("0123456789,") == std::string_view::npos;
  return url.substr(0, number ? url.find('?') : url.size()).rfind('@');
}

bool is_port(std::string_view text) {
  int port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return text.empty() || (error == std::errc{} && end == text.data() + text.size() && port <= 65535);
}

// Where no '@' stands, what is behind a host's ':' and is no port may be a password whose host was forgotten.
// The place of that ':'; npos: there is none.
std::size_t colon_of_no_port(std::string_view url, std::size_t from) {
  const std::size_t end = std::min(url.find_first_of("/?#", from), url.size());
  while (from < end) {
    const std::size_t comma = std::min(url.find(',', from), end);
    const std::string_view host = url.substr(from, comma - from);
    const std::size_t address = host.starts_with('[') ? host.find(']') : 0;  // of IPv6
    const std::size_t colon = host.find(':', address == std::string_view::npos ? 0 : address);
    if (colon != std::string_view::npos && !is_port(host.substr(colon + 1))) return from + colon;
    from = comma + 1;
  }
  return std::string_view::npos;
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

// Parameters of libpq's URLs and of ours for S3 that hold no secret. What is not one of them may be a
// password by a mistyped name, and "options" sets anything.
constexpr std::string_view kHarmless[] = {"application_name",
                                          "channel_binding",
                                          "client_encoding",
                                          "connect_timeout",
                                          "dbname",
                                          "endpoint",
                                          "fallback_application_name",
                                          "gssencmode",
                                          "gsslib",
                                          "host",
                                          "hostaddr",
                                          "keepalives",
                                          "keepalives_count",
                                          "keepalives_idle",
                                          "keepalives_interval",
                                          "krbsrvname",
                                          "load_balance_hosts",
                                          "passfile",
                                          "port",
                                          "region",
                                          "replication",
                                          "require_auth",
                                          "requirepeer",
                                          "service",
                                          "ssl",
                                          "ssl_max_protocol_version",
                                          "ssl_min_protocol_version",
                                          "sslcert",
                                          "sslcertmode",
                                          "sslcompression",
                                          "sslcrl",
                                          "sslcrldir",
                                          "sslkey",
                                          "sslmode",
                                          "sslrootcert",
                                          "sslsni",
                                          "style",
                                          "target_session_attrs",
                                          "tcp_user_timeout",
                                          "user"};

// "?password=secret&other=secret": "***" in their place. Shown is what is known to be harmless, said once,
// and without an encoded '@', before which a password may stand. What has no '=' belongs to the value before
// it: an '&' may be one of a password's.
std::string without_secret_parameters(std::string_view url) {
  std::size_t at = std::min(url.find('?'), url.size());
  std::string shown(url.substr(0, at));
  std::set<std::string_view> said;
  bool secret = false;
  while (at < url.size()) {
    const std::size_t end = std::min(url.find('&', at + 1), url.size());
    const std::string_view parameter = url.substr(at, end - at);
    const auto equals = parameter.find('=');
    const std::string_view name = parameter.substr(0, equals);
    const bool has_value = equals != std::string_view::npos;
    if (has_value)
      secret = std::ranges::find(kHarmless, name.substr(1)) == std::end(kHarmless) ||
               !said.insert(name.substr(1)).second || parameter.find("%40") != std::string_view::npos;
    if (!secret)
      shown += parameter;
    else if (has_value)
      shown += fmt::format("{}=***", name);
    at = end;
  }
  return shown;
}

}  // namespace

Result<Config> load_config(const ConfigSources& sources) {
  return Loader(sources).load();
}

std::string without_secret(std::string_view url) {
  if (url.starts_with("sqlite:")) return std::string(url);
  const auto scheme = url.find("://");
  const bool is_url = scheme < url.find('=');
  // "host=there password=secret": blanks and quotes may be part of the value, so nothing behind it is shown.
  const auto password = lower_case(url).find("password");
  if (const auto equals = url.rfind('='); !is_url && equals != std::string_view::npos && password < equals)
    return fmt::format("{}password=***", url.substr(0, password));
  const std::size_t from = is_url ? scheme + 3 : 0;
  const std::size_t colon = url.find(':', from);
  std::string shown(url);
  if (const std::size_t end = end_of_user(url, from); end != std::string_view::npos) {
    if (colon < end) shown.replace(colon + 1, end - colon - 1, "***");
  } else if (scheme != std::string_view::npos) {
    if (const auto wrong = colon_of_no_port(url, scheme + 3); wrong != std::string_view::npos)
      shown.replace(wrong + 1, std::string::npos, "***");
  }
  return without_secret_parameters(shown);
}

}  // namespace spool

#include "store_postgres/conninfo.h"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <sstream>

#include "base/config.h"
#include "store_postgres/failure.h"

namespace spool::postgres {
namespace {

// A connection whose other end has gone without a word is noticed within half a minute, an idle one too.
// read-write: of several hosts the primary is taken.
constexpr std::pair<const char*, const char*> kDefaults[] = {
    {"application_name", "spool"}, {"client_encoding", "UTF8"},
    {"keepalives", "1"},           {"keepalives_idle", "10"},
    {"keepalives_interval", "5"},  {"keepalives_count", "3"},
    {"tcp_user_timeout", "20000"}, {"target_session_attrs", "read-write"},
};

[[noreturn]] void wrong(const std::string& shown, std::string_view what) {
  refuse(Code::kInvalidArgument,
         fmt::format(
             "{}: {}; expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters of the "
             "password encoded: '@' as %40, '/' as %2F, '?' as %3F, ':' as %3A",
             shown, what));
}

// libpq takes the first '@' for the end of the password, and would look for a host that is a piece of it.
void check_user(std::string_view url, const std::string& shown) {
  const std::string_view place = url.substr(0, url.find('?'));
  const auto last = place.rfind('@');
  if (last != std::string_view::npos && last != place.find_first_of("@/", place.find("://") + 3))
    wrong(shown, "an '@' stands in its user, password or database");
}

// libpq ends its reasons with a piece of the URL, which may be one of the password.
std::string reason_of(const char* message) {
  std::string_view reason = message != nullptr ? message : "it cannot be read";
  reason = reason.substr(0, reason.find(": \""));
  while (reason.ends_with('\n')) reason.remove_suffix(1);
  return std::string(reason);
}

std::map<std::string, std::string> parse(const std::string& url, const std::string& shown) {
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(
      PQconninfoParse(url.c_str(), &message), &PQconninfoFree);
  const std::unique_ptr<char, decltype(&PQfreemem)> owned(message, &PQfreemem);
  if (!options) wrong(shown, reason_of(message));
  std::map<std::string, std::string> parameters;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option)
    if (option->val != nullptr) parameters[option->keyword] = option->val;
  return parameters;
}

// libpq would say so too, with the piece that it took for the port.
void check_ports(std::string_view ports, const std::string& shown) {
  while (!ports.empty()) {
    const std::string_view one = ports.substr(0, ports.find(','));
    ports.remove_prefix(std::min(one.size() + 1, ports.size()));
    int port = 0;
    const auto [end, error] = std::from_chars(one.data(), one.data() + one.size(), port);
    if (!one.empty() && (error != std::errc() || end != one.data() + one.size() || port < 1 || port > 65535))
      wrong(shown, "its port is not a number from 1 to 65535");
  }
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  std::istringstream stream(list + ",");
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

Duration seconds_of(const std::string& text, const std::string& shown) {
  int seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error != std::errc() || end != text.data() + text.size() || seconds < 1)
    wrong(shown, "its connect_timeout is not a number of seconds");
  return std::chrono::seconds(seconds);
}

}  // namespace

Conninfo::Conninfo(std::string_view url) : shown(spool::without_secret(url)) {
  if (!url.starts_with("postgres://") && !url.starts_with("postgresql://"))
    wrong(shown, "no URL of a PostgreSQL");
  if (url.find('\0') != std::string_view::npos) wrong(shown, "it holds a NUL character");
  check_user(url, shown);
  parameters = parse(std::string(url), shown);
  if (const auto port = parameters.find("port"); port != parameters.end()) check_ports(port->second, shown);
  if (const auto timeout = parameters.find("connect_timeout"); timeout != parameters.end())
    connect_timeout = seconds_of(timeout->second, shown);
  for (const auto& [name, value] : kDefaults) parameters.emplace(name, value);
}

std::vector<std::map<std::string, std::string>> Conninfo::hosts() const {
  constexpr const char* kOfOneHost[] = {"host", "hostaddr", "port"};
  std::size_t count = 1;
  std::map<std::string, std::vector<std::string>> lists;
  for (const char* name : kOfOneHost)
    if (const auto found = parameters.find(name); found != parameters.end()) {
      lists[name] = split(found->second);
      count = std::max(count, lists[name].size());
    }
  std::vector<std::map<std::string, std::string>> hosts(count, parameters);
  for (const auto& [name, values] : lists)  // one port may stand for all
    for (std::size_t i = 0; i < count; ++i) hosts[i][name] = values[values.size() == count ? i : 0];
  return hosts;
}

std::string Conninfo::without_secret(std::string message) const {
  for (const char* name : {"password", "sslpassword"}) {
    const auto secret = parameters.find(name);
    if (secret == parameters.end() || secret->second.empty()) continue;
    for (std::size_t at = 0; (at = message.find(secret->second, at)) != std::string::npos; at += 3)
      message.replace(at, secret->second.size(), "***");
  }
  return message;
}

}  // namespace spool::postgres

#include "store_postgres/connection.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <vector>

namespace spool::postgres {
namespace {

constexpr const char* kBegin = "BEGIN ISOLATION LEVEL READ COMMITTED";
constexpr const char* kCommit = "COMMIT";
constexpr const char* kRollback = "ROLLBACK";
constexpr const char* kServerEncoding = "SHOW server_encoding";
constexpr const char* kBackend = "SELECT pg_backend_pid()";

constexpr int kBinary = 1;

void ignore_notice(void*, const PGresult*) {}

// libpq's words have lines and full stops, and some end with a question that we put better.
std::string one_line(std::string_view text) {
  text = text.substr(0, text.find("\tIs the server running"));
  std::string line;
  for (const char c : text) {
    const bool space = c == '\n' || c == '\t' || c == ' ';
    if (!space)
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  while (line.ends_with(' ') || line.ends_with('.')) line.pop_back();
  return line;
}

std::string_view field(const PGresult* answer, int code) {
  const char* text = PQresultErrorField(answer, code);
  return text == nullptr ? std::string_view() : std::string_view(text);
}

// Where it matters, in parentheses: what is wrong with a connection is not the statement's.
std::string statement_of(std::string_view sqlstate, std::string_view sql) {
  if (sqlstate.starts_with("08")) return "";
  return fmt::format(" ({})", sql.substr(0, std::min<std::size_t>(60, sql.find('\n'))));
}

// What to do about a statement that was refused; empty: nothing that a message could say.
std::string_view advice_on(std::string_view sqlstate) {
  if (sqlstate == "3F000" || sqlstate == "42P01" || sqlstate == "42883")
    return ": its schema is missing or of another version: run spool migrate";
  if (sqlstate == "42501") return ": grant this role the rights, or use the role that owns the schema";
  if (sqlstate == "53100") return ": make room on the server's disk";
  return {};
}

// A connection could not be made: what libpq says of it with PQERRORS_VERBOSE, for its SQLSTATE.
struct Refusal {
  std::string sqlstate;  // empty: not the server's words
  std::string reason;
};

// "... FATAL:  28P01: password authentication failed for user "x"\nLOCATION:  auth_failed, auth.c:326"; of
// several attempts the last counts.
Refusal refusal_of(std::string_view message) {
  constexpr std::string_view kGap = ":  ";
  constexpr std::size_t kLength = 5;
  Refusal refusal;
  message = message.substr(0, message.rfind("\nLOCATION"));
  for (std::size_t at = message.rfind(kGap); at != std::string_view::npos && at > 0;
       at = message.rfind(kGap, at - 1)) {
    const std::string_view state = message.substr(at + kGap.size(), kLength);
    const bool upper = std::all_of(state.begin(), state.end(),
                                   [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); });
    if (state.size() != kLength || !upper || message.substr(at + kGap.size() + kLength, 2) != ": ") continue;
    refusal.sqlstate = state;
    refusal.reason = one_line(message.substr(at + kGap.size() + kLength + 2));
    return refusal;
  }
  refusal.reason = one_line(message);
  return refusal;
}

struct Trouble {
  std::string_view sqlstate;  // empty: the client's own words
  std::string_view words;     // in the reason; empty: any
  Code code;
  std::string_view advice;
};

// Of several that fit the first counts.
constexpr Trouble kTroubles[] = {
    {"28P01", "", Code::kPermissionDenied,
     "check the user and the password in the URL, PGPASSWORD or ~/.pgpass"},
    {"28000", "no encryption", Code::kPermissionDenied,
     "the server may want TLS: say ?sslmode=require; or let this host in, in its pg_hba.conf"},
    {"28000", "does not exist", Code::kPermissionDenied,
     "make the role with createuser, or name another in the URL"},
    {"28", "", Code::kPermissionDenied, "the server's pg_hba.conf must let this user in from this host"},
    {"3D000", "", Code::kNotFound, "make the database: createdb --encoding=UTF8 --template=template0 NAME"},
    {"42501", "", Code::kPermissionDenied, "GRANT CONNECT ON DATABASE ... TO the role"},
    {"53300", "", Code::kUnavailable,
     "all connections are taken: raise max_connections, or put PgBouncer before it"},
    {"55000", "", Code::kUnavailable, "let it: ALTER DATABASE ... ALLOW_CONNECTIONS true"},
    {"57P03", "", Code::kUnavailable, "it will be there soon: try again"},
    // PgBouncer's, which says 08P01 to everything.
    {"08P01", "does not exist", Code::kNotFound,
     "make the database: createdb --encoding=UTF8 --template=template0 NAME"},
    {"08P01", "no such database", Code::kNotFound, "name it in the section [databases] of pgbouncer.ini"},
    {"08P01", "no such user", Code::kPermissionDenied, "name the user in PgBouncer's auth_file"},
    {"08P01", "authentication failed", Code::kPermissionDenied,
     "check the user and the password, here and in PgBouncer's auth_file"},
    {"", "SSL was required", Code::kUnsupported,
     "switch TLS on at the server, or leave out sslmode in the URL"},
    {"", "no password supplied", Code::kPermissionDenied, "put it into the URL, PGPASSWORD or ~/.pgpass"},
    {"", "certificate", Code::kPermissionDenied, "see sslrootcert, sslcert and sslkey in libpq's manual"},
    {"", "definition of service", Code::kInvalidArgument,
     "correct the service in the URL or PGSERVICE, or write it into ~/.pg_service.conf"},
    {"", "invalid ", Code::kInvalidArgument, "correct the URL"},
    {"", "read-only", Code::kUnavailable, "it is a standby: name the primary, or all hosts, in the URL"},
    {"", "", Code::kUnavailable, "is the server running there, and does it listen on this address?"},
};

const Trouble* trouble_of(const Refusal& refusal) {
  for (const Trouble& trouble : kTroubles)
    if (trouble.sqlstate.empty() == refusal.sqlstate.empty() &&
        refusal.sqlstate.starts_with(trouble.sqlstate) &&
        refusal.reason.find(trouble.words) != std::string::npos)
      return &trouble;
  return nullptr;
}

}  // namespace

Connection::Connection(const Conninfo& conninfo)
    : conninfo_(conninfo), answer_timeout_(conninfo.answer_timeout) {
  connect();
  PQsetnonblocking(connection_.get(), 1);
  PQsetNoticeReceiver(connection_.get(), ignore_notice, nullptr);
  check_encoding();
}

void Connection::connect() {
  const auto hosts = conninfo_.hosts();
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    try {
      return connect(hosts[i]);
    } catch (const StoreError& e) {
      if (e.error.code != Code::kUnavailable || i + 1 == hosts.size()) throw;
    }
  }
}

void Connection::connect(const std::map<std::string, std::string>& parameters) {
  std::vector<const char*> names, values;
  for (const auto& [name, value] : parameters) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  const auto end = BootClock::now() + conninfo_.connect_timeout;
  connection_.reset(PQconnectStartParams(names.data(), values.data(), 0));
  if (!connection_) throw std::bad_alloc();
  PQsetErrorVerbosity(connection_.get(), PQERRORS_VERBOSE);
  auto state = PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK) {
    if (PQstatus(connection_.get()) == CONNECTION_BAD || state == PGRES_POLLING_FAILED) raise_unconnected();
    if (!await(state == PGRES_POLLING_READING ? POLLIN : POLLOUT, end))
      refuse(
          Code::kUnavailable,
          fmt::format("{}: no answer within {} s: is a PostgreSQL running there?", conninfo_.shown,
                      std::chrono::duration_cast<std::chrono::seconds>(conninfo_.connect_timeout).count()));
    state = PQconnectPoll(connection_.get());
  }
}

void Connection::raise_unconnected() const {
  const Refusal refusal = refusal_of(PQerrorMessage(connection_.get()));
  const Trouble* trouble = trouble_of(refusal);
  const std::string reason = conninfo_.without_secret(refusal.reason);
  const int native = native_of(refusal.sqlstate);
  if (trouble != nullptr)
    throw StoreError{
        Error{trouble->code, fmt::format("{}: {}: {}", conninfo_.shown, reason, trouble->advice), native},
        Fate::kUnsent};
  throw StoreError{Error{code_of(refusal.sqlstate), fmt::format("{}: {}", conninfo_.shown, reason), native},
                   Fate::kUnsent};
}

void Connection::check_encoding() {
  const char* told = PQparameterStatus(connection_.get(), "server_encoding");
  std::string encoding = told != nullptr ? told : "";
  if (encoding.empty()) {
    Rows row = query(kServerEncoding);
    if (row.next()) encoding = row.text(0);
  }
  if (encoding != "UTF8")
    refuse(Code::kUnsupported,
           fmt::format("{}: the database's encoding is {}, and must be UTF8: make another with createdb "
                       "--encoding=UTF8 --template=template0 NAME",
                       conninfo_.shown, encoding));
}

bool Connection::await(short events, BootClock::time_point end) const {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - BootClock::now()).count();
    pollfd waiting{socket(), events, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 1 << 30)));
    if (ready > 0) return true;  // an error too: libpq finds it
    if (ready == 0 && left <= 0) return false;
  }
}

bool Connection::stale() {
  return !alive() || await(POLLIN, BootClock::now());
}

std::optional<std::string> Connection::notification() {
  if (PQconsumeInput(connection_.get()) == 0) raise_lost(Fate::kUnsent, PQerrorMessage(connection_.get()));
  const std::unique_ptr<PGnotify, decltype(&PQfreemem)> told(PQnotifies(connection_.get()), &PQfreemem);
  return told ? std::optional<std::string>(told->extra) : std::nullopt;
}

// PgBouncer may send us what somebody else listens to.
void Connection::discard_notifications() {
  while (PGnotify* told = PQnotifies(connection_.get())) PQfreemem(told);
}

// PgBouncer makes up the number that it gives to its clients.
bool Connection::direct() {
  Rows row = query(kBackend);
  return row.next() && row.i32(0) == PQbackendPID(connection_.get());
}

Rows Connection::execute(const char* sql, const Parameters& parameters) {
  end_ = BootClock::now() + answer_timeout_;
  const auto values = parameters.values();
  const auto formats = parameters.formats();
  if (PQsendQueryParams(connection_.get(), sql, parameters.count(), parameters.types(), values.data(),
                        parameters.lengths(), formats.data(), kBinary) == 0)
    raise_lost(Fate::kUnsent, PQerrorMessage(connection_.get()));
  flush();
  return Rows(receive(sql));
}

void Connection::script(const std::string& sql) {
  end_ = BootClock::now() + answer_timeout_;
  if (PQsendQuery(connection_.get(), sql.c_str()) == 0)
    raise_lost(Fate::kUnsent, PQerrorMessage(connection_.get()));
  flush();
  static_cast<void>(receive(sql));
}

// A statement begins when its last byte is there. Reads meanwhile: the server may want to be rid of its
// answer first.
void Connection::flush() {
  for (;;) {
    const int left = PQflush(connection_.get());
    if (left == 0) return;
    if (left < 0) raise_lost(Fate::kUnsent, PQerrorMessage(connection_.get()));
    if (!await(POLLIN | POLLOUT, end_)) raise_lost(Fate::kUnsent, "the server takes nothing any more");
    if (PQconsumeInput(connection_.get()) == 0) raise_lost(Fate::kUnsent, PQerrorMessage(connection_.get()));
  }
}

// The answer of the last statement. All are taken, so that the connection is free for the next one.
Answer Connection::receive(std::string_view sql) {
  Answer last, failed;
  for (;;) {
    while (PQisBusy(connection_.get()) != 0) {
      if (!await(POLLIN, end_)) raise_lost(Fate::kUnknown, "the server does not answer");
      if (PQconsumeInput(connection_.get()) == 0) break;
    }
    if (!alive() && failed) break;
    Answer answer(PQgetResult(connection_.get()));
    if (!answer) break;
    const auto status = PQresultStatus(answer.get());
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY)
      last = std::move(answer);
    else if (!failed)
      failed = std::move(answer);
  }
  if (failed) raise(failed.get(), sql);
  if (!alive() || !last) raise_lost(Fate::kUnknown, PQerrorMessage(connection_.get()));
  return last;
}

void Connection::raise(const PGresult* answer, std::string_view sql) {
  const std::string sqlstate(field(answer, PG_DIAG_SQLSTATE));
  const std::string_view words = field(answer, PG_DIAG_MESSAGE_PRIMARY);
  const std::string message = words.empty() ? one_line(PQresultErrorMessage(answer)) : std::string(words);
  const int native = native_of(sqlstate);
  if (!alive()) raise_lost(Fate::kUnknown, message, native);
  if (sqlstate.starts_with("SP")) throw StoreError{Error{code_of(sqlstate), message, native}};
  if (is_standby(sqlstate)) connection_.reset();
  throw StoreError{
      Error{code_of(sqlstate),
            fmt::format("database: {}{}{}", message, statement_of(sqlstate, sql), advice_on(sqlstate)),
            native},
      is_conflict(sqlstate) ? Fate::kConflict : Fate::kRefused};
}

void Connection::raise_lost(Fate fate, std::string_view what, int native) {
  const std::string reason = one_line(conninfo_.without_secret(std::string(what)));
  connection_.reset();
  throw StoreError{Error{fate == Fate::kUnknown ? Code::kInDoubt : Code::kUnavailable,
                         fmt::format("database: the connection is lost: {}", reason), native},
                   fate};
}

Transaction::Transaction(Connection& connection) : connection_(connection) {
  connection_.run(kBegin);
}

Transaction::~Transaction() {
  if (!open_ || !connection_.alive()) return;
  try {
    connection_.run(kRollback);
  } catch (const StoreError&) {
    // The connection is lost, and the server has rolled back.
  }
}

void Transaction::commit() {
  connection_.run(kCommit);
  open_ = false;
}

}  // namespace spool::postgres

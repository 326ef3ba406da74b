// One connection to PostgreSQL, over libpq. Belongs to one thread at a time.
//
// Nothing is kept in the session: no prepared statements, no settings, so that it may as well lead to
// PgBouncer in transaction mode. No call waits for ever: an answer that does not come in time closes the
// connection. Errors are thrown as StoreError; one that lost the connection leaves it !alive(), to be thrown
// away.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <optional>
#include <string>

#include "store_postgres/conninfo.h"
#include "store_postgres/failure.h"
#include "store_postgres/parameters.h"
#include "store_postgres/rows.h"

namespace spool::postgres {

class Connection {
 public:
  // Connects. Throws kUnavailable (not reached, starting up, full), kPermissionDenied (password,
  // pg_hba.conf), kNotFound (no such database), kUnsupported (TLS is not there, or the database is not in
  // UTF-8).
  explicit Connection(const Conninfo& conninfo);

  // One statement with its parameters $1, $2, ...
  template <class... Args>
  [[nodiscard]] Rows query(const char* sql, const Args&... args) {
    Parameters parameters;
    (parameters.add(args), ...);
    return execute(sql, parameters);
  }
  template <class... Args>
  void run(const char* sql, const Args&... args) {
    static_cast<void>(query(sql, args...));
  }
  // As query(), for SQL that is put together.
  [[nodiscard]] Rows execute(const char* sql, const Parameters& parameters);
  // Several statements, in one transaction unless they say otherwise.
  void script(const std::string& sql);

  // Of the statements to come.
  void set_answer_timeout(Duration most) { answer_timeout_ = most; }

  [[nodiscard]] bool alive() const { return PQstatus(connection_.get()) == CONNECTION_OK; }
  // An idle connection has heard something: the server closed it, or (after LISTEN) told it something.
  [[nodiscard]] bool stale();

  // It leads to the server itself: what is done to the session stays with us. Behind PgBouncer it does not.
  [[nodiscard]] bool direct();
  // For a LISTEN: the payload of the next notification that has come; none: nothing has come (yet).
  [[nodiscard]] std::optional<std::string> notification();
  void discard_notifications();
  [[nodiscard]] int socket() const { return PQsocket(connection_.get()); }
  [[nodiscard]] const Conninfo& conninfo() const { return conninfo_; }

 private:
  struct Finish {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };

  void connect();  // to the first host that can be reached
  void connect(const std::map<std::string, std::string>& parameters);
  void check_encoding();
  [[noreturn]] void raise_unconnected() const;

  void flush();
  [[nodiscard]] Answer receive(std::string_view sql);
  // The socket can be read (or written, where that is awaited); false: not until `end`.
  [[nodiscard]] bool await(short events, BootClock::time_point end) const;
  [[noreturn]] void raise(const PGresult* answer, std::string_view sql);
  [[noreturn]] void raise_lost(Fate fate, std::string_view what, int native = 0);

  Conninfo conninfo_;
  std::unique_ptr<PGconn, Finish> connection_;
  Duration answer_timeout_;
  BootClock::time_point end_{};  // until when the statement that runs must have its answer
};

// BEGIN ... COMMIT; rolls back when it goes uncommitted. READ COMMITTED.
class Transaction {
 public:
  explicit Transaction(Connection& connection);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();
  void commit();

 private:
  Connection& connection_;
  bool open_ = true;
};

}  // namespace spool::postgres

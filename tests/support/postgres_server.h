// For tests: a real PostgreSQL with a PgBouncer in transaction mode before it (tests/servers/postgres), and
// fresh databases in it. Link spool_store_postgres and PostgreSQL::PostgreSQL, and say SERVERS postgres to
// spool_test().
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>

#include "base/id.h"
#include "store_postgres/schema.h"
#include "test_paths.h"

namespace spool::test {

class PostgresServer {
 public:
  // One of its own, which ends with this object.
  explicit PostgresServer(const std::string& options) {
    int commands[2], answers[2];
    if (::pipe2(commands, O_CLOEXEC) != 0 || ::pipe2(answers, O_CLOEXEC) != 0)
      throw std::runtime_error("cannot make a pipe");
    child_ = ::fork();
    if (child_ == 0) {
      ::dup2(commands[0], 0);
      ::dup2(answers[1], 1);
      const std::string command = "exec " SPOOL_SOURCE_DIR "/tests/servers/postgres " + options;
      ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      ::_exit(127);
    }
    ::close(commands[0]);
    ::close(answers[1]);
    commands_ = ::fdopen(commands[1], "w");
    answers_ = ::fdopen(answers[0], "r");
    url_ = line();
    bouncer_url_ = line();
    line();
  }
  PostgresServer(const PostgresServer&) = delete;
  PostgresServer& operator=(const PostgresServer&) = delete;
  ~PostgresServer() {
    if (child_ < 0) return;
    ::fclose(commands_);  // it stops
    ::fclose(answers_);
    ::waitpid(child_, nullptr, 0);
  }

  // That of this run of ctest. A program that was started by hand has one until it ends.
  static PostgresServer& shared() {
    static PostgresServer server{Shared{}};
    return server;
  }

  // Of a server of one's own: as a crash would, and back on the same port.
  void stop() { command("stop"); }
  void start() { command("start"); }
  void restart() { command("restart"); }

  [[nodiscard]] std::string url(const std::string& database = "postgres") const {
    return url_of(url_, database);
  }
  [[nodiscard]] std::string bouncer_url(const std::string& database = "postgres") const {
    return url_of(bouncer_url_, database);
  }
  [[nodiscard]] int port() const { return std::stoi(url_.substr(url_.rfind(':') + 1)); }

 private:
  struct Shared {};
  explicit PostgresServer(Shared)
      : PostgresServer(Shared{}, std::ifstream(SPOOL_BINARY_DIR "/postgres_server")) {}
  PostgresServer(Shared, std::ifstream file) {
    pid_t keeper = 0;
    if (file >> url_ >> bouncer_url_ >> keeper && ::kill(keeper, 0) == 0) return;
    static PostgresServer own("--pgbouncer --no-fsync");
    url_ = own.url_;
    bouncer_url_ = own.bouncer_url_;
  }

  static std::string url_of(const std::string& url, const std::string& database) {
    return url.substr(0, url.rfind('/') + 1) + database;
  }
  void command(const char* words) {
    std::fprintf(commands_, "%s\n", words);
    std::fflush(commands_);
    if (line() != "done") throw std::runtime_error(fmt::format("tests/servers/postgres: {} failed", words));
  }
  std::string line() {
    std::string text;
    for (int c = std::fgetc(answers_); c != '\n'; c = std::fgetc(answers_)) {
      if (c == EOF) throw std::runtime_error("tests/servers/postgres ended");
      text.push_back(static_cast<char>(c));
    }
    return text;
  }

  pid_t child_ = -1;  // -1: not ours
  std::FILE* commands_ = nullptr;
  std::FILE* answers_ = nullptr;
  std::string url_, bouncer_url_;
};

// A database that lives as long as its object: empty, or with the newest schema.
class PostgresDatabase {
 public:
  enum class Schema { kNone, kNewest };
  explicit PostgresDatabase(Schema schema = Schema::kNewest,
                            PostgresServer& server = PostgresServer::shared())
      : server_(server), name_("t_" + Token::random().text()) {
    postgres::Connection admin(postgres::Conninfo(server.url()));
    if (schema == Schema::kNewest) make_template(admin);
    run(admin, fmt::format("CREATE DATABASE {} TEMPLATE {}", name_,
                           schema == Schema::kNewest ? "spool_template" : "template0"));
  }
  PostgresDatabase(const PostgresDatabase&) = delete;
  PostgresDatabase& operator=(const PostgresDatabase&) = delete;
  ~PostgresDatabase() {
    try {
      postgres::Connection admin(postgres::Conninfo(server_.url()));
      run(admin, fmt::format("DROP DATABASE {} WITH (FORCE)", name_));
    } catch (const postgres::StoreError& e) {
      std::fprintf(stderr, "%s\n", e.error.message.c_str());
    }
  }

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string url() const { return server_.url(name_); }
  [[nodiscard]] std::string bouncer_url() const { return server_.bouncer_url(name_); }

 private:
  static void run(postgres::Connection& admin, const std::string& sql) { admin.run(sql.c_str()); }
  // Once a server: a copy is quicker than the migrations.
  void make_template(postgres::Connection& admin) {
    admin.run("SELECT pg_advisory_lock(1)");
    if (!admin.query("SELECT FROM pg_database WHERE datname = 'spool_template'").next()) {
      run(admin, "DROP DATABASE IF EXISTS spool_template_made");
      run(admin, "CREATE DATABASE spool_template_made TEMPLATE template0");
      {
        postgres::Connection made(postgres::Conninfo(server_.url("spool_template_made")));
        postgres::migrate(made);
      }
      run(admin, "ALTER DATABASE spool_template_made RENAME TO spool_template");
    }
    admin.run("SELECT pg_advisory_unlock(1)");
  }

  PostgresServer& server_;
  std::string name_;
};

}  // namespace spool::test

// Where a database is: a URL, taken apart, with the defaults that a worker needs. A plain value.
//
// postgres://user:password@host:port/database?sslmode=require; what is left out comes from the environment
// (PGHOST, PGPASSWORD, ...) and ~/.pgpass, as with every program on libpq. Whatever stands in the URL wins
// over the defaults set here. Only such parameters are set as PgBouncer lets through.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace spool::postgres {

struct Conninfo {
  // Throws StoreError: kInvalidArgument, with the part that is wrong.
  explicit Conninfo(std::string_view url);

  // Without the password, wherever libpq may have repeated it.
  [[nodiscard]] std::string without_secret(std::string message) const;

  // Of several hosts each by itself, in their order: of a host that does not answer libpq would not let go.
  [[nodiscard]] std::vector<std::map<std::string, std::string>> hosts() const;

  std::string shown;                                    // the URL without its secret
  std::map<std::string, std::string> parameters;        // of libpq
  Duration connect_timeout = std::chrono::seconds(10);  // of one host
  Duration answer_timeout = std::chrono::seconds(30);   // of one statement
};

}  // namespace spool::postgres

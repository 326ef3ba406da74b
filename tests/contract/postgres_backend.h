// The StoreBackends of PostgresStore: straight to the server, and through PgBouncer in transaction mode.
#pragma once

#include "contract/store_backend.h"
#include "store_postgres/postgres_store.h"
#include "support/postgres_server.h"

namespace spool {

class PostgresBackend : public StoreBackend {
 public:
  enum class Way { kStraight, kBouncer };
  explicit PostgresBackend(Way way = Way::kStraight)
      : url_(way == Way::kStraight ? database_.url() : database_.bouncer_url()) {}
  std::unique_ptr<Store> open() override { return must(open_postgres_store(url_)); }
  [[nodiscard]] std::string url() const { return database_.url(); }

 private:
  test::PostgresDatabase database_;
  std::string url_;
};

inline std::unique_ptr<StoreBackend> postgres_backend() {
  return std::make_unique<PostgresBackend>();
}
inline std::unique_ptr<StoreBackend> bouncer_backend() {
  return std::make_unique<PostgresBackend>(PostgresBackend::Way::kBouncer);
}

}  // namespace spool

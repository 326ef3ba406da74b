#pragma once
#include <cstdlib>
#include "contract/store_backend.h"
#include "store_postgres/connection.h"
#include "store_postgres/postgres_store.h"
namespace spool {
class PostgresBackend : public StoreBackend {
 public:
  PostgresBackend() {
    postgres::Connection db(postgres::Conninfo("postgres://postgres@127.0.0.1:54399/postgres"));
    name_ = "t" + std::to_string(getpid()) + "_" + std::to_string(++number_);
    db.run(("CREATE DATABASE " + name_ + " TEMPLATE template_spool").c_str());
  }
  ~PostgresBackend() override {
    postgres::Connection db(postgres::Conninfo("postgres://postgres@127.0.0.1:54399/postgres"));
    db.run(("DROP DATABASE " + name_ + " WITH (FORCE)").c_str());
  }
  std::unique_ptr<Store> open() override {
    return must(open_postgres_store("postgres://postgres@127.0.0.1:54399/" + name_));
  }
 private:
  static inline int number_ = 0;
  std::string name_;
};
inline std::unique_ptr<StoreBackend> postgres_backend() { return std::make_unique<PostgresBackend>(); }
}

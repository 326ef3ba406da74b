// Inserter: new jobs, in one write transaction; for Store::insert and for the children of a fan-out.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "queue/draft.h"
#include "store_sqlite/lanes.h"
#include "store_sqlite/life_cycle.h"

namespace spool::sqlite {

class Inserter {
 public:
  Inserter(LifeCycle& life, Lanes& lanes) : life_(life), db_(life.db()), lanes_(lanes) {}

  // One result; an error has changed nothing. `under`: the parent of a fan-out, which is parked already.
  [[nodiscard]] Result<Inserted> insert(const Draft& draft, std::optional<Seq> under = {});
  // After the last one: parents learn what they wait for.
  void finish();

 private:
  // For whom a job is, and in which line.
  struct Place {
    std::string owner;
    std::int64_t lane = 0;
    int priority = 0;
    std::string limit_key;
  };
  struct Parent {
    Seq seq = 0;
    Seq root = 0;
    State state{};
    std::optional<Time> deadline;
    Time arrived{};
    Place place;
    std::int64_t added = 0;
    std::optional<Error> error;
  };
  struct Edge {
    Seq needed;
    bool ignore_failure;
    State state;
  };
  [[nodiscard]] Result<Parent*> parent_of(const NewJob& job, std::optional<Seq> under);
  [[nodiscard]] Result<std::vector<Edge>> edges_of(const NewJob& job, Seq parent);
  // Its own, or its parent's where it comes from a fan-out.
  [[nodiscard]] Place place_of(const NewJob& job, const Parent* parent, bool fanned_out);
  [[nodiscard]] Result<Inserted> existing(const Draft& draft, const Parent* parent, const Place& place);
  [[nodiscard]] Result<Inserted> not_purged(const Uuid& id);
  [[nodiscard]] Result<std::optional<Uuid>> holder_of_key(const NewJob& job, const std::string& owner);
  [[nodiscard]] Seq add_row(const Draft& draft, const Uuid& id, const Parent* parent, const Place& place,
                            std::optional<Time> deadline);
  void put(const NewJob& job, Seq seq, const Parent* parent, const Place& place,
           const std::vector<Edge>& edges);

  LifeCycle& life_;
  Database& db_;
  Lanes& lanes_;
  std::unordered_map<Uuid, Parent> parents_;
  std::unordered_map<Seq, Parent> parents_of_fan_out_;
};

}  // namespace spool::sqlite

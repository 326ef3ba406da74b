// The parts that commands open: configuration, store, objects, kinds, ladders; and jobs found by what people
// type.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "context.h"
#include "objects/object_store.h"
#include "pipeline/document.h"
#include "pipeline/ladders.h"
#include "queue/kind.h"
#include "queue/store.h"

namespace spool {

// From the flags of add_store_options(), the environment and spool.toml; `more` are flags of the command
// itself, by key.
[[nodiscard]] Result<Config> load_config(const Context& context,
                                         std::map<std::string, std::string> more = {});

// The kinds that this program knows, pipelines and the operator's commands among them.
struct KindsFor {
  ObjectStore* objects = nullptr;  // nullptr: for checking and planning only, the table is not run
  Store* store = nullptr;
  std::function<bool()> ending = {};  // this process has been asked to end
};
[[nodiscard]] Kinds make_kinds(const Config& config, const KindsFor& parts = {});
// What documents and parameters are checked against. `ladders` outlives it.
[[nodiscard]] pipeline::Environment environment_with(const Kinds& kinds, const pipeline::Ladders& ladders);
[[nodiscard]] pipeline::Ladders ladders_of(const Config& config);

[[nodiscard]] bool is_postgres(std::string_view store);

enum class Open { kExisting, kMake };
// kExisting: a store that is not there is an error in words (a reading command makes none).
[[nodiscard]] Result<std::unique_ptr<Store>> open_store(const Config& config, Open how);

// A folder, made if it is missing. Errors: kUnsupported for what is no folder.
[[nodiscard]] Result<std::unique_ptr<ObjectStore>> open_objects(const Config& config);

// An id, or the beginning of one that only one job has. Errors: kNotFound, kInvalidArgument (several; they
// are named).
[[nodiscard]] Result<Uuid> find_job(Store& store, const std::string& id);
// The job and all below it, in order of insertion.
[[nodiscard]] Result<std::vector<Job>> read_tree(Store& store, Uuid top);
// Everything that the filter lets through, page by page; jobs may be purged meanwhile.
[[nodiscard]] Result<void> for_each_job(Store& store, JobFilter filter,
                                        const std::function<bool(Job&)>& take);

// "file:/absolute/path" of a file that is there; references ("object:...", "file:...") stay as they are.
[[nodiscard]] Result<std::string> input_reference(const std::string& text);

}  // namespace spool

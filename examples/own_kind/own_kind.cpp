// A program of yours with a kind of its own: own_kind STORE TEXT...
//
// Each TEXT becomes a job of kind `count_words`; a worker runs until the last of them has ended. Killed in
// the middle and started again with no TEXT, it finishes what is left.
#include <fmt/format.h>

#include <sstream>

#include "executors/inline_executor.h"
#include "queue/worker.h"
#include "store_sqlite/sqlite_store.h"

using namespace spool;

// The function: an attempt in, an ending out.
Ending count_words(Attempt& attempt) {
  std::istringstream text(attempt.claim().args["text"].get<std::string>());
  int words = 0;
  for (std::string word; text >> word;) ++words;
  if (words == 0) return Failed{{Code::kInvalidArgument, "there are no words in this text"}};
  return Succeeded{{{"words", words}}};
}

int main(int argc, char** argv) {
  auto store = open_sqlite_store(argc > 1 ? argv[1] : "own_kind.db");
  if (!store) return fmt::print(stderr, "{}\n", store.error().message), 3;

  // The schema, and the line in the table.
  Kind kind;
  kind.name = "count_words";
  kind.schema = Json::parse(R"({"type": "object", "additionalProperties": false, "required": ["text"],
                                "properties": {"text": {"type": "string", "maxLength": 65536}}})");
  kind.run = count_words;
  kind.placement = Placement::kInline;  // it trusts its input: no sandbox
  Kinds kinds;
  kinds.add(kind);

  for (int i = 2; i < argc; ++i) {
    NewJob job;
    job.kind = "count_words";
    job.args["text"] = argv[i];
    if (auto good = kinds.check(job); !good) return fmt::print(stderr, "{}\n", good.error().message), 2;
    if (!(*store)->insert(std::span(&job, 1))) return 3;
  }

  Worker worker(**store, kinds, {});
  InlineExecutor executor(worker.events(), nullptr);
  worker.use(Placement::kInline, executor);
  const auto all_ended = [&] {
    const auto jobs = (*store)->list({});
    return jobs && std::all_of(jobs->begin(), jobs->end(), [](const Job& job) { return ended(job.state); });
  };
  if (auto ran = worker.run(all_ended); !ran) return fmt::print(stderr, "{}\n", ran.error().message), 3;
  const auto jobs = (*store)->list({});
  for (const Job& job : jobs.value())
    fmt::print("{} {}\n", to_text(job.args["text"]),
               job.errors.empty() ? to_text(job.result) : job.errors[0].error.message);
}

// Work items: what people ask of each kind of job, and how a claim travels to a child. What the checks accept
// says the same on the other side; what they refuse, they refuse in words.
#include <cstdint>
#include <cstdlib>

#include "executors/process/protocol.h"
#include "steps/steps.h"
#include "steps/transcode_shapes.h"

namespace {

using namespace spool;

void check(bool good) {
  if (!good) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Kinds kinds = steps::make_kinds({});
  static const auto all = kinds.all();
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const auto args = parse_json(text, "fuzz");
  if (!args) return 0;

  NewJob job;
  job.kind = all[data[0] % all.size()]->name;
  job.args = *args;
  const auto accepted = kinds.check(job);
  const auto wrong = kinds.violations(job.kind, *args);
  check(accepted || !accepted.error().message.empty());
  check(!accepted || wrong.empty());
  for (const SchemaViolation& violation : wrong) check(!violation.message.empty());
  static_cast<void>(steps::borders_from_json(*args));

  Claim claim;
  claim.job = claim.root = Uuid::v7();
  claim.token = Token::random();
  claim.kind = job.kind;
  claim.args = *args;
  const std::string sent = process::encode(process::FromManager(process::Run{claim}));
  const auto received = process::decode_from_manager(sent);
  check(received && std::get_if<process::Run>(&*received) != nullptr);
  check(to_text(std::get<process::Run>(*received).claim.args) == to_text(*args));
  return 0;
}

#include "steps/exec.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/temporary_folder.h"
#include "base/utf8.h"
#include "queue/handler_call.h"
#include "queue/input_references.h"
#include "queue/store.h"
#include "steps/command.h"
#include "steps/progress_lines.h"
#include "steps/publish_files.h"

namespace spool::steps {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostOutputs = 1000;
constexpr std::size_t kMostCommandResultBytes = 32 << 10;
constexpr int kSiblingsAtOnce = 1000;
constexpr std::string_view kPublish = "publish";

Json exec_schema(const ExecConfig& config) {
  Json schema = Json::parse(R"({
    "type": "object", "additionalProperties": false, "required": ["command"],
    "properties": {
      "command": {"type": "string", "minLength": 1, "maxLength": 64},
      "input": {},
      "inputs": {
        "type": "object", "additionalProperties": false, "maxProperties": 64,
        "patternProperties": {"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$": {}}
      },
      "data": {},
      "seconds": {"type": "number", "minimum": 0, "format": "duration"},
      "destination": {"type": "string", "maxLength": 512}
    }})");
  schema["properties"]["input"] = input_schema();
  for (Json& named : schema["properties"]["inputs"]["patternProperties"]) named = input_schema();
  Json names = Json::array();
  for (const auto& [name, command] : config.commands) names.push_back(name);
  if (!names.empty()) schema["properties"]["command"]["enum"] = std::move(names);
  return schema;
}

// An attempt's folder: inputs/, outputs/, work_item.json.
class Workplace {
 public:
  explicit Workplace(const ExecConfig& config) : folder_(config.scratch) {
    fs::create_directory(inputs());
    fs::create_directory(outputs());
  }
  [[nodiscard]] const fs::path& path() const { return folder_.path(); }
  [[nodiscard]] fs::path inputs() const { return path() / "inputs"; }
  [[nodiscard]] fs::path outputs() const { return path() / "outputs"; }
  [[nodiscard]] fs::path item() const { return path() / "work_item.json"; }

 private:
  TemporaryFolder folder_;
};

Result<void> copy_input(Attempt& attempt, const std::string& reference, const fs::path& to) {
  SPOOL_ASSIGN(const ByteSource source, attempt.open_input(reference));
  SPOOL_ASSIGN(const UniqueFd file, open_file(to, O_WRONLY | O_CREAT | O_EXCL, 0600));
  std::vector<std::byte> buffer(1 << 20);
  for (std::uint64_t offset = 0;;) {
    if (attempt.stop_token().stop_requested()) return fail(Code::kCancelled, "stopped");
    SPOOL_ASSIGN(const std::size_t n, source.read_at(offset, buffer));
    if (n == 0) return {};
    SPOOL_TRY(write_all(file.get(), std::span(buffer).first(n)));
    offset += n;
  }
}

// name -> path, as the command sees them.
Result<Json> bring_inputs(Attempt& attempt, const Workplace& place) {
  const Json& args = attempt.claim().args;
  Json wanted = args.value("inputs", Json::object());
  if (args.contains("input")) wanted["input"] = args["input"];
  Json paths = Json::object();
  for (const auto& [name, reference] : wanted.items()) {
    const fs::path path = place.inputs() / name;
    SPOOL_TRY(copy_input(attempt, reference.get<std::string>(), path));
    paths[name] = path.string();
  }
  return paths;
}

// What the command itself said last.
Json commands_checkpoint(const Claim& claim) {
  return claim.checkpoint.is_object() ? claim.checkpoint.value("command", Json()) : Json();
}

Result<void> write_item(const Claim& claim, const Workplace& place, const Json& inputs) {
  const Json item = {{"id", claim.job.text()},
                     {"kind", claim.kind},
                     {"name", claim.name},
                     {"attempt", claim.attempt},
                     {"data", claim.args.value("data", Json())},
                     {"inputs", inputs},
                     {"outputs", place.outputs().string()},
                     {"checkpoint", commands_checkpoint(claim)}};
  const std::string text = item.dump(2, ' ', false, Json::error_handler_t::replace);
  return write_file_atomic(place.item(), std::as_bytes(std::span(text)));
}

Result<void> store_output(Attempt& attempt, const fs::path& path, const std::string& name) {
  SPOOL_ASSIGN(const UniqueFd from, open_file(path, O_RDONLY | O_NOFOLLOW));
  SPOOL_ASSIGN(UniqueFd to, attempt.create_output(name));
  for (;;) {
    const ssize_t n = sendfile(to.get(), from.get(), nullptr, 64 << 20);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, fmt::format("cannot store the output {}", name));
    if (n == 0) break;
  }
  return attempt.commit_output(name, std::move(to));
}

// Everything that the command left behind; how many files.
Result<std::size_t> store_outputs(Attempt& attempt, const Workplace& place) {
  std::size_t count = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(place.outputs())) {
    const std::string name = entry.path().lexically_relative(place.outputs()).string();
    if (entry.is_directory() && !entry.is_symlink()) continue;
    if (!entry.is_regular_file() || entry.is_symlink())
      return fail(Code::kInvalidArgument, fmt::format("the output {} is no regular file", clean_text(name)));
    if (++count > kMostOutputs)
      return fail(Code::kLimitExceeded, fmt::format("more than {} outputs", kMostOutputs));
    if (attempt.stop_token().stop_requested()) return fail(Code::kCancelled, "stopped");
    SPOOL_TRY(store_output(attempt, entry.path(), name));
  }
  return count;
}

// sysexits.h, as far as it says whether another try may help.
Error error_of(const CommandEnd& end, const std::string& command, std::optional<Duration> timeout) {
  if (end.timed_out)
    return {Code::kTimeout, fmt::format("the command '{}' ran longer than {} s", command,
                                        std::chrono::duration_cast<std::chrono::seconds>(*timeout).count())};
  if (!end.exit_code)
    return {Code::kCrashed, fmt::format("the command '{}' was ended by signal {} ({})", command, end.signal,
                                        strsignal(end.signal))};
  const std::string message =
      fmt::format("the command '{}' ended with exit code {}", command, *end.exit_code);
  switch (*end.exit_code) {
    case 64:  // EX_USAGE
      return {Code::kInvalidArgument, message};
    case 65:  // EX_DATAERR
      return {Code::kCorruptInput, message};
    case 66:  // EX_NOINPUT
      return {Code::kNotFound, message};
    case 75:  // EX_TEMPFAIL
      return {Code::kUnavailable, message};
    default:
      return {Code::kCrashed, message};
  }
}

// Whoever ended this service ended the command too, with a signal to all its processes.
bool ended_with_us(const CommandEnd& end, const ExecConfig& config) {
  const int signal = end.exit_code ? *end.exit_code - 128 : end.signal;  // a shell tells of its child's
  const bool asked = signal == SIGTERM || signal == SIGINT || signal == SIGHUP;
  return asked && !end.timed_out && config.ending && config.ending();
}

// nullopt: to be run again elsewhere.
Result<std::optional<Json>> run_phase(Attempt& attempt, const ExecConfig& config) {
  const Claim& claim = attempt.claim();
  const std::string name = claim.args.at("command").get<std::string>();
  const auto found = config.commands.find(name);
  if (found == config.commands.end())
    return fail(
        Code::kUnsupported,
        fmt::format("there is no command '{}' here: name it in spool.toml under [commands.{}]", name, name));
  const Workplace place(config);
  SPOOL_ASSIGN(const Json inputs, bring_inputs(attempt, place));
  SPOOL_TRY(write_item(claim, place, inputs));

  Json result, checkpoint = commands_checkpoint(claim);
  ProgressLines out(
      {[&](double f, Json detail) { attempt.progress(f, std::move(detail)); },
       [&](Json value) {
         if (auto kept = attempt.checkpoint({{"command", value}}); !kept)
           attempt.log(kept.error().message);
         else
           checkpoint = std::move(value);
       },
       [&](Json value) { result = std::move(value); }, [&](std::string_view l) { attempt.log(l); }},
      claim.args.value("seconds", 0.0));
  ProgressLines error({{}, {}, {}, [&](std::string_view l) { attempt.log(l); }}, 0);

  Command command;
  command.words = found->second.command;
  const char* path = std::getenv("PATH");
  // Not our own environment: it may hold the store's password.
  command.environment = {{"PATH", path ? path : "/usr/local/bin:/usr/bin:/bin"},
                         {"LANG", "C.UTF-8"},
                         {"HOME", place.path().string()},
                         {"TMPDIR", place.path().string()}};
  for (const auto& [key, value] : found->second.environment) command.environment[key] = value;
  command.environment["WORK_ITEM_FILE"] = place.item().string();
  command.folder = place.path();
  command.timeout = found->second.timeout;
  command.stop = attempt.stop_token();
  command.out = [&](std::string_view bytes) { out.feed(bytes); };
  command.error = [&](std::string_view bytes) { error.feed(bytes); };
  SPOOL_ASSIGN(const CommandEnd end, run_command(command));
  out.finish();
  error.finish();
  attempt.add_usage({end.cpu_seconds, end.peak_memory_bytes, 0, 0});
  if (ended_with_us(end, config)) return std::nullopt;
  if (end.exit_code != 0) return fail(error_of(end, name, command.timeout));
  if (to_text(result).size() > kMostCommandResultBytes)
    return fail(Code::kLimitExceeded, fmt::format("the command '{}' printed a result of more than {} bytes",
                                                  name, kMostCommandResultBytes));
  SPOOL_ASSIGN(const std::size_t files, store_outputs(attempt, place));
  Json made = {{"winner", claim.token.text()}, {"files", files}, {"result", std::move(result)}};
  // For the attempt after a manager that dies before this one is settled. It can do without.
  if (to_text(made).size() + to_text(checkpoint).size() < kMostCheckpointBytes - 64)
    made["command"] = std::move(checkpoint);
  return made;
}

// The attempt has won: what it made goes to its place.
Result<Json> publish_phase(const Claim& claim, ObjectStore& objects) {
  SPOOL_ASSIGN(const PublishedFiles published, publish_winner(claim, objects));
  Json outputs = Json::object();
  for (const std::string& name : published.names)
    outputs[name] = fmt::format("object:{}/{}", published.folder, name);
  Json result = {{"exit_code", 0}, {"outputs", std::move(outputs)}};
  if (!claim.checkpoint.at("result").is_null()) result["result"] = claim.checkpoint.at("result");
  return result;
}

Ending run_exec(Attempt& attempt, const ExecConfig& config, const PublishContext& context) {
  if (context.objects == nullptr) return Failed{{Code::kInternal, "commands run in the manager alone"}};
  if (attempt.claim().phase == kPublish) {
    auto published = publish_phase(attempt.claim(), *context.objects);
    if (!published) return ending_of(std::move(published).error());
    return Succeeded{std::move(*published)};
  }
  auto made = run_phase(attempt, config);
  if (!made) return ending_of(std::move(made).error());
  if (!*made) return Released{};
  if (auto kept = attempt.checkpoint(std::move(**made)); !kept) return ending_of(std::move(kept).error());
  return FanOut{{}, std::string(kPublish), false};
}

// After the commit. The claim stands for all with its parent.
void sweep(Store& store, const Claim& claim, ObjectStore& objects) {
  if (!claim.parent) return sweep_attempts(store, claim.job, objects);
  JobFilter siblings;
  siblings.parent = claim.parent;
  siblings.kind = claim.kind;
  siblings.most = kSiblingsAtOnce;
  for (;;) {
    const auto page = store.list(siblings);
    if (!page || page->empty()) return;
    for (const Job& job : *page)
      if (ended(job.state)) sweep_attempts(store, job.id, objects);
    siblings.after = page->back().id;
  }
}

}  // namespace

Kind exec_kind(const ExecConfig& config, const PublishContext& context) {
  Kind kind;
  kind.name = "exec";
  kind.summary = "A command of the operator's, named in spool.toml";
  kind.schema = exec_schema(config);
  kind.placement = Placement::kInline;
  kind.never_fanned_out = true;
  if (context.objects != nullptr)
    kind.follow_up = [context](Store& store, const Claim& claim) { sweep(store, claim, *context.objects); };
  kind.run = [config, context](Attempt& attempt) { return run_exec(attempt, config, context); };
  return kind;
}

}  // namespace spool::steps

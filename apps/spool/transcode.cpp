// spool transcode INPUT -o DIR: the main job, on this machine, with nothing but SQLite and the folder.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <thread>

#include "av/library_facts.h"
#include "base/digest.h"
#include "base/units.h"
#include "commands.h"
#include "engine.h"
#include "objects/folder_store.h"
#include "output_folder.h"
#include "parts.h"
#include "steps/purged_objects.h"
#include "transcode_display.h"

namespace spool {
namespace {

constexpr char kSource[] = "source:0";
constexpr char kStopped[] = "stopped; run the same command again to go on";

// "talk.srt:eng": a file of the command line that becomes a text track.
struct Subtitles {
  std::string file, language, digest;
};

struct Options {
  std::string input, output, ladder = "web", speed = "fast", remux = "auto", start, end;
  std::vector<std::string> subtitles;
  int slots = 0;
  std::optional<double> loudness;
  bool surround = false, mp4 = false, unsafe_no_sandbox = false;
};

// The same bytes are promised for one build and one set of library versions: both are part of the job's
// identity.
Result<std::string> build_identity() {
  SPOOL_ASSIGN(const UniqueFd program, open_file("/proc/self/exe", O_RDONLY));
  SPOOL_ASSIGN(std::string out, fast_file_digest(program.get()));
  out += " ffmpeg " + av::release();
  for (const av::LibraryFact& library : av::libraries()) out += " " + library.name + " " + library.version;
  return out;
}

Result<UniqueFd> open_source(const std::string& path) {
  SPOOL_ASSIGN(UniqueFd fd, open_regular_file(path));
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return fail_errno(errno, path);
  if (info.st_size == 0) return fail(Code::kCorruptInput, fmt::format("{}: the file is empty", path));
  return fd;
}

std::string subtitles_reference(std::size_t index) {
  return fmt::format("source:{}", index + 1);
}

// A file may have a colon in its name; what follows the last one is a language if it looks like one.
Result<Subtitles> read_subtitles_option(const std::string& text) {
  Subtitles out{text, "und", {}};
  const auto colon = text.rfind(':');
  std::error_code error;
  if (colon != std::string::npos && !std::filesystem::exists(text, error)) {
    const std::string language = text.substr(colon + 1);
    const bool plain =
        (language.size() == 2 || language.size() == 3) &&
        std::all_of(language.begin(), language.end(), [](char c) { return c >= 'a' && c <= 'z'; });
    if (!plain)
      return fail(
          Code::kInvalidArgument,
          fmt::format("--subtitles {}: \"{}\" is no language; write FILE:en or FILE:eng", text, language));
    out = {text.substr(0, colon), language, {}};
  }
  SPOOL_ASSIGN(const UniqueFd fd, open_source(out.file));
  SPOOL_ASSIGN(out.digest, fast_file_digest(fd.get()));
  return out;
}

Result<std::vector<Subtitles>> read_subtitles_options(const Options& options) {
  std::vector<Subtitles> all;
  for (const std::string& text : options.subtitles) {
    SPOOL_ASSIGN(Subtitles one, read_subtitles_option(text));
    all.push_back(std::move(one));
  }
  return all;
}

Result<void> add_time(Json& args, const char* key, const std::string& text) {
  if (text.empty()) return {};
  auto seconds = parse_duration(text);
  if (!seconds) return fail(Code::kInvalidArgument, fmt::format("--{}: {}", key, seconds.error().message));
  args[key] = *seconds;
  return {};
}

Json to_json(const std::vector<Subtitles>& subtitles) {
  Json list = Json::array();
  for (std::size_t i = 0; i < subtitles.size(); ++i)
    list.push_back({{"input", subtitles_reference(i)},
                    {"language", subtitles[i].language},
                    {"digest", subtitles[i].digest}});
  return list;
}

// Without its id, and without the input's digest, of which the id is made.
Result<NewJob> make_job(const Options& options, const std::vector<Subtitles>& subtitles,
                        const pipeline::Ladders& ladders) {
  NewJob job;
  job.kind = "transcode";
  job.name = "transcode";
  SPOOL_ASSIGN(Json ladder, ladders.named_or_file(options.ladder));
  job.args = {{"input", kSource},
              {"ladder", std::move(ladder)},
              {"speed", options.speed},
              {"surround", options.surround},
              {"destination", ""}};
  if (options.remux == "never") job.args["remux"] = options.remux;
  SPOOL_TRY(add_time(job.args, "start", options.start));
  SPOOL_TRY(add_time(job.args, "end", options.end));
  if (options.loudness) job.args["loudness"] = *options.loudness;
  if (options.mp4) job.args["mp4"] = true;
  if (!subtitles.empty()) job.args["subtitles"] = to_json(subtitles);
  return job;
}

bool has_failed(const Job& job) {
  return job.state == State::kFailed || job.state == State::kCancelled;
}

Result<bool> holds_a_film(FolderStore& objects) {
  SPOOL_ASSIGN(const auto files, objects.list(""));
  return std::any_of(files.begin(), files.end(),
                     [](const ObjectInfo& file) { return !file.key.starts_with(".spool/"); });
}

// Of what was removed, now or by an earlier run: their commands may come again.
Result<void> free_ids(Store& store, FolderStore& objects) {
  for (;;) {
    SPOOL_ASSIGN(const int changed, store.rescue());
    if (changed < kMostRescued) break;
  }
  return steps::sweep_purged(store, objects, [] { return false; });
}

// The folder's one film: this job's, or nobody's yet. What failed and left nothing there is removed.
Result<void> make_folder_this_jobs(Store& store, FolderStore& objects, const NewJob& job) {
  JobFilter filter;
  filter.roots_only = true;
  SPOOL_ASSIGN(std::vector<Job> others, store.list(filter));
  std::erase_if(others, [&](const Job& root) { return root.id == job.id; });
  if (others.empty()) return free_ids(store, objects);
  SPOOL_ASSIGN(const bool film, holds_a_film(objects));
  if (film || !std::all_of(others.begin(), others.end(), has_failed))
    return fail(
        Code::kConflict,
        fmt::format(
            "{}: holds another film, or the same one made with other settings or another build of spool; "
            "name a new folder, or remove this one",
            objects.root().string()));
  for (const Job& root : others) SPOOL_TRY(store.remove(root.id));
  return free_ids(store, objects);
}

EngineOptions engine_options(const Options& options, const std::vector<Subtitles>& subtitles) {
  EngineOptions engine;
  engine.worker.slots = options.slots > 0 ? options.slots : std::max(1u, std::thread::hardware_concurrency());
  engine.worker.version = SPOOL_VERSION;
  engine.worker.waits_for_space = false;  // somebody waits: say it, and let the same command go on later
  engine.process.unsafe_no_sandbox = options.unsafe_no_sandbox;
  engine.process.spare_children = engine.process.most_with_spares = engine.worker.slots;
  engine.inputs.named[kSource] = options.input;
  for (std::size_t i = 0; i < subtitles.size(); ++i)
    engine.inputs.named[subtitles_reference(i)] = subtitles[i].file;
  return engine;
}

Result<Job> run_to_end(const Options& options, Store& store, FolderStore& objects, Engine& engine,
                       const Uuid& id, DrainOnSignals& signals) {
  signals.watch(engine.worker());
  const std::string title = std::filesystem::path(options.input).filename().string();
  TranscodeDisplay display(store, id, objects.root(), title, [&signals] { return signals.came(); });
  SPOOL_TRY(engine.worker().run([&] {
    const auto job = store.get(id);
    return job && ended(job->state);
  }));
  display.finish();
  return store.get(id);
}

// Jobs know the files of the command line by their references only.
std::string with_file_names(std::string text, const std::string& input,
                            const std::vector<Subtitles>& subtitles) {
  const auto replace = [&](const std::string& reference, const std::string& file) {
    for (auto at = text.find(reference + ": "); at != std::string::npos;
         at = text.find(reference + ": ", at + file.size()))
      text.replace(at, reference.size(), file);
  };
  replace(kSource, input);
  for (std::size_t i = 0; i < subtitles.size(); ++i) replace(subtitles_reference(i), subtitles[i].file);
  return text;
}

Error with_advice(Error error) {
  if (error.code == Code::kStorageFull)
    error.message += "; make room on the disk and run the same command again: it goes on where it stopped";
  return error;
}

// Of a job that did not succeed, for people.
Error why(const Job& job, const std::string& input, const std::vector<Subtitles>& subtitles) {
  if (!ended(job.state)) return {Code::kCancelled, kStopped};
  Error error =
      job.errors.empty() ? Error{Code::kCancelled, std::string(name(job.state))} : job.errors.back().error;
  if (const std::string reference = std::string(kSource) + ": "; error.message.starts_with(reference))
    error.message.erase(0, reference.size());
  error.message = fmt::format("{}: {}", input, with_file_names(std::move(error.message), input, subtitles));
  return with_advice(std::move(error));
}

// "from 6.0 to 8.0 s (video), ... and in 3 more places (see --json)"
std::string places(const Json& damage) {
  constexpr std::size_t kMostNamed = 3;
  std::string out;
  for (std::size_t i = 0; i < std::min(damage.size(), kMostNamed); ++i)
    out += fmt::format("{}from {:.1f} to {:.1f} s ({})", i > 0 ? ", " : "", damage[i].value("from", 0.0),
                       damage[i].value("to", 0.0), damage[i].value("track", ""));
  if (damage.size() > kMostNamed)
    out += fmt::format(" and in {} more places (see --json)", damage.size() - kMostNamed);
  return out;
}

Result<int> report(const Job& job, const OutputFolder& folder, const std::string& input,
                   const std::vector<Subtitles>& subtitles, const Context& context) {
  const std::string master = (folder.path() / "master.m3u8").string();
  const bool succeeded = job.state == State::kSucceeded;
  const Error error = succeeded ? Error{} : why(job, input, subtitles);
  if (context.json) {
    Json out = {{"id", job.id.text()}, {"state", name(job.state)}, {"folder", folder.path().string()}};
    if (succeeded)
      out["result"] = job.result;
    else
      out["error"] = {{"code", name(error.code)}, {"message", error.message}};
    print_json(out);
  }
  if (succeeded) {
    for (const Json& note : job.result.value("notes", Json::array()))
      fmt::print(stderr, "spool: note: {}\n", with_file_names(note, input, subtitles));
    if (const Json damage = job.result.value("damage", Json::array()); !damage.empty())
      fmt::print(stderr, "spool: note: {} was damaged {}; the rest was kept\n", input, places(damage));
    if (!context.json) fmt::print("{}\n", master);
    return kDone;
  }
  fmt::print(stderr, "spool: {}\n", error.message);
  return ended(job.state) ? kJobFailed : kSystemFailed;
}

Result<int> transcode(const Options& options, Context& context) {
  SPOOL_ASSIGN(Config config, load_config(context));
  SPOOL_ASSIGN(const UniqueFd source, open_source(options.input));
  SPOOL_ASSIGN(const auto subtitles, read_subtitles_options(options));
  SPOOL_ASSIGN(NewJob job, make_job(options, subtitles, ladders_of(config)));
  DrainOnSignals signals;
  SPOOL_ASSIGN(const OutputFolder folder, OutputFolder::open(options.output));
  SPOOL_ASSIGN(const auto objects, FolderStore::at(folder.path()));
  config.store = "sqlite:" + folder.database().string();
  SPOOL_ASSIGN(const auto store, open_store(config, Open::kMake));

  // Its first children start while the input is read.
  Engine engine(*store, *objects, steps::make_kinds({{objects.get()}, {}}),
                engine_options(options, subtitles));
  auto digest = fast_file_digest(source.get(), [&signals] { return signals.came(); });
  if (!digest && digest.error().code == Code::kCancelled) {
    print_error({Code::kCancelled, kStopped}, context);
    return kSystemFailed;
  }
  SPOOL_ASSIGN(job.args["digest"], std::move(digest));
  SPOOL_ASSIGN(const std::string build, build_identity());
  job.id = Uuid::from_digest_of(build + to_text(job.args));
  SPOOL_TRY(make_folder_this_jobs(*store, *objects, job));

  SPOOL_ASSIGN(const auto inserted, store->insert(std::span(&job, 1)));
  if (!inserted.front()) return fail(inserted.front().error());
  SPOOL_ASSIGN(Job state, store->get(job.id));
  if (has_failed(state)) SPOOL_TRY(store->retry(job.id));
  if (state.state != State::kSucceeded) {
    SPOOL_ASSIGN(state, run_to_end(options, *store, *objects, engine, job.id, signals));
  }
  auto code = report(state, folder, options.input, subtitles, context);
  if (signals.came_twice()) engine.leave_if_deaf(code.value_or(kSystemFailed));
  return code;
}

// A full disk ends the job, which can go on; the system has not failed (docs/decisions/exit_codes.md).
Result<int> transcode_or_say_full(const Options& options, Context& context) {
  auto code = transcode(options, context);
  if (code || code.error().code != Code::kStorageFull) return code;
  print_error(with_advice(std::move(code).error()), context);
  return kJobFailed;
}

}  // namespace

void add_transcode(CLI::App& app, Context& context) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("transcode", "Turn a video into an adaptive HLS and DASH ladder in a folder");
  command->add_option("INPUT", options->input, "The video")->required();
  command
      ->add_option("-o,--output", options->output,
                   "The folder for the result; new, empty, or of the same job")
      ->required();
  command
      ->add_option("--ladder", options->ladder,
                   "web, mobile, source, one of the ladder folder, or a ladder document")
      ->capture_default_str();
  command->add_option("--speed", options->speed, "fast or balanced")
      ->check(CLI::IsMember({"fast", "balanced"}))
      ->capture_default_str();
  command
      ->add_option("--remux", options->remux,
                   "auto: a rung of the source's size is its own frames where they fit; or never")
      ->check(CLI::IsMember({"auto", "never"}))
      ->capture_default_str();
  command->add_option("--slots", options->slots, "How many chunks at once (0: one for each core)")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command->add_option("--start", options->start, "Leave out what is before: 90s, 1m30s");
  command->add_option("--end", options->end, "Leave out what is after");
  command
      ->add_option("--subtitles", options->subtitles,
                   "Text subtitles beside the film's own, .srt or .vtt, and their language (repeatable)")
      ->type_name("FILE[:LANG]")
      ->allow_extra_args(false)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command
      ->add_option("--loudness", options->loudness,
                   "Bring each audio track to this loudness in LUFS (-16), with one gain")
      ->check(CLI::Range(-40.0, -5.0))
      ->type_name("LUFS");
  command->add_flag("--mp4", options->mp4,
                    "Also one progressive file, video.mp4, and its sound alone, audio.m4a");
  command->add_flag("--surround", options->surround, "Keep more than two audio channels");
  command->add_flag("--unsafe-no-sandbox", options->unsafe_no_sandbox,
                    "Decode without a sandbox (only for files you trust)");
  add_config_option(*command, context);
  add_json_flag(*command, context);
  command->callback([options, &context] {
    context.run = [options, &context] { return transcode_or_say_full(*options, context); };
  });
}

}  // namespace spool

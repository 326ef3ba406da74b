#include "parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "media/ladder.h"
#include "objects/folder_store.h"
#include "objects/s3_store.h"
#include "pipeline/plan.h"
#include "pipeline/stored_args.h"
#include "steps/attempt_files.h"
#include "steps/steps.h"
#include "store_postgres/postgres_store.h"
#include "store_sqlite/sqlite_store.h"

namespace spool {
namespace {

constexpr int kPage = 500;
constexpr std::size_t kMostNamed = 5;  // of jobs that an abbreviation could mean

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) || c == '-'; });
}

}  // namespace

Result<Config> load_config(const Context& context, std::map<std::string, std::string> more) {
  ConfigSources sources;
  sources.flags = std::move(more);
  if (!context.store.empty()) sources.flags["store"] = context.store;
  if (!context.objects.empty()) sources.flags["objects"] = context.objects;
  if (!context.config_file.empty()) sources.file = context.config_file;
  return load_config(sources);
}

Kinds make_kinds(const Config& config, const KindsFor& parts) {
  steps::StepsConfig steps_config;
  steps_config.publish.objects = parts.objects;
  steps_config.exec.commands = config.commands;
  steps_config.exec.ending = parts.ending;
  Kinds kinds = steps::make_kinds(steps_config);
  pipeline::add_pipeline_kinds(
      kinds,
      [store = parts.store](Uuid id) -> Result<Job> {
        if (store == nullptr) return fail(Code::kInternal, "this table of kinds is for checking");
        return store->get(id);
      },
      [](Uuid, Uuid job, const std::optional<Token>& token, std::string_view name) {
        return fmt::format("object:{}/{}", steps::attempt_prefix(job, token.value_or(Token{})), name);
      });
  kinds.resolve_with(pipeline::stored_args_resolver(ladders_of(config)));
  return kinds;
}

pipeline::Ladders ladders_of(const Config& config) {
  return pipeline::Ladders(media::ladder_schema(), config.ladders);
}

pipeline::Environment environment_with(const Kinds& kinds, const pipeline::Ladders& ladders) {
  pipeline::Environment out;
  out.kinds = &kinds;
  out.ladder = [&ladders](std::string_view name) { return ladders.named(name); };
  return out;
}

namespace {

Result<std::unique_ptr<Store>> open_sqlite(const std::filesystem::path& path, Open how) {
  std::error_code error;
  if (how == Open::kMake) {
    if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
    if (error)
      return fail_errno(error.value(), fmt::format("{}: cannot be made", path.parent_path().string()));
  } else if (!std::filesystem::exists(path, error)) {
    return fail(Code::kNotFound, fmt::format("{}: there is no store here yet; `spool worker` or `spool "
                                             "submit` makes one, --store names another",
                                             path.string()));
  }
  auto store = open_sqlite_store(path);
  if (store || store.error().message.find(path.string()) != std::string::npos) return store;
  store.error().message = fmt::format("{}: {}", path.string(), store.error().message);
  return store;
}

}  // namespace

bool is_postgres(std::string_view store) {
  return store.starts_with("postgres://") || store.starts_with("postgresql://");
}

Result<std::unique_ptr<Store>> open_store(const Config& config, Open how) {
  constexpr std::string_view kSqlite = "sqlite:";
  if (is_postgres(config.store)) {
    PostgresOptions options;
    options.make_schema = how == Open::kMake;
    return open_postgres_store(config.store, options);
  }
  if (std::string_view(config.store).starts_with(kSqlite))
    return open_sqlite(config.store.substr(kSqlite.size()), how);
  return fail(Code::kUnsupported,
              fmt::format("{}: jobs are kept in sqlite:PATH or postgres://USER@HOST/DATABASE",
                          without_secret(config.store)));
}

Result<std::unique_ptr<ObjectStore>> open_objects(const Config& config) {
  const std::string_view objects = config.objects;
  if (objects.starts_with("s3://")) {
    SPOOL_ASSIGN(S3Config s3, s3_config(objects, [](const std::string& name) -> std::optional<std::string> {
                   const char* value = std::getenv(name.c_str());
                   return value != nullptr && *value != '\0' ? std::optional<std::string>(value)
                                                             : std::nullopt;
                 }));
    SPOOL_ASSIGN(auto bucket, S3ObjectStore::at(std::move(s3)));
    return std::unique_ptr<ObjectStore>(std::move(bucket));
  }
  if (objects.find("://") != std::string_view::npos)
    return fail(Code::kUnsupported,
                fmt::format("{}: files are kept in a folder or in s3://BUCKET (--objects)",
                            without_secret(config.objects)));
  SPOOL_ASSIGN(auto folder, FolderStore::at(config.objects));
  return std::unique_ptr<ObjectStore>(std::move(folder));
}

Result<void> for_each_job(Store& store, JobFilter filter, const std::function<bool(Job&)>& take) {
  filter.most = kPage;
  const std::optional<Uuid> begin = filter.after;
  std::vector<Uuid> seen;
  for (;;) {
    filter.after = seen.empty() ? begin : seen.back();
    auto page = store.list(filter);
    if (!page && page.error().code == Code::kNotFound && !seen.empty()) {
      seen.pop_back();  // purged meanwhile: what is behind the one before it that is left is new, too
      continue;
    }
    if (!page) return fail(std::move(page).error());
    for (Job& job : *page) {
      seen.push_back(job.id);
      if (!take(job)) return {};
    }
    if (page->size() < static_cast<std::size_t>(kPage)) return {};
  }
}

Result<Uuid> find_job(Store& store, const std::string& text) {
  if (text.size() == 36) {
    SPOOL_ASSIGN(const Uuid id, Uuid::parse(text));
    SPOOL_ASSIGN(const Job job, store.get(id));
    return job.id;
  }
  if (text.empty() || !is_hex(text))
    return fail(Code::kInvalidArgument,
                fmt::format("\"{}\" is no id of a job: `spool jobs` lists them", text));
  std::string wanted = text;
  std::transform(wanted.begin(), wanted.end(), wanted.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  const auto filled_with = [&](char digit) {
    std::string id = "00000000-0000-0000-0000-000000000000";
    std::ranges::replace(id, '0', digit);
    return Uuid::parse(wanted + id.substr(std::min(wanted.size(), id.size())));
  };
  const auto first = filled_with('0'), last = filled_with('f');
  if (!first || !last) return fail(Code::kNotFound, fmt::format("there is no job {}", text));
  JobFilter filter;
  filter.first = *first;
  filter.last = *last;
  filter.most = static_cast<int>(kMostNamed) + 1;
  SPOOL_ASSIGN(const std::vector<Job> found, store.list(filter));
  if (found.size() == 1) return found.front().id;
  if (found.empty()) return fail(Code::kNotFound, fmt::format("there is no job {}", text));
  std::string names;
  for (std::size_t i = 0; i < std::min(found.size(), kMostNamed); ++i) names += "\n  " + found[i].id.text();
  return fail(Code::kInvalidArgument, fmt::format("{} is the beginning of several ids; write more of it:{}{}",
                                                  text, names, found.size() > kMostNamed ? "\n  ..." : ""));
}

Result<std::vector<Job>> read_tree(Store& store, Uuid top) {
  SPOOL_ASSIGN(const Job job, store.get(top));
  JobFilter filter;
  filter.root = job.root;
  std::vector<Job> all;
  SPOOL_TRY(for_each_job(store, filter, [&](Job& one) {
    all.push_back(std::move(one));
    return true;
  }));
  if (job.root == top) return all;
  // Parents are inserted before their children.
  std::vector<Job> below;
  std::vector<Uuid> inside{top};
  for (Job& one : all) {
    const bool mine =
        one.id == top || (one.parent && std::find(inside.begin(), inside.end(), *one.parent) != inside.end());
    if (!mine) continue;
    if (one.id != top) inside.push_back(one.id);
    below.push_back(std::move(one));
  }
  return below;
}

Result<std::string> input_reference(const std::string& text) {
  if (text.starts_with("object:") || text.starts_with("file:")) return text;
  std::error_code error;
  const auto path = std::filesystem::canonical(text, error);
  if (error) return fail_errno(error.value(), text);
  if (!std::filesystem::is_regular_file(path, error))
    return fail(Code::kInvalidArgument, fmt::format("{}: is not a file", text));
  return "file:" + path.string();
}

}  // namespace spool

#include "executors/process/protocol.h"

#include <algorithm>
#include <array>
#include <climits>
#include <cstdint>
#include <set>

#include "executors/process/ending_codec.h"
#include "executors/process/fields.h"
#include "queue/input_references.h"

namespace spool::process {
namespace {

constexpr std::size_t kHeaderBytes = 4;
constexpr std::array<std::string_view, 5> kReasons{"cancelled", "timed_out", "stalled", "draining",
                                                   "lease_lost"};

struct Encode {
  Json operator()(const Ready& m) const { return {{"type", "ready"}, {"version", m.version}}; }
  Json operator()(const OpenInput& m) const { return {{"type", "open_input"}, {"reference", m.reference}}; }
  Json operator()(const ReadInput& m) const {
    return {{"type", "read_input"}, {"input", m.input}, {"offset", m.offset}, {"length", m.length}};
  }
  Json operator()(const CloseInput& m) const { return {{"type", "close_input"}, {"input", m.input}}; }
  Json operator()(const CreateOutput& m) const { return {{"type", "create_output"}, {"name", m.name}}; }
  Json operator()(const CommitOutput& m) const { return {{"type", "commit_output"}, {"name", m.name}}; }
  Json operator()(const Progress& m) const {
    return {{"type", "progress"}, {"fraction", m.fraction}, {"detail", m.detail}};
  }
  Json operator()(const Checkpoint& m) const { return {{"type", "checkpoint"}, {"value", m.value}}; }
  Json operator()(const LogLine& m) const { return {{"type", "log"}, {"line", m.line}}; }
  Json operator()(const Ended& m) const {
    return {{"type", "ended"}, {"ending", to_json(m.ending)}, {"usage", to_json(m.usage)}};
  }
  Json operator()(const Run& m) const { return {{"type", "run"}, {"claim", to_json(m.claim)}}; }
  Json operator()(const Stop& m) const {
    return {{"type", "stop"}, {"reason", kReasons[static_cast<std::size_t>(m.reason)]}};
  }
  Json operator()(const Reply& m) const {
    Json value{{"type", "reply"}, {"descriptor", m.descriptor}};
    if (m.error) value["error"] = to_json(*m.error);
    if (m.input != 0) value.update({{"input", m.input}, {"size", m.size}});
    if (m.bytes != 0) value["bytes"] = m.bytes;
    return value;
  }
};

Result<FromChild> ended_from(Fields& fields) {
  const Json* ending = fields.find("ending", true);
  const Json* usage = fields.find("usage");
  SPOOL_TRY(fields.done());
  Ended message;
  SPOOL_ASSIGN(message.ending, ending_from_json(*ending));
  if (usage != nullptr) {
    SPOOL_ASSIGN(message.usage, usage_from_json(*usage));
  }
  return message;
}

std::int64_t required(Fields& fields, const char* key, std::int64_t least, std::int64_t most) {
  fields.find(key, true);
  return fields.integer(key, least, most, least);
}

int input_from(Fields& fields) {
  return static_cast<int>(required(fields, "input", 1, INT_MAX));
}

ReadInput read_input_from(Fields& fields) {
  return {input_from(fields), required(fields, "offset", 0, INT64_MAX),
          static_cast<int>(required(fields, "length", 1, kMostReadBytes))};
}

Result<FromManager> run_from(Fields& fields) {
  const Json* claim = fields.find("claim", true);
  SPOOL_TRY(fields.done());
  SPOOL_ASSIGN(Claim found, claim_from_json(*claim));
  return Run{std::move(found)};
}

using Files = std::set<std::string_view>;

void collect_files(const Json& value, Files& into) {
  if (value.is_string()) {
    if (const auto& text = value.get_ref<const std::string&>();
        text.starts_with("file:") || text.starts_with("object:"))
      into.insert(text);
  } else if (value.is_structured()) {
    for (const Json& part : value) collect_files(part, into);
  }
}

Result<void> check_fan_out(FanOut& fan_out, const Claim& claim, const Kind& kind) {
  // Without children it goes on to a phase of its own, which the manager runs.
  const auto& own_phases = kind.inline_phases;
  if (fan_out.children.empty() &&
      std::find(own_phases.begin(), own_phases.end(), fan_out.next_phase) != own_phases.end())
    return {};
  if (kind.fan_out.kinds.empty())
    return fail(Code::kPermissionDenied, fmt::format("{} may not fan out", kind.name));
  if (fan_out.children.size() > kind.fan_out.most_children)
    return fail(Code::kLimitExceeded, fmt::format("{} may fan out to {} jobs, not {}", kind.name,
                                                  kind.fan_out.most_children, fan_out.children.size()));
  const auto& allowed = kind.fan_out.kinds;
  Files known;
  collect_files(claim.args, known);
  for (NewJob& child : fan_out.children) {
    // exec runs an operator's commands outside the sandbox: no table can allow it to a child process.
    if (child.kind == "exec" || std::find(allowed.begin(), allowed.end(), child.kind) == allowed.end())
      return fail(Code::kPermissionDenied, fmt::format("{} may not fan out to jobs of the kind {}", kind.name,
                                                       printable(child.kind, 100)));
    Files named;
    collect_files(child.args, named);
    for (const std::string_view file : named)
      if (!known.contains(file))
        return fail(Code::kPermissionDenied,
                    fmt::format("{} may not hand on {}, which its own args do not name", kind.name,
                                printable(file, 200)));
    child.owner = claim.owner;
  }
  return {};
}

}  // namespace

std::string encode(const FromChild& message) {
  return to_text(std::visit(Encode{}, message));
}
std::string encode(const FromManager& message) {
  return to_text(std::visit(Encode{}, message));
}

Result<FromChild> decode_from_child(std::string_view text) {
  SPOOL_ASSIGN(const Json value, parse_json(text, "a message", kMostMessageValues));
  Fields fields(value, "a message");
  const std::string type = fields.text("type", 32, true);
  FromChild message;
  if (type == "ended") return ended_from(fields);
  if (type == "ready")
    message = Ready{static_cast<int>(fields.integer("version", 0, 1 << 20, 0))};
  else if (type == "open_input")
    message = OpenInput{fields.text("reference", kMostReferenceBytes, true)};
  else if (type == "read_input")
    message = read_input_from(fields);
  else if (type == "close_input")
    message = CloseInput{input_from(fields)};
  else if (type == "create_output")
    message = CreateOutput{fields.text("name", kMostNameBytes, true)};
  else if (type == "commit_output")
    message = CommitOutput{fields.text("name", kMostNameBytes, true)};
  else if (type == "progress")
    message = Progress{fields.number("fraction", 0, 1, 0), fields.any("detail", kMostDetailBytes)};
  else if (type == "checkpoint")
    message = Checkpoint{fields.any("value", kMostCheckpointBytes, true)};
  else if (type == "log")
    message = LogLine{fields.text("line", kMostTextBytes, true)};
  else
    fields.wrong(Code::kInvalidArgument, "is of no known type");
  SPOOL_TRY(fields.done());
  return message;
}

Result<FromManager> decode_from_manager(std::string_view text) {
  SPOOL_ASSIGN(const Json value, parse_json(text, "a message", kMostMessageToChildBytes));
  Fields fields(value, "a message");
  const std::string type = fields.text("type", 32, true);
  if (type == "run") return run_from(fields);
  FromManager message;
  if (type == "stop") {
    const std::string reason = fields.text("reason", 32, true);
    const auto* found = std::find(kReasons.begin(), kReasons.end(), reason);
    if (found == kReasons.end()) fields.wrong(Code::kInvalidArgument, "has an unknown reason");
    message = Stop{static_cast<StopReason>(found == kReasons.end() ? 0 : found - kReasons.begin())};
  } else if (type == "reply") {
    Reply reply;
    reply.descriptor = fields.flag("descriptor", false);
    reply.input = static_cast<int>(fields.integer("input", 0, INT_MAX, 0));
    reply.size = fields.integer("size", 0, INT64_MAX, 0);
    reply.bytes = static_cast<int>(fields.integer("bytes", 0, kMostReadBytes, 0));
    if (const Json* error = fields.find("error")) reply.error = fields.take(error_from_json(*error));
    message = std::move(reply);
  } else {
    fields.wrong(Code::kInvalidArgument, "is of no known type");
  }
  SPOOL_TRY(fields.done());
  return message;
}

std::string frame(std::string_view text) {
  std::string bytes;
  bytes.reserve(kHeaderBytes + text.size());
  for (std::size_t i = 0; i < kHeaderBytes; ++i)
    bytes.push_back(static_cast<char>((text.size() >> (8 * i)) & 0xff));
  bytes.append(text);
  return bytes;
}

void FrameReader::feed(std::string_view bytes) {
  if (begin_ > buffer_.size() / 2) {
    buffer_.erase(0, begin_);
    begin_ = 0;
  }
  buffer_.append(bytes);
}

Result<std::optional<std::string>> FrameReader::next() {
  if (buffer_.size() - begin_ < kHeaderBytes) return std::nullopt;
  std::size_t size = 0;
  for (std::size_t i = 0; i < kHeaderBytes; ++i)
    size |= std::size_t{static_cast<unsigned char>(buffer_[begin_ + i])} << (8 * i);
  if (size > most_bytes_)
    return fail(Code::kLimitExceeded,
                fmt::format("a message of {} bytes; {} are the most", size, most_bytes_));
  if (buffer_.size() - begin_ - kHeaderBytes < size) return std::nullopt;
  std::string text = buffer_.substr(begin_ + kHeaderBytes, size);
  begin_ += kHeaderBytes + size;
  return text;
}

Result<void> check_ending(Ending& ending, const Claim& claim, const Kind& kind) {
  if (auto* fan_out = std::get_if<FanOut>(&ending)) return check_fan_out(*fan_out, claim, kind);
  return {};
}

bool may_open(const Claim& claim, std::string_view reference) {
  return names_input(claim.args, reference);
}

Result<void> check_output_name(std::string_view name) {
  const auto wrong = [&] {
    return fail(
        Code::kInvalidArgument,
        fmt::format("'{}' is no name for an output: a relative path without '..' is", printable(name, 200)));
  };
  if (name.empty() || name.size() > kMostNameBytes) return wrong();
  if (std::any_of(name.begin(), name.end(),
                  [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '\\'; }))
    return wrong();
  for (std::size_t at = 0; at <= name.size();) {
    const std::size_t end = std::min(name.find('/', at), name.size());
    const std::string_view part = name.substr(at, end - at);
    if (part.empty() || part == "." || part == "..") return wrong();
    at = end + 1;
  }
  return {};
}

}  // namespace spool::process

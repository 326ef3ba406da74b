// From a checked document to a job, and from that job to its steps.
//
// A pipeline is one job of kind `pipeline`; its args are the steps in plain values. When it runs (inline, in
// the manager) it fans out into one child a step, with needs among them: all or none are there, and their ids
// follow from the pipeline's own, so a crash in between repeats nothing. A step that takes what an earlier
// one gives cannot have its args before that one has ended: it is a child of kind `pipeline.step`, which
// needs the earlier steps, reads their results when they have succeeded, and fans out into the real job. When
// all have ended the pipeline's result names each step's.
//
// An output is named by an earlier job's result: {"outputs": {"mp4": REFERENCE, ...}, "output": "mp4"}. A
// REFERENCE is "file:...", "object:...", or a name relative to the prefix of the attempt that won, which
// OutputReference makes whole.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "pipeline/document.h"
#include "queue/job.h"
#include "queue/kind.h"

namespace spool::pipeline {

inline constexpr std::string_view kPipelineKind = "pipeline";
inline constexpr std::string_view kStepKind = "pipeline.step";

// The pipeline's job: `base` (its id, owner, queue, priority, labels ...) with kind, args and name filled in.
// Steps inherit queue and priority. Errors: kInvalidArgument when a step takes $source and there is none.
[[nodiscard]] Result<NewJob> plan_pipeline(const Document& document, std::string_view source, NewJob base);

// Whether such a job, or a step of such a pipeline, runs in a sandbox: see kSandboxTag.
[[nodiscard]] bool needs_sandbox(const NewJob& job, const Kinds& kinds);

// "object:..." for an output of the attempt that won.
using OutputReference =
    std::function<std::string(Uuid root, Uuid job, const std::optional<Token>& token, std::string_view name)>;

// Reads an earlier job: Store::get. Called by the inline handler of `pipeline.step`, from any thread.
using ReadJob = std::function<Result<Job>(Uuid)>;

// Adds both kinds. After all others: what they may fan out to is what `kinds` holds then.
void add_pipeline_kinds(Kinds& kinds, ReadJob read, OutputReference reference);

// The output that a result names; `output` empty: its main one ("output", or the only one). Errors:
// kInvalidArgument that lists what there is.
[[nodiscard]] Result<std::string> output_of(const Json& result, std::string_view output,
                                            std::string_view step);

}  // namespace spool::pipeline

// Args that somebody stored as they are written, without this program (spool.enqueue() on PostgreSQL), turned
// into the plain values that handlers take: for a kind what check_parameters() makes of its parameters, for a
// pipeline the plan of its document.
//
// Whoever made them is not trusted: nothing here opens a file, but for the ladders of the operator's folder.
#pragma once

#include "pipeline/ladders.h"
#include "queue/kind.h"

namespace spool::pipeline {

// Numbers where a unit is needed are seconds and bytes; steps of a pipeline may be planned already (a list).
// What a document takes as $source stands beside its steps: {"version": 1, "source": "object:...", "steps":
// {...}}.
[[nodiscard]] ResolveArgs stored_args_resolver(Ladders ladders);

}  // namespace spool::pipeline

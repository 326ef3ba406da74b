// What the reference model (tests/model) says of scripted trees.
#pragma once

#include <map>
#include <string>

#include "crash/trees/script.h"

namespace spool::trees {

// Of every job of the tree: its state, phase and attempts, when the tree has come to the end of that life.
// Throws std::logic_error where a script comes to no end.
[[nodiscard]] std::map<Uuid, std::string> expected_end(const NewJob& root, Life life);
[[nodiscard]] std::string end_of(State state, const std::string& phase, int attempts);

}  // namespace spool::trees

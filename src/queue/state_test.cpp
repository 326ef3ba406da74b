#include "queue/state.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "test_paths.h"

namespace spool {
namespace {

using Edge = std::vector<std::string>;  // from, event, to[, note]

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

std::vector<std::string> lines_of_the_doc() {
  std::ifstream file(SPOOL_SOURCE_DIR "/docs/state_machine.md");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

std::multiset<Edge> table_of_the_doc() {
  std::multiset<Edge> rows;
  for (const std::string& line : lines_of_the_doc()) {
    if (!line.starts_with("| ") || line.starts_with("| from")) continue;
    Edge cells;
    std::istringstream parts(line.substr(1));
    for (std::string cell; std::getline(parts, cell, '|');) cells.push_back(trimmed(cell));
    rows.insert(cells);
  }
  return rows;
}

std::multiset<Edge> diagram_of_the_doc() {
  std::multiset<Edge> edges;
  for (const std::string& line : lines_of_the_doc()) {
    const auto arrow = line.find(" --> ");
    const auto colon = line.find(": ", arrow);
    if (arrow == std::string::npos || colon == std::string::npos || line.find("[*]") != std::string::npos)
      continue;
    edges.insert({trimmed(line.substr(0, arrow)), trimmed(line.substr(colon + 2)),
                  trimmed(line.substr(arrow + 5, colon - arrow - 5))});
  }
  return edges;
}

TEST(StateMachine, TheDocumentsTableIsTheCodesTable) {
  std::multiset<Edge> code;
  for (const Transition& t : transitions())
    code.insert({std::string(name(t.from)), std::string(name(t.event)), std::string(name(t.to)),
                 std::string(t.note)});
  EXPECT_EQ(table_of_the_doc(), code);
}

TEST(StateMachine, TheDocumentsDiagramIsTheCodesTable) {
  std::multiset<Edge> code;
  for (const Transition& t : transitions())
    code.insert({std::string(name(t.from)), std::string(name(t.event)), std::string(name(t.to))});
  EXPECT_EQ(diagram_of_the_doc(), code);
}

TEST(StateMachine, AnEventLeadsFromAStateToOneTarget) {
  std::set<std::pair<State, Event>> seen;
  for (const Transition& t : transitions()) {
    EXPECT_TRUE(seen.emplace(t.from, t.event).second) << name(t.from) << " " << name(t.event);
    EXPECT_EQ(next(t.from, t.event), t.to);
  }
}

TEST(StateMachine, OnlyReopeningLeavesAnEndAndNothingLeavesSuccess) {
  for (const Transition& t : transitions()) {
    EXPECT_NE(t.from, State::kSucceeded);
    EXPECT_EQ(ended(t.from), t.event == Event::kReopen);
  }
  EXPECT_EQ(next(State::kSucceeded, Event::kReopen), std::nullopt);
  EXPECT_EQ(next(State::kAvailable, Event::kSucceed), std::nullopt);
}

TEST(StateMachine, NamesGoThereAndBack) {
  for (int i = 0; i < kStateCount; ++i) {
    const State state = static_cast<State>(i);
    EXPECT_EQ(state_from_name(name(state)), state);
  }
  EXPECT_EQ(state_from_name("asleep"), std::nullopt);
}

}  // namespace
}  // namespace spool

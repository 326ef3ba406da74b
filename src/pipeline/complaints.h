// Complaints: everything that is wrong with a document, each with its place, told all at once.
//
// Lines and columns count from 1; columns and lengths count characters (code points), not bytes. A value type
// that keeps its own copy of the text; one thread at a time.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace spool::pipeline {

struct Place {
  int line = 1;
  int column = 1;
  int length = 1;
};

struct Complaint {
  Place at;
  std::string message;
};

inline constexpr std::size_t kMostComplaints = 50;

class Complaints {
 public:
  Complaints(std::string_view text, std::string_view name);

  // The same place and message twice is one complaint; beyond kMostComplaints they are only counted.
  void add(Place at, std::string message);
  [[nodiscard]] bool empty() const { return list_.empty(); }
  // In the order of the document.
  [[nodiscard]] std::vector<Complaint> list() const;
  // For people: "name:line:column: message", the line, and a caret below what is meant; then the next one.
  [[nodiscard]] std::string text() const;
  // kInvalidArgument with text().
  [[nodiscard]] Error error() const;

 private:
  std::string text_;
  std::string name_;
  std::vector<Complaint> list_;
  std::size_t left_out_ = 0;
};

// `, did you mean "x"?`, or `; known are a, b, c`, or "".
[[nodiscard]] std::string suggestion(std::string_view word, const std::vector<std::string>& known);

}  // namespace spool::pipeline

// Draft: what a store can make of a job, or of a report, before its database is taken: its texts, and whether
// it is acceptable by itself.
//
// Plain functions, for all stores alike; thread-safe.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "queue/store.h"

namespace spool {

struct Draft {
  const NewJob* job = nullptr;  // outlives the draft
  std::string args, labels;     // canonical JSON; labels: empty when there are none
  std::optional<Error> error;
};
[[nodiscard]] Draft draft(const NewJob& job);

struct ReportDraft {
  double fraction = 0;  // 0..1; 0 changes nothing
  std::optional<std::string> detail, checkpoint;
  std::optional<Error> error;  // of an attempt that still holds its job: its token is looked at first
};
[[nodiscard]] ReportDraft draft(const ProgressReport& report);

// Whether a kind, a queue or the like may be called so: UTF-8 without control characters.
[[nodiscard]] bool is_word(std::string_view text, std::size_t most);

// Tags as one text, and back: sorted, unique, one a line.
[[nodiscard]] std::string join_tags(std::vector<std::string> tags);
[[nodiscard]] std::vector<std::string> split_tags(std::string_view text);

// The end of a text, cut where a UTF-8 character begins.
[[nodiscard]] std::string_view tail(std::string_view text, std::size_t most);

}  // namespace spool

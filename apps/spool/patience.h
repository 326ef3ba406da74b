// For commands that wait for something: what the store cannot answer now is asked again until it can.
#pragma once

#include <fmt/format.h>

#include <thread>

#include "base/error.h"

namespace spool {

// `say` is told once, when the waiting begins. What will not pass is returned at once.
template <class Ask, class Say>
auto patiently(const Ask& ask, const Say& say) -> decltype(ask()) {
  for (bool said = false;; said = true) {
    auto answer = ask();
    if (answer || disposition(answer.error().code) != Disposition::kRetry) return answer;
    if (!said)
      say(fmt::format("spool: the store does not answer, waiting for it: {}", answer.error().message));
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
}

}  // namespace spool

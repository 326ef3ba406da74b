// What a command prints, in any cut, and the text that people see of it.
#include "steps/progress_lines.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spool;
  using namespace spool::steps;
  if (size < 1) return 0;
  const std::size_t cut = data[0] + 1u;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  double last = 0;
  const auto check = [](bool good) {
    if (!good) std::abort();
  };
  ProgressLines lines({[&](double fraction, const Json& detail) {
                         check(fraction >= last && fraction <= 1);
                         check(to_text(detail).size() <= kMostDetailBytes);
                         last = fraction;
                       },
                       [](const Json&) {}, [](const Json&) {},
                       [&](std::string_view text) {
                         check(text.size() <= kMostLineBytes);
                         check(clean_text(text, kMostLineBytes) == text);
                       }},
                      size % 2 == 0 ? 10 : 0);
  for (std::size_t i = 0; i < bytes.size(); i += cut) lines.feed(bytes.substr(i, cut));
  lines.finish();
  return 0;
}

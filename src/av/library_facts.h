// What the FFmpeg libraries at hand are and can do. For `spool doctor`. Pure, thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace spool::av {

struct LibraryFact {
  std::string name;      // "libavcodec"
  std::string version;   // as it runs: "59.37.100"
  bool as_built = true;  // the same major version as the program was built with
};
[[nodiscard]] std::vector<LibraryFact> libraries();
[[nodiscard]] std::string release();  // "5.1.9-0+deb12u1"
[[nodiscard]] std::string licence();  // "GPL version 2 or later"

[[nodiscard]] bool has_encoder(const std::string& name);
[[nodiscard]] bool has_decoder(const std::string& name);
[[nodiscard]] bool has_filter(const std::string& name);

}  // namespace spool::av

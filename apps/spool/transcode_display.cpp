#include "transcode_display.h"

namespace spool {

struct TranscodeDisplay::State {};
TranscodeDisplay::TranscodeDisplay(Store&, Uuid, std::filesystem::path, bool) {}
TranscodeDisplay::~TranscodeDisplay() = default;
void TranscodeDisplay::finish() {}

}  // namespace spool

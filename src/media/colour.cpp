#include "media/colour.h"

extern "C" {
#include <libavutil/pixdesc.h>
}

namespace spool::media {
namespace {

bool is_rgb(const Picture& picture) {
  const AVPixFmtDescriptor* descriptor = av_pix_fmt_desc_get(av_get_pix_fmt(picture.format.c_str()));
  return descriptor != nullptr && (descriptor->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL)) != 0;
}

int usual_matrix(const Picture& picture) {
  const Size shown = picture.shown();
  return std::min(shown.width, shown.height) >= 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
}

}  // namespace

bool needs_colour_conversion(const Picture& picture) {
  if (picture.hdr()) return true;
  switch (picture.matrix) {
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
    case AVCOL_SPC_SMPTE240M:
    case AVCOL_SPC_YCGCO:
      return !is_rgb(picture);
    default:
      return false;
  }
}

OutputColour output_colour(const Picture& picture) {
  if (needs_colour_conversion(picture)) return {};
  int matrix = picture.matrix;
  const bool usable =
      matrix == AVCOL_SPC_BT709 || matrix == AVCOL_SPC_SMPTE170M || matrix == AVCOL_SPC_BT470BG;
  if (!usable || is_rgb(picture)) matrix = usual_matrix(picture);
  if (matrix == AVCOL_SPC_BT709) return {};
  const bool pal = matrix == AVCOL_SPC_BT470BG || picture.primaries == AVCOL_PRI_BT470BG;
  return {pal ? AVCOL_PRI_BT470BG : AVCOL_PRI_SMPTE170M, AVCOL_TRC_SMPTE170M, matrix};
}

}  // namespace spool::media

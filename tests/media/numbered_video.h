// A moving picture whose every frame carries its number as bars, and the reader of those bars after any
// coding.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "av/handles.h"
#include "media/made_video.h"

namespace spool::media {

inline constexpr int kNumberBits = 12;

// The luma of frame N. The upper quarter holds the bits, the lowest at the left; below, textures move at
// different speeds.
inline std::vector<std::uint8_t> numbered_luma(int width, int height, int n) {
  std::vector<std::uint8_t> luma;
  luma.reserve(static_cast<std::size_t>(width) * static_cast<std::size_t>(height));
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      int value = 40 + (((x + 3 * n) ^ (y + n)) & 127);
      if (y < height / 4) value = (n >> (x * kNumberBits / width) & 1) != 0 ? 230 : 20;
      luma.push_back(static_cast<std::uint8_t>(value));
    }
  return luma;
}

// FRAMES of WIDTH x HEIGHT as YUV4MPEG, for ffmpeg to turn into whatever is tested.
inline std::filesystem::path numbered_y4m(int width, int height, int frames,
                                          const std::string& rate = "25:1") {
  std::string file_name = fmt::format("numbered_{}x{}_{}_{}.y4m", width, height, frames, rate);
  for (char& c : file_name)
    if (c == ':') c = '-';
  const std::filesystem::path path = made_folder() / file_name;
  if (std::filesystem::exists(path)) return path;
  std::ofstream out(path, std::ios::binary);
  out << fmt::format("YUV4MPEG2 W{} H{} F{} Ip A1:1 C420jpeg\n", width, height, rate);
  const std::vector<char> chroma(
      static_cast<std::size_t>((width + 1) / 2) * static_cast<std::size_t>((height + 1) / 2) * 2,
      static_cast<char>(128));
  for (int n = 0; n < frames; ++n) {
    const std::vector<std::uint8_t> luma = numbered_luma(width, height, n);
    out << "FRAME\n";
    out.write(reinterpret_cast<const char*>(luma.data()), static_cast<std::streamsize>(luma.size()));
    out.write(chroma.data(), static_cast<std::streamsize>(chroma.size()));
  }
  return path;
}

// The number on a decoded frame.
inline int number_on(const AVFrame& frame) {
  int number = 0;
  for (int bit = 0; bit < kNumberBits; ++bit) {
    const int x = (2 * bit + 1) * frame.width / (2 * kNumberBits);
    const int y = frame.height / 8;
    if (frame.data[0][y * frame.linesize[0] + x] > 125) number |= 1 << bit;
  }
  return number;
}

}  // namespace spool::media

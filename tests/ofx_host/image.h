// The clip that the host feeds, and the images it lends.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "ofxImageEffect.h"
#include "properties.h"

// How the host lays out its images and what it tells of the clip. Each is an option by its name.
struct Layout {
  // The raw clip: frames one after another, rows from the top down, interleaved, without padding.
  std::filesystem::path file;
  int width = 0;
  int height = 0;
  int frames = 0;
  std::string depth = kOfxBitDepthByte;
  std::string components = kOfxImageComponentRGBA;
  std::string premultiplication = kOfxImagePreMultiplied;
  // The host's time of the first frame.
  int first_time = 0;
  double frame_rate = 25;
  double pixel_aspect = 1;
  // Memory runs from the top row down, so the bytes from one row to the next are negative.
  bool negative_rows = false;
  // Unused bytes at the end of each row.
  int row_padding = 0;
  // The lower left corner of the source.
  int offset_x = 0;
  int offset_y = 0;
  // By how much the output is larger than the source on each side, and the window smaller.
  int output_margin = 0;
  int window_inset = 0;
  // Images are made smaller by this whole number, as while scrubbing.
  int reduction = 1;

  int channels() const;
  int channel_bytes() const;
  int pixel_bytes() const { return channels() * channel_bytes(); }
  OfxRectI source_bounds() const;
  OfxRectI output_bounds() const;
  OfxRectI window() const;
};

// An image of the host, surrounded by guards that a plugin may not write.
class HostImage : public OfxPropertySetStruct {
 public:
  HostImage(const Layout& layout, const OfxRectI& bounds, bool writable);

  void load(const Layout& layout, int frame);
  // Whether something outside the window was written.
  bool guards_hold(const OfxRectI& window) const;
  // The rows from the top down without padding.
  std::vector<std::byte> packed() const;
  const OfxRectI& bounds() const { return bounds_; }

 private:
  std::byte* row(int y);
  const std::byte* row(int y) const;
  size_t packed_row_bytes() const;

  OfxRectI bounds_;
  int pixel_bytes_;
  std::ptrdiff_t row_bytes_;
  std::vector<std::byte> memory_;
  std::byte* first_row_;
};

#ifndef INBETWEEN_CPU_PACKED_IMAGE_H_
#define INBETWEEN_CPU_PACKED_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/channel_scales.h"
#include "grid.h"
#include "workers.h"

namespace inbetween {

/* What matching sees of a picture: style and guides of a pixel side by side as bytes, each channel
 * scaled by the root of its weight, so that a plain sum of squared differences is the weighted
 * one. Replicated borders of the patch radius make every pixel the centre of a whole patch. */
class PackedImage {
 public:
  /* Of `channels` bytes a pixel, all 0. */
  PackedImage(int width, int height, int channels, int radius);

  /* Of a style, or nullptr for zeros, and guides. */
  PackedImage(const ChannelScales& scales, const float* style, const std::uint8_t* guides,
              int guide_channels, int width, int height, int radius, Workers& workers);

  Size size() const { return {width_, height_}; }
  int width() const { return width_; }
  int height() const { return height_; }
  int radius() const { return radius_; }
  int pixel_bytes() const { return pixel_bytes_; }
  std::ptrdiff_t stride() const { return stride_; }

  std::uint8_t* pixel(int x, int y) { return bytes_.data() + offset(x + radius_, y + radius_); }
  const std::uint8_t* pixel(int x, int y) const {
    return bytes_.data() + offset(x + radius_, y + radius_);
  }
  /* The top left byte of the patch whose centre is x, y. */
  const std::uint8_t* patch(int x, int y) const { return bytes_.data() + offset(x, y); }

  void replicate_borders();

  /* Half the size, rounded up: each pixel the rounded mean of four. */
  PackedImage halved(Workers& workers) const;

 private:
  std::ptrdiff_t offset(int x, int y) const {
    return y * stride_ + std::ptrdiff_t(x) * pixel_bytes_;
  }

  int width_;
  int height_;
  int radius_;
  int pixel_bytes_;
  std::ptrdiff_t stride_;
  std::vector<std::uint8_t> bytes_;
};

}  // namespace inbetween

#endif  // INBETWEEN_CPU_PACKED_IMAGE_H_

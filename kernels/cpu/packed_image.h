#ifndef INBETWEEN_CPU_PACKED_IMAGE_H_
#define INBETWEEN_CPU_PACKED_IMAGE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace inbetween {

inline constexpr int kStyleChannels = 3;
inline constexpr float kStyleWeight = 1.0f; /* shared by the style's channels */

/* What matching sees of a picture: style and guides of a pixel side by side as bytes, each channel
 * scaled by the root of its weight, so that a plain sum of squared differences is the weighted
 * one. Replicated borders of the patch radius make every pixel the centre of a whole patch. */
class PackedImage {
 public:
  PackedImage(int width, int height, int channels, int radius);

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
  PackedImage halved() const;

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

/* How channel values become the bytes of a packed pixel. */
class ChannelScales {
 public:
  ChannelScales(const float* guide_weights, int guide_channels);

  /* [style or nullptr for zeros; guides] -> packed. */
  PackedImage pack(const float* style, const std::uint8_t* guides, int width, int height,
                   int radius) const;

  /* One unit of packed distance in units of the weighted squared difference. */
  double unit() const { return unit_; }

  /* The packed style's difference for a difference of 0..255. */
  int style_difference(int difference) const { return tables_[0][difference]; }

 private:
  using Table = std::array<std::uint8_t, 256>;

  double unit_;
  std::vector<Table> tables_; /* one per channel, style first */
};

}  // namespace inbetween

#endif  // INBETWEEN_CPU_PACKED_IMAGE_H_

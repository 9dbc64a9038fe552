#include "packed_image.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "patch_distance.h"

namespace inbetween {
namespace {

constexpr int kPixelAlignment = 4;

/* What each channel makes of each byte. */
class Tables {
 public:
  using Table = std::array<std::uint8_t, 256>;

  Tables(const ChannelScales& scales, int channels) : tables_(channels) {
    for (int c = 0; c < channels; ++c) {
      for (int value = 0; value < 256; ++value) {
        tables_[c][value] = scaled_byte(static_cast<float>(value), scales.scales()[c]);
      }
    }
  }

  const Table& operator[](int channel) const { return tables_[channel]; }

 private:
  std::vector<Table> tables_;
};

}  // namespace

PackedImage::PackedImage(int width, int height, int channels, int radius)
    : width_(width),
      height_(height),
      radius_(radius),
      pixel_bytes_((channels + kPixelAlignment - 1) / kPixelAlignment * kPixelAlignment),
      stride_(std::ptrdiff_t(width + 2 * radius) * pixel_bytes_),
      bytes_(std::size_t(stride_) * (height + 2 * radius) + kReadBeyond) {}

void PackedImage::replicate_borders() {
  for (int y = 0; y < height_; ++y) {
    for (int i = 1; i <= radius_; ++i) {
      std::memcpy(pixel(-i, y), pixel(0, y), pixel_bytes_);
      std::memcpy(pixel(width_ - 1 + i, y), pixel(width_ - 1, y), pixel_bytes_);
    }
  }
  for (int i = 1; i <= radius_; ++i) {
    std::memcpy(pixel(-radius_, -i), pixel(-radius_, 0), stride_);
    std::memcpy(pixel(-radius_, height_ - 1 + i), pixel(-radius_, height_ - 1), stride_);
  }
}

PackedImage::PackedImage(const ChannelScales& scales, const float* style,
                         const std::uint8_t* guides, int guide_channels, int width, int height,
                         int radius, Workers& workers)
    : PackedImage(width, height, kStyleChannels + guide_channels, radius) {
  const Tables tables(scales, kStyleChannels + guide_channels);
  workers.run(height, [&](int y) {
    const std::size_t first = std::size_t(y) * width;
    const float* styles = style ? style + first * kStyleChannels : nullptr;
    const std::uint8_t* values = guides + first * guide_channels;
    for (int x = 0; x < width; ++x) {
      std::uint8_t* bytes = pixel(x, y);
      for (int c = 0; styles && c < kStyleChannels; ++c) {
        bytes[c] = tables[c][static_cast<int>(style_byte(*styles++))];
      }
      bytes += kStyleChannels;
      for (int c = 0; c < guide_channels; ++c) {
        *bytes++ = tables[kStyleChannels + c][*values++];
      }
    }
  });
  replicate_borders();
}

PackedImage PackedImage::halved(Workers& workers) const {
  PackedImage half((width_ + 1) / 2, (height_ + 1) / 2, pixel_bytes_, radius_);
  workers.run(half.height_, [&](int y) {
    const int y1 = std::min(2 * y + 1, height_ - 1);
    for (int x = 0; x < half.width_; ++x) {
      const int x1 = std::min(2 * x + 1, width_ - 1);
      const std::uint8_t* quad[] = {pixel(2 * x, 2 * y), pixel(x1, 2 * y), pixel(2 * x, y1),
                                    pixel(x1, y1)};
      std::uint8_t* mean = half.pixel(x, y);
      for (int c = 0; c < pixel_bytes_; ++c) {
        mean[c] = (quad[0][c] + quad[1][c] + quad[2][c] + quad[3][c] + 2) / 4;
      }
    }
  });
  half.replicate_borders();
  return half;
}

}  // namespace inbetween

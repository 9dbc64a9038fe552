#include "packed_image.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace inbetween {
namespace {

constexpr int kPixelAlignment = 16;

std::uint8_t to_byte(float value) {
  return static_cast<std::uint8_t>(std::floor(std::clamp(value, 0.0f, 1.0f) * 255.0f + 0.5f));
}

}  // namespace

PackedImage::PackedImage(int width, int height, int channels, int radius)
    : width_(width),
      height_(height),
      radius_(radius),
      pixel_bytes_((channels + kPixelAlignment - 1) / kPixelAlignment * kPixelAlignment),
      stride_(std::ptrdiff_t(width + 2 * radius) * pixel_bytes_),
      bytes_(std::size_t(stride_) * (height + 2 * radius)) {}

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

PackedImage PackedImage::halved() const {
  PackedImage half((width_ + 1) / 2, (height_ + 1) / 2, pixel_bytes_, radius_);
  for (int y = 0; y < half.height_; ++y) {
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
  }
  half.replicate_borders();
  return half;
}

ChannelScales::ChannelScales(const float* guide_weights, int guide_channels) {
  std::vector<double> weights(kStyleChannels, double(kStyleWeight) / kStyleChannels);
  weights.insert(weights.end(), guide_weights, guide_weights + guide_channels);
  unit_ = *std::max_element(weights.begin(), weights.end());
  for (const double weight : weights) {
    const double scale = std::sqrt(weight / unit_);
    Table& table = tables_.emplace_back();
    for (int value = 0; value < 256; ++value) {
      table[value] = static_cast<std::uint8_t>(std::floor(value * scale + 0.5));
    }
  }
}

PackedImage ChannelScales::pack(const float* style, const std::uint8_t* guides, int width,
                                int height, int radius) const {
  const int channels = static_cast<int>(tables_.size());
  PackedImage image(width, height, channels, radius);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      std::uint8_t* bytes = image.pixel(x, y);
      for (int c = 0; style && c < kStyleChannels; ++c) bytes[c] = tables_[c][to_byte(*style++)];
      for (int c = kStyleChannels; c < channels; ++c) bytes[c] = tables_[c][*guides++];
    }
  }
  image.replicate_borders();
  return image;
}

}  // namespace inbetween

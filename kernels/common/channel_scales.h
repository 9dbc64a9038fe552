#ifndef INBETWEEN_COMMON_CHANNEL_SCALES_H_
#define INBETWEEN_COMMON_CHANNEL_SCALES_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "matching.h"

namespace inbetween {

inline constexpr int kMaxChannels = kStyleChannels + INBETWEEN_MAX_GUIDE_CHANNELS;

/* How channel values become the bytes that are matched: scaled by the root of their weight, so that
 * a plain sum of squared differences is the weighted one. The style stands first. */
class ChannelScales {
 public:
  explicit ChannelScales(const inbetween_synthesis& p) {
    std::array<double, kMaxChannels> weights;
    weights.fill(double(kStyleWeight) / kStyleChannels);
    std::copy_n(p.guide_weights, p.guide_channels, weights.begin() + kStyleChannels);
    unit_ = *std::max_element(weights.begin(), weights.begin() + kStyleChannels + p.guide_channels);
    std::transform(weights.begin(), weights.end(), scales_.begin(),
                   [this](double weight) { return std::sqrt(weight / unit_); });
  }

  /* What one unit of the sums stands for: the largest channel weight. */
  double unit() const { return unit_; }

  const std::array<double, kMaxChannels>& scales() const { return scales_; }

  /* The change of the scaled style from which on it is not settled. */
  int stop_threshold(int threshold) const {
    return std::max(1, static_cast<int>(threshold * scales_[0] + 0.5));
  }

 private:
  double unit_;
  std::array<double, kMaxChannels> scales_;
};

/* A byte of a channel as it is matched. */
INBETWEEN_BOTH std::uint8_t scaled_byte(float value, double scale) {
  return static_cast<std::uint8_t>(static_cast<double>(value) * scale + 0.5);
}

/* A style value of 0..1 as the byte that is scaled. */
INBETWEEN_BOTH float style_byte(float value) {
  return floorf(clamped(value, 0.0f, 1.0f) * 255.0f + 0.5f);
}

}  // namespace inbetween

#endif  // INBETWEEN_COMMON_CHANNEL_SCALES_H_

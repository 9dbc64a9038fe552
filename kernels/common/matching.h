#ifndef INBETWEEN_COMMON_MATCHING_H_
#define INBETWEEN_COMMON_MATCHING_H_

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "inbetween/kernels.h"
#include "portable.h"

/* What decides between patches, bit for bit as in engine/native/reference/synthesis.py. */
namespace inbetween {

inline constexpr int kMaxLevels = 3;
inline constexpr int kStrides[] = {1, 4}; /* distances of the neighbours whose offsets are tried */
inline constexpr int kReaches[] = {1, 2, 4, 8, 16, 32}; /* from the pixel's own, of random ones */
inline constexpr int kUnsettledIterations = 1;          /* after which every pixel still searches */
inline constexpr int kStyleChannels = 3;
inline constexpr double kStyleWeight = 1.0; /* shared by the style's channels */
inline constexpr std::uint32_t kMaxCount = 65535;
inline constexpr float kMaxCost = 1 << 30; /* of one term: the sum of three fits 32 bits */
inline constexpr int kMaxCandidates = 1 + 1 + 4 * 2 + 6 + 1; /* own, coarser, near, random, any */
inline constexpr std::uint32_t kGoldenRatio = 0x9e3779b9u;

/* A pixel. */
struct Position {
  std::int32_t x;
  std::int32_t y;
  bool operator==(const Position&) const = default;
};

struct Size {
  std::int32_t width;
  std::int32_t height;
};

struct Point {
  float x;
  float y;
};

INBETWEEN_BOTH Position clamped(Position at, Size size) {
  return {clamped(at.x, 0, size.width - 1), clamped(at.y, 0, size.height - 1)};
}

/* The finalizer of MurmurHash3: random bits from a counter. */
INBETWEEN_BOTH std::uint32_t random_bits(std::uint32_t counter) {
  counter ^= counter >> 16;
  counter *= 0x85ebca6bu;
  counter ^= counter >> 13;
  counter *= 0xc2b2ae35u;
  return counter ^ (counter >> 16);
}

/* Two numbers from 0 to less than their limit, out of 32 random bits. */
INBETWEEN_BOTH Position random_pair(std::uint32_t bits, Size limits) {
  return {static_cast<std::int32_t>((bits & 0xffff) * limits.width >> 16),
          static_cast<std::int32_t>((bits >> 16) * limits.height >> 16)};
}

/* What tells the random candidates of an iteration from those of another. */
INBETWEEN_BOTH std::uint32_t random_key(std::uint32_t seed, int level, int iterations,
                                        int iteration) {
  const auto counter = static_cast<std::uint32_t>(level * iterations + iteration);
  return random_bits(seed + kGoldenRatio * (counter + 1));
}

/* The first counter of a pixel: each random candidate adds kGoldenRatio. */
INBETWEEN_BOTH std::uint32_t random_counter(std::uint32_t key, Position at) {
  return random_bits(key ^ (static_cast<std::uint32_t>(at.y) << 16 | at.x));
}

/* The pixel of the full size that an array is sampled at for a pixel of a level. */
INBETWEEN_BOTH int sampled_at(int coordinate, int level, int full_side) {
  const std::int64_t at = (static_cast<std::int64_t>(coordinate) << level) + ((1 << level) >> 1);
  return static_cast<int>(at < full_side - 1 ? at : full_side - 1);
}

/* Where a flow of the full size leads from a pixel of a level, inside its source. */
INBETWEEN_BOTH Point flow_point(Position at, Point displacement, int level, Size source) {
  const float factor = 1.0f / static_cast<float>(1 << level); /* exact */
  return {clamped(static_cast<float>(at.x) + displacement.x * factor, 0.0f,
                  static_cast<float>(source.width - 1)),
          clamped(static_cast<float>(at.y) + displacement.y * factor, 0.0f,
                  static_cast<float>(source.height - 1))};
}

/* The pixel next to a point that lies inside of the picture. */
INBETWEEN_BOTH Position nearest(Point at) {
  return {static_cast<std::int32_t>(at.x + 0.5f), static_cast<std::int32_t>(at.y + 0.5f)};
}

/* What a coarser level found, at this level. */
INBETWEEN_BOTH Position upsampled(Position coarse, Position at, Size source) {
  const Position fine{2 * coarse.x + (at.x & 1), 2 * coarse.y + (at.y & 1)};
  return {fine.x < source.width ? fine.x : source.width - 1,
          fine.y < source.height ? fine.y : source.height - 1};
}

INBETWEEN_BOTH std::uint32_t cost_term(float value) {
  return static_cast<std::uint32_t>(clamped(value, 0.0f, kMaxCost));
}

/* How many rows, or columns, two patches share that lie this far apart. */
INBETWEEN_BOTH std::uint32_t overlap(int patch_size, int apart) {
  const int rest = patch_size - (apart < 0 ? -apart : apart);
  return rest > 0 ? rest : 0;
}

/* The cost of a patch whose pixels are used so often; the pixel's own use does not count. */
INBETWEEN_BOTH std::uint32_t use_cost(std::uint32_t uses, Position wanted, Position current,
                                      int patch_size, float cost_per_use) {
  const std::uint32_t own =
      overlap(patch_size, wanted.x - current.x) * overlap(patch_size, wanted.y - current.y);
  return cost_term(static_cast<float>(uses - own) * cost_per_use);
}

/* The cost of lying away from the flow: the position guide. `cost` is that of one pixel. */
INBETWEEN_BOTH std::uint32_t deviation_cost(Position wanted, Point flow, float cost) {
  const float x = static_cast<float>(wanted.x) - flow.x;
  const float y = static_cast<float>(wanted.y) - flow.y;
  return cost_term((x * x + y * y) * cost);
}

INBETWEEN_BOTH std::uint8_t style_byte(float value) {
  return static_cast<std::uint8_t>(clamped(value, 0.0f, 1.0f) * 255.0f + 0.5f);
}

/* Half of a side, rounded up. */
inline Size halved(Size size) { return {(size.width + 1) / 2, (size.height + 1) / 2}; }

/* How many sizes the pyramid of these pictures has. */
inline int level_count(const inbetween_synthesis& p) {
  Size source{p.source_width, p.source_height};
  Size target{p.target_width, p.target_height};
  int count = 1;
  while (count < kMaxLevels && std::min({source.width, source.height, target.width,
                                         target.height}) >= 2 * (2 * p.patch_size + 1)) {
    source = halved(source);
    target = halved(target);
    ++count;
  }
  return count;
}

/* How channel values become the bytes that are matched: each scaled by the root of its weight, so
 * that a plain sum of squared differences is the weighted one. The style stands first. */
class ChannelScales {
 public:
  using Table = std::array<std::uint8_t, 256>;

  explicit ChannelScales(const inbetween_synthesis& p) {
    std::vector<double> weights(kStyleChannels, kStyleWeight / kStyleChannels);
    weights.insert(weights.end(), p.guide_weights, p.guide_weights + p.guide_channels);
    unit_ = *std::max_element(weights.begin(), weights.end());
    for (const double weight : weights) {
      const double scale = std::sqrt(weight / unit_);
      Table& table = tables_.emplace_back();
      for (int value = 0; value < 256; ++value) {
        table[value] = static_cast<std::uint8_t>(value * scale + 0.5);
      }
    }
    stop_threshold_ = std::max<int>(1, tables_.front()[p.stop_threshold]);
  }

  /* One unit of the sums in units of the weighted squared difference. */
  double unit() const { return unit_; }
  const std::vector<Table>& tables() const { return tables_; }
  /* The change of the scaled style from which on it is not settled. */
  int stop_threshold() const { return stop_threshold_; }

 private:
  double unit_;
  std::vector<Table> tables_;
  int stop_threshold_;
};

/* What the pixels of a patch cost per use. */
inline float cost_per_use(const inbetween_synthesis& p, double unit, Size source, Size target) {
  const double fair_share =
      (double(target.width) * target.height) / (double(source.width) * source.height);
  const double area = double(p.patch_size) * p.patch_size;
  return static_cast<float>(double(p.uniformity) / unit / (area * area * fair_share));
}

/* What a patch costs that lies one pixel of a level away from a flow that is trusted. */
inline float cost_per_deviation(const inbetween_synthesis& p, double unit, int level) {
  /* The guide holds coordinates, 0..255 along the longer side; each axis weighs half. */
  const double pixel =
      255.0 / std::max(std::max(p.source_width, p.source_height) - 1, 1) * (1 << level);
  const double weight = double(p.position_weight) / 2 / unit;
  return static_cast<float>(p.patch_size * p.patch_size * weight * (pixel * pixel));
}

}  // namespace inbetween

#endif  // INBETWEEN_COMMON_MATCHING_H_

#ifndef INBETWEEN_COMMON_MATCHING_H_
#define INBETWEEN_COMMON_MATCHING_H_

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "call.h"
#include "inbetween/kernels.h"
#include "portable.h"

/* What the patch search is made of; engine/native/reference/synthesis.py explains it. */
namespace inbetween {

inline constexpr int kStyleChannels = 3;
inline constexpr float kStyleWeight = 1.0f; /* shared by the style's channels */
inline constexpr int kMaxLevels = 3;
inline constexpr int kUnsettledIterations = 1; /* after which every pixel still searches */
inline constexpr int kStrides[] = {1, 4};      /* of the neighbours whose offsets are tried */
inline constexpr int kReaches[] = {1, 2, 4, 8, 16, 32}; /* of random candidates around the own */

/* Uses of a source pixel beyond this are not told apart; the sums of a 15x15 patch fit 32 bits. */
inline constexpr std::uint32_t kMaxCount = 65535;

/* Of one term of the cost: above every patch distance, and the sum of three fits 32 bits. */
inline constexpr float kMaxCost = 1 << 30;

/* Where pixel i of a level is sampled along a side of the full size. */
INBETWEEN_BOTH int sampled(int i, int level, int full_side) {
  const int at = (i << level) + (1 << level) / 2;
  return at < full_side ? at : full_side - 1;
}

/* Whether a temporal guide of this confidence has a say. NaN has none. */
INBETWEEN_BOTH bool is_trusted(float confidence) { return confidence >= 0.5f; }

/* The finalizer of MurmurHash3: random bits from a counter. */
INBETWEEN_BOTH std::uint32_t random_bits(std::uint32_t counter) {
  counter ^= counter >> 16;
  counter *= 0x85ebca6bu;
  counter ^= counter >> 13;
  counter *= 0xc2b2ae35u;
  return counter ^ (counter >> 16);
}

inline constexpr std::uint32_t kGoldenRatio = 0x9e3779b9u;

/* Of one search; it is counted over all levels. */
INBETWEEN_BOTH std::uint32_t random_key(std::uint32_t seed, int search) {
  return random_bits(seed + kGoldenRatio * (static_cast<std::uint32_t>(search) + 1u));
}

/* Where a pixel's counter stands; each further number adds kGoldenRatio first. */
INBETWEEN_BOTH std::uint32_t random_counter(std::uint32_t key, int x, int y) {
  return random_bits(key ^ (static_cast<std::uint32_t>(y) << 16 | static_cast<std::uint32_t>(x)));
}

/* A number from 0 to less than the limit, out of the lower or upper half of random bits. */
INBETWEEN_BOTH int random_low(std::uint32_t bits, int limit) {
  return static_cast<int>((bits & 0xffffu) * static_cast<std::uint32_t>(limit) >> 16);
}
INBETWEEN_BOTH int random_high(std::uint32_t bits, int limit) {
  return static_cast<int>((bits >> 16) * static_cast<std::uint32_t>(limit) >> 16);
}

INBETWEEN_BOTH std::uint32_t cost_term(float cost) {
  return static_cast<std::uint32_t>(cost < kMaxCost ? cost : kMaxCost);
}

/* What it costs that a patch lies dx, dy pixels away from where the flow leads. */
INBETWEEN_BOTH std::uint32_t deviation_cost(float dx, float dy, float cost) {
  return cost_term((dx * dx + dy * dy) * cost);
}

/* How many pixels two patches share whose centres are dx, dy apart. */
INBETWEEN_BOTH int patch_overlap(int patch_size, int dx, int dy) {
  const int width = patch_size - (dx < 0 ? -dx : dx);
  const int height = patch_size - (dy < 0 ? -dy : dy);
  return width > 0 && height > 0 ? width * height : 0;
}

/* What a patch dx, dy pixels away says of a pixel of the picture: the nearer its centre the more.
 */
INBETWEEN_BOTH int picture_weight(int radius, int dx, int dy) {
  return (radius + 1 - (dx < 0 ? -dx : dx)) * (radius + 1 - (dy < 0 ? -dy : dy));
}

/* What a patch costs because its pixels are used so often. */
INBETWEEN_BOTH std::uint32_t overuse_cost(std::uint32_t uses, float cost_per_use) {
  return cost_term(static_cast<float>(uses) * cost_per_use);
}

/* `unit` is what one unit of packed distance stands for: the largest channel weight. */
inline float use_cost(const inbetween_synthesis& p, double unit, std::int64_t source_pixels,
                      std::int64_t target_pixels) {
  const double fair_share = double(target_pixels) / double(source_pixels);
  const double cost = double(p.uniformity) / unit;
  return static_cast<float>(cost / (std::pow(double(p.patch_size), 4) * fair_share));
}

/* The position guide: what a patch costs that lies one pixel of a level away from the flow. */
inline float position_cost(const inbetween_synthesis& p, double unit, int level) {
  const int longest_way = std::max(p.source_width, p.source_height) - 1;
  const double pixel = 255.0 / std::max(longest_way, 1) * (1 << level);
  const double weight = double(p.position_weight) / 2 / unit;
  return static_cast<float>(p.patch_size * p.patch_size * weight * (pixel * pixel));
}

/* Halved while the shortest side stays twice a patch and one pixel. */
inline int level_count(const inbetween_synthesis& p) {
  int side = std::min({p.source_width, p.source_height, p.target_width, p.target_height});
  int levels = 1;
  while (levels < kMaxLevels && side >= 2 * (2 * p.patch_size + 1)) {
    side = (side + 1) / 2;
    ++levels;
  }
  return levels;
}

inline void check_synthesis(const inbetween_synthesis* p) {
  check_side("source_width", p->source_width);
  check_side("source_height", p->source_height);
  check_side("target_width", p->target_width);
  check_side("target_height", p->target_height);
  check_range("guide_channels", p->guide_channels, 1, INBETWEEN_MAX_GUIDE_CHANNELS);
  check_odd("patch_size", p->patch_size, 3, 15);
  check_range("search_vote_iterations", p->search_vote_iterations, 1, 100);
  check_range("stop_threshold", p->stop_threshold, 1, 255);
  check_not_negative("uniformity", p->uniformity);
  check_not_negative("position_weight", p->position_weight);
  check_given("guide_weights", p->guide_weights);
  for (int i = 0; i < p->guide_channels; ++i) {
    check_not_negative("guide_weights", p->guide_weights[i]);
  }
  if (p->temporal_confidence) check_range("guide_channels", p->guide_channels, 3, 61);
  check_given("style", p->style);
  check_given("source_guides", p->source_guides);
  check_given("target_guides", p->target_guides);
  check_given("to_source", p->to_source);
  check_given("picture", p->picture);
  check_given("source_xy", p->source_xy);
  check_given("patch_error", p->patch_error);
}

inline void check_syntheses(const inbetween_synthesis* parameters, std::int32_t count) {
  check_given("parameters", parameters);
  check_range("count", count, 1, INBETWEEN_MAX_SYNTHESES);
  for (int i = 0; i < count; ++i) check_synthesis(parameters + i);
}

}  // namespace inbetween

#endif  // INBETWEEN_COMMON_MATCHING_H_

#ifndef INBETWEEN_COMMON_BLEND_H_
#define INBETWEEN_COMMON_BLEND_H_

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "call.h"
#include "inbetween/kernels.h"
#include "lab.h"
#include "portable.h"

/* What the blend is made of; engine/native/reference/blend.py explains it. Nothing but additions,
 * multiplications, divisions and square roots, so that every backend makes the same picture. */
namespace inbetween {

/* The function of the same name hides the struct. */
using Blend = struct inbetween_blend;

/* Sums over a picture have one order everywhere. Chunks of consecutive pixels: lane l of 32 adds
 * the pixels l, l + 32, ... of its chunk, then halves of the lanes are added until one is left.
 * Then the chunks in the same way, with 256 lanes. */
inline constexpr int kSumChunk = 256;
inline constexpr int kSumLanes = 32;
inline constexpr int kFoldLanes = 256;

INBETWEEN_BOTH int chunk_count(std::size_t pixels) {
  return static_cast<int>((pixels + kSumChunk - 1) / kSumChunk);
}

inline constexpr int kBlurRadius = 6;

/* Of a Gaussian of 1.5 pixels, cut at 4 deviations, by the distance from its centre. */
INBETWEEN_BOTH float blur_weight(int distance) {
  constexpr float kWeights[kBlurRadius + 1] = {0.26596427f,    0.21296753f,   0.109341174f,
                                               0.0359943472f,  0.0075974022f, 0.00102819654f,
                                               8.92210664e-05f};
  return kWeights[distance];
}

/* Below this share of the mean error, errors tell nothing and the distances decide. */
INBETWEEN_BOTH float error_floor(double left_total, double right_total, std::size_t pixels) {
  const double mean = (left_total + right_total) / (2.0 * static_cast<double>(pixels));
  return static_cast<float>(0.1 * mean + 1e-6);
}

/* What speaks against a side. */
INBETWEEN_BOTH float weighted_error(float blurred, float floor, float distance) {
  return (blurred + floor) * distance;
}

/* A pixel leaves the side that it had, `carried`, only where that side's error is larger by a
 * quarter. 0.5 stands for no side. */
INBETWEEN_BOTH bool is_right_chosen(float left, float right, float carried) {
  constexpr float kPersistence = 0.25f;
  return left * (1.0f + kPersistence * carried) > right * (1.0f + kPersistence * (1.0f - carried));
}

INBETWEEN_BOTH float weight_of_right(float left, float right) { return left / (left + right); }

/* Sums over the pixels for one channel of CIE-LAB. */
enum Sum {
  kSumLeft,
  kSumLeftSquares,
  kSumRight,
  kSumRightSquares,
  kSumProducts,
  kSumChosen,
  kSumChosenSquares
};
inline constexpr int kChannelSums = 7;
inline constexpr int kBlendSums = 3 * kChannelSums; /* channel after channel */

/* One channel of the pictures: their mean, and what brings their deviation to 1. */
struct ChannelStatistics {
  float left_mean;
  float left_gain;
  float right_mean;
  float right_gain;
  float chosen_mean;
  float chosen_deviation;
  float likeness; /* correlation of both sides, 0 where it is negative */
};

using Statistics = ChannelStatistics[3];

namespace blend_detail {

INBETWEEN_BOTH double deviation(double sum, double squares, double count) {
  const double mean = sum / count;
  const double variance = squares / count - mean * mean;
  return variance > 0.0 ? sqrt(variance) : 0.0;
}

/* A flat picture stays flat. */
INBETWEEN_BOTH double divisor(double deviation) { return deviation > 1e-3 ? deviation : 1e-3; }

}  // namespace blend_detail

INBETWEEN_BOTH ChannelStatistics channel_statistics(const double* sums, std::size_t pixels) {
  using namespace blend_detail;
  const double count = static_cast<double>(pixels);
  const double left_mean = sums[kSumLeft] / count;
  const double right_mean = sums[kSumRight] / count;
  const double left = divisor(deviation(sums[kSumLeft], sums[kSumLeftSquares], count));
  const double right = divisor(deviation(sums[kSumRight], sums[kSumRightSquares], count));
  const double covariance = sums[kSumProducts] / count - left_mean * right_mean;
  return {static_cast<float>(left_mean),
          static_cast<float>(1.0 / left),
          static_cast<float>(right_mean),
          static_cast<float>(1.0 / right),
          static_cast<float>(sums[kSumChosen] / count),
          static_cast<float>(deviation(sums[kSumChosen], sums[kSumChosenSquares], count)),
          static_cast<float>(clamped(covariance / (left * right), 0.0, 1.0))};
}

/* One channel of the mix (Heitz and Neyret 2018), its deviation that of the chosen picture. */
INBETWEEN_BOTH float mixed(float left, float right, float weight, const ChannelStatistics& of) {
  const float rest = 1.0f - weight;
  const float mix = rest * ((left - of.left_mean) * of.left_gain) +
                    weight * ((right - of.right_mean) * of.right_gain);
  const float variance = rest * rest + weight * weight + 2.0f * weight * rest * of.likeness;
  return mix / sqrtf(variance) * of.chosen_deviation + of.chosen_mean;
}

inline void check_blend(const Blend* p) {
  check_given("parameters", p);
  check_side("width", p->width);
  check_side("height", p->height);
  check_range("left_distance", p->left_distance, 1, INT32_MAX);
  check_range("right_distance", p->right_distance, 1, INT32_MAX);
  check_given("left_picture", p->left_picture);
  check_given("left_error", p->left_error);
  check_given("right_picture", p->right_picture);
  check_given("right_error", p->right_error);
  check_given("choice", p->choice);
}

}  // namespace inbetween

#endif  // INBETWEEN_COMMON_BLEND_H_

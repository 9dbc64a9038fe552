#ifndef INBETWEEN_COMMON_LAB_H_
#define INBETWEEN_COMMON_LAB_H_

#include <cmath>
#include <cstdint>
#include <cstring>

#include "portable.h"

/* sRGB to CIE-LAB (D65) and back, to a few units in the last place. Roots are found by Halley's
 * method from + - * / alone: every backend gives the same bits, and compilers make vectors of it,
 * which they cannot of a mathematical library's functions. */
namespace inbetween {

struct Rgb {
  float red, green, blue;
};

/* Lightness in 0..100, a and b in the same unit. */
struct Lab {
  float lightness, a, b;
};

namespace lab_detail {

/* Where sRGB's curve and the cube root of CIE-LAB begin; lines lead there. */
inline constexpr float kLinearEnd = 0.0031308f;
inline constexpr float kEncodedEnd = 0.04045f;
inline constexpr float kRootEnd = 6.0f / 29.0f;
inline constexpr float kRatioEnd = kRootEnd * kRootEnd * kRootEnd;
inline constexpr float kRootSlope = 1.0f / (3.0f * kRootEnd * kRootEnd);
inline constexpr float kRootOffset = 4.0f / 29.0f;

template <int kDegree>
INBETWEEN_BOTH float power(float base) {
  const float square = base * base;
  if constexpr (kDegree == 3) return square * base;
  if constexpr (kDegree == 5) return square * square * base;
}

/* The 3rd or 5th root of a positive number. The exponent and mantissa of a float are nearly its
 * logarithm: dividing them gives a start that is 6 % off at most, two steps the rest. */
template <int kDegree>
INBETWEEN_BOTH float root(float of) {
  constexpr std::int32_t kOne = 0x3f800000; /* the bits of 1.0f */
  std::int32_t bits;
  std::memcpy(&bits, &of, sizeof(bits));
  bits = static_cast<std::int32_t>(static_cast<float>(bits - kOne) * (1.0f / kDegree)) + kOne;
  float guess;
  std::memcpy(&guess, &bits, sizeof(guess));
  constexpr float kMore = kDegree + 1;
  constexpr float kLess = kDegree - 1;
  for (int step = 0; step < 2; ++step) {
    const float reached = power<kDegree>(guess);
    guess *= (kLess * reached + kMore * of) / (kMore * reached + kLess * of);
  }
  return guess;
}

INBETWEEN_BOTH float larger(float value, float other) { return value > other ? value : other; }

INBETWEEN_BOTH float linear_of_srgb(float encoded) {
  const float base = (larger(encoded, kEncodedEnd) + 0.055f) * (1.0f / 1.055f);
  const float fifth = root<5>(base);
  const float curve = (base * base) * (fifth * fifth); /* base to 2.4 */
  const float line = encoded * (1.0f / 12.92f);
  return encoded > kEncodedEnd ? curve : line;
}

INBETWEEN_BOTH float srgb_of_linear(float linear) {
  const float base = larger(linear, kLinearEnd);
  const float curve = sqrtf(sqrtf(base)) * sqrtf(root<3>(base)); /* base to 1 / 2.4 */
  const float encoded = linear > kLinearEnd ? 1.055f * curve - 0.055f : 12.92f * linear;
  return clamped(encoded, 0.0f, 1.0f);
}

INBETWEEN_BOTH float root_of_ratio(float ratio) {
  const float curve = root<3>(larger(ratio, kRatioEnd));
  const float line = kRootSlope * ratio + kRootOffset;
  return ratio > kRatioEnd ? curve : line;
}

INBETWEEN_BOTH float ratio_of_root(float root) {
  const float curve = power<3>(root);
  const float line = (root - kRootOffset) * (1.0f / kRootSlope);
  return root > kRootEnd ? curve : line;
}

}  // namespace lab_detail

INBETWEEN_BOTH Lab lab_of_srgb(Rgb rgb) {
  using namespace lab_detail;
  const float red = linear_of_srgb(rgb.red);
  const float green = linear_of_srgb(rgb.green);
  const float blue = linear_of_srgb(rgb.blue);
  /* XYZ, relative to white */
  const float x = root_of_ratio(0.433887392f * red + 0.376224011f * green + 0.189888671f * blue);
  const float y = root_of_ratio(0.212639004f * red + 0.715168715f * green + 0.0721922964f * blue);
  const float z = root_of_ratio(0.0177500211f * red + 0.109447636f * green + 0.872802317f * blue);
  return {116.0f * y - 16.0f, 500.0f * (x - y), 200.0f * (y - z)};
}

/* Colours outside sRGB are clipped. */
INBETWEEN_BOTH Rgb srgb_of_lab(Lab lab) {
  using namespace lab_detail;
  const float root_y = (lab.lightness + 16.0f) * (1.0f / 116.0f);
  const float x = ratio_of_root(root_y + lab.a * (1.0f / 500.0f));
  const float y = ratio_of_root(root_y);
  const float z = ratio_of_root(root_y - lab.b * (1.0f / 200.0f));
  return {srgb_of_linear(3.08039856f * x - 1.53738284f * y - 0.543015957f * z),
          srgb_of_linear(-0.921223164f * x + 1.87596726f * y + 0.0452558994f * z),
          srgb_of_linear(0.0528740063f * x - 0.203977004f * y + 1.15110302f * z)};
}

}  // namespace inbetween

#endif  // INBETWEEN_COMMON_LAB_H_

#ifndef INBETWEEN_COMMON_HALF_H_
#define INBETWEEN_COMMON_HALF_H_

#include <cmath>
#include <cstdint>
#include <cstring>

#include "call.h"
#include "inbetween/kernels.h"
#include "portable.h"

/* Numbers of 16 bits; engine/native/reference/half.py says it in NumPy. */
namespace inbetween {

using Halves = struct ::inbetween_halves;

/* The nearest number that 16-bit floats have; of two the even one, NaN stays NaN. */
INBETWEEN_BOTH float nearest_half(float value) {
  constexpr float kSmallestNormal = 1.0f / 16384;
  constexpr float kBeyondLargest = 65520.0f;
  const float size = std::fabs(value);
  float nearest;
  if (size < kSmallestNormal) {
    nearest = (size + 0.5f) - 0.5f; /* floats from 0.5 on are as far apart as subnormal halves */
  } else if (size < kBeyondLargest) {
    std::uint32_t bits;
    std::memcpy(&bits, &size, sizeof bits);
    bits = (bits + 0xfff + (bits >> 13 & 1)) & ~0x1fffu;
    std::memcpy(&nearest, &bits, sizeof bits);
  } else {
    nearest = size * INFINITY;
  }
  return std::copysign(nearest, value);
}

inline void check_call(const Halves* p) {
  check_given("parameters", p);
  check_range("count", p->count, 0, INT64_MAX);
  if (p->count == 0) return;
  check_given("values", p->values);
  check_given("halves", p->halves);
}

}  // namespace inbetween

#endif  // INBETWEEN_COMMON_HALF_H_

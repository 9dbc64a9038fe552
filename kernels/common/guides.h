#ifndef INBETWEEN_COMMON_GUIDES_H_
#define INBETWEEN_COMMON_GUIDES_H_

#include <cstdint>

#include "common/portable.h"
#include "inbetween/kernels.h"

/* The planes of the guides; engine/native/reference/motion.py says it in NumPy. */
namespace inbetween {

using Guides = struct ::inbetween_guides;

inline constexpr int kGuidePlanes = 9;

/* 0..1 as a byte: the next one, halves upwards. */
INBETWEEN_BOTH std::uint8_t byte_of(float value) {
  return std::uint8_t(int(clamped(value, 0.0f, 1.0f) * 255.0f + 0.5f));
}

/* The 3x3 Laplacian; 0.5 is flat. */
INBETWEEN_BOTH float edge_of(float center, float left, float right, float above, float below) {
  return 0.5f + 0.5f * (((left + right) + (above + below)) - 4.0f * center);
}

}  // namespace inbetween

#endif  // INBETWEEN_COMMON_GUIDES_H_

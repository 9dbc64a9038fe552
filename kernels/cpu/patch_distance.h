#ifndef INBETWEEN_CPU_PATCH_DISTANCE_H_
#define INBETWEEN_CPU_PATCH_DISTANCE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "inbetween/kernels.h"

namespace inbetween {

/* A channel difference beyond this counts as this: the product of two then fits the signed 8-bit
 * multiply-add of AVX2 and VNNI, and so far apart one bad match is as bad as another. */
inline constexpr int kMaxDifference = 127;

inline std::uint32_t squared_difference(std::uint8_t a, std::uint8_t b) {
  const int difference = std::min(std::abs(a - b), kMaxDifference);
  return static_cast<std::uint32_t>(difference * difference);
}

/* The patch shape in memory. */
struct PatchLayout {
  int rows;
  int row_bytes; /* a multiple of 16 */
  std::ptrdiff_t target_stride;
  std::ptrdiff_t source_stride;
};

/* Writes to distances the sums of the squared differences between the patch at `target` and each
 * of the `count` patches at `sources`; all are given by their top left byte. */
using PatchDistances = void (*)(const PatchLayout& layout, const std::uint8_t* target,
                                const std::uint8_t* const* sources, int count,
                                std::uint32_t* distances);

inbetween_instruction_set best_instruction_set();

/* The implementation for an instruction set that this processor has. All give the same sums. */
PatchDistances patch_distances_for(inbetween_instruction_set set, const PatchLayout& layout);

}  // namespace inbetween

#endif  // INBETWEEN_CPU_PATCH_DISTANCE_H_

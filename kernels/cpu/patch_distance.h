#ifndef INBETWEEN_CPU_PATCH_DISTANCE_H_
#define INBETWEEN_CPU_PATCH_DISTANCE_H_

#include <cstddef>
#include <cstdint>

#include "inbetween/kernels.h"

namespace inbetween {

/* The patch shape in memory. */
struct PatchLayout {
  int rows;
  int row_bytes; /* a multiple of 4 */
  std::ptrdiff_t target_stride;
  std::ptrdiff_t source_stride;
};

/* Memory after the last patch that may be read, though it does not matter what it holds. */
inline constexpr int kReadBeyond = 64;

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

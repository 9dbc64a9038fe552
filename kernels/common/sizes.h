#ifndef INBETWEEN_COMMON_SIZES_H_
#define INBETWEEN_COMMON_SIZES_H_

#include <cstdint>
#include <string_view>

#include "inbetween/kernels.h"

namespace inbetween {

/* What inbetween_size_of answers; every struct of the C ABI has its line. */
inline std::uint64_t size_of(std::string_view name) {
  if (name == "inbetween_device") return sizeof(struct inbetween_device);
  if (name == "inbetween_warp") return sizeof(struct inbetween_warp);
  if (name == "inbetween_composition") return sizeof(struct inbetween_composition);
  if (name == "inbetween_confidence") return sizeof(struct inbetween_confidence);
  if (name == "inbetween_guides") return sizeof(struct inbetween_guides);
  if (name == "inbetween_synthesis") return sizeof(struct inbetween_synthesis);
  if (name == "inbetween_blend") return sizeof(struct inbetween_blend);
  if (name == "inbetween_poisson") return sizeof(struct inbetween_poisson);
  if (name == "inbetween_halves") return sizeof(struct inbetween_halves);
  return 0;
}

}  // namespace inbetween

#endif  // INBETWEEN_COMMON_SIZES_H_

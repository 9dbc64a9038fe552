#ifndef INBETWEEN_CPU_OCCUPANCY_H_
#define INBETWEEN_CPU_OCCUPANCY_H_

#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "grid.h"
#include "workers.h"

namespace inbetween {

/* Above every patch distance, and far from overflow. */
inline constexpr double kMaxCost = 1 << 30;

/* The uniformity term: what a patch of the source costs because target patches already use it. */
class Occupancy {
 public:
  /* `cost` is what a patch costs whose pixels are used once per fair share. */
  Occupancy(int source_width, int source_height, std::int64_t target_pixels, int patch_size,
            double cost);

  /* Counts anew how the field uses the source. */
  void refresh(const Field& field, Workers& workers);

  /* The cost of the patch at `wanted`, without what the pixel itself causes by using `current`. */
  std::uint32_t cost(Position wanted, Position current) const {
    const int dx = std::abs(wanted.x - current.x);
    const int dy = std::abs(wanted.y - current.y);
    const std::uint32_t uses = uses_.at(wanted.x, wanted.y);
    if (dx >= patch_size_ || dy >= patch_size_) return scaled(uses);
    return scaled(uses - (patch_size_ - dx) * (patch_size_ - dy));
  }

 private:
  std::uint32_t scaled(std::uint32_t uses) const {
    return static_cast<std::uint32_t>(std::min(uses * cost_per_use_, kMaxCost));
  }

  int patch_size_;
  double cost_per_use_;
  Grid<std::uint32_t> counts_;
  Grid<std::uint32_t> rows_;
  Grid<std::uint32_t> uses_;
};

}  // namespace inbetween

#endif  // INBETWEEN_CPU_OCCUPANCY_H_

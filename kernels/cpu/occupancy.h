#ifndef INBETWEEN_CPU_OCCUPANCY_H_
#define INBETWEEN_CPU_OCCUPANCY_H_

#include <cstdint>

#include "common/matching.h"
#include "grid.h"
#include "workers.h"

namespace inbetween {

/* The uniformity term: what a patch of the source costs because target patches already use it. */
class Occupancy {
 public:
  Occupancy(int source_width, int source_height, int patch_size, float cost_per_use);

  /* Counts how the field uses the source. */
  void count(const Field& field, Workers& workers);

  /* A target patch that came from `from` comes from `to`. Any thread may call it. */
  void move(Position from, Position to);

  /* What `cost` sees: how often the pixels of each patch are used. */
  void spread(Workers& workers);

  /* The cost of the patch at `wanted`, without what the pixel itself causes by using `current`. */
  std::uint32_t cost(Position wanted, Position current) const {
    const int own = patch_overlap(patch_size_, wanted.x - current.x, wanted.y - current.y);
    return overuse_cost(uses_.at(wanted.x, wanted.y) - own, cost_per_use_);
  }

 private:
  int patch_size_;
  float cost_per_use_;
  Grid<std::uint32_t> counts_;
  Grid<std::uint32_t> rows_;
  Grid<std::uint32_t> uses_;
};

}  // namespace inbetween

#endif  // INBETWEEN_CPU_OCCUPANCY_H_

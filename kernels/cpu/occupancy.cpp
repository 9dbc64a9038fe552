#include "occupancy.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>

namespace inbetween {
namespace {

void add(std::uint32_t& count, std::uint32_t change) {
  std::atomic_ref(count).fetch_add(change, std::memory_order_relaxed);
}

}  // namespace

Occupancy::Occupancy(int source_width, int source_height, int patch_size, float cost_per_use)
    : patch_size_(patch_size),
      cost_per_use_(cost_per_use),
      counts_(source_width, source_height),
      rows_(source_width, source_height),
      uses_(source_width, source_height) {}

void Occupancy::count(const Field& field, Workers& workers) {
  workers.run(field.height(), [&](int y) {
    for (int x = 0; x < field.width(); ++x) add(counts_.at(field.at(x, y).x, field.at(x, y).y), 1);
  });
}

void Occupancy::move(Position from, Position to) {
  if (from == to) return;
  add(counts_.at(from.x, from.y), -1);
  add(counts_.at(to.x, to.y), 1);
}

/* A patch is used as often as its pixels are, which is as often as patches that cover them: two
 * box sums of the counts, that is a triangle along rows and one along columns. */
void Occupancy::spread(Workers& workers) {
  const int width = counts_.width();
  const int height = counts_.height();
  const int reach = patch_size_ - 1;
  workers.run(height, [&](int y) {
    std::uint32_t* sums = rows_.row(y);
    std::fill_n(sums, width, 0);
    for (int d = -reach; d <= reach; ++d) {
      const std::uint32_t weight = patch_size_ - std::abs(d);
      const int first = std::max(0, -d);
      const int last = std::min(width, width - d);
      const std::uint32_t* counts = counts_.row(y) + d;
      for (int x = first; x < last; ++x) sums[x] += weight * std::min(counts[x], kMaxCount);
    }
  });
  workers.run(height, [&](int y) {
    std::uint32_t* uses = uses_.row(y);
    std::fill_n(uses, width, 0);
    for (int d = std::max(-reach, -y); d <= std::min(reach, height - 1 - y); ++d) {
      const std::uint32_t weight = patch_size_ - std::abs(d);
      const std::uint32_t* sums = rows_.row(y + d);
      for (int x = 0; x < width; ++x) uses[x] += weight * sums[x];
    }
  });
}

}  // namespace inbetween

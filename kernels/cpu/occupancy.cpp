#include "occupancy.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace inbetween {
namespace {

/* More is not told apart; the sums of a 15x15 patch then fit 32 bits. */
constexpr std::uint32_t kMaxCount = 65535;

}  // namespace

Occupancy::Occupancy(int source_width, int source_height, std::int64_t target_pixels,
                     int patch_size, double cost)
    : patch_size_(patch_size),
      counts_(source_width, source_height),
      rows_(source_width, source_height),
      uses_(source_width, source_height) {
  const double fair_share = double(target_pixels) / (double(source_width) * source_height);
  cost_per_use_ = cost / (std::pow(patch_size, 4) * fair_share);
}

/* A patch is used as often as its pixels are, which is as often as patches that cover them: two
 * box sums of the counts, that is a triangle along rows and one along columns. */
void Occupancy::refresh(const Field& field, Workers& workers) {
  std::fill(counts_.begin(), counts_.end(), 0);
  for (const Position& at : field) {
    std::uint32_t& count = counts_.at(at.x, at.y);
    count = std::min(count + 1, kMaxCount);
  }
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
      for (int x = first; x < last; ++x) sums[x] += weight * counts[x];
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

#include "synthesis.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "grid.h"
#include "occupancy.h"
#include "packed_image.h"
#include "patch_distance.h"
#include "workers.h"

namespace inbetween {
namespace {

constexpr int kMaxLevels = 4;
constexpr int kSweeps = 2;               /* searches between two votes */
constexpr int kTileSize = 32;            /* pixels that share shifts, and a task's size */
constexpr int kSharedShifts = 8;         /* commonest offsets of a tile, tried by all its pixels */
constexpr int kStrides[] = {1, 2, 8};    /* distances of the neighbours whose offsets are tried */
constexpr int kReaches[] = {1, 2, 3, 4}; /* distances from the pixel's own of random candidates */
constexpr int kStopThreshold = 5;        /* of 255: a style that changed less is settled */
constexpr int kMaxCandidates =
    3 + 4 * std::size(kStrides) + kSharedShifts + int(std::size(kReaches));

/* Where each pixel of a level comes from, by flow given at full size. */
Field flow_field(const float* initial_xy, int target_width, int target_height, int level,
                 const PackedImage& source, const PackedImage& target) {
  const int half = (1 << level) / 2;
  const float factor = static_cast<float>(1 << level);
  const auto along = [&](int coarse, int fine, float position, int size) {
    const float shifted = coarse + std::floor((position - fine) / factor + 0.5f);
    return static_cast<std::int32_t>(std::clamp(shifted, 0.0f, float(size - 1)));
  };
  Field field(target.width(), target.height());
  for (int y = 0; y < field.height(); ++y) {
    const int fine_y = std::min((y << level) + half, target_height - 1);
    for (int x = 0; x < field.width(); ++x) {
      const int fine_x = std::min((x << level) + half, target_width - 1);
      const float* xy = initial_xy + (std::size_t(fine_y) * target_width + fine_x) * 2;
      field.at(x, y) = {along(x, fine_x, xy[0], source.width()),
                        along(y, fine_y, xy[1], source.height())};
    }
  }
  return field;
}

Field upsampled(const Field& coarse, const PackedImage& source, const PackedImage& target) {
  Field field(target.width(), target.height());
  for (int y = 0; y < field.height(); ++y) {
    for (int x = 0; x < field.width(); ++x) {
      const Position from = coarse.at(x / 2, y / 2);
      field.at(x, y) = {std::min(2 * from.x + x % 2, source.width() - 1),
                        std::min(2 * from.y + y % 2, source.height() - 1)};
    }
  }
  return field;
}

/* 1 where any pixel within the radius is set. */
Grid<std::uint8_t> dilated(const Grid<std::uint8_t>& mask, int radius, Workers& workers) {
  const int width = mask.width();
  const int height = mask.height();
  Grid<std::uint8_t> rows(width, height);
  Grid<std::uint8_t> result(width, height);
  workers.run(height, [&](int y) {
    for (int d = -radius; d <= radius; ++d) {
      const std::uint8_t* in = mask.row(y) + d;
      std::uint8_t* out = rows.row(y);
      for (int x = std::max(0, -d); x < std::min(width, width - d); ++x) out[x] |= in[x];
    }
  });
  workers.run(height, [&](int y) {
    for (int d = std::max(-radius, -y); d <= std::min(radius, height - 1 - y); ++d) {
      const std::uint8_t* in = rows.row(y + d);
      std::uint8_t* out = result.row(y);
      for (int x = 0; x < width; ++x) out[x] |= in[x];
    }
  });
  return result;
}

/* The finalizer of MurmurHash3: random bits from a counter. */
std::uint32_t random_bits(std::uint32_t counter) {
  counter ^= counter >> 16;
  counter *= 0x85ebca6bu;
  counter ^= counter >> 13;
  counter *= 0xc2b2ae35u;
  return counter ^ (counter >> 16);
}

constexpr std::uint32_t kGoldenRatio = 0x9e3779b9u;

/* Two numbers from 0 to less than their limit, out of 32 random bits. */
Position random_pair(std::uint32_t bits, std::uint32_t x_limit, std::uint32_t y_limit) {
  return {static_cast<std::int32_t>((bits & 0xffff) * x_limit >> 16),
          static_cast<std::int32_t>((bits >> 16) * y_limit >> 16)};
}

/* The patches that a pixel chooses from, each once, in the order of preference. */
class Candidates {
 public:
  explicit Candidates(const PackedImage& source)
      : right_(source.width() - 1), bottom_(source.height() - 1) {}

  void clear() { count_ = 0; }

  void add(Position wanted) {
    const Position at{std::clamp(wanted.x, 0, right_), std::clamp(wanted.y, 0, bottom_)};
    for (int i = 0; i < count_; ++i) {
      if (positions_[i] == at) return;
    }
    positions_[count_++] = at;
  }

  int count() const { return count_; }
  Position operator[](int i) const { return positions_[i]; }

 private:
  int right_;
  int bottom_;
  int count_ = 0;
  std::array<Position, kMaxCandidates> positions_;
};

struct Tile {
  int left, top, right, bottom; /* right and bottom lie outside */
};

using Shifts = std::array<Position, kSharedShifts>;

/* Writes the commonest offsets of the tile, the most frequent first, and returns their number. */
int commonest_shifts(const Field& field, const Tile& tile, Shifts& shifts) {
  constexpr int kBias = 1 << 15;
  std::array<std::uint32_t, kTileSize * kTileSize> keys;
  int pixels = 0;
  for (int y = tile.top; y < tile.bottom; ++y) {
    for (int x = tile.left; x < tile.right; ++x) {
      const Position from = field.at(x, y);
      keys[pixels++] = std::uint32_t(from.y - y + kBias) << 16 | std::uint32_t(from.x - x + kBias);
    }
  }
  std::sort(keys.begin(), keys.begin() + pixels);
  std::array<std::pair<int, std::uint32_t>, kTileSize * kTileSize> runs;
  int count = 0;
  for (int i = 0; i < pixels; ++i) {
    if (i == 0 || keys[i] != keys[i - 1]) runs[count++] = {0, keys[i]};
    --runs[count - 1].first; /* negative: ascending order is then the most frequent first */
  }
  const int kept = std::min(count, kSharedShifts);
  std::partial_sort(runs.begin(), runs.begin() + kept, runs.begin() + count);
  for (int i = 0; i < kept; ++i) {
    shifts[i] = {int(runs[i].second & 0xffff) - kBias, int(runs[i].second >> 16) - kBias};
  }
  return kept;
}

/* One size of the pyramid. */
class Level {
 public:
  Level(const inbetween_synthesis& parameters, const ChannelScales& scales,
        const PackedImage& source, PackedImage& target, Field coarser, Workers& workers)
      : parameters_(parameters),
        source_(source),
        target_(target),
        coarser_(std::move(coarser)),
        workers_(workers),
        stop_threshold_(std::max(1, scales.style_difference(kStopThreshold))),
        layout_{parameters.patch_size, parameters.patch_size * source.pixel_bytes(),
                target.stride(), source.stride()},
        distances_(patch_distances_for(
            parameters.instruction_set == INBETWEEN_BEST
                ? best_instruction_set()
                : static_cast<inbetween_instruction_set>(parameters.instruction_set),
            layout_)),
        occupancy_(source.width(), source.height(), std::int64_t(target.width()) * target.height(),
                   parameters.patch_size, parameters.uniformity / scales.unit()),
        live_(target.width(), target.height(), 1) {}

  /* Improves the field by search and vote. `number` tells the levels' random numbers apart. */
  void settle(Field& field, int number) {
    choose_start(field);
    vote(field);
    for (int iteration = 0; iteration < parameters_.search_vote_iterations; ++iteration) {
      for (int sweep = 0; sweep < kSweeps; ++sweep) {
        const int counter =
            (number * parameters_.search_vote_iterations + iteration) * kSweeps + sweep;
        search(field, random_bits(parameters_.seed + kGoldenRatio * (counter + 1)));
      }
      live_ = dilated(vote(field), target_.radius(), workers_);
      if (std::find(live_.begin(), live_.end(), 1) == live_.end()) return;
    }
  }

  /* The distance of each target patch to its source patch. */
  void measure(const Field& field, double unit, float* patch_error) const {
    workers_.run(field.height(), [&](int y) {
      for (int x = 0; x < field.width(); ++x) {
        patch_error[std::size_t(y) * field.width() + x] =
            static_cast<float>(distance(field.at(x, y), x, y) * unit);
      }
    });
  }

 private:
  /* Each pixel starts from the flow or from the coarser level, whichever fits the guides better:
   * there is no style to compare yet. The other one stays a candidate. */
  void choose_start(Field& field) {
    workers_.run(field.height(), [&](int y) {
      for (int x = 0; x < field.width(); ++x) {
        Position& flow = field.at(x, y);
        Position& coarser = coarser_.at(x, y);
        if (flow == coarser) continue;
        if (guide_distance(coarser, x, y) < guide_distance(flow, x, y)) std::swap(flow, coarser);
      }
    });
  }

  std::uint32_t distance(Position from, int x, int y) const {
    const std::uint8_t* patch = source_.patch(from.x, from.y);
    std::uint32_t result;
    distances_(layout_, target_.patch(x, y), &patch, 1, &result);
    return result;
  }

  std::uint32_t guide_distance(Position from, int x, int y) const {
    std::uint32_t result = distance(from, x, y);
    const int radius = target_.radius();
    for (int dy = -radius; dy <= radius; ++dy) {
      for (int dx = -radius; dx <= radius; ++dx) {
        const std::uint8_t* a = source_.pixel(from.x + dx, from.y + dy);
        const std::uint8_t* b = target_.pixel(x + dx, y + dy);
        for (int c = 0; c < kStyleChannels; ++c) result -= squared_difference(a[c], b[c]);
      }
    }
    return result;
  }

  /* Every live pixel takes the best of its candidates. All read the field as it was before, so
   * neither the order nor the number of threads matters. */
  void search(Field& field, std::uint32_t random_key) {
    occupancy_.refresh(field, workers_);
    Field next = field;
    const int columns = (field.width() + kTileSize - 1) / kTileSize;
    const int rows = (field.height() + kTileSize - 1) / kTileSize;
    workers_.run(columns * rows, [&](int i) {
      const int left = i % columns * kTileSize;
      const int top = i / columns * kTileSize;
      search_tile(field, next,
                  {left, top, std::min(left + kTileSize, field.width()),
                   std::min(top + kTileSize, field.height())},
                  random_key);
    });
    std::swap(field, next);
  }

  void search_tile(const Field& field, Field& next, const Tile& tile,
                   std::uint32_t random_key) const {
    Shifts shifts;
    const int shift_count = commonest_shifts(field, tile, shifts);
    Candidates candidates(source_);
    for (int y = tile.top; y < tile.bottom; ++y) {
      for (int x = tile.left; x < tile.right; ++x) {
        if (!live_.at(x, y)) continue;
        candidates.clear();
        candidates.add(field.at(x, y));
        candidates.add(coarser_.at(x, y));
        add_neighbours(field, x, y, candidates);
        for (int i = 0; i < shift_count; ++i) candidates.add({x + shifts[i].x, y + shifts[i].y});
        add_random(field, x, y, random_key, candidates);
        next.at(x, y) = best(candidates, x, y);
      }
    }
  }

  void add_neighbours(const Field& field, int x, int y, Candidates& candidates) const {
    for (const int stride : kStrides) {
      for (const auto [dx, dy] :
           {Position{-stride, 0}, Position{stride, 0}, Position{0, -stride}, Position{0, stride}}) {
        const int nx = std::clamp(x + dx, 0, field.width() - 1);
        const int ny = std::clamp(y + dy, 0, field.height() - 1);
        const Position from = field.at(nx, ny);
        candidates.add({from.x + x - nx, from.y + y - ny});
      }
    }
  }

  void add_random(const Field& field, int x, int y, std::uint32_t key,
                  Candidates& candidates) const {
    std::uint32_t counter = random_bits(key ^ (std::uint32_t(y) << 16 | std::uint32_t(x)));
    const Position from = field.at(x, y);
    for (const int reach : kReaches) {
      const Position step =
          random_pair(random_bits(counter += kGoldenRatio), 2 * reach + 1, 2 * reach + 1);
      candidates.add({from.x + step.x - reach, from.y + step.y - reach});
    }
    candidates.add(
        random_pair(random_bits(counter += kGoldenRatio), source_.width(), source_.height()));
  }

  Position best(const Candidates& candidates, int x, int y) const {
    std::array<const std::uint8_t*, kMaxCandidates> patches;
    std::array<std::uint32_t, kMaxCandidates> costs;
    for (int i = 0; i < candidates.count(); ++i) {
      patches[i] = source_.patch(candidates[i].x, candidates[i].y);
    }
    distances_(layout_, target_.patch(x, y), patches.data(), candidates.count(), costs.data());
    int chosen = 0;
    for (int i = 0; i < candidates.count(); ++i) {
      costs[i] += occupancy_.cost(candidates[i], candidates[0]);
      if (costs[i] < costs[chosen]) chosen = i;
    }
    return candidates[chosen];
  }

  /* The target's style becomes the rounded mean of the patches that overlap there. Returns 1
   * where it changed by the stop threshold or more. */
  Grid<std::uint8_t> vote(const Field& field) {
    Grid<std::uint8_t> changed(field.width(), field.height());
    const Grid<std::uint8_t> touched = dilated(live_, target_.radius(), workers_);
    workers_.run(field.height(), [&](int y) {
      for (int x = 0; x < field.width(); ++x) {
        if (touched.at(x, y)) changed.at(x, y) = vote_pixel(field, x, y);
      }
    });
    target_.replicate_borders();
    return changed;
  }

  bool vote_pixel(const Field& field, int x, int y) {
    const int radius = target_.radius();
    const int first = std::max(x - radius, 0);
    const int last = std::min(x + radius, field.width() - 1);
    /* Two sums of 16 bits in a word: 225 bytes fit. */
    static_assert(std::endian::native == std::endian::little);
    std::uint32_t even = 0;
    std::uint32_t odd = 0;
    std::uint32_t count = 0;
    for (int ny = std::max(y - radius, 0); ny <= std::min(y + radius, field.height() - 1); ++ny) {
      const Position* from = field.row(ny);
      for (int nx = first; nx <= last; ++nx) {
        std::uint32_t style;
        std::memcpy(&style, source_.pixel(from[nx].x + x - nx, from[nx].y + y - ny), sizeof style);
        even += style & 0x00ff00ffu;
        odd += style >> 8 & 0x00ff00ffu;
        ++count;
      }
    }
    const std::uint32_t sums[kStyleChannels] = {even & 0xffff, odd & 0xffff, even >> 16};
    std::uint8_t* style = target_.pixel(x, y);
    bool changed = false;
    for (int c = 0; c < kStyleChannels; ++c) {
      const int mean = static_cast<int>((2 * sums[c] + count) / (2 * count));
      changed |= std::abs(mean - style[c]) >= stop_threshold_;
      style[c] = static_cast<std::uint8_t>(mean);
    }
    return changed;
  }

  const inbetween_synthesis& parameters_;
  const PackedImage& source_;
  PackedImage& target_;
  Field coarser_;
  Workers& workers_;
  int stop_threshold_;
  PatchLayout layout_;
  PatchDistances distances_;
  Occupancy occupancy_;
  Grid<std::uint8_t> live_;
};

/* The mean of the overlapping patches in the style's own precision. */
void vote_picture(const inbetween_synthesis& p, const Field& field, Workers& workers) {
  const int radius = p.patch_size / 2;
  workers.run(field.height(), [&](int y) {
    float* out = p.picture + std::size_t(y) * field.width() * kStyleChannels;
    for (int x = 0; x < field.width(); ++x, out += kStyleChannels) {
      /* In double the sum of equal floats is exact, so that a flat style stays flat. */
      double sums[kStyleChannels] = {};
      int count = 0;
      for (int ny = std::max(y - radius, 0); ny <= std::min(y + radius, field.height() - 1); ++ny) {
        for (int nx = std::max(x - radius, 0); nx <= std::min(x + radius, field.width() - 1);
             ++nx) {
          const Position from = field.at(nx, ny);
          const int sx = std::clamp(from.x + x - nx, 0, p.source_width - 1);
          const int sy = std::clamp(from.y + y - ny, 0, p.source_height - 1);
          const float* style = p.style + (std::size_t(sy) * p.source_width + sx) * kStyleChannels;
          for (int c = 0; c < kStyleChannels; ++c) sums[c] += style[c];
          ++count;
        }
      }
      for (int c = 0; c < kStyleChannels; ++c) out[c] = static_cast<float>(sums[c] / count);
    }
  });
}

int shortest_side(const PackedImage& source, const PackedImage& target) {
  return std::min({source.width(), source.height(), target.width(), target.height()});
}

}  // namespace

void synthesize(const inbetween_synthesis& p) {
  Workers workers(p.threads);
  const ChannelScales scales(p.guide_weights, p.guide_channels);
  const int radius = p.patch_size / 2;
  std::vector<PackedImage> sources;
  std::vector<PackedImage> targets;
  sources.push_back(scales.pack(p.style, p.source_guides, p.source_width, p.source_height, radius));
  targets.push_back(scales.pack(nullptr, p.target_guides, p.target_width, p.target_height, radius));
  while (int(sources.size()) < kMaxLevels &&
         shortest_side(sources.back(), targets.back()) >= 2 * (2 * p.patch_size + 1)) {
    sources.push_back(sources.back().halved());
    targets.push_back(targets.back().halved());
  }

  Field field(0, 0);
  for (int i = int(sources.size()) - 1; i >= 0; --i) {
    Field flow =
        flow_field(p.initial_xy, p.target_width, p.target_height, i, sources[i], targets[i]);
    const bool coarsest = i + 1 == int(sources.size());
    Field coarser = coarsest ? flow : upsampled(field, sources[i], targets[i]);
    field = std::move(flow);
    Level level(p, scales, sources[i], targets[i], std::move(coarser), workers);
    level.settle(field, i);
    if (i == 0) level.measure(field, scales.unit(), p.patch_error);
  }
  vote_picture(p, field, workers);
  for (std::size_t i = 0; const Position& at : field) {
    p.source_xy[i++] = at.x;
    p.source_xy[i++] = at.y;
  }
}

}  // namespace inbetween

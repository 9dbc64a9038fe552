#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <vector>

#include "common/call.h"
#include "common/channel_scales.h"
#include "common/matching.h"
#include "common/picture.h"
#include "context.h"
#include "grid.h"
#include "occupancy.h"
#include "packed_image.h"
#include "patch_distance.h"
#include "workers.h"

/* engine/native/reference/synthesis.py says the same in NumPy. */
namespace inbetween {
namespace {

constexpr int kRowsPerTask = 8;
constexpr int kMaxCandidates =
    2 + 4 * int(std::size(kStrides)) + int(std::size(kReaches)) + 1; /* the pixel's own the first */

/* Where the flow leads, and what it costs to leave that. */
struct Lead {
  float x, y; /* in the source */
  float cost; /* of one pixel of this level */
};

Grid<Lead> leads(const inbetween_synthesis& p, double unit, int level, Size source, Size target,
                 Workers& workers) {
  Grid<Lead> result(target.width, target.height);
  const float cost = position_cost(p, unit, level);
  const float factor = static_cast<float>(1 << level);
  const float right = static_cast<float>(source.width - 1);
  const float bottom = static_cast<float>(source.height - 1);
  workers.run(target.height, [&](int y) {
    const std::size_t row = std::size_t(sampled(y, level, p.target_height)) * p.target_width;
    for (int x = 0; x < target.width; ++x) {
      const std::size_t full = row + sampled(x, level, p.target_width);
      const float* displacement = p.to_source + 2 * full;
      /* Costs are added up without a sign. */
      const float trust = p.confidence ? std::max(p.confidence[full], 0.0f) : 1.0f;
      result.at(x, y) = {clamped(x + displacement[0] / factor, 0.0f, right),
                         clamped(y + displacement[1] / factor, 0.0f, bottom), cost * trust};
    }
  });
  return result;
}

Field upsampled(const Field& coarse, Size source, Size target, Workers& workers) {
  Field field(target.width, target.height);
  workers.run(target.height, [&](int y) {
    for (int x = 0; x < target.width; ++x) {
      const Position from = coarse.at(x / 2, y / 2);
      field.at(x, y) = {std::min(2 * from.x + x % 2, source.width - 1),
                        std::min(2 * from.y + y % 2, source.height - 1)};
    }
  });
  return field;
}

/* 1 where any pixel within the radius is set. */
void dilate(const Grid<std::uint8_t>& mask, int radius, Grid<std::uint8_t>& rows,
            Grid<std::uint8_t>& result, Workers& workers) {
  const int width = mask.width();
  const int height = mask.height();
  workers.run(height, [&](int y) {
    std::uint8_t* out = rows.row(y);
    std::copy_n(mask.row(y), width, out);
    for (int d = -radius; d <= radius; ++d) {
      const std::uint8_t* in = mask.row(y) + d;
      for (int x = std::max(0, -d); x < std::min(width, width - d); ++x) out[x] |= in[x];
    }
  });
  workers.run(height, [&](int y) {
    std::uint8_t* out = result.row(y);
    std::copy_n(rows.row(y), width, out);
    for (int d = std::max(-radius, -y); d <= std::min(radius, height - 1 - y); ++d) {
      const std::uint8_t* in = rows.row(y + d);
      for (int x = 0; x < width; ++x) out[x] |= in[x];
    }
  });
}

/* Calls work(x) for each pixel that is set in the row. */
template <typename Work>
void for_each_set(const Grid<std::uint8_t>& mask, int y, Work&& work) {
  const std::uint8_t* row = mask.row(y);
  const std::uint8_t* end = row + mask.width();
  for (const std::uint8_t* at = row; at != end; ++at) {
    at = static_cast<const std::uint8_t*>(std::memchr(at, 1, end - at));
    if (!at) return;
    work(static_cast<int>(at - row));
  }
}

/* The patches that a pixel chooses from, in the order of preference. */
class Candidates {
 public:
  explicit Candidates(Size source) : source_(source) {}

  void start(Position own) {
    seen_.fill(key(own));
    positions_[0] = own;
    count_ = 1;
  }

  /* A patch that was added before is left out, unless its slot has been taken by another: it is
   * then compared twice, which changes nothing. */
  void add(Position wanted) {
    const Position at = clamped(wanted, source_);
    std::uint32_t& seen = seen_[key(at) * kGoldenRatio >> (32 - kSlotBits)];
    if (seen == key(at)) return;
    seen = key(at);
    positions_[count_++] = at;
  }

  int count() const { return count_; }
  Position operator[](int i) const { return positions_[i]; }

 private:
  static constexpr int kSlotBits = 6;
  static std::uint32_t key(Position at) {
    return static_cast<std::uint32_t>(at.y) << 16 | static_cast<std::uint32_t>(at.x);
  }

  Size source_;
  int count_ = 0;
  std::array<Position, kMaxCandidates> positions_;
  std::array<std::uint32_t, 1 << kSlotBits> seen_;
};

/* One size of the pyramid. */
class Level {
 public:
  Level(const inbetween_synthesis& parameters, const ChannelScales& scales,
        const PackedImage& source, PackedImage& target, int number, inbetween_context& context)
      : parameters_(parameters),
        source_(source),
        target_(target),
        number_(number),
        workers_(context.workers),
        leads_(leads(parameters, scales.unit(), number, source.size(), target.size(), workers_)),
        stop_threshold_(scales.stop_threshold(parameters.stop_threshold)),
        layout_{parameters.patch_size, parameters.patch_size * source.pixel_bytes(),
                target.stride(), source.stride()},
        distances_(patch_distances_for(context.instruction_set, layout_)),
        occupancy_(source.width(), source.height(), parameters.patch_size,
                   use_cost(parameters, scales.unit(), source.size().area(), target.size().area())),
        next_(0, 0),
        coarser_(0, 0),
        live_(target.width(), target.height(), 1),
        touched_(live_),
        changed_(live_),
        rows_(live_) {}

  /* The source pixels next to where the flow leads. */
  Field start() const {
    Field field(target_.width(), target_.height());
    std::transform(leads_.begin(), leads_.end(), field.begin(), [](const Lead& lead) {
      return Position{static_cast<int>(lead.x + 0.5f), static_cast<int>(lead.y + 0.5f)};
    });
    return field;
  }

  /* Improves the field that the flow gives by search and vote. What the coarser level found stays
   * a candidate. */
  Field settle(Field coarser) {
    Field field = start();
    coarser_ = std::move(coarser);
    next_ = field;
    occupancy_.count(field, workers_);
    vote(field);
    for (int i = 0; i < parameters_.search_vote_iterations; ++i) {
      search(field, i);
      vote(field);
      if (i >= kUnsettledIterations) dilate(changed_, target_.radius(), rows_, live_, workers_);
      if (std::find(live_.begin(), live_.end(), 1) == live_.end()) break;
    }
    return field;
  }

  /* The distance of each target patch to its source patch. */
  void measure(const Field& field, double unit, float* patch_error) const {
    workers_.run(field.height(), [&](int y) {
      for (int x = 0; x < field.width(); ++x) {
        const std::uint8_t* patch = source_.patch(field.at(x, y).x, field.at(x, y).y);
        std::uint32_t distance;
        distances_(layout_, target_.patch(x, y), &patch, 1, &distance);
        patch_error[std::size_t(y) * field.width() + x] = static_cast<float>(distance * unit);
      }
    });
  }

 private:
  /* Every live pixel takes the best of its candidates. All read the field as it was before, so
   * neither the order nor the number of threads matters. */
  void search(Field& field, int iteration) {
    const std::uint32_t key =
        random_key(parameters_.seed, number_ * parameters_.search_vote_iterations + iteration);
    occupancy_.spread(workers_);
    for_each_row(field.height(), [&](int y) {
      Candidates candidates(source_.size());
      for_each_set(live_, y, [&](int x) {
        candidates.start(field.at(x, y));
        candidates.add(coarser_.at(x, y));
        add_neighbours(field, x, y, candidates);
        add_random(field, x, y, key, candidates);
        next_.at(x, y) = best(candidates, x, y);
      });
    });
    for_each_row(field.height(), [&](int y) {
      for_each_set(live_, y, [&](int x) {
        occupancy_.move(field.at(x, y), next_.at(x, y));
        field.at(x, y) = next_.at(x, y);
      });
    });
  }

  template <typename Work>
  void for_each_row(int height, Work&& work) const {
    workers_.run((height + kRowsPerTask - 1) / kRowsPerTask, [&](int task) {
      const int end = std::min((task + 1) * kRowsPerTask, height);
      for (int y = task * kRowsPerTask; y < end; ++y) work(y);
    });
  }

  void add_neighbours(const Field& field, int x, int y, Candidates& candidates) const {
    for (const int stride : kStrides) {
      for (const Position step :
           {Position{-stride, 0}, Position{stride, 0}, Position{0, -stride}, Position{0, stride}}) {
        const Position near = clamped({x + step.x, y + step.y}, target_.size());
        const Position from = field.at(near.x, near.y);
        candidates.add({from.x + x - near.x, from.y + y - near.y});
      }
    }
  }

  void add_random(const Field& field, int x, int y, std::uint32_t key,
                  Candidates& candidates) const {
    std::uint32_t counter = random_counter(key, x, y);
    const Position own = field.at(x, y);
    for (const int reach : kReaches) {
      const std::uint32_t bits = random_bits(counter += kGoldenRatio);
      candidates.add({own.x + random_low(bits, 2 * reach + 1) - reach,
                      own.y + random_high(bits, 2 * reach + 1) - reach});
    }
    const std::uint32_t bits = random_bits(counter += kGoldenRatio);
    candidates.add({random_low(bits, source_.width()), random_high(bits, source_.height())});
  }

  Position best(const Candidates& candidates, int x, int y) const {
    std::array<const std::uint8_t*, kMaxCandidates> patches;
    std::array<std::uint32_t, kMaxCandidates> costs;
    for (int i = 0; i < candidates.count(); ++i) {
      patches[i] = source_.patch(candidates[i].x, candidates[i].y);
    }
    distances_(layout_, target_.patch(x, y), patches.data(), candidates.count(), costs.data());
    const Lead& lead = leads_.at(x, y);
    int chosen = 0;
    for (int i = 0; i < candidates.count(); ++i) {
      costs[i] += occupancy_.cost(candidates[i], candidates[0]) +
                  deviation_cost(candidates[i].x - lead.x, candidates[i].y - lead.y, lead.cost);
      if (costs[i] < costs[chosen]) chosen = i;
    }
    return candidates[chosen];
  }

  /* The target's style becomes the rounded mean of the patches that overlap there. `changed` is 1
   * where that is the stop threshold or more. */
  void vote(const Field& field) {
    dilate(live_, target_.radius(), rows_, touched_, workers_);
    for_each_row(field.height(), [&](int y) {
      std::fill_n(changed_.row(y), changed_.width(), 0);
      for_each_set(touched_, y, [&](int x) { changed_.at(x, y) = vote_pixel(field, x, y); });
    });
    target_.replicate_borders();
  }

  bool vote_pixel(const Field& field, int x, int y) {
    if (has_no_temporal_say(x, y)) {
      const int temporal = parameters_.guide_channels;
      const auto mean = voted(field, x, y, temporal);
      std::copy(mean.begin(), mean.end(), target_.pixel(x, y) + temporal);
    }
    const auto mean = voted(field, x, y, 0);
    std::uint8_t* style = target_.pixel(x, y);
    int change = 0;
    for (int c = 0; c < kStyleChannels; ++c) {
      change += std::abs(mean[c] - style[c]);
      style[c] = mean[c];
    }
    return change >= stop_threshold_;
  }

  bool has_no_temporal_say(int x, int y) const {
    const inbetween_synthesis& p = parameters_;
    if (!p.temporal_confidence) return false;
    const std::size_t row = std::size_t(sampled(y, number_, p.target_height)) * p.target_width;
    return !is_trusted(p.temporal_confidence[row + sampled(x, number_, p.target_width)]);
  }

  /* The rounded mean of three channels, from the first one on, of the patches that overlap there.
   */
  std::array<std::uint8_t, kStyleChannels> voted(const Field& field, int x, int y,
                                                 int first_channel) const {
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
        std::uint32_t channels; /* the fourth byte does not matter */
        const std::uint8_t* pixel = source_.pixel(from[nx].x + x - nx, from[nx].y + y - ny);
        std::memcpy(&channels, pixel + first_channel, sizeof channels);
        even += channels & 0x00ff00ffu;
        odd += channels >> 8 & 0x00ff00ffu;
      }
      count += last - first + 1;
    }
    const auto mean = [count](std::uint32_t sum) {
      return static_cast<std::uint8_t>((2 * sum + count) / (2 * count));
    };
    return {mean(even & 0xffff), mean(odd & 0xffff), mean(even >> 16)};
  }

  const inbetween_synthesis& parameters_;
  const PackedImage& source_;
  PackedImage& target_;
  int number_;
  Workers& workers_;
  Grid<Lead> leads_;
  int stop_threshold_;
  PatchLayout layout_;
  PatchDistances distances_;
  Occupancy occupancy_;
  Field next_;
  Field coarser_;
  Grid<std::uint8_t> live_;    /* 1 where a pixel searches */
  Grid<std::uint8_t> touched_; /* 1 where a vote may change the style */
  Grid<std::uint8_t> changed_; /* 1 where it did */
  Grid<std::uint8_t> rows_;
};

void paint(const inbetween_synthesis& p, const Field& field, Workers& workers) {
  const auto found = [&](int x, int y) { return Found{field.at(x, y).x, field.at(x, y).y}; };
  workers.run(field.height(), [&](int y) {
    float* out = p.picture + std::size_t(y) * field.width() * kStyleChannels;
    for (int x = 0; x < field.width(); ++x, out += kStyleChannels) {
      paint_pixel(p, p.patch_size / 2, x, y, found, out);
    }
  });
}

void synthesize(const inbetween_synthesis& p, inbetween_context& context) {
  Workers& workers = context.workers;
  const ChannelScales scales(p);
  const int radius = p.patch_size / 2;
  const int levels = level_count(p);
  std::vector<PackedImage> sources;
  std::vector<PackedImage> targets;
  sources.emplace_back(scales, p.style, p.source_guides, p.guide_channels, p.source_width,
                       p.source_height, radius, workers);
  targets.emplace_back(scales, nullptr, p.target_guides, p.guide_channels, p.target_width,
                       p.target_height, radius, workers);
  for (int i = 1; i < levels; ++i) {
    sources.push_back(sources.back().halved(workers));
    targets.push_back(targets.back().halved(workers));
  }

  Field field(0, 0);
  for (int i = levels - 1; i >= 0; --i) {
    Level level(p, scales, sources[i], targets[i], i, context);
    field = level.settle(i + 1 == levels
                             ? level.start()
                             : upsampled(field, sources[i].size(), targets[i].size(), workers));
    if (i == 0) level.measure(field, scales.unit(), p.patch_error);
  }
  paint(p, field, workers);
  for (std::size_t i = 0; const Position at : field) {
    p.source_xy[i++] = at.x;
    p.source_xy[i++] = at.y;
  }
}

}  // namespace
}  // namespace inbetween

int32_t inbetween_synthesize(inbetween_context* context, const inbetween_synthesis* parameters,
                             int32_t count) {
  using namespace inbetween;
  return guarded([&] {
    check_given("context", context);
    check_syntheses(parameters, count);
    for (int i = 0; i < count; ++i) synthesize(parameters[i], *context);
  });
}

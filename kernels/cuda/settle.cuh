#ifndef INBETWEEN_CUDA_SETTLE_CUH_
#define INBETWEEN_CUDA_SETTLE_CUH_

#include <cooperative_groups.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>

#include "common/matching.h"
#include "pyramid.cuh"

/* Search and vote on one level of the pyramid, in one kernel that stays on the device: most pixels
 * settle after two iterations, and what is left is too little work for a launch each.
 *
 * A warp works on a group of 8x4 pixels. An iteration has two phases, each followed by a barrier of
 * the whole grid:
 *   search  reads `field`, writes `next` where a better patch was found, and counts its use;
 *   vote    reads `next`, writes it over `field`, votes the style, and filters the counts to uses.
 * What a phase has to look at is marked by the phase before with the number of the iteration, which
 * counts from 1: no mark needs to be removed. */
namespace inbetween {

inline constexpr int kWarp = 32;
inline constexpr int kGroupWidth = 8;
inline constexpr int kGroupHeight = 4;
inline constexpr int kBand = 8; /* groups above each other that are numbered one after another */
inline constexpr int kTileWidth = 32; /* of the source, for filtering */
inline constexpr int kTileHeight = 8;
inline constexpr int kMaxSettleThreads = 1024; /* of a block */
inline constexpr int kStrideCount = std::size(kStrides);
inline constexpr int kReachCount = std::size(kReaches);
inline constexpr int kMaxCandidates =
    2 + 4 * kStrideCount + kReachCount + 1; /* own, coarser, near, random, any */
inline constexpr int kComparedCandidates = 2 + 4 * kStrideCount + 2; /* later ones rarely repeat */
inline constexpr unsigned kAllLanes = 0xffffffffu;
inline constexpr std::uint32_t kNoLimit = 0xffffffffu;

/* A source pixel, x and y of 16 bits each. */
using Packed = std::uint32_t;

INBETWEEN_BOTH Packed packed(int x, int y) {
  return static_cast<std::uint32_t>(y) << 16 | static_cast<std::uint32_t>(x);
}
INBETWEEN_BOTH int x_of(Packed at) { return static_cast<int>(at & 0xffff); }
INBETWEEN_BOTH int y_of(Packed at) { return static_cast<int>(at >> 16); }

INBETWEEN_BOTH Packed packed_inside(int x, int y, Size size) {
  return packed(clamped(x, 0, size.width - 1), clamped(y, 0, size.height - 1));
}

/* Cells of a picture. */
struct Cells {
  int columns;
  int rows;

  INBETWEEN_BOTH int count() const { return columns * rows; }
};

inline Cells cells_of(Size size, int width, int height) {
  return {(size.width + width - 1) / width, (size.height + height - 1) / height};
}

/* What the flow says of a level's pixels. */
struct Flow {
  const float* displacement;        /* [height, width, 2] at full size */
  const float* confidence;          /* [height, width] or NULL for 1 */
  const float* temporal_confidence; /* likewise */
  Size size;
  float scale; /* of the level: 1, 1/2 or 1/4 */
  float cost;  /* of a pixel of this level away from a flow that is trusted */
};

struct Level {
  int number; /* 0 is the full size */
  Matched source;
  Matched target;
  Flow flow;
  const Packed* coarser; /* the field of the level of half the size, or NULL */
  Packed* field;
  Packed* next;

  /* All zero at first. */
  std::uint32_t* counts;       /* how often each source pixel is the centre of a patch in use */
  unsigned long long* changed; /* of each group: the iteration and the pixels that changed */
  std::uint8_t* searches;      /* of each group: an iteration after which it searches */
  std::uint8_t* votes;         /* of each group: an iteration in which it votes */
  std::uint8_t* recounts;      /* of each tile: an iteration in which its counts changed */
  std::uint8_t* unsettled;     /* of each iteration: whether any pixel searches after it */

  std::uint32_t* uses; /* how often the pixels of the patch around each source pixel are used */
  Cells groups;
  Cells tiles;

  int temporal_channel; /* the first of the last three, which hold the temporal guide if any */
  int iterations;
  int stop_threshold;
  float cost_per_use;
  std::uint32_t seed;

  INBETWEEN_BOTH int radius() const { return target.radius; }

  /* Where the flow holds what it says of a pixel. */
  INBETWEEN_BOTH int flow_index(int x, int y) const {
    return flow.size.index(sampled(x, number, flow.size.width),
                           sampled(y, number, flow.size.height));
  }

  /* Groups in bands, so that those which follow each other lie together. */
  INBETWEEN_BOTH int group_numbers() const {
    return (groups.rows + kBand - 1) / kBand * kBand * groups.columns;
  }
  INBETWEEN_BOTH int group_number(int column, int row) const {
    return (row / kBand * groups.columns + column) * kBand + row % kBand;
  }
};

/* Levels that settle side by side: their blocks take turns. */
struct Levels {
  int count;
  int iterations; /* the most of all */
  Level of[INBETWEEN_MAX_SYNTHESES];
};

/* The blocks of a level, and which of them this one is. */
struct Team {
  int blocks;
  int block;

  __device__ explicit Team(int levels)
      : blocks(static_cast<int>((gridDim.x - blockIdx.x % levels + levels - 1) / levels)),
        block(static_cast<int>(blockIdx.x) / levels) {}
};

/* A group and the pixel of it that a lane has. */
struct Lane {
  int index;
  int column; /* of the group */
  int row;
  int x;
  int y;
  bool inside;

  __device__ Lane(const Level& level, int group) : index(threadIdx.x % kWarp) {
    row = group / (kBand * level.groups.columns) * kBand + group % kBand;
    column = group / kBand % level.groups.columns;
    x = column * kGroupWidth + index % kGroupWidth;
    y = row * kGroupHeight + index / kGroupWidth;
    inside = x < level.target.size.width && y < level.target.size.height;
  }
};

/* The pixels of a group, a bit for each, that lie in a rectangle; 0, 0 is the group's first. */
__device__ __forceinline__ std::uint32_t bits_within(int left, int top, int right, int bottom) {
  left = max(left, 0);
  top = max(top, 0);
  right = min(right, kGroupWidth - 1);
  bottom = min(bottom, kGroupHeight - 1);
  if (left > right || top > bottom) return 0;
  const std::uint32_t row = (0xffu << left) & (0xffu >> (kGroupWidth - 1 - right));
  return row * 0x01010101u & (~0u << kGroupWidth * top) &
         (~0u >> kGroupWidth * (kGroupHeight - 1 - bottom));
}

/* The groups around one that patches reach into: one lane each. */
struct Around {
  int reach; /* in rows; it is one column */

  __device__ explicit Around(int radius) : reach((radius + kGroupHeight - 1) / kGroupHeight) {}
  __device__ int count() const { return 3 * (2 * reach + 1); }
  __device__ int column(int i) const { return i % 3 - 1; }
  __device__ int row(int i) const { return i / 3 - reach; }
};

/* Marks the groups with a pixel that is at most the radius away from one of these. */
__device__ __forceinline__ void mark_around(const Level& level, const Lane& lane,
                                            std::uint32_t pixels, std::uint8_t* marks, int mark) {
  const Around around(level.radius());
  if (lane.index >= around.count()) return;
  const int dx = around.column(lane.index);
  const int dy = around.row(lane.index);
  const int column = lane.column + dx;
  const int row = lane.row + dy;
  if (column < 0 || column >= level.groups.columns || row < 0 || row >= level.groups.rows) return;
  const int radius = level.radius();
  const int left = dx * kGroupWidth;
  const int top = dy * kGroupHeight;
  if (pixels & bits_within(left - radius, top - radius, left + kGroupWidth - 1 + radius,
                           top + kGroupHeight - 1 + radius)) {
    marks[level.group_number(column, row)] = static_cast<std::uint8_t>(mark);
  }
}

/* Whether a pixel at most the radius away from the lane's changed in the iteration. */
__device__ __forceinline__ bool changed_around(const Level& level, const Lane& lane, int mark) {
  const Around around(level.radius());
  std::uint32_t pixels = 0;
  if (lane.index < around.count()) {
    const int column = lane.column + around.column(lane.index);
    const int row = lane.row + around.row(lane.index);
    if (column >= 0 && column < level.groups.columns && row >= 0 && row < level.groups.rows) {
      const unsigned long long changed = level.changed[level.group_number(column, row)];
      if (changed >> 32 == mark) pixels = static_cast<std::uint32_t>(changed);
    }
  }
  const int radius = level.radius();
  bool found = false;
  for (int i = 0; i < around.count(); ++i) {
    const int left = lane.index % kGroupWidth - around.column(i) * kGroupWidth;
    const int top = lane.index / kGroupWidth - around.row(i) * kGroupHeight;
    const std::uint32_t near = __shfl_sync(kAllLanes, pixels, i);
    found |= (near & bits_within(left - radius, top - radius, left + radius, top + radius)) != 0;
  }
  return found;
}

/* Where the flow leads from a pixel, inside the source, and what it costs to leave it. */
struct FlowPoint {
  float x;
  float y;
  float cost;

  __device__ Packed nearest() const {
    return packed(static_cast<int>(x + 0.5f), static_cast<int>(y + 0.5f));
  }

  __device__ __forceinline__ std::uint32_t deviation(Packed at) const {
    return deviation_cost(x_of(at) - x, y_of(at) - y, cost);
  }
};

__device__ __forceinline__ FlowPoint flow_point(const Level& level, int x, int y) {
  const Flow& flow = level.flow;
  const int at = level.flow_index(x, y);
  const float* displacement = flow.displacement + 2 * std::int64_t(at);
  const Size source = level.source.size;
  return {clamped(x + displacement[0] * flow.scale, 0.0f, float(source.width - 1)),
          clamped(y + displacement[1] * flow.scale, 0.0f, float(source.height - 1)),
          flow.confidence ? flow.cost * flow.confidence[at] : flow.cost};
}

/* The patches that a pixel chooses from, in the order of preference; its own is the first. */
struct Candidates {
  Packed at[kMaxCandidates];
  int count = 0;

  __device__ __forceinline__ void add(Packed candidate) { at[count++] = candidate; }

  /* A bit for each that is worth its patch distance: it is none of those before it, and its
   * deviation from the flow alone is less than what the own one costs. */
  __device__ __forceinline__ std::uint32_t promising(const FlowPoint& flow,
                                                     std::uint32_t own_cost) const {
    std::uint32_t bits = 0;
#pragma unroll
    for (int i = 1; i < kMaxCandidates; ++i) {
      bool better = flow.deviation(at[i]) < own_cost;
#pragma unroll
      for (int j = 0; j < (i < kComparedCandidates ? i : 1); ++j) better &= at[i] != at[j];
      if (better) bits |= 1u << i;
    }
    return bits;
  }
};

/* A neighbour's offset, tried here. */
__device__ __forceinline__ Packed from_neighbour(const Level& level, int x, int y, int dx, int dy) {
  const Size target = level.target.size;
  const int nx = clamped(x + dx, 0, target.width - 1);
  const int ny = clamped(y + dy, 0, target.height - 1);
  const Packed its = level.field[target.index(nx, ny)];
  return packed_inside(x_of(its) + x - nx, y_of(its) + y - ny, level.source.size);
}

__device__ __forceinline__ Packed from_coarser(const Level& level, const FlowPoint& flow, int x,
                                               int y) {
  if (!level.coarser) return flow.nearest();
  const Packed coarse = level.coarser[halved(level.target.size).index(x / 2, y / 2)];
  return packed_inside(2 * x_of(coarse) + x % 2, 2 * y_of(coarse) + y % 2, level.source.size);
}

template <int... kStride, int... kReach>
__device__ __forceinline__ Candidates candidates_of(const Level& level, Packed own,
                                                    const FlowPoint& flow, int x, int y,
                                                    std::uint32_t key,
                                                    std::integer_sequence<int, kStride...>,
                                                    std::integer_sequence<int, kReach...>) {
  const Size source = level.source.size;
  Candidates candidates;
  candidates.add(own);
  candidates.add(from_coarser(level, flow, x, y));
  const auto add_near = [&](int stride) {
    candidates.add(from_neighbour(level, x, y, -stride, 0));
    candidates.add(from_neighbour(level, x, y, stride, 0));
    candidates.add(from_neighbour(level, x, y, 0, -stride));
    candidates.add(from_neighbour(level, x, y, 0, stride));
  };
  (add_near(std::integral_constant<int, kStrides[kStride]>::value), ...);
  std::uint32_t counter = random_counter(key, x, y);
  const auto add_random = [&](int reach) {
    const std::uint32_t bits = random_bits(counter += kGoldenRatio);
    candidates.add(packed_inside(x_of(own) + random_low(bits, 2 * reach + 1) - reach,
                                 y_of(own) + random_high(bits, 2 * reach + 1) - reach, source));
  };
  (add_random(std::integral_constant<int, kReaches[kReach]>::value), ...);
  const std::uint32_t bits = random_bits(counter + kGoldenRatio);
  candidates.add(packed(random_low(bits, source.width), random_high(bits, source.height)));
  return candidates;
}

/* Working memory of a warp: what its pixels want to know the cost of. */
struct Scratch {
  Packed wanted[kWarp * (kMaxCandidates - 1)];
  std::uint32_t costs[kWarp * (kMaxCandidates - 1)]; /* at first the lane whose pixel asks */
};

/* The same memory while filtering: sums of rows. */
__host__ __device__ constexpr std::size_t scratch_bytes(int patch_size) {
  const std::size_t rows = sizeof(std::uint32_t) * kWarp * (kTileHeight + 2 * (patch_size - 1));
  return rows > sizeof(Scratch) ? rows : sizeof(Scratch);
}

/* What speaks against a patch; where that is not below the limit, any number that is not. */
template <int kSide, int kChunks>
__device__ __forceinline__ std::uint32_t cost(const Level& level, Packed wanted, Packed current,
                                              const FlowPoint& flow, int x, int y,
                                              std::uint32_t limit) {
  const int side = kSide ? kSide : 2 * level.radius() + 1;
  const int wx = x_of(wanted);
  const int wy = y_of(wanted);
  const std::uint32_t uses = level.uses[level.source.size.index(wx, wy)] -
                             patch_overlap(side, wx - x_of(current), wy - y_of(current));
  const std::uint32_t least = overuse_cost(uses, level.cost_per_use) + flow.deviation(wanted);
  return least + patch_distance<kSide, kChunks>(
                     level.source, level.target, level.source.patch(wx, wy),
                     level.target.patch(x, y), limit > least ? limit - least : 0);
}

/* Notes that target pixels use a source pixel more, or less, often. */
__device__ __forceinline__ void recount(const Level& level, Packed at, int change, int mark) {
  const int x = x_of(at);
  const int y = y_of(at);
  atomicAdd(&level.counts[level.source.size.index(x, y)], static_cast<std::uint32_t>(change));
  const int reach = 2 * level.radius();
  const int right = min(x + reach, level.source.size.width - 1) / kTileWidth;
  const int bottom = min(y + reach, level.source.size.height - 1) / kTileHeight;
  for (int row = max(y - reach, 0) / kTileHeight; row <= bottom; ++row) {
    for (int column = max(x - reach, 0) / kTileWidth; column <= right; ++column) {
      level.recounts[row * level.tiles.columns + column] = static_cast<std::uint8_t>(mark);
    }
  }
}

/* Numbers what lanes have, one after another. */
struct Numbering {
  int total = 0;

  __device__ __forceinline__ int next(bool any) {
    const std::uint32_t lanes = __ballot_sync(kAllLanes, any);
    const int number = total + __popc(lanes & ((1u << threadIdx.x % kWarp) - 1));
    total += __popc(lanes);
    return number;
  }
};

/* Every live pixel of the group takes the best of its candidates. Some pixels have many that are
 * worth a look and some none: all are listed and shared out to the lanes. In the list, candidates
 * of a kind stand together, since those of neighbours mostly lie side by side in the source. */
template <int kSide, int kChunks>
__device__ void search(const Level& level, int group, std::uint32_t pixels, int mark,
                       bool everybody, std::uint32_t key, Scratch& scratch) {
  const Lane lane(level, group);
  bool live = lane.inside && (pixels >> lane.index & 1);
  if (!everybody) live &= changed_around(level, lane, mark - 1);
  if (!__any_sync(kAllLanes, live)) return;

  FlowPoint flow{};
  Candidates candidates;
  Packed own = 0;
  std::uint32_t own_cost = 0;
  std::uint32_t promising = 0;
  if (live) {
    flow = flow_point(level, lane.x, lane.y);
    own = level.field[level.target.size.index(lane.x, lane.y)];
    own_cost = cost<kSide, kChunks>(level, own, own, flow, lane.x, lane.y, kNoLimit);
    candidates = candidates_of(level, own, flow, lane.x, lane.y, key,
                               std::make_integer_sequence<int, kStrideCount>{},
                               std::make_integer_sequence<int, kReachCount>{});
    promising = candidates.promising(flow, own_cost);
  }

  Numbering items;
#pragma unroll
  for (int i = 1; i < kMaxCandidates; ++i) {
    const bool listed = promising >> i & 1;
    const int item = items.next(listed);
    if (!listed) continue;
    scratch.wanted[item] = candidates.at[i];
    scratch.costs[item] = lane.index;
  }
  __syncwarp();

  for (int begin = 0; begin < items.total; begin += kWarp) {
    const int item = begin + lane.index;
    const bool any = item < items.total;
    const int owner = any ? scratch.costs[item] : 0;
    const Packed its = __shfl_sync(kAllLanes, own, owner);
    const std::uint32_t limit = __shfl_sync(kAllLanes, own_cost, owner);
    const FlowPoint to{__shfl_sync(kAllLanes, flow.x, owner), __shfl_sync(kAllLanes, flow.y, owner),
                       __shfl_sync(kAllLanes, flow.cost, owner)};
    if (!any) continue;
    scratch.costs[item] = cost<kSide, kChunks>(
        level, scratch.wanted[item], its, to, lane.column * kGroupWidth + owner % kGroupWidth,
        lane.row * kGroupHeight + owner / kGroupWidth, limit);
  }
  __syncwarp();

  Packed best = own;
  std::uint32_t best_cost = own_cost;
  Numbering again;
  for (int i = 1; i < kMaxCandidates; ++i) {
    const bool listed = promising >> i & 1;
    const int item = again.next(listed);
    if (!listed || scratch.costs[item] >= best_cost) continue;
    best = scratch.wanted[item];
    best_cost = scratch.costs[item];
  }
  const bool moved = best != own;
  if (moved) {
    level.next[level.target.size.index(lane.x, lane.y)] = best;
    recount(level, own, -1, mark);
    recount(level, best, 1, mark);
  }
  const std::uint32_t moving = __ballot_sync(kAllLanes, moved);
  if (moving) mark_around(level, lane, moving, level.votes, mark);
  __syncwarp();
}

/* Calls set(words) for a target pixel and for what repeats it in the border. */
template <typename Set>
__device__ __forceinline__ void set_pixel(const Matched& target, int x, int y, const Set& set) {
  const int right = x + 1 == target.size.width ? x + 2 * target.radius : x + target.radius;
  const int bottom = y + 1 == target.size.height ? y + 2 * target.radius : y + target.radius;
  for (int row = y == 0 ? 0 : y + target.radius; row <= bottom; ++row) {
    for (int column = x == 0 ? 0 : x + target.radius; column <= right; ++column) {
      set(reinterpret_cast<std::uint32_t*>(target.patch(column, row)));
    }
  }
}

/* The rounded mean of three channels, from the first one on, of the patches that overlap there; a
 * byte each, the lowest first. */
template <int kSide>
__device__ __forceinline__ std::uint32_t voted(const Level& level, int x, int y,
                                               int first_channel) {
  const int radius = kSide ? kSide / 2 : level.radius();
  const Size size = level.target.size;
  /* Two sums of 16 bits in a word: 225 bytes fit. */
  std::uint32_t even = 0;
  std::uint32_t odd = 0;
  std::uint32_t count = 0;
#pragma unroll
  for (int dy = -radius; dy <= radius; ++dy) {
#pragma unroll
    for (int dx = -radius; dx <= radius; ++dx) {
      const int nx = x + dx;
      const int ny = y + dy;
      if (nx < 0 || nx >= size.width || ny < 0 || ny >= size.height) continue;
      const Packed from = level.next[size.index(nx, ny)];
      const uint4* pixel = level.source.pixel(x_of(from) - dx, y_of(from) - dy);
      const auto* words = reinterpret_cast<const std::uint32_t*>(pixel) + first_channel / 4;
      /* The fourth byte does not matter. */
      const std::uint32_t channels =
          __funnelshift_r(__ldg(words), __ldg(words + 1), 8 * (first_channel % 4));
      even += channels & 0x00ff00ff;
      odd += channels >> 8 & 0x00ff00ff;
      ++count;
    }
  }
  const auto mean = [count](std::uint32_t sum) { return (2 * sum + count) / (2 * count); };
  return mean(even >> 16) << 16 | mean(odd & 0xffff) << 8 | mean(even & 0xffff);
}

__device__ __forceinline__ bool has_temporal_say(const Level& level, int x, int y) {
  const float* confidence = level.flow.temporal_confidence;
  return !confidence || is_trusted(confidence[level.flow_index(x, y)]);
}

/* Sets the pixel's temporal guide to the rounded mean of the patches that overlap there. */
template <int kSide>
__device__ __forceinline__ void vote_temporal(const Level& level, int x, int y) {
  const int first = level.temporal_channel;
  const int last_word = 4 * level.target.chunks - 1;
  const auto* words = reinterpret_cast<const std::uint32_t*>(level.target.pixel(x, y));
  const auto* old = reinterpret_cast<const std::uint8_t*>(words) + first;
  const std::uint32_t temporal = voted<kSide>(level, x, y, first);
  const std::uint32_t sum =
      words[last_word] - squares(old[2] << 16 | old[1] << 8 | old[0]) + squares(temporal);
  set_pixel(level.target, x, y, [&](std::uint32_t* set) {
    auto* bytes = reinterpret_cast<std::uint8_t*>(set) + first;
    for (int c = 0; c < 3; ++c) bytes[c] = static_cast<std::uint8_t>(temporal >> 8 * c);
    set[last_word] = sum;
  });
}

/* Sets the pixel's style to the rounded mean of the patches that overlap there, and its temporal
 * guide where that is not trusted. Returns whether the channels of the style together changed by
 * the threshold or more. */
template <int kSide>
__device__ __forceinline__ bool vote_pixel(const Level& level, int x, int y) {
  if (!has_temporal_say(level, x, y)) vote_temporal<kSide>(level, x, y);
  const int last_word = 4 * level.target.chunks - 1;
  const auto* words = reinterpret_cast<const std::uint32_t*>(level.target.pixel(x, y));
  const std::uint32_t old = words[0];
  const std::uint32_t style = (old & 0xff000000) | voted<kSide>(level, x, y, 0);
  if (style == old) return false;
  const std::uint32_t sum = words[last_word] - squares(old) + squares(style);
  set_pixel(level.target, x, y, [&](std::uint32_t* set) {
    set[0] = style;
    set[last_word] = sum;
  });
  int change = 0;
#pragma unroll
  for (int c = 0; c < kStyleChannels; ++c) {
    change += abs(static_cast<int>(style >> 8 * c & 0xff) - static_cast<int>(old >> 8 * c & 0xff));
  }
  return change >= level.stop_threshold;
}

template <int kSide>
__device__ void vote(const Level& level, int group, int mark) {
  const Lane lane(level, group);
  bool changed = false;
  if (lane.inside) {
    changed = vote_pixel<kSide>(level, lane.x, lane.y);
    const int at = level.target.size.index(lane.x, lane.y);
    level.field[at] = level.next[at];
  }
  if (mark <= kUnsettledIterations) return; /* everybody searches after it */
  const std::uint32_t pixels = __ballot_sync(kAllLanes, changed);
  if (!pixels) return;
  if (lane.index == 0) {
    level.changed[group] = static_cast<unsigned long long>(mark) << 32 | pixels;
    level.unsettled[mark] = 1;
  }
  mark_around(level, lane, pixels, level.searches, mark);
}

/* Sums the counts around each source pixel of a tile, weighted by how much the patches overlap. */
template <int kSide>
__device__ void filter(const Level& level, int tile, std::uint32_t* rows) {
  const int reach = (kSide ? kSide : 2 * level.radius() + 1) - 1;
  const Size size = level.source.size;
  const int lane = threadIdx.x % kWarp;
  const int x = tile % level.tiles.columns * kTileWidth + lane;
  const int top = tile / level.tiles.columns * kTileHeight;
#pragma unroll 4 /* loads in flight */
  for (int row = 0; row < kTileHeight + 2 * reach; ++row) {
    const int y = top + row - reach;
    std::uint32_t sum = 0;
    if (y >= 0 && y < size.height) {
      const std::uint32_t* counts = level.counts + size.index(0, y);
#pragma unroll
      for (int d = -reach; d <= reach; ++d) {
        if (x + d < 0 || x + d >= size.width) continue;
        sum += (reach + 1 - abs(d)) * min(counts[x + d], kMaxCount);
      }
    }
    rows[row * kWarp + lane] = sum;
  }
  if (x >= size.width) return;
  for (int row = 0; row < min(kTileHeight, size.height - top); ++row) {
    std::uint32_t sum = 0;
#pragma unroll
    for (int d = -reach; d <= reach; ++d) {
      sum += (reach + 1 - abs(d)) * rows[(row + reach + d) * kWarp + lane];
    }
    level.uses[size.index(x, top + row)] = sum;
  }
}

/* Work of a block: which of the pieces that its threads have looked at. */
struct Queue {
  std::uint16_t threads[kMaxSettleThreads];
  int count;
  int taken;
};

/* Shares numbered pieces of work out to the blocks and, in each, those that are wanted to its
 * warps. Where they are few, each is cut into as many parts as `max_parts`. */
template <typename Wanted, typename Work>
__device__ void share(const Team& team, Queue& queue, int total, int max_parts,
                      const Wanted& wanted, const Work& work) {
  const int blocks = team.blocks;
  const int block = team.block;
  const int threads = static_cast<int>(blockDim.x);
  const int thread = static_cast<int>(threadIdx.x);
  /* Neighbours go to the same block, as long as each block gets some runs of them. */
  const int run = clamped(total / (8 * blocks), 1, kWarp);
  const int runs = (total + run - 1) / run;
  const int own = (runs - block + blocks - 1) / blocks * run;
  const auto piece_of = [&](int i) { return (i / run * blocks + block) * run + i % run; };
  for (int first = 0; first < own; first += threads) {
    if (thread == 0) queue.count = queue.taken = 0;
    __syncthreads();
    const int piece = piece_of(first + thread);
    if (first + thread < own && piece < total && wanted(piece)) {
      queue.threads[atomicAdd(&queue.count, 1)] = static_cast<std::uint16_t>(thread);
    }
    __syncthreads();
    const int parts = queue.count * max_parts <= 2 * threads / kWarp ? max_parts : 1;
    const int tasks = queue.count * parts;
    while (true) {
      int task = 0;
      if (thread % kWarp == 0) task = atomicAdd(&queue.taken, 1);
      task = __shfl_sync(kAllLanes, task, 0);
      if (task >= tasks) break;
      work(piece_of(first + queue.threads[task / parts]), task % parts, parts);
    }
    __syncthreads();
  }
}

/* The field that the flow gives, and how it uses the source. */
__device__ __forceinline__ void start(const Level& level, const Team& team) {
  const int warps = static_cast<int>(blockDim.x / kWarp);
  for (int group = team.block * warps + static_cast<int>(threadIdx.x / kWarp);
       group < level.group_numbers(); group += team.blocks * warps) {
    const Lane lane(level, group);
    if (!lane.inside) continue;
    const Packed at = flow_point(level, lane.x, lane.y).nearest();
    const int i = level.target.size.index(lane.x, lane.y);
    level.field[i] = level.next[i] = at;
    atomicAdd(&level.counts[level.source.size.index(x_of(at), y_of(at))], 1u);
  }
}

/* All votes and filters of an iteration; before the first, everything is wanted. */
template <int kSide>
__device__ void vote_all(const Level& level, const Team& team, int mark, Queue& queue,
                         std::uint32_t* rows) {
  const int tiles = level.tiles.count();
  share(
      team, queue, tiles + level.group_numbers(), 1,
      [&](int piece) {
        if (piece < tiles) return level.recounts[piece] == mark;
        return level.votes[piece - tiles] == mark;
      },
      [&](int piece, int, int) {
        if (piece < tiles) {
          filter<kSide>(level, piece, rows);
        } else {
          vote<kSide>(level, piece - tiles, mark);
        }
      });
}

/* The search of an iteration. */
template <int kSide, int kChunks>
__device__ void search_all(const Level& level, const Team& team, int mark, Queue& queue,
                           Scratch& scratch) {
  const bool everybody = mark <= kUnsettledIterations + 1;
  const std::uint32_t key = random_key(level.seed, level.number * level.iterations + mark - 1);
  share(
      team, queue, level.group_numbers(), kGroupHeight,
      [&](int group) { return everybody || level.searches[group] == mark - 1; },
      [&](int group, int part, int parts) {
        const std::uint32_t pixels = parts == 1 ? kAllLanes : 0xffu << kGroupWidth * part;
        search<kSide, kChunks>(level, group, pixels, mark, everybody, key, scratch);
      });
}

/* Whether any pixel of a level still searches after the iteration. */
__device__ __forceinline__ bool is_unsettled(const Levels& levels, int mark) {
  bool unsettled = false;
  for (int i = 0; i < levels.count; ++i) {
    const Level& level = levels.of[i];
    unsettled |= mark < level.iterations && level.unsettled[mark];
  }
  return unsettled;
}

template <int kSide, int kChunks, bool kAlone>
__global__ void __launch_bounds__(kMaxSettleThreads, 1)
    settle(const __grid_constant__ Levels levels) {
  const Team team(kAlone ? 1 : levels.count);
  const Level& level = levels.of[kAlone ? 0 : blockIdx.x % levels.count];
  extern __shared__ uint4 memory[];
  auto* own = reinterpret_cast<char*>(memory) +
              threadIdx.x / kWarp * scratch_bytes(kSide ? kSide : 2 * level.radius() + 1);
  auto& scratch = *reinterpret_cast<Scratch*>(own);
  auto* rows = reinterpret_cast<std::uint32_t*>(own);
  __shared__ Queue queue;
  const auto grid = cooperative_groups::this_grid();

  start(level, team);
  for (int mark = 0; mark <= levels.iterations; ++mark) {
    if (mark > 0 && mark <= level.iterations) {
      search_all<kSide, kChunks>(level, team, mark, queue, scratch);
    }
    grid.sync();
    vote_all<kSide>(level, team, mark, queue, rows);
    grid.sync();
    if (mark > kUnsettledIterations && !is_unsettled(levels, mark)) return;
  }
}

}  // namespace inbetween

#endif  // INBETWEEN_CUDA_SETTLE_CUH_

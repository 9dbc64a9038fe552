#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "common/call.h"
#include "common/channel_scales.h"
#include "common/matching.h"
#include "common/picture.h"
#include "context.h"
#include "inbetween/kernels.h"
#include "pyramid.cuh"
#include "settle.cuh"

/* Guided patch synthesis, bit for bit as engine/native/reference/synthesis.py. */
namespace inbetween {

struct SynthesisMemory {
  DeviceBuffer buffer;
};

namespace {

constexpr dim3 kTile{32, 8}; /* threads of a block where each has a pixel */

/* Cuts memory into arrays; without memory it only measures. */
class Cutter {
 public:
  explicit Cutter(char* memory = nullptr) : memory_(memory) {}

  template <typename T>
  T* take(std::size_t count) {
    const std::size_t at = bytes_;
    bytes_ += (count * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return memory_ ? reinterpret_cast<T*>(memory_ + at) : nullptr;
  }

  std::size_t bytes() const { return bytes_; }

 private:
  static constexpr std::size_t kAlignment = 256;
  char* memory_;
  std::size_t bytes_ = 0;
};

/* The pyramid, and what its levels need while they settle. */
struct Pyramid {
  int level_count;
  std::array<Level, kMaxLevels> levels;
  char* zeroed; /* what has to be zero at first */
  std::size_t zeroed_bytes;
};

Pyramid pyramid_of(const inbetween_synthesis& p, const ChannelScales& scales, Cutter& cutter) {
  Pyramid pyramid{};
  pyramid.level_count = level_count(p);
  const int radius = p.patch_size / 2;
  const int chunks = chunks_of(kStyleChannels + p.guide_channels);
  Size source{p.source_width, p.source_height};
  Size target{p.target_width, p.target_height};
  for (int i = 0; i < pyramid.level_count; ++i) {
    Level& level = pyramid.levels[i];
    level.number = i;
    level.source = {nullptr, source, radius, chunks};
    level.target = {nullptr, target, radius, chunks};
    level.source.pixels = cutter.take<uint4>(level.source.chunk_count());
    level.target.pixels = cutter.take<uint4>(level.target.chunk_count());
    level.flow = {p.to_source,           p.confidence,
                  p.temporal_confidence, {p.target_width, p.target_height},
                  1.0f / (1 << i),       position_cost(p, scales.unit(), i)};
    level.field = cutter.take<Packed>(target.area());
    level.groups = cells_of(target, kGroupWidth, kGroupHeight);
    level.tiles = cells_of(source, kTileWidth, kTileHeight);
    level.temporal_channel = kStyleChannels + p.guide_channels - 3;
    level.iterations = p.search_vote_iterations;
    level.stop_threshold = scales.stop_threshold(p.stop_threshold);
    level.cost_per_use = use_cost(p, scales.unit(), source.area(), target.area());
    level.seed = p.seed;
    source = halved(source);
    target = halved(target);
  }
  const Level& full = pyramid.levels[0];
  auto* next = cutter.take<Packed>(full.target.size.area());
  auto* uses = cutter.take<std::uint32_t>(full.source.size.area());
  const std::size_t zeroed = cutter.bytes();
  pyramid.zeroed = cutter.take<char>(0);
  for (int i = 0; i < pyramid.level_count; ++i) {
    Level& level = pyramid.levels[i];
    const std::size_t groups = level.group_numbers();
    level.coarser = i + 1 < pyramid.level_count ? pyramid.levels[i + 1].field : nullptr;
    level.next = next;
    level.uses = uses;
    level.counts = cutter.take<std::uint32_t>(level.source.size.area());
    level.changed = cutter.take<unsigned long long>(groups);
    level.searches = cutter.take<std::uint8_t>(groups);
    level.votes = cutter.take<std::uint8_t>(groups);
    level.recounts = cutter.take<std::uint8_t>(level.tiles.count());
    level.unsettled = cutter.take<std::uint8_t>(level.iterations + 1);
  }
  pyramid.zeroed_bytes = cutter.bytes() - zeroed;
  return pyramid;
}

/* One of the syntheses of a call. */
struct Synthesis {
  const inbetween_synthesis& p;
  ChannelScales scales;
  Pyramid pyramid;
};

std::vector<Synthesis> reserved(const inbetween_synthesis* parameters, int count,
                                DeviceBuffer& buffer) {
  std::vector<Synthesis> all;
  Cutter measured;
  for (int i = 0; i < count; ++i) {
    const inbetween_synthesis& p = parameters[i];
    all.push_back({p, ChannelScales(p), {}});
    pyramid_of(p, all.back().scales, measured);
  }
  Cutter cutter(buffer.reserve<char>(measured.bytes()));
  for (Synthesis& one : all) one.pyramid = pyramid_of(one.p, one.scales, cutter);
  return all;
}

/* A grid of a thread for each pixel of the larger of two pictures, borders included. */
dim3 grid_over(const Matched& a, const Matched& b) {
  const int width = std::max(a.stride(), b.stride());
  const int height = std::max(a.size.height, b.size.height) + 2 * a.radius;
  return dim3((width + kTile.x - 1) / kTile.x, (height + kTile.y - 1) / kTile.y, 2);
}

void build(const Synthesis& one, cudaStream_t stream) {
  const auto& [p, scales, pyramid] = one;
  const Level* level = pyramid.levels.data();
  Scales of;
  std::copy(scales.scales().begin(), scales.scales().end(), of.of);
  pack<<<grid_over(level->source, level->target), kTile, 0, stream>>>(
      {p.style, p.source_guides, level->source}, {nullptr, p.target_guides, level->target},
      p.guide_channels, of);
  check_launch();
  for (int i = 1; i < pyramid.level_count; ++i, ++level) {
    const Level& half = level[1];
    halve<<<grid_over(half.source, half.target), kTile, 0, stream>>>(level->source, half.source,
                                                                     level->target, half.target);
    check_launch();
  }
  check(cudaMemsetAsync(pyramid.zeroed, 0, pyramid.zeroed_bytes, stream));
}

/* The patch errors and the picture. */
template <int kSide, int kChunks>
__global__ void finish(Level level, double unit, inbetween_synthesis p) {
  const Size size = level.target.size;
  const int x = blockIdx.x * blockDim.x + threadIdx.x;
  const int y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x >= size.width || y >= size.height) return;
  const std::int64_t at = size.index(x, y);
  const Packed own = level.field[at];
  p.source_xy[2 * at] = x_of(own);
  p.source_xy[2 * at + 1] = y_of(own);
  const std::uint32_t distance = patch_distance<kSide, kChunks>(
      level.source, level.target, level.source.patch(x_of(own), y_of(own)),
      level.target.patch(x, y), kNoLimit);
  p.patch_error[at] = static_cast<float>(distance * unit);
  const auto found = [&](int fx, int fy) {
    const Packed from = level.field[size.index(fx, fy)];
    return Found{x_of(from), y_of(from)};
  };
  const int radius = kSide ? kSide / 2 : level.radius();
  paint_pixel(p, radius, x, y, found, p.picture + at * kStyleChannels);
}

/* The grid that settle() fills the device with. */
struct Residents {
  int blocks;
  int threads;
  std::size_t shared_bytes;
};

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, device));
  return value;
}

Residents residents(const void* settle, int device, int patch_size) {
  const int shared_limit = attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  const auto per_warp = static_cast<int>(scratch_bytes(patch_size));
  const int warps = std::min(kMaxSettleThreads / kWarp,
                             (shared_limit - static_cast<int>(sizeof(Queue))) / per_warp);
  const int shared_bytes = warps * per_warp;
  check(cudaFuncSetAttribute(settle, cudaFuncAttributeMaxDynamicSharedMemorySize, shared_bytes));
  int blocks = 0;
  check(
      cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, settle, warps * kWarp, shared_bytes));
  return {blocks * attribute(cudaDevAttrMultiProcessorCount, device), warps * kWarp,
          static_cast<std::size_t>(shared_bytes)};
}

/* The levels of one number that there are. */
Levels levels_of(const std::vector<Synthesis>& all, int number) {
  Levels levels{};
  for (const auto& [p, scales, pyramid] : all) {
    if (number >= pyramid.level_count) continue;
    levels.of[levels.count++] = pyramid.levels[number];
    levels.iterations = std::max(levels.iterations, p.search_vote_iterations);
  }
  return levels;
}

template <int kSide, int kChunks>
void settle_all(const std::vector<Synthesis>& all, const inbetween_context& context) {
  int largest_patch = 0;
  for (const Synthesis& one : all) largest_patch = std::max(largest_patch, one.p.patch_size);
  for (int number = kMaxLevels - 1; number >= 0; --number) {
    Levels levels = levels_of(all, number);
    if (levels.count == 0) continue;
    const auto* kernel = reinterpret_cast<const void*>(
        levels.count == 1 ? settle<kSide, kChunks, true> : settle<kSide, kChunks, false>);
    const Residents grid = residents(kernel, context.device, largest_patch);
    void* arguments[] = {&levels};
    check(cudaLaunchCooperativeKernel(kernel, dim3(grid.blocks), dim3(grid.threads), arguments,
                                      grid.shared_bytes, context.stream));
  }
  for (const auto& [p, scales, pyramid] : all) {
    const Size size = pyramid.levels[0].target.size;
    const dim3 grid((size.width + kTile.x - 1) / kTile.x, (size.height + kTile.y - 1) / kTile.y);
    finish<kSide, kChunks><<<grid, kTile, 0, context.stream>>>(pyramid.levels[0], scales.unit(), p);
    check_launch();
  }
}

bool has_usual_patches(const Synthesis& one) {
  return one.p.patch_size == 5 && one.pyramid.levels[0].source.chunks == 1;
}

void synthesize(inbetween_context& context, const inbetween_synthesis* parameters, int count) {
  if (!context.synthesis) context.synthesis = std::make_shared<SynthesisMemory>();
  const std::vector<Synthesis> all = reserved(parameters, count, context.synthesis->buffer);
  for (const Synthesis& one : all) build(one, context.stream);
  if (std::all_of(all.begin(), all.end(), has_usual_patches)) {
    settle_all<5, 1>(all, context);
  } else {
    settle_all<0, 0>(all, context);
  }
}

}  // namespace
}  // namespace inbetween

int32_t inbetween_synthesize(inbetween_context* context, const inbetween_synthesis* parameters,
                             int32_t count) {
  using namespace inbetween;
  return guarded(context, [&] {
    check_syntheses(parameters, count);
    synthesize(*context, parameters, count);
  });
}

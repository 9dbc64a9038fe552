#include <cstddef>
#include <memory>

#include "common/blend.h"
#include "context.h"

namespace inbetween {

struct BlendMemory {
  DeviceBuffer weights; /* of the right side, one a pixel */
  DeviceBuffer chunks;  /* sum after sum, one a chunk */
  DeviceBuffer totals;  /* of the errors, then of the colours */
};

namespace {

constexpr int kWarp = 32;
static_assert(kSumLanes == kWarp, "a warp sums a chunk");
constexpr int kThreads = 256;
constexpr int kErrorSums = 2;

int blocks_for(std::size_t count, std::size_t per_block) {
  return static_cast<int>((count + per_block - 1) / per_block);
}

/* The chunk that this thread's warp sums; there may be none. */
__device__ int own_chunk() { return (blockIdx.x * kThreads + threadIdx.x) / kWarp; }

/* The sum of what the lanes of the warp hold, written for the chunk. */
__device__ void write_sum(double lane_sum, double* chunk_sum) {
  for (int half = kWarp / 2; half > 0; half /= 2) {
    lane_sum += __shfl_xor_sync(~0u, lane_sum, half);
  }
  if (threadIdx.x % kWarp == 0) *chunk_sum = lane_sum;
}

/* task(pixel) for the pixels of this thread's lane in a chunk. */
template <typename Task>
__device__ void for_lane(int chunk, std::size_t pixels, Task task) {
  const std::size_t first = std::size_t(chunk) * kSumChunk + threadIdx.x % kWarp;
#pragma unroll 4
  for (int i = 0; i < kSumChunk; i += kWarp) {
    if (first + i < pixels) task(first + i);
  }
}

__global__ void __launch_bounds__(kThreads)
    sum_errors(const float* __restrict__ left, const float* __restrict__ right, std::size_t pixels,
               int chunks, double* sums) {
  const int chunk = own_chunk();
  if (chunk >= chunks) return;
  double totals[kErrorSums] = {};
  for_lane(chunk, pixels, [&](std::size_t pixel) {
    totals[0] += left[pixel];
    totals[1] += right[pixel];
  });
  for (int i = 0; i < kErrorSums; ++i) write_sum(totals[i], sums + i * std::size_t(chunks) + chunk);
}

/* A block adds up the chunks of one sum. */
__global__ void __launch_bounds__(kFoldLanes)
    fold(const double* __restrict__ sums, int chunks, double* totals) {
  __shared__ double lanes[kFoldLanes];
  const int lane = threadIdx.x;
  double total = 0.0;
#pragma unroll 4
  for (int i = lane; i < chunks; i += kFoldLanes) {
    total += sums[blockIdx.x * std::size_t(chunks) + i];
  }
  lanes[lane] = total;
  for (int half = kFoldLanes / 2; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half) lanes[lane] += lanes[lane + half];
  }
  if (lane == 0) totals[blockIdx.x] = lanes[0];
}

constexpr int kTile = 32;
constexpr int kTileRows = kThreads / kTile; /* of the tile, that a block works on at a time */
constexpr int kHaloed = kTile + 2 * kBlurRadius;

struct BlurTile {
  float error[kHaloed][kHaloed];
  float vertical[kTile][kHaloed];
};

/* A tile and its surroundings; outside the picture its border goes on. */
__device__ void load_tile(const float* __restrict__ error, int width, int height, BlurTile& tile) {
  for (int i = threadIdx.x; i < kHaloed * kHaloed; i += kThreads) {
    const int row = i / kHaloed;
    const int column = i % kHaloed;
    const int x = clamped(int(blockIdx.x) * kTile + column - kBlurRadius, 0, width - 1);
    const int y = clamped(int(blockIdx.y) * kTile + row - kBlurRadius, 0, height - 1);
    tile.error[row][column] = error[std::size_t(y) * width + x];
  }
}

__device__ void blur_columns(BlurTile& tile) {
  for (int i = threadIdx.x; i < kTile * kHaloed; i += kThreads) {
    const int row = i / kHaloed;
    const int column = i % kHaloed;
    float total = blur_weight(0) * tile.error[row + kBlurRadius][column];
#pragma unroll
    for (int away = 1; away <= kBlurRadius; ++away) {
      total += blur_weight(away) * (tile.error[row + kBlurRadius - away][column] +
                                    tile.error[row + kBlurRadius + away][column]);
    }
    tile.vertical[row][column] = total;
  }
}

__device__ float blurred(const BlurTile& tile, int row, int column) {
  const float* here = tile.vertical[row] + column + kBlurRadius;
  float total = blur_weight(0) * here[0];
#pragma unroll
  for (int away = 1; away <= kBlurRadius; ++away) {
    total += blur_weight(away) * (here[-away] + here[away]);
  }
  return total;
}

__global__ void __launch_bounds__(kThreads)
    choose(const Blend p, std::size_t pixels, const double* __restrict__ error_totals,
           float* __restrict__ weights) {
  __shared__ BlurTile left, right;
  __shared__ float floor;
  load_tile(p.left_error, p.width, p.height, left);
  load_tile(p.right_error, p.width, p.height, right);
  if (threadIdx.x == 0) floor = error_floor(error_totals[0], error_totals[1], pixels);
  __syncthreads();
  blur_columns(left);
  blur_columns(right);
  __syncthreads();
  const int column = threadIdx.x % kTile;
  const int x = blockIdx.x * kTile + column;
  if (x >= p.width) return;
  for (int row = threadIdx.x / kTile; row < kTile; row += kTileRows) {
    const int y = blockIdx.y * kTile + row;
    if (y >= p.height) return;
    const std::size_t pixel = std::size_t(y) * p.width + x;
    const float l = weighted_error(blurred(left, row, column), floor, float(p.left_distance));
    const float r = weighted_error(blurred(right, row, column), floor, float(p.right_distance));
    const float carried = p.carried ? p.carried[pixel] : 0.5f;
    p.choice[pixel] = is_right_chosen(l, r, carried) ? 1.0f : 0.0f;
    weights[pixel] = weight_of_right(l, r);
  }
}

__device__ Lab lab_at(const float* __restrict__ picture, std::size_t pixel) {
  const float* rgb = picture + 3 * pixel;
  return lab_of_srgb({rgb[0], rgb[1], rgb[2]});
}

/* One channel's sums for a lane. */
struct ChannelSums {
  double of[kChannelSums] = {};

  __device__ void add(float left, float right, float chosen) {
    of[kSumLeft] += left;
    of[kSumLeftSquares] += double(left) * double(left);
    of[kSumRight] += right;
    of[kSumRightSquares] += double(right) * double(right);
    of[kSumProducts] += double(left) * double(right);
    of[kSumChosen] += chosen;
    of[kSumChosenSquares] += double(chosen) * double(chosen);
  }
};

__global__ void __launch_bounds__(kThreads)
    sum_colors(const Blend p, std::size_t pixels, int chunks, double* sums) {
  const int chunk = own_chunk();
  if (chunk >= chunks) return;
  ChannelSums totals[3];
  for_lane(chunk, pixels, [&](std::size_t pixel) {
    const Lab left = lab_at(p.left_picture, pixel);
    const Lab right = lab_at(p.right_picture, pixel);
    const Lab chosen = p.choice[pixel] > 0.5f ? right : left;
    totals[0].add(left.lightness, right.lightness, chosen.lightness);
    totals[1].add(left.a, right.a, chosen.a);
    totals[2].add(left.b, right.b, chosen.b);
  });
#pragma unroll
  for (int i = 0; i < kBlendSums; ++i) {
    write_sum(totals[i / kChannelSums].of[i % kChannelSums],
              sums + i * std::size_t(chunks) + chunk);
  }
}

constexpr int kMixedPixels = 4 * kThreads; /* by a block, which finds the statistics first */

__global__ void __launch_bounds__(kThreads)
    mix(const Blend p, std::size_t pixels, const double* __restrict__ totals,
        const float* __restrict__ weights) {
  __shared__ Statistics statistics;
  if (threadIdx.x < 3) {
    statistics[threadIdx.x] = channel_statistics(totals + threadIdx.x * kChannelSums, pixels);
  }
  __syncthreads();
  const std::size_t first = std::size_t(blockIdx.x) * kMixedPixels + threadIdx.x;
  for (int i = 0; i < kMixedPixels && first + i < pixels; i += kThreads) {
    const std::size_t pixel = first + i;
    const Lab left = lab_at(p.left_picture, pixel);
    const Lab right = lab_at(p.right_picture, pixel);
    const float weight = weights[pixel];
    const Rgb rgb = srgb_of_lab({mixed(left.lightness, right.lightness, weight, statistics[0]),
                                 mixed(left.a, right.a, weight, statistics[1]),
                                 mixed(left.b, right.b, weight, statistics[2])});
    p.picture[3 * pixel] = rgb.red;
    p.picture[3 * pixel + 1] = rgb.green;
    p.picture[3 * pixel + 2] = rgb.blue;
  }
}

void blend(inbetween_context& context, const Blend& p) {
  if (!context.blend) context.blend = std::make_shared<BlendMemory>();
  BlendMemory& memory = *context.blend;
  const cudaStream_t stream = context.stream;
  const std::size_t pixels = std::size_t(p.width) * p.height;
  const int chunks = chunk_count(pixels);
  const int chunk_blocks = blocks_for(chunks, kThreads / kWarp);
  float* weights = memory.weights.reserve<float>(pixels);
  double* sums = memory.chunks.reserve<double>(std::size_t(chunks) * kBlendSums);
  double* error_totals = memory.totals.reserve<double>(kErrorSums + kBlendSums);
  double* color_totals = error_totals + kErrorSums;

  sum_errors<<<chunk_blocks, kThreads, 0, stream>>>(p.left_error, p.right_error, pixels, chunks,
                                                    sums);
  fold<<<kErrorSums, kFoldLanes, 0, stream>>>(sums, chunks, error_totals);
  const dim3 tiles(blocks_for(p.width, kTile), blocks_for(p.height, kTile));
  choose<<<tiles, kThreads, 0, stream>>>(p, pixels, error_totals, weights);
  if (p.picture) {
    sum_colors<<<chunk_blocks, kThreads, 0, stream>>>(p, pixels, chunks, sums);
    fold<<<kBlendSums, kFoldLanes, 0, stream>>>(sums, chunks, color_totals);
    mix<<<blocks_for(pixels, kMixedPixels), kThreads, 0, stream>>>(p, pixels, color_totals,
                                                                   weights);
  }
  check_launch();
}

}  // namespace
}  // namespace inbetween

int32_t inbetween_blend(inbetween_context* context, const struct inbetween_blend* parameters) {
  using namespace inbetween;
  return guarded(context, [&] {
    check_blend(parameters);
    blend(*context, *parameters);
  });
}

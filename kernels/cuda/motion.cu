#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/motion.h"
#include "common/motion_checks.h"
#include "context.h"

namespace inbetween {

/* Masks of one bit a pixel, 32 pixels of a row in a word, the leftmost in its lowest bit. */
struct ConfidenceMemory {
  DeviceBuffer astray;
  DeviceBuffer untrusted;
};

namespace {

constexpr int kWord = 32;
constexpr dim3 kTile{kWord, 8}; /* a warp is one word of a mask */

dim3 tiles(int width, int height) {
  return dim3((width + kTile.x - 1) / kTile.x, (height + kTile.y - 1) / kTile.y);
}

/* The pixel of a thread. */
__device__ int pixel_x() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ int pixel_y() { return blockIdx.y * blockDim.y + threadIdx.y; }

template <int Channels>
__global__ void warp_pixels(const Warp p) {
  const int x = pixel_x();
  const int y = pixel_y();
  if (x < p.width && y < p.height) warp_pixel<Channels>(p, x, y);
}

void warp(cudaStream_t stream, const Warp& p) {
  const dim3 grid = tiles(p.width, p.height);
  switch (p.channels) {
    case 1:
      return warp_pixels<1><<<grid, kTile, 0, stream>>>(p);
    case 2:
      return warp_pixels<2><<<grid, kTile, 0, stream>>>(p);
    case 3:
      return warp_pixels<3><<<grid, kTile, 0, stream>>>(p);
    case 4:
      return warp_pixels<4><<<grid, kTile, 0, stream>>>(p);
    default:
      return warp_pixels<0><<<grid, kTile, 0, stream>>>(p);
  }
}

__global__ void compose_pixels(const Composition p) {
  const int x = pixel_x();
  const int y = pixel_y();
  if (x < p.width && y < p.height) compose_pixel(p, x, y);
}

int words_of(int width) { return (width + kWord - 1) / kWord; }

__global__ void find_astray(const Confidence p, int words, std::uint32_t* astray) {
  const int x = pixel_x();
  const int y = pixel_y();
  if (y >= p.height) return;
  const std::uint32_t word = __ballot_sync(~0u, x < p.width && goes_astray(p, x, y));
  if (threadIdx.x == 0) astray[std::size_t(y) * words + blockIdx.x] = word;
}

/* Three words of a row: the one asked for between its neighbours. */
struct Words {
  std::uint32_t before;
  std::uint32_t here;
  std::uint32_t after;
};

/* A word that has all bits or none. */
__device__ std::uint32_t filled_with(bool bit) { return bit ? ~0u : 0u; }

/* What the pixels up to `radius` away in the rows and columns have in common. After the last pixel
 * of a row its bit goes on. */
__global__ void widen(const std::uint32_t* astray, int width, int height, int words, int radius,
                      std::uint32_t* untrusted) {
  const int word = pixel_x();
  const int y = pixel_y();
  if (word >= words || y >= height) return;
  Words any{};
  for (int near = max(y - radius, 0); near <= min(y + radius, height - 1); ++near) {
    const std::uint32_t* row = astray + std::size_t(near) * words + word;
    if (word > 0) any.before |= row[-1];
    any.here |= row[0];
    if (word + 1 < words) any.after |= row[1];
  }
  std::uint32_t wide = any.here;
  for (int step = 1; step <= radius; ++step) {
    wide |= __funnelshift_l(any.before, any.here, step);
    wide |= __funnelshift_r(any.here, any.after, step);
  }
  const int used = width - word * kWord;
  if (used < kWord) {
    const std::uint32_t beyond = ~0u << used;
    wide = (wide & ~beyond) | (filled_with(wide >> (used - 1) & 1) & beyond);
  }
  untrusted[std::size_t(y) * words + word] = wide;
}

/* How many pixels are untrusted from `radius` before to `radius` after the one of this lane. */
__device__ int count_in_row(const Words& row, int radius) {
  const int lane = threadIdx.x;
  const std::uint32_t up_to_here = __funnelshift_l(row.before, row.here, kWord - 1 - lane);
  const std::uint32_t from_next = __funnelshift_rc(row.here, row.after, lane + 1);
  return __popc(up_to_here >> (kWord - 1 - radius)) + __popc(from_next & ((1u << radius) - 1));
}

__global__ void confide(const Confidence p, int words, const std::uint32_t* untrusted) {
  const int x = pixel_x();
  const int y = pixel_y();
  if (x >= p.width || y >= p.height) return;
  const int word = blockIdx.x;
  const int radius = p.widened / 2;
  int count = 0;
  for (int near = y - radius; near <= y + radius; ++near) {
    const std::uint32_t* row =
        untrusted + std::size_t(clamped(near, 0, p.height - 1)) * words + word;
    const std::uint32_t before = word > 0 ? row[-1] : filled_with(row[0] & 1);
    const std::uint32_t after = word + 1 < words ? row[1] : filled_with(row[0] >> (kWord - 1));
    count += count_in_row({before, row[0], after}, radius);
  }
  p.confidence[std::size_t(y) * p.width + x] = confidence_of(count, p.widened);
}

void find_confidence(inbetween_context& context, const Confidence& p) {
  if (!context.confidence) context.confidence = std::make_shared<ConfidenceMemory>();
  const int words = words_of(p.width);
  const std::size_t count = std::size_t(words) * p.height;
  auto* astray = context.confidence->astray.reserve<std::uint32_t>(count);
  auto* untrusted = context.confidence->untrusted.reserve<std::uint32_t>(count);
  const dim3 grid = tiles(p.width, p.height);
  find_astray<<<grid, kTile, 0, context.stream>>>(p, words, astray);
  check_launch();
  widen<<<tiles(words, p.height), kTile, 0, context.stream>>>(astray, p.width, p.height, words,
                                                              p.widened / 2, untrusted);
  check_launch();
  confide<<<grid, kTile, 0, context.stream>>>(p, words, untrusted);
  check_launch();
}

}  // namespace

}  // namespace inbetween

int32_t inbetween_warp(inbetween_context* context, const struct inbetween_warp* parameters) {
  using namespace inbetween;
  return guarded(context, [&] {
    check_call(parameters);
    warp(context->stream, *parameters);
    check_launch();
  });
}

int32_t inbetween_compose(inbetween_context* context,
                          const struct inbetween_composition* parameters) {
  using namespace inbetween;
  return guarded(context, [&] {
    check_call(parameters);
    compose_pixels<<<tiles(parameters->width, parameters->height), kTile, 0, context->stream>>>(
        *parameters);
    check_launch();
  });
}

int32_t inbetween_confidence(inbetween_context* context,
                             const struct inbetween_confidence* parameters) {
  using namespace inbetween;
  return guarded(context, [&] {
    check_call(parameters);
    find_confidence(*context, *parameters);
  });
}

#ifndef INBETWEEN_CUDA_PYRAMID_CUH_
#define INBETWEEN_CUDA_PYRAMID_CUH_

#include <cstddef>
#include <cstdint>

#include "common/channel_scales.h"
#include "common/matching.h"

/* The pictures that patches are compared in. */
namespace inbetween {

struct Size {
  int width;
  int height;

  INBETWEEN_BOTH int area() const { return width * height; } /* fits, as sides have 15 bits */
  INBETWEEN_BOTH int index(int x, int y) const { return y * width + x; }
};

INBETWEEN_BOTH Size halved(Size size) { return {(size.width + 1) / 2, (size.height + 1) / 2}; }

/* A picture as it is matched. A pixel is `chunks` times 16 bytes: its style, its guides, zeros, and
 * in the last four bytes the sum of their squares. Replicated borders of the patch radius make
 * every pixel the centre of a whole patch. */
struct Matched {
  uint4* pixels;
  Size size;
  int radius;
  int chunks;

  INBETWEEN_BOTH int stride() const { return size.width + 2 * radius; } /* in pixels */

  INBETWEEN_BOTH int rows() const { return size.height + 2 * radius; }
  INBETWEEN_BOTH std::int64_t chunk_count() const {
    return std::int64_t(stride()) * rows() * chunks;
  }

  /* The pixel at the top left of the patch around x, y. */
  INBETWEEN_BOTH uint4* patch(int x, int y) const {
    return pixels + std::int64_t(y * stride() + x) * chunks;
  }

  INBETWEEN_BOTH uint4* pixel(int x, int y) const { return patch(x + radius, y + radius); }
};

/* How many times 16 bytes the channels and the sum of their squares take. */
inline int chunks_of(int channels) { return (channels + 4 + 15) / 16; }

__device__ __forceinline__ std::uint32_t squares(std::uint32_t four) {
  return __dp4a(four, four, 0u);
}

/* The sum of squared differences of two patches, given by their top left pixels; where it is not
 * below the limit, any number that is not. Sides and chunks that are not known at compile time
 * are 0. Exact, since it fits 32 bits. */
template <int kSide, int kChunks>
__device__ __forceinline__ std::uint32_t patch_distance(const Matched& source,
                                                        const Matched& target, const uint4* from,
                                                        const uint4* to, std::uint32_t limit) {
  constexpr int kRowsAtOnce = 2; /* enough to tell most that are too far apart */
  const int side = kSide ? kSide : 2 * target.radius + 1;
  const int chunks = kChunks ? kChunks : target.chunks;
  const int source_row = source.stride() * chunks;
  const int target_row = target.stride() * chunks;
  std::uint32_t sums = 0;
  std::uint32_t products = 0;
  const auto add_row = [&] {
#pragma unroll
    for (int x = 0; x < side; ++x) {
#pragma unroll
      for (int i = 0; i < chunks; ++i) {
        const uint4 a = __ldg(from + x * chunks + i); /* the source never changes */
        const uint4 b = to[x * chunks + i];
        products = __dp4a(a.x, b.x, products);
        products = __dp4a(a.y, b.y, products);
        products = __dp4a(a.z, b.z, products);
        if (i + 1 == chunks) {
          sums += a.w + b.w;
        } else {
          products = __dp4a(a.w, b.w, products);
        }
      }
    }
    from += source_row;
    to += target_row;
  };
#pragma unroll
  for (int y = 0; y < kRowsAtOnce; ++y) add_row();
  if (sums - 2 * products >= limit) return sums - 2 * products;
#pragma unroll
  for (int y = kRowsAtOnce; y < side; ++y) add_row();
  return sums - 2 * products;
}

/* What a picture is packed from. */
struct Unpacked {
  const float* style; /* or NULL for 0 */
  const std::uint8_t* guides;
  Matched matched;
};

struct Scales {
  double of[kMaxChannels];
};

/* One picture for each z of the grid, one thread for each pixel, borders included. */
__global__ void pack(Unpacked source, Unpacked target, int guide_channels, Scales scales) {
  const Unpacked picture = blockIdx.z == 0 ? source : target;
  const Matched matched = picture.matched;
  const int column = blockIdx.x * blockDim.x + threadIdx.x;
  const int row = blockIdx.y * blockDim.y + threadIdx.y;
  if (column >= matched.stride() || row >= matched.rows()) return;
  const int x = clamped(column - matched.radius, 0, matched.size.width - 1);
  const int y = clamped(row - matched.radius, 0, matched.size.height - 1);
  const std::int64_t at = matched.size.index(x, y);
  const std::uint8_t* guides = picture.guides + at * guide_channels;
  const int channels = kStyleChannels + guide_channels;
  auto* words = reinterpret_cast<std::uint32_t*>(matched.patch(column, row));
  std::uint32_t sum = 0;
  for (int first = 0; first < 16 * matched.chunks - 4; first += 4) {
    std::uint32_t word = 0;
    for (int c = first; c < min(first + 4, channels); ++c) {
      float value = 0.0f;
      if (c >= kStyleChannels) {
        value = guides[c - kStyleChannels];
      } else if (picture.style) {
        value = style_byte(picture.style[at * kStyleChannels + c]);
      }
      word |= std::uint32_t(scaled_byte(value, scales.of[c])) << 8 * (c - first);
    }
    words[first / 4] = word;
    sum += squares(word);
  }
  words[4 * matched.chunks - 1] = sum;
}

/* The rounded means of four bytes each of four words. */
__device__ __forceinline__ std::uint32_t means(std::uint32_t a, std::uint32_t b, std::uint32_t c,
                                               std::uint32_t d) {
  constexpr std::uint32_t kEven = 0x00ff00ff;
  const std::uint32_t even = (a & kEven) + (b & kEven) + (c & kEven) + (d & kEven) + 0x00020002;
  const std::uint32_t odd =
      (a >> 8 & kEven) + (b >> 8 & kEven) + (c >> 8 & kEven) + (d >> 8 & kEven) + 0x00020002;
  return (even >> 2 & kEven) | (odd >> 2 & kEven) << 8;
}

/* Half the size, each pixel the mean of four; the grid as for pack(). */
__global__ void halve(Matched source, Matched half_source, Matched target, Matched half_target) {
  const Matched full = blockIdx.z == 0 ? source : target;
  const Matched half = blockIdx.z == 0 ? half_source : half_target;
  const int column = blockIdx.x * blockDim.x + threadIdx.x;
  const int row = blockIdx.y * blockDim.y + threadIdx.y;
  if (column >= half.stride() || row >= half.rows()) return;
  /* Beyond an odd side lies the border, which goes on as the last pixel. */
  const int x = 2 * clamped(column - half.radius, 0, half.size.width - 1);
  const int y = 2 * clamped(row - half.radius, 0, half.size.height - 1);
  const int word_count = 4 * half.chunks;
  const auto* upper = reinterpret_cast<const std::uint32_t*>(full.pixel(x, y));
  const auto* lower = reinterpret_cast<const std::uint32_t*>(full.pixel(x, y + 1));
  auto* words = reinterpret_cast<std::uint32_t*>(half.patch(column, row));
  std::uint32_t sum = 0;
  for (int i = 0; i < word_count - 1; ++i) {
    words[i] = means(upper[i], upper[i + word_count], lower[i], lower[i + word_count]);
    sum += squares(words[i]);
  }
  words[word_count - 1] = sum;
}

}  // namespace inbetween

#endif  // INBETWEEN_CUDA_PYRAMID_CUH_

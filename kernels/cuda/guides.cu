#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/guides.h"
#include "common/motion_checks.h"
#include "context.h"

namespace inbetween {

struct GuidesMemory {
  DeviceBuffer texels;
};

namespace {

constexpr dim3 kTile{32, 8};
/* From the first level that has no more texels, one block does the rest: what it lacks in width it
 * saves in launches. */
constexpr int kRestTexels = 4096;
constexpr int kRestThreads = 1024;
constexpr int kRun = 256;

dim3 tiles(const TexelLevel& level) {
  return dim3((level.width + kTile.x - 1) / kTile.x, (level.height + kTile.y - 1) / kTile.y);
}

template <typename Fine>
__global__ void push(const Fine fine, const TexelLevel coarse) {
  const int x = blockIdx.x * blockDim.x + threadIdx.x;
  const int y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x < coarse.width && y < coarse.height) coarse.at(x, y) = halved(fine, x, y);
}

__global__ void pull(const TexelLevel coarse, const TexelLevel fine) {
  const int x = blockIdx.x * blockDim.x + threadIdx.x;
  const int y = blockIdx.y * blockDim.y + threadIdx.y;
  if (x < fine.width && y < fine.height) fine.at(x, y) = filled(fine.at(x, y), coarse, x, y);
}

/* All levels beyond the first one, down to one texel and back. */
__global__ void push_pull_rest(const __grid_constant__ TexelPyramid pyramid, int first) {
  for (int i = first + 1; i < pyramid.count; ++i) {
    const TexelLevel& level = pyramid.levels[i];
    for (int texel = threadIdx.x; texel < level.width * level.height; texel += blockDim.x) {
      level.texels[texel] = halved(pyramid.levels[i - 1], texel % level.width, texel / level.width);
    }
    __syncthreads();
  }
  for (int i = pyramid.count - 2; i >= first; --i) {
    const TexelLevel& level = pyramid.levels[i];
    for (int texel = threadIdx.x; texel < level.width * level.height; texel += blockDim.x) {
      level.texels[texel] = filled(level.texels[texel], pyramid.levels[i + 1], texel % level.width,
                                   texel / level.width);
    }
    __syncthreads();
  }
}

void push_pull(cudaStream_t stream, const Finest& finest, const TexelPyramid& pyramid) {
  const TexelLevel* levels = pyramid.levels;
  push<<<tiles(levels[0]), kTile, 0, stream>>>(finest, levels[0]);
  check_launch();
  int first = 0;
  for (; levels[first].width * levels[first].height > kRestTexels; ++first) {
    push<<<tiles(levels[first + 1]), kTile, 0, stream>>>(levels[first], levels[first + 1]);
    check_launch();
  }
  push_pull_rest<<<1, kRestThreads, 0, stream>>>(pyramid, first);
  check_launch();
  for (int i = first; i > 0; --i) {
    pull<<<tiles(levels[i - 1]), kTile, 0, stream>>>(levels[i], levels[i - 1]);
    check_launch();
  }
}

__device__ void edge_planes(const Guides& p, int x, int y, std::uint8_t* planes) {
  const std::size_t stride = std::size_t(p.width) * 3;
  const float* pixel = p.source + y * stride + std::size_t(x) * 3;
  const float* left = x > 0 ? pixel - 3 : pixel;
  const float* right = x + 1 < p.width ? pixel + 3 : pixel;
  const float* above = y > 0 ? pixel - stride : pixel;
  const float* below = y + 1 < p.height ? pixel + stride : pixel;
  for (int c = 0; c < 3; ++c) {
    planes[c] = byte_of(edge_of(pixel[c], left[c], right[c], above[c], below[c]));
  }
}

/* Each thread makes the planes of a pixel; a block writes those of its pixels, which lie one after
 * another, in the order of memory. */
__global__ void make_planes(const Guides p, const __grid_constant__ TexelPyramid pyramid) {
  __shared__ std::uint8_t planes[kRun * kGuidePlanes];
  const std::size_t begin = std::size_t(blockIdx.x) * kRun;
  const int count = int(min(std::size_t(p.width) * p.height - begin, std::size_t(kRun)));
  if (int(threadIdx.x) < count) {
    const std::size_t pixel = begin + threadIdx.x;
    const int x = int(pixel % p.width);
    const int y = int(pixel / p.width);
    const Texel temporal = continued({p.width, p.height, p.temporal, p.confidence}, pyramid, x, y);
    std::uint8_t* own = planes + threadIdx.x * kGuidePlanes;
    for (int c = 0; c < 3; ++c) own[c] = byte_of(p.source[3 * pixel + c]);
    edge_planes(p, x, y, own + 3);
    for (int c = 0; c < 3; ++c) own[6 + c] = byte_of(temporal.color[c]);
  }
  __syncthreads();
  std::uint8_t* guides = p.guides + begin * kGuidePlanes;
  for (int i = threadIdx.x; i < count * kGuidePlanes; i += kRun) guides[i] = planes[i];
}

void make_guides(inbetween_context& context, const Guides& p) {
  if (!context.guides) context.guides = std::make_shared<GuidesMemory>();
  TexelPyramid pyramid{};
  const std::size_t texels = p.confidence ? pyramid.shape(p.width, p.height) : 0;
  if (texels > 0) {
    pyramid.place(context.guides->texels.reserve<Texel>(texels));
    push_pull(context.stream, {p.width, p.height, p.temporal, p.confidence}, pyramid);
  }
  const std::size_t runs = (std::size_t(p.width) * p.height + kRun - 1) / kRun;
  make_planes<<<unsigned(runs), kRun, 0, context.stream>>>(p, pyramid);
  check_launch();
}

}  // namespace

}  // namespace inbetween

int32_t inbetween_guides(inbetween_context* context, const struct inbetween_guides* parameters) {
  using namespace inbetween;
  return guarded(context, [&] {
    check_call(parameters);
    make_guides(*context, *parameters);
  });
}

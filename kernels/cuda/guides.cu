#include <cstddef>
#include <cstdint>

#include "common/guides.h"
#include "common/motion_checks.h"
#include "context.h"

namespace inbetween {
namespace {

constexpr int kRun = 256;

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
__global__ void make_planes(const Guides p) {
  __shared__ std::uint8_t planes[kRun * kGuidePlanes];
  const std::size_t begin = std::size_t(blockIdx.x) * kRun;
  const int count = int(min(std::size_t(p.width) * p.height - begin, std::size_t(kRun)));
  if (int(threadIdx.x) < count) {
    const std::size_t pixel = begin + threadIdx.x;
    const int x = int(pixel % p.width);
    const int y = int(pixel / p.width);
    std::uint8_t* own = planes + threadIdx.x * kGuidePlanes;
    for (int c = 0; c < 3; ++c) own[c] = byte_of(p.source[3 * pixel + c]);
    edge_planes(p, x, y, own + 3);
    for (int c = 0; c < 3; ++c) own[6 + c] = byte_of(p.temporal[3 * pixel + c]);
  }
  __syncthreads();
  std::uint8_t* guides = p.guides + begin * kGuidePlanes;
  for (int i = threadIdx.x; i < count * kGuidePlanes; i += kRun) guides[i] = planes[i];
}

void make_guides(inbetween_context& context, const Guides& p) {
  const std::size_t runs = (std::size_t(p.width) * p.height + kRun - 1) / kRun;
  make_planes<<<unsigned(runs), kRun, 0, context.stream>>>(p);
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

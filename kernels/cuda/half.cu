#include <algorithm>
#include <cstdint>

#include "common/half.h"
#include "context.h"

namespace inbetween {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMostBlocks = 65535;

__global__ void __launch_bounds__(kThreads) find_halves(const Halves p) {
  const std::int64_t step = std::int64_t(gridDim.x) * kThreads;
  for (std::int64_t i = std::int64_t(blockIdx.x) * kThreads + threadIdx.x; i < p.count; i += step) {
    p.halves[i] = nearest_half(p.values[i]);
  }
}

}  // namespace
}  // namespace inbetween

int32_t inbetween_nearest_half(inbetween_context* context,
                               const struct inbetween_halves* parameters) {
  using namespace inbetween;
  return guarded(context, [&] {
    check_call(parameters);
    if (parameters->count == 0) return;
    const std::int64_t blocks = (parameters->count + kThreads - 1) / kThreads;
    find_halves<<<unsigned(std::min(blocks, kMostBlocks)), kThreads, 0, context->stream>>>(
        *parameters);
    check_launch();
  });
}

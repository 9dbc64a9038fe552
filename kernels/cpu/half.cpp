#include "common/half.h"

#include <algorithm>
#include <cstdint>

#include "context.h"

namespace inbetween {
namespace {

constexpr std::int64_t kMostTasks = 256;

void find_halves(Workers& workers, const Halves& p) {
  const int tasks = static_cast<int>(std::min(p.count, kMostTasks));
  workers.run(tasks, [&](int task) {
    const std::int64_t end = p.count / tasks * (task + 1) + p.count % tasks * (task + 1) / tasks;
    for (std::int64_t i = p.count / tasks * task + p.count % tasks * task / tasks; i < end; ++i) {
      p.halves[i] = nearest_half(p.values[i]);
    }
  });
}

}  // namespace
}  // namespace inbetween

int32_t inbetween_nearest_half(inbetween_context* context,
                               const struct inbetween_halves* parameters) {
  using namespace inbetween;
  return guarded([&] {
    check_given("context", context);
    check_call(parameters);
    find_halves(context->workers, *parameters);
  });
}

#include "common/guides.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "common/call.h"
#include "common/motion_checks.h"
#include "context.h"

namespace inbetween {

namespace {

/* Pixels of one row that are made at a time; small enough for the stack, as tasks must not throw.
 */
constexpr int kRun = 256;

struct Run {
  int y;
  int begin;
  int end;

  int values() const { return 3 * (end - begin); }
};

void to_bytes(const float* values, int count, std::uint8_t* bytes) {
  for (int i = 0; i < count; ++i) bytes[i] = byte_of(values[i]);
}

void edges_to_bytes(const Guides& p, const Run& run, std::uint8_t* bytes) {
  const int count = 3 * p.width;
  const float* row = p.source + std::size_t(run.y) * count;
  const float* above = run.y > 0 ? row - count : row;
  const float* below = run.y + 1 < p.height ? row + count : row;
  const int begin = 3 * run.begin;
  const int end = 3 * run.end;
  const auto make = [&](int i, int left, int right) {
    bytes[i - begin] = byte_of(edge_of(row[i], row[left], row[right], above[i], below[i]));
  };
  const auto make_at_border = [&](int i) { make(i, i < 3 ? i : i - 3, i + 3 < count ? i + 3 : i); };
  for (int i = begin; i < std::min(end, 3); ++i) make_at_border(i);
  for (int i = std::max(begin, 3); i < std::min(end, count - 3); ++i) make(i, i - 3, i + 3);
  for (int i = std::max(begin, count - 3); i < end; ++i) make_at_border(i);
}

/* The planes side by side. */
void weave(const std::uint8_t* color, const std::uint8_t* edges, const std::uint8_t* temporal,
           int width, std::uint8_t* guides) {
  for (int x = 0; x < width; ++x, guides += kGuidePlanes) {
    std::copy_n(color + 3 * x, 3, guides);
    std::copy_n(edges + 3 * x, 3, guides + 3);
    std::copy_n(temporal + 3 * x, 3, guides + 6);
  }
}

void make_run(const Guides& p, const Run& run) {
  const std::size_t pixel = std::size_t(run.y) * p.width + run.begin;
  std::uint8_t planes[3][3 * kRun];
  to_bytes(p.source + 3 * pixel, run.values(), planes[0]);
  edges_to_bytes(p, run, planes[1]);
  to_bytes(p.temporal + 3 * pixel, run.values(), planes[2]);
  weave(planes[0], planes[1], planes[2], run.end - run.begin, p.guides + kGuidePlanes * pixel);
}

void make_guides(Workers& workers, const Guides& p) {
  workers.run(p.height, [&](int y) {
    for (int x = 0; x < p.width; x += kRun) make_run(p, {y, x, std::min(x + kRun, p.width)});
  });
}

}  // namespace

}  // namespace inbetween

int32_t inbetween_guides(inbetween_context* context, const struct inbetween_guides* parameters) {
  using namespace inbetween;
  return guarded([&] {
    check_given("context", context);
    check_call(parameters);
    make_guides(context->workers, *parameters);
  });
}

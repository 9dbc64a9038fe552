#include "common/motion.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "common/call.h"
#include "common/motion_checks.h"
#include "context.h"
#include "grid.h"

namespace inbetween {

namespace {

constexpr int kMaxWidened = 63;

/* Four channels at once, at any address. */
using Four [[gnu::vector_size(16), gnu::aligned(4), gnu::may_alias]] = float;

Four four_channels(const Sampler& sample, int channel) {
  const auto at = [channel](const float* pixel) {
    return *reinterpret_cast<const Four*>(pixel + channel);
  };
  return between(between(at(sample.top_left), at(sample.top_right), sample.x),
                 between(at(sample.bottom_left), at(sample.bottom_right), sample.x), sample.y);
}

/* Where a run of pixels comes from: an array of each number, so that many are computed at once. */
class Places {
 public:
  static constexpr int kRun = 64;

  Places(const Warp& p, int y, int begin, int end) {
    for (int i = 0; i < end - begin; ++i) {
      const Place place = origin(p, begin + i, y);
      left_[i] = place.left;
      top_[i] = place.top;
      x_[i] = place.x;
      y_[i] = place.y;
    }
  }

  Place operator[](int i) const { return {left_[i], top_[i], x_[i], y_[i]}; }

 private:
  int left_[kRun];
  int top_[kRun];
  float x_[kRun];
  float y_[kRun];
};

/* As warp_pixel, of each pixel. Three channels are computed as four, the fourth of which the next
 * pixel overwrites, wherever there is one after them. */
template <int Channels>
void warp_run(Warp p, int y, int begin, int end) {
  const int channels = Channels ? Channels : p.channels;
  const int vectored = Channels == 3 ? 4 : channels / 4 * 4;
  const float* last = p.image + (std::size_t(p.image_width) * p.image_height - 1) * channels;
  float* warped = p.warped + (std::size_t(y) * p.width + begin) * channels;
  const Places places(p, y, begin, end);
  for (int x = begin; x < end; ++x, warped += channels) {
    const Sampler sample =
        sampler(p.image, p.image_width, p.image_height, channels, places[x - begin]);
    if (Channels == 3 && (sample.bottom_right == last || x + 1 == p.width)) {
      warp_pixel<Channels>(p, x, y);
      continue;
    }
    for (int c = 0; c < vectored; c += 4) {
      *reinterpret_cast<Four*>(warped + c) = four_channels(sample, c);
    }
    for (int c = vectored; c < channels; ++c) warped[c] = sample(c);
  }
}

template <int Channels>
void warp_row(const Warp& p, int y) {
  for (int x = 0; x < p.width; x += Places::kRun) {
    warp_run<Channels>(p, y, x, std::min(x + Places::kRun, p.width));
  }
}

template <int Channels>
void warp_rows(Workers& workers, const Warp& p) {
  workers.run(p.height, [&](int y) { warp_row<Channels>(p, y); });
}

void warp(Workers& workers, const Warp& p) {
  switch (p.channels) {
    case 1:
      return warp_rows<1>(workers, p);
    case 2:
      return warp_rows<2>(workers, p);
    case 3:
      return warp_rows<3>(workers, p);
    case 4:
      return warp_rows<4>(workers, p);
    default:
      return warp_rows<0>(workers, p);
  }
}

void compose(Workers& workers, const Composition& p) {
  workers.run(p.height, [&](int y) {
    for (int x = 0; x < p.width; ++x) compose_pixel(p, x, y);
  });
}

/* Room for a row with half a square on either side; on the stack, as tasks must not throw. */
class PaddedRow {
 public:
  PaddedRow(int width, int radius) : width_(width), radius_(radius) {
    std::fill_n(values_, width + 2 * radius, std::uint8_t{0});
  }

  std::uint8_t* begin() { return values_ + radius_; }

  void replicate_borders() {
    std::fill_n(values_, radius_, begin()[0]);
    std::fill_n(begin() + width_, radius_, begin()[width_ - 1]);
  }

 private:
  int width_;
  int radius_;
  std::uint8_t values_[INBETWEEN_MAX_SIDE + kMaxWidened];
};

/* out[x] becomes what `join` makes of row[x - radius] to row[x + radius]. */
template <typename Join>
void join_neighbours(const std::uint8_t* row, int radius, int width, std::uint8_t* out,
                     Join&& join) {
  std::copy_n(row, width, out);
  for (int step = 1; step <= radius; ++step) {
    for (int x = 0; x < width; ++x) out[x] = join(join(out[x], row[x - step]), row[x + step]);
  }
}

constexpr auto kEither = [](int a, int b) { return std::uint8_t(a | b); };
constexpr auto kSum = [](int a, int b) { return std::uint8_t(a + b); };

Grid<std::uint8_t> widened_in_rows(Workers& workers, const Confidence& p) {
  const int radius = p.widened / 2;
  Grid<std::uint8_t> widened(p.width, p.height);
  workers.run(p.height, [&](int y) {
    PaddedRow astray(p.width, radius);
    for (int x = 0; x < p.width; ++x) astray.begin()[x] = goes_astray(p, x, y);
    join_neighbours(astray.begin(), radius, p.width, widened.row(y), kEither);
  });
  return widened;
}

/* How many pixels around each in its row are untrusted. */
Grid<std::uint8_t> counted_in_rows(Workers& workers, const Confidence& p,
                                   const Grid<std::uint8_t>& widened) {
  const int radius = p.widened / 2;
  Grid<std::uint8_t> counts(p.width, p.height);
  workers.run(p.height, [&](int y) {
    PaddedRow untrusted(p.width, radius);
    std::uint8_t* row = untrusted.begin();
    const int last = std::min(y + radius, p.height - 1);
    for (int near = std::max(y - radius, 0); near <= last; ++near) {
      std::transform(row, row + p.width, widened.row(near), row, kEither);
    }
    untrusted.replicate_borders();
    join_neighbours(row, radius, p.width, counts.row(y), kSum);
  });
  return counts;
}

void confide_row(const Confidence& p, const Grid<std::uint8_t>& counts, int y) {
  const int radius = p.widened / 2;
  std::uint16_t untrusted[INBETWEEN_MAX_SIDE];
  std::fill_n(untrusted, p.width, std::uint16_t{0});
  for (int near = y - radius; near <= y + radius; ++near) {
    const std::uint8_t* row = counts.row(std::clamp(near, 0, p.height - 1));
    for (int x = 0; x < p.width; ++x) untrusted[x] += row[x];
  }
  float* confidence = p.confidence + std::size_t(y) * p.width;
  for (int x = 0; x < p.width; ++x) confidence[x] = confidence_of(untrusted[x], p.widened);
}

void confide(Workers& workers, const Confidence& p) {
  const Grid<std::uint8_t> counts = counted_in_rows(workers, p, widened_in_rows(workers, p));
  workers.run(p.height, [&](int y) { confide_row(p, counts, y); });
}

}  // namespace

}  // namespace inbetween

int32_t inbetween_warp(inbetween_context* context, const struct inbetween_warp* parameters) {
  using namespace inbetween;
  return guarded([&] {
    check_given("context", context);
    check_call(parameters);
    warp(context->workers, *parameters);
  });
}

int32_t inbetween_compose(inbetween_context* context,
                          const struct inbetween_composition* parameters) {
  using namespace inbetween;
  return guarded([&] {
    check_given("context", context);
    check_call(parameters);
    compose(context->workers, *parameters);
  });
}

int32_t inbetween_confidence(inbetween_context* context,
                             const struct inbetween_confidence* parameters) {
  using namespace inbetween;
  return guarded([&] {
    check_given("context", context);
    check_call(parameters);
    confide(context->workers, *parameters);
  });
}

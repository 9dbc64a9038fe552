#ifndef INBETWEEN_COMMON_PICTURE_H_
#define INBETWEEN_COMMON_PICTURE_H_

#include <cmath>
#include <cstdint>

#include "common/matching.h"
#include "common/portable.h"
#include "inbetween/kernels.h"

/* A pixel of the finished picture; engine/native/reference/picture.py says it in NumPy. */
namespace inbetween {

inline constexpr float kSamePlace = 1.5f * 1.5f; /* squares of pixels */
inline constexpr int kTaps = 8;

/* The pixel of the key frame that a patch was found at. */
struct Found {
  int x;
  int y;
};

/* A place in the key frame, between pixels. */
struct Exact {
  float x;
  float y;
};

INBETWEEN_BOTH float squared_distance(Exact a, Exact b) {
  const float dx = a.x - b.x;
  const float dy = a.y - b.y;
  return dx * dx + dy * dy;
}

/* Where the patch of the pixel x, y lies: where the flow leads, if it was found at the pixel
 * nearest to that. */
INBETWEEN_BOTH Exact exact(int x, int y, Found at, const float* displacement) {
  const Exact found = {float(at.x), float(at.y)};
  const Exact lead = {float(x) + displacement[0], float(y) + displacement[1]};
  const bool is_nearest = fabsf(lead.x - found.x) <= 0.5f && fabsf(lead.y - found.y) <= 0.5f;
  return is_nearest ? lead : found;
}

/* What each of the pixels `first` to `first + 7` says of the place: Lanczos of four lobes. */
struct Lanczos {
  int first;
  double weights[kTaps];
  double total;

  INBETWEEN_BOTH explicit Lanczos(double place) {
    constexpr double kPi = 3.14159265358979323846;
    constexpr double kHalf = 0.70710678118654752440;
    /* Of 3, 2 ... -4 quarters of pi. */
    constexpr double kCosines[kTaps] = {-kHalf, 0, kHalf, 1, kHalf, 0, -kHalf, -1};
    constexpr double kSines[kTaps] = {kHalf, 1, kHalf, 0, -kHalf, -1, -kHalf, 0};
    const double whole = floor(place);
    const double beyond = place - whole;
    first = int(whole) - 3;
    total = 0;
    const double sine = sin(beyond * (kPi / 4));
    const double cosine = cos(beyond * (kPi / 4));
    for (int i = 0; i < kTaps; ++i) {
      const double away = beyond + (3 - i);
      const double lobe = sine * kCosines[i] + cosine * kSines[i];
      /* The factor that all of them share is left out. */
      const double weight = (i % 2 ? lobe : -lobe) / (away * away);
      weights[i] = beyond > 0 ? weight : double(i == 3);
      total += weights[i];
    }
  }
};

/* The style [height, width, 3] between pixels, within 0..1 or what the pixels around hold. */
INBETWEEN_BOTH void sample_style(const float* style, int width, int height, double x, double y,
                                 double* colour) {
  const Lanczos across(x);
  const Lanczos down(y);
  double sums[kStyleChannels] = {};
  float lowest[kStyleChannels] = {0, 0, 0};
  float highest[kStyleChannels] = {1, 1, 1};
  for (int i = 0; i < kTaps; ++i) {
    const std::int64_t row = std::int64_t(clamped(down.first + i, 0, height - 1)) * width;
    double row_sums[kStyleChannels] = {};
    for (int j = 0; j < kTaps; ++j) {
      const float* its = style + (row + clamped(across.first + j, 0, width - 1)) * kStyleChannels;
      for (int c = 0; c < kStyleChannels; ++c) {
        row_sums[c] += across.weights[j] * double(its[c]);
        lowest[c] = its[c] < lowest[c] ? its[c] : lowest[c];
        highest[c] = its[c] > highest[c] ? its[c] : highest[c];
      }
    }
    for (int c = 0; c < kStyleChannels; ++c) sums[c] += down.weights[i] * row_sums[c];
  }
  for (int c = 0; c < kStyleChannels; ++c) {
    const double mean = sums[c] / (across.total * down.total);
    colour[c] = mean < lowest[c] ? lowest[c] : mean > highest[c] ? highest[c] : mean;
  }
}

/* The pixel x, y of the picture. `found(x, y)` gives what was Found for the pixel's patch. */
template <typename FoundAt>
INBETWEEN_BOTH void paint_pixel(const inbetween_synthesis& p, int radius, int x, int y,
                                const FoundAt& found, float* picture) {
  const auto flow = [&](int at_x, int at_y) {
    return p.to_source + 2 * (std::int64_t(at_y) * p.target_width + at_x);
  };
  const Exact own = exact(x, y, found(x, y), flow(x, y));
  /* In double the sum of equal floats is exact, so that a flat style stays flat. */
  double sums[kStyleChannels] = {};
  double place_x = 0;
  double place_y = 0;
  int agreed = 0;
  int total = 0;
  for (int dy = -radius; dy <= radius; ++dy) {
    for (int dx = -radius; dx <= radius; ++dx) {
      const int nx = x + dx;
      const int ny = y + dy;
      if (nx < 0 || nx >= p.target_width || ny < 0 || ny >= p.target_height) continue;
      const int weight = picture_weight(radius, dx, dy);
      const Found from = found(nx, ny);
      const Exact its = exact(nx, ny, from, flow(nx, ny));
      const Exact vote = {its.x - float(dx), its.y - float(dy)};
      total += weight;
      if (squared_distance(vote, own) < kSamePlace) {
        place_x += weight * double(vote.x);
        place_y += weight * double(vote.y);
        agreed += weight;
        continue;
      }
      const std::int64_t row =
          std::int64_t(clamped(from.y - dy, 0, p.source_height - 1)) * p.source_width;
      const float* style =
          p.style + (row + clamped(from.x - dx, 0, p.source_width - 1)) * kStyleChannels;
      for (int c = 0; c < kStyleChannels; ++c) sums[c] += weight * double(style[c]);
    }
  }
  double colour[kStyleChannels];
  sample_style(p.style, p.source_width, p.source_height, place_x / agreed, place_y / agreed,
               colour);
  for (int c = 0; c < kStyleChannels; ++c) {
    picture[c] = static_cast<float>((sums[c] + agreed * colour[c]) / total);
  }
}

}  // namespace inbetween

#endif  // INBETWEEN_COMMON_PICTURE_H_

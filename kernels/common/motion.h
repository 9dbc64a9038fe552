#ifndef INBETWEEN_COMMON_MOTION_H_
#define INBETWEEN_COMMON_MOTION_H_

#include <cmath>
#include <cstddef>

#include "common/portable.h"
#include "inbetween/kernels.h"

/* What each pixel of a flow takes; engine/native/reference/motion.py says it in NumPy. */
namespace inbetween {

/* The header has functions of the same names. */
using Warp = struct ::inbetween_warp;
using Composition = struct ::inbetween_composition;
using Confidence = struct ::inbetween_confidence;

template <typename T>
INBETWEEN_BOTH T between(T a, T b, float share) {
  return a + share * (b - a);
}

/* Where an image is sampled: the pixel to the top left, and how far beyond it. */
struct Place {
  int left;
  int top;
  float x;
  float y;
};

/* Outside the image its border goes on. */
INBETWEEN_BOTH Place place(float x, float y, int width, int height) {
  x = clamped(x, 0.0f, float(width - 1));
  y = clamped(y, 0.0f, float(height - 1));
  const int left = int(x);
  const int top = int(y);
  return {left, top, x - float(left), y - float(top)};
}

/* The four pixels around a place. */
struct Sampler {
  const float* top_left;
  const float* top_right;
  const float* bottom_left;
  const float* bottom_right;
  float x;
  float y;

  INBETWEEN_BOTH float operator()(int channel) const {
    return between(between(top_left[channel], top_right[channel], x),
                   between(bottom_left[channel], bottom_right[channel], x), y);
  }
};

INBETWEEN_BOTH Sampler sampler(const float* image, int width, int height, int channels, Place at) {
  const std::size_t right = at.left + 1 < width ? channels : 0;
  const std::size_t below = at.top + 1 < height ? std::size_t(width) * channels : 0;
  const float* corner = image + (std::size_t(at.top) * width + at.left) * channels;
  return {corner, corner + right, corner + below, corner + below + right, at.x, at.y};
}

/* Where a pixel of the result comes from. */
INBETWEEN_BOTH Place origin(const Warp& p, int x, int y) {
  const float* moved = p.displacement + 2 * (std::size_t(y) * p.width + x);
  return place(float(x) + moved[0], float(y) + moved[1], p.image_width, p.image_height);
}

/* With `channels` known to the compiler as `Channels`, or 0. */
template <int Channels>
INBETWEEN_BOTH void warp_pixel(const Warp& p, int x, int y) {
  const int channels = Channels ? Channels : p.channels;
  const Sampler sample = sampler(p.image, p.image_width, p.image_height, channels, origin(p, x, y));
  float* warped = p.warped + (std::size_t(y) * p.width + x) * channels;
  if constexpr (Channels > 0) {
    float values[Channels]; /* all are loaded before one is stored */
    for (int c = 0; c < Channels; ++c) values[c] = sample(c);
    for (int c = 0; c < Channels; ++c) warped[c] = values[c];
  } else {
    for (int c = 0; c < channels; ++c) warped[c] = sample(c);
  }
}

INBETWEEN_BOTH void compose_pixel(const Composition& p, int x, int y) {
  const std::size_t pixel = std::size_t(y) * p.width + x;
  const float* first = p.first + 2 * pixel;
  const Place to = place(float(x) + first[0], float(y) + first[1], p.width, p.height);
  const Sampler second = sampler(p.second, p.width, p.height, 2, to);
  const Sampler trust = sampler(p.second_confidence, p.width, p.height, 1, to);
  const float x_composed = first[0] + second(0);
  const float y_composed = first[1] + second(1);
  const float confidence = p.first_confidence[pixel] * trust(0);
  p.composed[2 * pixel] = x_composed;
  p.composed[2 * pixel + 1] = y_composed;
  p.confidence[pixel] = confidence;
}

/* Whether the way there and back does not end where it began. */
INBETWEEN_BOTH bool goes_astray(const Confidence& p, int x, int y) {
  const float* there = p.forward + 2 * (std::size_t(y) * p.width + x);
  const Place to = place(float(x) + there[0], float(y) + there[1], p.width, p.height);
  const Sampler sample = sampler(p.backward, p.width, p.height, 2, to);
  const float back[] = {sample(0), sample(1)};
  const float apart[] = {there[0] + back[0], there[1] + back[1]};
  const float lengths = sqrtf(there[0] * there[0] + there[1] * there[1]) +
                        sqrtf(back[0] * back[0] + back[1] * back[1]);
  const float tolerance = p.relative_tolerance * lengths + p.absolute_tolerance;
  return !(sqrtf(apart[0] * apart[0] + apart[1] * apart[1]) <= tolerance);
}

/* Of a pixel with so many untrusted ones in the square around it. */
INBETWEEN_BOTH float confidence_of(int untrusted, int widened) {
  const int all = widened * widened;
  return float(all - untrusted) / float(all);
}

}  // namespace inbetween

#endif  // INBETWEEN_COMMON_MOTION_H_

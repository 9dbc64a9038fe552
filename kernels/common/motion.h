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

INBETWEEN_BOTH float between(float a, float b, float share) { return a + share * (b - a); }

/* The four pixels around a place, and how far it is from the top left one. */
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

/* Outside the image its border goes on. */
INBETWEEN_BOTH Sampler sampler(const float* image, int width, int height, int channels, float x,
                               float y) {
  x = clamped(x, 0.0f, float(width - 1));
  y = clamped(y, 0.0f, float(height - 1));
  const int left = int(x);
  const int top = int(y);
  const std::size_t right = left + 1 < width ? channels : 0;
  const std::size_t below = top + 1 < height ? std::size_t(width) * channels : 0;
  const float* corner = image + (std::size_t(top) * width + left) * channels;
  return {corner,          corner + right, corner + below, corner + below + right,
          x - float(left), y - float(top)};
}

/* With `channels` known to the compiler as `Channels`, or 0. */
template <int Channels>
INBETWEEN_BOTH void warp_pixel(const Warp& p, int x, int y) {
  const int channels = Channels ? Channels : p.channels;
  const std::size_t pixel = std::size_t(y) * p.width + x;
  const float* moved = p.displacement + 2 * pixel;
  const Sampler sample = sampler(p.image, p.image_width, p.image_height, channels,
                                 float(x) + moved[0], float(y) + moved[1]);
  float* warped = p.warped + pixel * channels;
  for (int c = 0; c < channels; ++c) warped[c] = sample(c);
}

INBETWEEN_BOTH void compose_pixel(const Composition& p, int x, int y) {
  const std::size_t pixel = std::size_t(y) * p.width + x;
  const float* first = p.first + 2 * pixel;
  const float to_x = float(x) + first[0];
  const float to_y = float(y) + first[1];
  const Sampler second = sampler(p.second, p.width, p.height, 2, to_x, to_y);
  const Sampler trust = sampler(p.second_confidence, p.width, p.height, 1, to_x, to_y);
  p.composed[2 * pixel] = first[0] + second(0);
  p.composed[2 * pixel + 1] = first[1] + second(1);
  p.confidence[pixel] = p.first_confidence[pixel] * trust(0);
}

/* Whether the way there and back does not end where it began. */
INBETWEEN_BOTH bool goes_astray(const Confidence& p, int x, int y) {
  const float* there = p.forward + 2 * (std::size_t(y) * p.width + x);
  const Sampler sample =
      sampler(p.backward, p.width, p.height, 2, float(x) + there[0], float(y) + there[1]);
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

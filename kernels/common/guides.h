#ifndef INBETWEEN_COMMON_GUIDES_H_
#define INBETWEEN_COMMON_GUIDES_H_

#include <cstddef>
#include <cstdint>

#include "common/portable.h"
#include "inbetween/kernels.h"

/* The planes of the guides, and the push-pull that continues a picture into what is not trusted;
 * engine/native/reference/motion.py says it in NumPy. */
namespace inbetween {

using Guides = struct ::inbetween_guides;

inline constexpr int kGuidePlanes = 9;

/* 0..1 as a byte: the next one, halves upwards. */
INBETWEEN_BOTH std::uint8_t byte_of(float value) {
  return std::uint8_t(int(clamped(value, 0.0f, 1.0f) * 255.0f + 0.5f));
}

/* The 3x3 Laplacian; 0.5 is flat. */
INBETWEEN_BOTH float edge_of(float center, float left, float right, float above, float below) {
  return 0.5f + 0.5f * (((left + right) + (above + below)) - 4.0f * center);
}

/* A colour, and how far it is trusted. */
struct alignas(16) Texel {
  float color[3];
  float weight;
};

/* One size of a picture, coarser than its own. */
struct TexelLevel {
  int width;
  int height;
  Texel* texels;

  INBETWEEN_BOTH Texel& at(int x, int y) const { return texels[std::size_t(y) * width + x]; }
};

/* The picture itself; without a confidence all of it is trusted. */
struct Finest {
  int width;
  int height;
  const float* picture;
  const float* confidence;

  INBETWEEN_BOTH Texel at(int x, int y) const {
    const std::size_t pixel = std::size_t(y) * width + x;
    const float* color = picture + 3 * pixel;
    const float weight = confidence ? clamped(confidence[pixel], 0.0f, 1.0f) : 1.0f;
    return {{color[0], color[1], color[2]}, weight};
  }
};

/* The levels of a picture, each half the size of the one before, rounded up, down to one texel. A
 * picture of one pixel has none. */
struct TexelPyramid {
  static constexpr int kMaxLevels = 15;

  int count;
  TexelLevel levels[kMaxLevels];

  /* How many texels all levels have. */
  std::size_t shape(int width, int height) {
    std::size_t texels = 0;
    for (count = 0; width > 1 || height > 1; ++count) {
      width = (width + 1) / 2;
      height = (height + 1) / 2;
      levels[count] = {width, height, nullptr};
      texels += std::size_t(width) * height;
    }
    return texels;
  }

  void place(Texel* memory) {
    for (int i = 0; i < count; ++i) {
      levels[i].texels = memory;
      memory += std::size_t(levels[i].width) * levels[i].height;
    }
  }

  /* Once pushed: where nothing is trusted there is nothing to continue. */
  INBETWEEN_BOTH bool is_trusted_somewhere() const {
    return count > 0 && levels[count - 1].texels->weight > 0.0f;
  }
};

/* The mean of the texels that one of half the size stands for, by their weights; trusted as soon as
 * they make up one together. */
template <typename Fine>
INBETWEEN_BOTH Texel halved(const Fine& fine, int x, int y) {
  const bool right = 2 * x + 1 < fine.width;
  const bool below = 2 * y + 1 < fine.height;
  const Texel none = {{0.0f, 0.0f, 0.0f}, 0.0f};
  const Texel a = fine.at(2 * x, 2 * y);
  const Texel b = right ? fine.at(2 * x + 1, 2 * y) : none;
  const Texel c = below ? fine.at(2 * x, 2 * y + 1) : none;
  const Texel d = right && below ? fine.at(2 * x + 1, 2 * y + 1) : none;
  const float weight = (a.weight + b.weight) + (c.weight + d.weight);
  Texel mean = {{0.0f, 0.0f, 0.0f}, clamped(weight, 0.0f, 1.0f)};
  if (!(weight > 0.0f)) return mean;
  for (int i = 0; i < 3; ++i) {
    mean.color[i] = ((a.weight * a.color[i] + b.weight * b.color[i]) +
                     (c.weight * c.color[i] + d.weight * d.color[i])) /
                    weight;
  }
  return mean;
}

/* A texel with what it lacks of trust made up from the filled level of half its size, bilinear. */
INBETWEEN_BOTH Texel filled(Texel texel, const TexelLevel& coarse, int x, int y) {
  const int near_x = x / 2;
  const int near_y = y / 2;
  const int far_x = clamped(near_x + (x % 2 ? 1 : -1), 0, coarse.width - 1);
  const int far_y = clamped(near_y + (y % 2 ? 1 : -1), 0, coarse.height - 1);
  const Texel& a = coarse.at(near_x, near_y);
  const Texel& b = coarse.at(far_x, near_y);
  const Texel& c = coarse.at(near_x, far_y);
  const Texel& d = coarse.at(far_x, far_y);
  for (int i = 0; i < 3; ++i) {
    const float near_row = 0.75f * a.color[i] + 0.25f * b.color[i];
    const float far_row = 0.75f * c.color[i] + 0.25f * d.color[i];
    const float around = 0.75f * near_row + 0.25f * far_row;
    texel.color[i] = texel.weight * texel.color[i] + (1.0f - texel.weight) * around;
  }
  return texel;
}

/* The picture at a pixel, continued from its surroundings where it is not trusted. */
INBETWEEN_BOTH Texel continued(const Finest& finest, const TexelPyramid& pyramid, int x, int y) {
  const Texel texel = finest.at(x, y);
  const bool lacks = texel.weight < 1.0f && pyramid.is_trusted_somewhere();
  return lacks ? filled(texel, pyramid.levels[0], x, y) : texel;
}

}  // namespace inbetween

#endif  // INBETWEEN_COMMON_GUIDES_H_

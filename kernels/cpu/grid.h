#ifndef INBETWEEN_CPU_GRID_H_
#define INBETWEEN_CPU_GRID_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/portable.h"

namespace inbetween {

/* One value per pixel. */
template <typename T>
class Grid {
 public:
  Grid(int width, int height, T value = T{})
      : width_(width), height_(height), values_(std::size_t(width) * height, value) {}

  int width() const { return width_; }
  int height() const { return height_; }
  T* row(int y) { return values_.data() + std::size_t(y) * width_; }
  const T* row(int y) const { return values_.data() + std::size_t(y) * width_; }
  T& at(int x, int y) { return row(y)[x]; }
  const T& at(int x, int y) const { return row(y)[x]; }
  T* begin() { return values_.data(); }
  T* end() { return values_.data() + values_.size(); }
  const T* begin() const { return values_.data(); }
  const T* end() const { return values_.data() + values_.size(); }

 private:
  int width_;
  int height_;
  std::vector<T> values_;
};

struct Size {
  int width;
  int height;
  std::int64_t area() const { return std::int64_t{width} * height; }
};

struct Position {
  std::int32_t x;
  std::int32_t y;
  bool operator==(const Position&) const = default;
};

inline Position clamped(Position at, Size size) {
  return {clamped(at.x, 0, size.width - 1), clamped(at.y, 0, size.height - 1)};
}

/* For each target pixel, the source pixel that its patch comes from. */
using Field = Grid<Position>;

}  // namespace inbetween

#endif  // INBETWEEN_CPU_GRID_H_

#include "mask.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

#include "errors.h"

namespace inbetween {
namespace {

// Calls `work` with a value of the C++ type of the pixels.
template <typename Work>
void with_type(v1::PixelType type, Work work) {
  switch (type) {
    case v1::PIXEL_TYPE_UINT8:
      return work(uint8_t{});
    case v1::PIXEL_TYPE_UINT16:
      return work(uint16_t{});
    default:
      return work(float{});
  }
}

// Hosts align rows as they like.
template <typename Value>
Value load(const std::byte* pixel, int channel) {
  Value value;
  std::memcpy(&value, pixel + channel * sizeof(Value), sizeof(Value));
  return value;
}

template <typename Value>
constexpr float white() {
  if constexpr (std::is_integral_v<Value>) return std::numeric_limits<Value>::max();
  return 1;
}

template <typename Value>
float value_of(const Image& mask, const std::byte* pixel) {
  if (mask.channels() == 1) return load<Value>(pixel, 0);
  if (mask.alpha() != v1::ALPHA_OPAQUE) return load<Value>(pixel, 3);
  return static_cast<float>(0.2126 * load<Value>(pixel, 0) + 0.7152 * load<Value>(pixel, 1) +
                            0.0722 * load<Value>(pixel, 2));
}

// 0..1; what is no number counts as 0.
float limited(float coverage) { return coverage > 0 ? std::min(coverage, 1.0f) : 0.0f; }

// The coverage of row `y` from `x1` on, as many as `row` holds.
void read_coverage(const Image& mask, int x1, int y, std::vector<float>& row) {
  std::fill(row.begin(), row.end(), 0.0f);
  const int x2 = x1 + static_cast<int>(row.size());
  const OfxRectI inside = intersect({x1, y, x2, y + 1}, mask.bounds());
  if (inside.y1 == inside.y2) return;
  with_type(mask.pixel_type(), [&](auto type) {
    using Value = decltype(type);
    for (int x = inside.x1; x < inside.x2; ++x) {
      row[x - x1] = limited(value_of<Value>(mask, mask.pixel(x, y)) / white<Value>());
    }
  });
}

template <typename Value>
Value mix(Value source, Value made, float coverage) {
  const float mixed = coverage * made + (1 - coverage) * source;
  if constexpr (std::is_integral_v<Value>) return static_cast<Value>(std::lround(mixed));
  return mixed;
}

// Both have the same alpha, which stays as it is.
template <typename Value>
void mix_pixel(const std::byte* source, std::byte* output, float coverage) {
  for (int channel = 0; channel < 3; ++channel) {
    const Value mixed = mix(load<Value>(source, channel), load<Value>(output, channel), coverage);
    std::memcpy(output + channel * sizeof(Value), &mixed, sizeof(Value));
  }
}

void restore_row(const std::vector<float>& coverage, const Image& source, const Image& output,
                 int x1, int y) {
  with_type(output.pixel_type(), [&](auto type) {
    using Value = decltype(type);
    for (size_t at = 0; at < coverage.size(); ++at) {
      const int x = x1 + static_cast<int>(at);
      if (coverage[at] == 0) {
        copy_run(source, output, x, y, 1);
      } else if (coverage[at] < 1) {
        mix_pixel<Value>(source.pixel(x, y), output.pixel(x, y), coverage[at]);
      }
    }
  });
}

}  // namespace

void restore_source(const std::optional<Image>& mask, const Image& source, const Image& output,
                    OfxRectI window) {
  if (!mask) return copy(source, output, window);
  if (source.pixel_type() != output.pixel_type()) {
    throw HostError(kOfxStatErrFormat, "The host mixes pixel depths, which was not declared.");
  }
  const OfxRectI inside = intersect(intersect(window, output.bounds()), source.bounds());
  std::vector<float> coverage(inside.x2 - inside.x1);
  for (int y = inside.y1; y < inside.y2; ++y) {
    read_coverage(*mask, inside.x1, y, coverage);
    restore_row(coverage, source, output, inside.x1, y);
  }
}

}  // namespace inbetween

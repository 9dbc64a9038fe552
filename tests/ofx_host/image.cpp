#include "image.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>

namespace {

constexpr std::byte kGuard{0xcd};
constexpr int kGuardBytes = 256;

std::vector<std::byte> read_frame(const Layout& layout, int frame) {
  const size_t size = static_cast<size_t>(layout.width) * layout.height * layout.pixel_bytes();
  std::vector<std::byte> pixels(size);
  std::ifstream file(layout.file, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(size) * frame);
  file.read(reinterpret_cast<char*>(pixels.data()), static_cast<std::streamsize>(size));
  return pixels;
}

}  // namespace

int Layout::channels() const {
  if (components == kOfxImageComponentAlpha) return 1;
  return components == kOfxImageComponentRGBA ? 4 : 3;
}

int Layout::channel_bytes() const {
  if (depth == kOfxBitDepthByte) return 1;
  return depth == kOfxBitDepthShort ? 2 : 4;
}

OfxRectI Layout::source_bounds() const {
  return {offset_x, offset_y, offset_x + width / reduction, offset_y + height / reduction};
}

OfxRectI Layout::output_bounds() const {
  const OfxRectI source = source_bounds();
  return {source.x1 - output_margin, source.y1 - output_margin, source.x2 + output_margin,
          source.y2 + output_margin};
}

OfxRectI Layout::window() const {
  const OfxRectI output = output_bounds();
  return {output.x1 + window_inset, output.y1 + window_inset, output.x2 - window_inset,
          output.y2 - window_inset};
}

HostImage::HostImage(const Layout& layout, const OfxRectI& bounds, bool writable)
    : OfxPropertySetStruct(writable ? "an output image" : "a source image", true),
      bounds_(bounds),
      pixel_bytes_(layout.pixel_bytes()) {
  const int rows = bounds.y2 - bounds.y1;
  const auto row_bytes = static_cast<std::ptrdiff_t>(packed_row_bytes()) + layout.row_padding;
  memory_.assign(2 * kGuardBytes + row_bytes * rows, kGuard);
  row_bytes_ = layout.negative_rows ? -row_bytes : row_bytes;
  first_row_ = memory_.data() + kGuardBytes + (layout.negative_rows ? row_bytes * (rows - 1) : 0);

  const double scale = 1.0 / layout.reduction;
  define(kOfxPropType, {std::string(kOfxTypeImage)});
  define(kOfxImagePropData, {static_cast<void*>(first_row_)});
  define(kOfxImagePropBounds, {bounds.x1, bounds.y1, bounds.x2, bounds.y2});
  define(kOfxImagePropRegionOfDefinition, {bounds.x1, bounds.y1, bounds.x2, bounds.y2});
  define(kOfxImagePropRowBytes, {static_cast<int>(row_bytes_)});
  define(kOfxImageEffectPropPixelDepth, {layout.depth});
  define(kOfxImageEffectPropComponents, {layout.components});
  define(kOfxImageEffectPropPreMultiplication, {layout.premultiplication});
  define(kOfxImageEffectPropRenderScale, {scale, scale});
  define(kOfxImagePropPixelAspectRatio, {layout.pixel_aspect});
  define(kOfxImagePropField, {std::string(kOfxImageFieldNone)});
  define(kOfxImagePropUniqueIdentifier, {std::to_string(reinterpret_cast<uintptr_t>(this))});
}

void HostImage::load(const Layout& layout, int frame) {
  const std::vector<std::byte> pixels = read_frame(layout, frame);
  const int columns = bounds_.x2 - bounds_.x1;
  for (int y = bounds_.y1; y < bounds_.y2; ++y) {
    const int from_row = (bounds_.y2 - 1 - y) * layout.reduction;
    for (int x = 0; x < columns; ++x) {
      const size_t from = static_cast<size_t>(from_row) * layout.width + x * layout.reduction;
      std::memcpy(row(y) + x * pixel_bytes_, pixels.data() + from * pixel_bytes_, pixel_bytes_);
    }
  }
}

bool HostImage::guards_hold(const OfxRectI& window) const {
  std::vector<std::byte> outside = memory_;
  for (int y = window.y1; y < window.y2; ++y) {
    std::byte* inside = outside.data() + (row(y) - memory_.data()) +
                        static_cast<std::ptrdiff_t>(window.x1 - bounds_.x1) * pixel_bytes_;
    std::fill_n(inside, static_cast<size_t>(window.x2 - window.x1) * pixel_bytes_, kGuard);
  }
  return std::all_of(outside.begin(), outside.end(), [](std::byte byte) { return byte == kGuard; });
}

std::vector<std::byte> HostImage::packed() const {
  std::vector<std::byte> pixels;
  for (int y = bounds_.y2 - 1; y >= bounds_.y1; --y) {
    pixels.insert(pixels.end(), row(y), row(y) + packed_row_bytes());
  }
  return pixels;
}

std::byte* HostImage::row(int y) { return first_row_ + (y - bounds_.y1) * row_bytes_; }

const std::byte* HostImage::row(int y) const { return first_row_ + (y - bounds_.y1) * row_bytes_; }

size_t HostImage::packed_row_bytes() const {
  return static_cast<size_t>(bounds_.x2 - bounds_.x1) * pixel_bytes_;
}

// Pictures of the host and pictures on the wire.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "host.h"
#include "inbetween/v1/frame.pb.h"

namespace inbetween {

// RGBA, interleaved, rows from the top down without padding: what FrameHeader describes.
struct WireFrame {
  v1::FrameHeader header;
  std::unique_ptr<std::byte[]> pixels;

  size_t row_bytes() const;
  size_t bytes() const { return row_bytes() * static_cast<size_t>(header.size().height()); }
};

// An image of the host, released when it leaves scope. Its rows run from the bottom up; the bytes
// from one to the next may be padded or negative, and its bounds may start anywhere.
class Image {
 public:
  // Nothing where the host has no image at that time. Throws HostError for an image of a kind that
  // the effect did not declare.
  static std::optional<Image> fetch(OfxImageClipHandle clip, OfxTime time);
  // As fetch; a mask may have one channel.
  static std::optional<Image> fetch_mask(OfxImageClipHandle clip, OfxTime time);

  Image(Image&& other) noexcept;
  Image& operator=(Image&&) = delete;
  ~Image();

  const OfxRectI& bounds() const { return bounds_; }
  int width() const { return bounds_.x2 - bounds_.x1; }
  int height() const { return bounds_.y2 - bounds_.y1; }
  v1::PixelType pixel_type() const { return pixel_type_; }
  v1::Alpha alpha() const { return alpha_; }
  // 3 or 4, or 1 of a mask.
  int channels() const { return channels_; }
  size_t channel_bytes() const;
  // The pixel at `x` in row `y`, both inside the bounds.
  std::byte* pixel(int x, int y) const;

 private:
  explicit Image(OfxPropertySetHandle handle);
  static std::optional<Image> lend(OfxImageClipHandle clip, OfxTime time);
  void describe();
  bool has_pixels() const { return data_ != nullptr && width() > 0 && height() > 0; }

  OfxPropertySetHandle handle_;
  std::byte* data_ = nullptr;
  OfxRectI bounds_{};
  std::ptrdiff_t row_bytes_ = 0;
  v1::PixelType pixel_type_ = v1::PIXEL_TYPE_UNSPECIFIED;
  v1::Alpha alpha_ = v1::ALPHA_UNSPECIFIED;
  int channels_ = 0;
};

size_t channel_bytes(v1::PixelType type);

// The image as a frame, with its digest.
WireFrame pack(const Image& image, int index);

// Writes the frame where `place` lies, and nothing around it; inside `window` only. The frame has
// the size of `place` and the pixel type of the output.
void put(const WireFrame& frame, const OfxRectI& place, const Image& output, OfxRectI window);

// What both cover; empty where they do not meet.
OfxRectI intersect(const OfxRectI& a, const OfxRectI& b);

// Copies `count` pixels from `x` on in row `y` bit by bit; both hold them, in one pixel type.
void copy_run(const Image& source, const Image& output, int x, int y, int count);

// Copies the source bit by bit, with nothing around it; inside `window` only.
void copy(const Image& source, const Image& output, OfxRectI window);

// Makes the window transparent black.
void clear(const Image& output, OfxRectI window);

}  // namespace inbetween

#include "image.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "errors.h"

namespace inbetween {
namespace {

v1::PixelType pixel_type_of(const std::string& depth) {
  if (depth == kOfxBitDepthByte) return v1::PIXEL_TYPE_UINT8;
  if (depth == kOfxBitDepthShort) return v1::PIXEL_TYPE_UINT16;
  if (depth == kOfxBitDepthFloat) return v1::PIXEL_TYPE_FLOAT32;
  throw HostError(kOfxStatErrUnsupported, "The pixel depth " + depth + " was not declared.");
}

int channels_of(const std::string& components) {
  if (components == kOfxImageComponentRGBA) return 4;
  if (components == kOfxImageComponentRGB) return 3;
  if (components == kOfxImageComponentAlpha) return 1;
  throw HostError(kOfxStatErrUnsupported, "The components " + components + " were not declared.");
}

v1::Alpha alpha_of(const std::string& premultiplication, int channels) {
  if (channels == 3 || premultiplication == kOfxImageOpaque) return v1::ALPHA_OPAQUE;
  if (premultiplication == kOfxImageUnPreMultiplied) return v1::ALPHA_STRAIGHT;
  return v1::ALPHA_PREMULTIPLIED;
}

// An opaque alpha in the bytes of the type.
std::byte* write_opaque(std::byte* at, v1::PixelType type) {
  const size_t size = channel_bytes(type);
  const float one = 1.0f;
  if (type == v1::PIXEL_TYPE_FLOAT32) {
    std::memcpy(at, &one, size);
  } else {
    std::memset(at, 0xff, size);
  }
  return at + size;
}

// Copies pixels between 3 and 4 channels; an alpha that is not there is opaque.
void copy_pixels(const std::byte* from, int from_channels, std::byte* to, int to_channels,
                 int count, v1::PixelType type) {
  const size_t size = channel_bytes(type);
  if (from_channels == to_channels) {
    std::memcpy(to, from, size * from_channels * count);
    return;
  }
  for (int pixel = 0; pixel < count; ++pixel) {
    std::memcpy(to, from, size * 3);
    from += size * from_channels;
    to += size * 3;
    if (to_channels == 4) to = write_opaque(to, type);
  }
}

void clear_row(const Image& output, int y, int x1, int x2) {
  if (x1 >= x2) return;
  std::memset(output.pixel(x1, y), 0, output.channel_bytes() * output.channels() * (x2 - x1));
}

// Fills the window: rows of `inside` by `write_row(y)`, everything around with transparent black.
template <typename WriteRow>
void fill(const Image& output, const OfxRectI& window, const OfxRectI& inside, WriteRow write_row) {
  for (int y = window.y1; y < window.y2; ++y) {
    if (y < inside.y1 || y >= inside.y2 || inside.x1 >= inside.x2) {
      clear_row(output, y, window.x1, window.x2);
      continue;
    }
    clear_row(output, y, window.x1, inside.x1);
    clear_row(output, y, inside.x2, window.x2);
    write_row(y);
  }
}

// A fast hash of bytes: four independent lanes of multiply and rotate, eight bytes at a time.
uint64_t hash(const std::byte* bytes, size_t size) {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15;
  constexpr size_t kLanes = 4;
  uint64_t lanes[kLanes] = {size, 1, 2, 3};
  const auto mix = [](uint64_t lane, uint64_t word) { return std::rotl((lane ^ word) * kOdd, 29); };
  size_t at = 0;
  for (; at + sizeof(lanes) <= size; at += sizeof(lanes)) {
    uint64_t words[kLanes];
    std::memcpy(words, bytes + at, sizeof(words));
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] = mix(lanes[lane], words[lane]);
  }
  uint64_t last[kLanes] = {};
  std::memcpy(last, bytes + at, size - at);
  uint64_t all = 0;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    all = mix(all, mix(lanes[lane], last[lane]));
    all ^= all >> 32;
  }
  return all;
}

std::string hexadecimal(uint64_t number) {
  std::string digits(16, '0');
  for (auto digit = digits.rbegin(); digit != digits.rend(); ++digit, number >>= 4) {
    *digit = "0123456789abcdef"[number & 15];
  }
  return digits;
}

}  // namespace

size_t channel_bytes(v1::PixelType type) {
  switch (type) {
    case v1::PIXEL_TYPE_UINT8:
      return 1;
    case v1::PIXEL_TYPE_UINT16:
      return 2;
    default:
      return 4;
  }
}

size_t WireFrame::row_bytes() const {
  return static_cast<size_t>(header.size().width()) * 4 * channel_bytes(header.pixel_type());
}

std::optional<Image> Image::fetch(OfxImageClipHandle clip, OfxTime time) {
  std::optional<Image> image = lend(clip, time);
  if (image && !image->has_pixels()) {
    throw HostError(kOfxStatFailed, "The host gave an image without pixels.");
  }
  if (image && image->channels_ == 1) {
    throw HostError(kOfxStatErrUnsupported, "A picture of one channel was not declared.");
  }
  return image;
}

std::optional<Image> Image::fetch_mask(OfxImageClipHandle clip, OfxTime time) {
  std::optional<Image> image = lend(clip, time);
  return image && image->has_pixels() ? std::move(image) : std::nullopt;
}

std::optional<Image> Image::lend(OfxImageClipHandle clip, OfxTime time) {
  OfxPropertySetHandle handle = nullptr;
  const OfxStatus status = host().effects->clipGetImage(clip, time, nullptr, &handle);
  if (status != kOfxStatOK || handle == nullptr) return std::nullopt;
  Image image(handle);
  image.describe();
  return image;
}

Image::Image(OfxPropertySetHandle handle) : handle_(handle) {}

void Image::describe() {
  const Properties properties(handle_);
  data_ = static_cast<std::byte*>(properties.find_pointer(kOfxImagePropData));
  bounds_ = {properties.get_int(kOfxImagePropBounds, 0), properties.get_int(kOfxImagePropBounds, 1),
             properties.get_int(kOfxImagePropBounds, 2),
             properties.get_int(kOfxImagePropBounds, 3)};
  row_bytes_ = properties.get_int(kOfxImagePropRowBytes);
  pixel_type_ = pixel_type_of(properties.get_string(kOfxImageEffectPropPixelDepth));
  channels_ = channels_of(properties.get_string(kOfxImageEffectPropComponents));
  alpha_ = alpha_of(
      properties.find_string(kOfxImageEffectPropPreMultiplication).value_or(kOfxImagePreMultiplied),
      channels_);
}

Image::Image(Image&& other) noexcept
    : handle_(other.handle_),
      data_(other.data_),
      bounds_(other.bounds_),
      row_bytes_(other.row_bytes_),
      pixel_type_(other.pixel_type_),
      alpha_(other.alpha_),
      channels_(other.channels_) {
  other.handle_ = nullptr;
}

Image::~Image() {
  if (handle_ != nullptr) host().effects->clipReleaseImage(handle_);
}

size_t Image::channel_bytes() const { return inbetween::channel_bytes(pixel_type_); }

std::byte* Image::pixel(int x, int y) const {
  return data_ + (y - bounds_.y1) * row_bytes_ +
         static_cast<std::ptrdiff_t>(x - bounds_.x1) * channels_ *
             static_cast<std::ptrdiff_t>(channel_bytes());
}

WireFrame pack(const Image& image, int index) {
  WireFrame frame;
  frame.header.set_index(index);
  frame.header.mutable_size()->set_width(image.width());
  frame.header.mutable_size()->set_height(image.height());
  frame.header.set_pixel_type(image.pixel_type());
  frame.header.set_alpha(image.alpha());
  frame.pixels = std::make_unique_for_overwrite<std::byte[]>(frame.bytes());
  for (int row = 0; row < image.height(); ++row) {
    copy_pixels(image.pixel(image.bounds().x1, image.bounds().y2 - 1 - row), image.channels(),
                frame.pixels.get() + row * frame.row_bytes(), 4, image.width(), image.pixel_type());
  }
  frame.header.set_digest(hexadecimal(hash(frame.pixels.get(), frame.bytes())));
  return frame;
}

void put(const WireFrame& frame, const OfxRectI& place, const Image& output, OfxRectI window) {
  window = intersect(window, output.bounds());
  const OfxRectI inside = intersect(window, place);
  const size_t pixel_bytes = 4 * output.channel_bytes();
  fill(output, window, inside, [&](int y) {
    const std::byte* row = frame.pixels.get() + (place.y2 - 1 - y) * frame.row_bytes();
    copy_pixels(row + (inside.x1 - place.x1) * pixel_bytes, 4, output.pixel(inside.x1, y),
                output.channels(), inside.x2 - inside.x1, output.pixel_type());
  });
}

OfxRectI intersect(const OfxRectI& a, const OfxRectI& b) {
  OfxRectI both{std::max(a.x1, b.x1), std::max(a.y1, b.y1), std::min(a.x2, b.x2),
                std::min(a.y2, b.y2)};
  both.x2 = std::max(both.x1, both.x2);
  both.y2 = std::max(both.y1, both.y2);
  return both;
}

void copy_run(const Image& source, const Image& output, int x, int y, int count) {
  copy_pixels(source.pixel(x, y), source.channels(), output.pixel(x, y), output.channels(), count,
              output.pixel_type());
}

void copy(const Image& source, const Image& output, OfxRectI window) {
  window = intersect(window, output.bounds());
  if (source.pixel_type() != output.pixel_type()) {
    clear(output, window);
    throw HostError(kOfxStatErrFormat, "The host mixes pixel depths, which was not declared.");
  }
  const OfxRectI inside = intersect(window, source.bounds());
  fill(output, window, inside,
       [&](int y) { copy_run(source, output, inside.x1, y, inside.x2 - inside.x1); });
}

void clear(const Image& output, OfxRectI window) {
  window = intersect(window, output.bounds());
  fill(output, window, OfxRectI{}, [](int) {});
}

}  // namespace inbetween

#include "instance.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <numeric>

#include "errors.h"
#include "messages.h"

namespace inbetween {
namespace {

// Resolve's own: the media file on the instance, the source frame in the arguments of Render, and
// (with the k in its name) whether a clip is fetched for a thumbnail.
constexpr char kSourceFilePath[] = "OfxImageEffectPropSrcFilePath";
constexpr char kSourceFrame[] = "OfxImageEffectPropSrcFrame";
constexpr char kThumbnail[] = "kOfxImageClipPropThumbnail";

// In the answer of GetClipPreferences the name of a property ends in the name of its clip.
constexpr char kOutputComponents[] = "OfxImageClipPropComponents_Output";

Properties properties_of(OfxImageEffectHandle effect) {
  OfxPropertySetHandle handle = nullptr;
  check(host().effects->getPropertySet(effect, &handle), "getPropertySet");
  return Properties(handle);
}

OfxImageClipHandle clip_of(OfxImageEffectHandle effect, const char* name) {
  OfxImageClipHandle clip = nullptr;
  check(host().effects->clipGetHandle(effect, name, &clip, nullptr), name);
  return clip;
}

Properties properties_of(OfxImageClipHandle clip) {
  OfxPropertySetHandle handle = nullptr;
  check(host().effects->clipGetPropertySet(clip, &handle), "clipGetPropertySet");
  return Properties(handle);
}

InstanceMemory* memory_of(const Properties& instance) {
  return static_cast<InstanceMemory*>(instance.find_pointer(kOfxPropInstanceData));
}

// Rates such as 30000/1001 come as rounded doubles.
v1::Rational rational(double value) {
  v1::Rational exact;
  for (const int64_t denominator : {1, 1001, 1000}) {
    const double scale = denominator == 1001 ? 1001.0 / 1000.0 : static_cast<double>(denominator);
    const auto whole = std::llround(value * scale);
    const int64_t numerator = denominator == 1001 ? whole * 1000 : whole;
    exact.set_numerator(numerator);
    exact.set_denominator(denominator);
    if (std::abs(static_cast<double>(numerator) / static_cast<double>(denominator) - value) <
        5e-4) {
      break;
    }
  }
  const int64_t common = std::gcd(exact.numerator(), exact.denominator());
  exact.set_numerator(exact.numerator() / common);
  exact.set_denominator(exact.denominator() / common);
  return exact;
}

int to_frame(double time) {
  constexpr double kFarthest = 1e9;
  return static_cast<int>(std::lround(std::clamp(time, -kFarthest, kFarthest)));
}

// The size at full scale from the region in canonical coordinates.
v1::FrameSize full_size(OfxImageClipHandle clip, OfxTime time, double pixel_aspect) {
  OfxRectD region{};
  v1::FrameSize size;
  if (host().effects->clipGetRegionOfDefinition(clip, time, &region) != kOfxStatOK) return size;
  size.set_width(to_frame((region.x2 - region.x1) / pixel_aspect));
  size.set_height(to_frame(region.y2 - region.y1));
  return size;
}

// 64 bit FNV-1a in hexadecimal digits: Nuke evaluates strings as TCL, so they hold nothing else.
std::string digest(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const unsigned char byte : text) hash = (hash ^ byte) * 0x100000001b3;
  char digits[17];
  std::snprintf(digits, sizeof(digits), "%016llx", static_cast<unsigned long long>(hash));
  return digits;
}

}  // namespace

Instance::Instance(OfxImageEffectHandle effect)
    : effect_(effect),
      properties_(properties_of(effect)),
      parameters_(effect),
      source_(clip_of(effect, kOfxImageEffectSimpleSourceClipName)),
      output_(clip_of(effect, kOfxImageEffectOutputClipName)),
      source_properties_(properties_of(source_)) {}

int Instance::frame_offset(const Properties& arguments, OfxTime time) const {
  InstanceMemory* memory = memory_of(properties_);
  const int own = parameters_.integer(kFrameOffset, time);
  const auto told = arguments.find_int(kSourceFrame);
  if (told && memory != nullptr) memory->source_frame_offset = *told - to_frame(time);
  if (told) return *told - to_frame(time) + own;
  return (memory == nullptr ? 0 : memory->source_frame_offset.load()) + own;
}

v1::Clip Instance::describe_clip(int frame_offset, OfxTime time,
                                 const std::optional<v1::FrameSize>& size) const {
  v1::Clip clip;
  const double aspect =
      std::max(1e-3, source_properties_.find_double(kOfxImagePropPixelAspectRatio).value_or(1.0));
  clip.mutable_host()->set_application(application_name());
  clip.mutable_host()->set_identity(media_path());
  *clip.mutable_size() = size ? *size : full_size(source_, time, aspect);
  const double now = static_cast<double>(to_frame(time));
  const auto first = source_properties_.find_double(kOfxImageEffectPropFrameRange, 0);
  const auto last = source_properties_.find_double(kOfxImageEffectPropFrameRange, 1);
  clip.mutable_range()->set_first(to_frame(std::ceil(first.value_or(now))) + frame_offset);
  clip.mutable_range()->set_last(to_frame(std::floor(last.value_or(now))) + frame_offset);
  const auto rate = source_properties_.find_double(kOfxImageEffectPropFrameRate);
  *clip.mutable_frame_rate() = rational(rate.value_or(0) > 0 ? *rate : 25.0);
  *clip.mutable_pixel_aspect() = rational(aspect);
  return clip;
}

std::string Instance::session_id(OfxTime time) const {
  const std::string media = media_digest();
  if (InstanceMemory* memory = memory_of(properties_)) {
    const std::lock_guard lock(memory->mutex);
    if (!memory->session_id.empty() && memory->session_media == media) return memory->session_id;
  }
  if (parameters_.text(kSessionMedia, time) != media) return "";
  return parameters_.text(kSessionId, time);
}

void Instance::remember_session(const std::string& id) const {
  InstanceMemory* memory = memory_of(properties_);
  if (memory == nullptr || id.empty()) return;
  const std::string media = media_digest();
  const std::lock_guard lock(memory->mutex);
  memory->session_id = id;
  memory->session_media = media;
}

void Instance::store_session(OfxTime time) const {
  const std::string id = session_id(time);
  if (id.empty() || id == parameters_.text(kSessionId, time)) return;
  parameters_.set(kSessionMedia, media_digest());
  parameters_.set(kSessionId, id);
}

bool Instance::takes_mask() const {
  return properties_.find_string(kOfxImageEffectPropContext) == kOfxImageEffectContextGeneral;
}

OfxImageClipHandle Instance::mask() const {
  // A host may leave out what is optional.
  OfxImageClipHandle mask = nullptr;
  if (!takes_mask() ||
      host().effects->clipGetHandle(effect_, kMaskClipName, &mask, nullptr) != kOfxStatOK) {
    return nullptr;
  }
  return properties_of(mask).find_int(kOfxImageClipPropConnected) == 1 ? mask : nullptr;
}

bool Instance::describe_output(const Properties& answer) const {
  if (!takes_mask()) return false;
  const auto components = source_properties_.find_string(kOfxImageEffectPropComponents);
  const auto alpha = source_properties_.find_string(kOfxImageEffectPropPreMultiplication);
  if (components) answer.set(kOutputComponents, *components);
  if (alpha == kOfxImagePreMultiplied || alpha == kOfxImageUnPreMultiplied) {
    answer.set(kOfxImageEffectPropPreMultiplication, *alpha);
  }
  return true;
}

bool Instance::is_thumbnail() const { return source_properties_.find_int(kThumbnail) == 1; }

std::string Instance::media_path() const {
  return properties_.find_string(kSourceFilePath).value_or("");
}

std::string Instance::media_digest() const { return digest(media_path()); }

void create_instance(OfxImageEffectHandle effect) {
  auto memory = std::make_unique<InstanceMemory>();
  const Instance instance(effect);
  instance.parameters().enable_what_is_in_use(0);
  // A host that does not keep it has an instance without memory.
  if (properties_of(effect).set_pointer(kOfxPropInstanceData, memory.get())) memory.release();
}

void destroy_instance(OfxImageEffectHandle effect) {
  const Properties properties = properties_of(effect);
  forget_messages(effect);
  const std::unique_ptr<InstanceMemory> memory(memory_of(properties));
  properties.set_pointer(kOfxPropInstanceData, nullptr);
}

int source_frame(OfxTime time, int frame_offset) { return to_frame(time) + frame_offset; }

}  // namespace inbetween

// One instance of the effect: its clips, its parameters and its place in the source.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <string>

#include "host.h"
#include "inbetween/v1/session.pb.h"
#include "parameters.h"

namespace inbetween {

// What an instance remembers between actions. Hosts make and destroy instances at every edit
// (Resolve) or frame (MLT), so nothing may depend on it but comfort.
struct InstanceMemory {
  // Source frame minus host time as the last render told it.
  std::atomic<int> source_frame_offset{0};
  // The session that the server named, and the media it was for: parameters can be written by the
  // InstanceChanged action only, and the server answers in renders.
  std::mutex mutex;
  std::string session_id;
  std::string session_media;
};

class Instance {
 public:
  explicit Instance(OfxImageEffectHandle effect);

  OfxImageEffectHandle effect() const { return effect_; }
  const Parameters& parameters() const { return parameters_; }
  OfxImageClipHandle source() const { return source_; }
  OfxImageClipHandle output() const { return output_; }
  // The clip that says what is painted; nothing where the host wired none in.
  OfxImageClipHandle mask() const;

  // Source frame minus host time: from the action's arguments where the host tells the source
  // frame, otherwise from the last render, otherwise from the parameter.
  int frame_offset(const Properties& arguments, OfxTime time) const;

  // The clip for the server; `size` where an image showed it.
  v1::Clip describe_clip(int frame_offset, OfxTime time,
                         const std::optional<v1::FrameSize>& size) const;

  // The session that the last answer or the parameters name; empty where they name none, or one of
  // other media: a razor-cut piece shares its session, a copy on another clip gets one of its own.
  std::string session_id(OfxTime time) const;
  void remember_session(const std::string& id) const;
  // Writes the session into the parameters; for the InstanceChanged action.
  void store_session(OfxTime time) const;

  // The output is as the source, whatever a mask is: for the GetClipPreferences action. False: that
  // it is already.
  bool describe_output(const Properties& answer) const;

  // Whether the host renders a thumbnail.
  bool is_thumbnail() const;

 private:
  bool takes_mask() const;
  std::string media_path() const;
  std::string media_digest() const;

  OfxImageEffectHandle effect_;
  Properties properties_;
  Parameters parameters_;
  OfxImageClipHandle source_ = nullptr;
  OfxImageClipHandle output_ = nullptr;
  Properties source_properties_;
};

// Only the general context guarantees that a host can wire in a second clip.
inline constexpr char kMaskClipName[] = "Mask";

// For the actions that begin and end an instance.
void create_instance(OfxImageEffectHandle effect);
void destroy_instance(OfxImageEffectHandle effect);

// The frame of the source at a time of the host.
int source_frame(OfxTime time, int frame_offset);

}  // namespace inbetween

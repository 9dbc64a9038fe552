// The parameters of the effect.
#pragma once

#include <string>

#include "host.h"
#include "inbetween/v1/settings.pb.h"
#include "settings.h"

namespace inbetween {

// The effect's own parameters, besides one for each setting. Names are for ever.
inline constexpr char kWhenMissing[] = "when_missing";
inline constexpr char kFrameOffset[] = "frame_offset";
inline constexpr char kAddKey[] = "add_key";
inline constexpr char kRemoveKey[] = "remove_key";
inline constexpr char kOpenPanel[] = "open_panel";
inline constexpr char kRenderClip[] = "render_clip";
inline constexpr char kUpdateFromPanel[] = "update_from_panel";
// Secret ones. The session; a digest of the media it was made for; a count that grows when a button
// changed what the effect shows, so that the host throws its cached frames away.
inline constexpr char kSessionId[] = "session_id";
inline constexpr char kSessionMedia[] = "session_media";
inline constexpr char kRefresh[] = "refresh";

// What to show of a frame that is not rendered yet; in the order of the choice.
enum class WhenMissing { kAutomatic, kWait, kShowSource };

// Defines all parameters; for the DescribeInContext action.
void define_parameters(OfxImageEffectHandle effect);

// The parameters of one instance.
class Parameters {
 public:
  explicit Parameters(OfxImageEffectHandle effect);

  v1::Settings settings(OfxTime time) const;
  WhenMissing when_missing(OfxTime time) const;
  int integer(const char* name, OfxTime time) const;
  std::string text(const char* name, OfxTime time) const;

  // The setters are for the InstanceChanged action only: hosts refuse them elsewhere (Nuke).
  void set_settings(const v1::Settings& settings) const;
  void set(const char* name, int value) const;
  void set(const char* name, const std::string& value) const;

  // Greys out the settings that do not act with the others.
  void enable_what_is_in_use(OfxTime time) const;

 private:
  OfxParamHandle handle(const char* name) const;
  SettingValue value(const Setting& setting, OfxTime time) const;
  void set_value(const Setting& setting, const SettingValue& value) const;

  OfxParamSetHandle parameters_ = nullptr;
};

}  // namespace inbetween

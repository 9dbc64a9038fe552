#include "parameters.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <set>

#include "errors.h"

namespace inbetween {
namespace {

constexpr char kAdvancedGroup[] = "advanced";

// The name of the group of a section's advanced settings: "advanced_frames_in_between".
std::string group_of(const std::string& section) {
  std::string name = std::string(kAdvancedGroup) + "_" + section;
  for (char& letter : name) {
    const auto code = static_cast<unsigned char>(letter);
    letter = std::isalnum(code) ? static_cast<char>(std::tolower(code)) : '_';
  }
  return name;
}

Properties define(OfxParamSetHandle set, const char* type, const std::string& name,
                  const std::string& label, const std::string& hint) {
  OfxPropertySetHandle handle = nullptr;
  check(host().parameters->paramDefine(set, type, name.c_str(), &handle), name.c_str());
  const Properties parameter(handle);
  parameter.set(kOfxPropLabel, label);
  parameter.set(kOfxParamPropHint, hint);
  parameter.set(kOfxParamPropScriptName, name);
  return parameter;
}

Properties define_value(OfxParamSetHandle set, const char* type, const std::string& name,
                        const std::string& label, const std::string& hint) {
  const Properties parameter = define(set, type, name, label, hint);
  parameter.set(kOfxParamPropAnimates, 0);
  return parameter;
}

template <typename Number>
void set_range(const Properties& parameter, Number minimum, Number maximum, Number slider_minimum,
               Number slider_maximum, Number initial) {
  parameter.set(kOfxParamPropMin, minimum);
  parameter.set(kOfxParamPropMax, maximum);
  parameter.set(kOfxParamPropDisplayMin, slider_minimum);
  parameter.set(kOfxParamPropDisplayMax, slider_maximum);
  parameter.set(kOfxParamPropDefault, initial);
}

template <typename Number>
void set_range(const Properties& parameter, const Setting& setting) {
  set_range(parameter, static_cast<Number>(setting.minimum), static_cast<Number>(setting.maximum),
            static_cast<Number>(setting.slider_minimum),
            static_cast<Number>(setting.slider_maximum), std::get<Number>(setting.default_value));
}

// The index of a value among the choices; the first one for a value that is not among them.
int index_of(const Setting& setting, const std::string& value) {
  const auto found = std::find_if(setting.choices.begin(), setting.choices.end(),
                                  [&](const Choice& choice) { return choice.value == value; });
  return found == setting.choices.end() ? 0 : static_cast<int>(found - setting.choices.begin());
}

const char* type_of(const Setting& setting) {
  if (!setting.choices.empty()) return kOfxParamTypeChoice;
  if (std::holds_alternative<bool>(setting.default_value)) return kOfxParamTypeBoolean;
  if (std::holds_alternative<int32_t>(setting.default_value)) return kOfxParamTypeInteger;
  if (std::holds_alternative<double>(setting.default_value)) return kOfxParamTypeDouble;
  return kOfxParamTypeString;
}

const char* string_mode(const Setting& setting) {
  if (setting.multiline) return kOfxParamStringIsMultiLine;
  switch (setting.path) {
    case PathKind::kFile:
      return kOfxParamStringIsFilePath;
    case PathKind::kFolder:
      return kOfxParamStringIsDirectoryPath;
    case PathKind::kNone:
      break;
  }
  return kOfxParamStringIsSingleLine;
}

void set_string(const Properties& parameter, const Setting& setting) {
  parameter.set(kOfxParamPropStringMode, string_mode(setting));
  // A hub name may stand in a path's place.
  if (setting.path != PathKind::kNone) parameter.set(kOfxParamPropStringFilePathExists, 0);
  parameter.set(kOfxParamPropDefault, std::get<std::string>(setting.default_value));
}

void set_choices(const Properties& parameter, const Setting& setting) {
  for (size_t index = 0; index < setting.choices.size(); ++index) {
    parameter.set(kOfxParamPropChoiceOption, setting.choices[index].label, static_cast<int>(index));
  }
  parameter.set(kOfxParamPropDefault,
                index_of(setting, std::get<std::string>(setting.default_value)));
}

void define_setting(OfxParamSetHandle set, const Setting& setting) {
  const std::string unit = setting.unit;
  const std::string label =
      unit.empty() ? setting.label : std::string(setting.label) + " (" + unit + ")";
  const std::string type = type_of(setting);
  const Properties parameter = define_value(set, type.c_str(), setting.name, label, setting.hint);
  if (type == kOfxParamTypeChoice) set_choices(parameter, setting);
  if (type == kOfxParamTypeBoolean) {
    parameter.set(kOfxParamPropDefault, std::get<bool>(setting.default_value) ? 1 : 0);
  }
  if (type == kOfxParamTypeInteger) set_range<int32_t>(parameter, setting);
  if (type == kOfxParamTypeDouble) set_range<double>(parameter, setting);
  if (type == kOfxParamTypeString) set_string(parameter, setting);
  if (setting.advanced) parameter.set(kOfxParamPropParent, group_of(setting.section));
}

Properties define_group(OfxParamSetHandle set, const std::string& name, const std::string& label) {
  const Properties group = define(set, kOfxParamTypeGroup, name, label, "");
  group.set(kOfxParamPropGroupOpen, 0);
  return group;
}

// The advanced settings, each in the group of its section; a group stands where its first one does.
// How hosts show groups inside a group was not tried.
void define_advanced(OfxParamSetHandle set) {
  std::set<std::string> groups;
  for (const Setting& setting : all_settings()) {
    if (!setting.advanced) continue;
    const std::string group = group_of(setting.section);
    if (groups.insert(group).second) {
      define_group(set, group, setting.section).set(kOfxParamPropParent, kAdvancedGroup);
    }
    define_setting(set, setting);
  }
}

void define_buttons(OfxParamSetHandle set) {
  const struct {
    const char* name;
    const char* label;
    const char* hint;
  } buttons[] = {
      {kAddKey, "Add key here", "Places a key frame at the current frame."},
      {kRemoveKey, "Remove key here", "Takes the key frame at the current frame away."},
      {kOpenPanel, "Open key frames", "Opens the window in which key frames are placed and seen."},
      {kRenderClip, "Render clip", "Renders the whole clip in the background."},
      {kUpdateFromPanel, "Update from panel",
       "Takes over the settings of the key-frame window and shows what is rendered by now."},
  };
  for (const auto& button : buttons) {
    define(set, kOfxParamTypePushButton, button.name, button.label, button.hint);
  }
}

void define_playback(OfxParamSetHandle set) {
  const Properties choice = define_value(
      set, kOfxParamTypeChoice, kWhenMissing, "When not rendered yet",
      "What a frame shows that is not rendered yet. Automatic: a final render waits for it, the "
      "viewer shows an older result or the source.");
  choice.set(kOfxParamPropChoiceOption, "Automatic", 0);
  choice.set(kOfxParamPropChoiceOption, "Always wait", 1);
  choice.set(kOfxParamPropChoiceOption, "Show the source", 2);
  choice.set(kOfxParamPropDefault, 0);

  const Properties offset = define_value(
      set, kOfxParamTypeInteger, kFrameOffset, "Frame offset (frames)",
      "Added to the host's time to get the source frame, where the host does not tell it: change "
      "it by as much as the clip was moved.");
  constexpr int kFarthest = 1'000'000;
  set_range(offset, -kFarthest, kFarthest, -100, 100, 0);
  offset.set(kOfxParamPropParent, kAdvancedGroup);
}

void define_secrets(OfxParamSetHandle set) {
  for (const char* name : {kSessionId, kSessionMedia}) {
    const Properties secret = define_value(set, kOfxParamTypeString, name, name, "");
    secret.set(kOfxParamPropSecret, 1);
    secret.set(kOfxParamPropEvaluateOnChange, 0);
    secret.set(kOfxParamPropStringMode, kOfxParamStringIsSingleLine);
    secret.set(kOfxParamPropDefault, "");
  }
  const Properties refresh = define_value(set, kOfxParamTypeInteger, kRefresh, kRefresh, "");
  refresh.set(kOfxParamPropSecret, 1);
  constexpr int kMost = std::numeric_limits<int>::max();
  set_range(refresh, 0, kMost, 0, kMost, 0);
}

}  // namespace

void define_parameters(OfxImageEffectHandle effect) {
  OfxParamSetHandle set = nullptr;
  check(host().effects->getParamSet(effect, &set), "getParamSet");
  for (const Setting& setting : all_settings()) {
    if (!setting.advanced) define_setting(set, setting);
  }
  define_buttons(set);
  define_group(set, kAdvancedGroup, "Advanced");
  define_playback(set);
  define_advanced(set);
  define_secrets(set);
}

Parameters::Parameters(OfxImageEffectHandle effect) {
  check(host().effects->getParamSet(effect, &parameters_), "getParamSet");
}

v1::Settings Parameters::settings(OfxTime time) const {
  v1::Settings settings;
  for (const Setting& setting : all_settings()) setting.put(value(setting, time), settings);
  return settings;
}

WhenMissing Parameters::when_missing(OfxTime time) const {
  return static_cast<WhenMissing>(std::clamp(integer(kWhenMissing, time), 0, 2));
}

int Parameters::integer(const char* name, OfxTime time) const {
  int value = 0;
  check(host().parameters->paramGetValueAtTime(handle(name), time, &value), name);
  return value;
}

std::string Parameters::text(const char* name, OfxTime time) const {
  char* value = nullptr;
  check(host().parameters->paramGetValueAtTime(handle(name), time, &value), name);
  return value == nullptr ? "" : value;
}

void Parameters::set_settings(const v1::Settings& settings) const {
  for (const Setting& setting : all_settings()) {
    set_value(setting, setting.get(settings).value_or(setting.default_value));
  }
}

void Parameters::set(const char* name, int value) const {
  check(host().parameters->paramSetValue(handle(name), value), name);
}

void Parameters::set(const char* name, const std::string& value) const {
  check(host().parameters->paramSetValue(handle(name), value.c_str()), name);
}

void Parameters::enable_what_is_in_use(OfxTime time) const {
  const v1::Settings all = settings(time);
  for (const Setting& setting : all_settings()) {
    OfxPropertySetHandle properties = nullptr;
    check(host().parameters->paramGetPropertySet(handle(setting.name), &properties), setting.name);
    Properties(properties).set(kOfxParamPropEnabled, is_in_use(setting, all) ? 1 : 0);
  }
}

OfxParamHandle Parameters::handle(const char* name) const {
  OfxParamHandle handle = nullptr;
  check(host().parameters->paramGetHandle(parameters_, name, &handle, nullptr), name);
  return handle;
}

SettingValue Parameters::value(const Setting& setting, OfxTime time) const {
  if (!setting.choices.empty()) {
    const int last = static_cast<int>(setting.choices.size()) - 1;
    return setting.choices[std::clamp(integer(setting.name, time), 0, last)].value;
  }
  if (std::holds_alternative<bool>(setting.default_value)) return integer(setting.name, time) != 0;
  if (std::holds_alternative<int32_t>(setting.default_value)) return integer(setting.name, time);
  if (std::holds_alternative<std::string>(setting.default_value)) return text(setting.name, time);
  double number = 0;
  check(host().parameters->paramGetValueAtTime(handle(setting.name), time, &number), setting.name);
  return number;
}

void Parameters::set_value(const Setting& setting, const SettingValue& value) const {
  if (!setting.choices.empty()) {
    set(setting.name, index_of(setting, std::get<std::string>(value)));
  } else if (const auto* flag = std::get_if<bool>(&value)) {
    set(setting.name, *flag ? 1 : 0);
  } else if (const auto* number = std::get_if<int32_t>(&value)) {
    set(setting.name, *number);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    set(setting.name, *text);
  } else {
    check(host().parameters->paramSetValue(handle(setting.name), std::get<double>(value)),
          setting.name);
  }
}

}  // namespace inbetween

// The settings of a session as settings.proto describes them to a person.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "inbetween/v1/settings.pb.h"

namespace inbetween {

using SettingValue = std::variant<bool, int32_t, double, std::string>;

// One value of a setting that has a fixed set of values.
struct Choice {
  std::string value;
  std::string label;
};

// What a setting may name on disk, as far as a host's file dialog can choose it.
enum class PathKind { kNone, kFile, kFolder };

struct Setting {
  // The field's name: the parameter's name in every host, for ever.
  const char* name;
  // The heading under which it stands.
  const char* section;
  const char* label;
  const char* hint;
  const char* unit;
  // What the server accepts; for numbers only.
  double minimum;
  double maximum;
  // What a slider covers.
  double slider_minimum;
  double slider_maximum;
  // In the order in which they are offered; empty: any value.
  std::vector<Choice> choices;
  // The painters that it concerns; empty: all.
  std::vector<std::string> painters;
  // The settings of which one must be in use for this one to act: on, or not empty, or one of
  // `needs_value` where there are any. Empty: it always acts.
  std::vector<std::string> needs;
  std::vector<std::string> needs_value;
  PathKind path;
  bool multiline;
  bool advanced;
  // Its alternative is the type of the setting.
  SettingValue default_value;
  void (*put)(const SettingValue& value, v1::Settings& settings);
  // Nothing where the field is absent: the default holds.
  std::optional<SettingValue> (*get)(const v1::Settings& settings);
};

// In the order of the fields of settings.proto, from which the build makes them.
const std::vector<Setting>& all_settings();

// Whether a setting acts, given all of them: the painter uses it, and what it needs is in use.
bool is_in_use(const Setting& setting, const v1::Settings& settings);

}  // namespace inbetween

#include "settings.h"

#include <algorithm>

namespace inbetween {
namespace {

// The one that decides which of the others concern the painting.
constexpr char kPainter[] = "painter";

const Setting& setting_named(const std::string& name) {
  const auto& all = all_settings();
  return *std::find_if(all.begin(), all.end(),
                       [&](const Setting& one) { return one.name == name; });
}

SettingValue value_of(const Setting& setting, const v1::Settings& settings) {
  return setting.get(settings).value_or(setting.default_value);
}

bool contains(const std::vector<std::string>& texts, const std::string& text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

// Whether a value is one of those wanted; on, or not empty, where none are.
bool is_wanted(const SettingValue& value, const std::vector<std::string>& wanted) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    return wanted.empty() ? !text->empty() : contains(wanted, *text);
  }
  return value != SettingValue(false);
}

}  // namespace

const std::vector<Setting>& all_settings() {
#include "settings_table.inc"
  return kSettings;
}

bool is_in_use(const Setting& setting, const v1::Settings& settings) {
  const auto painter = std::get<std::string>(value_of(setting_named(kPainter), settings));
  if (!setting.painters.empty() && !contains(setting.painters, painter)) return false;
  if (setting.needs.empty()) return true;
  return std::any_of(setting.needs.begin(), setting.needs.end(), [&](const std::string& name) {
    const Setting& needed = setting_named(name);
    return is_wanted(value_of(needed, settings), setting.needs_value) &&
           is_in_use(needed, settings);
  });
}

}  // namespace inbetween

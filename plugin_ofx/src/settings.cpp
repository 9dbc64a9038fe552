#include "settings.h"

namespace inbetween {

const std::vector<Setting>& all_settings() {
#include "settings_table.inc"
  return kSettings;
}

}  // namespace inbetween

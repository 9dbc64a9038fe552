// The InstanceChanged action.
#pragma once

#include "host.h"

namespace inbetween {

OfxStatus instance_changed(OfxImageEffectHandle effect, const Properties& arguments);

}  // namespace inbetween

// The Render action.
#pragma once

#include "host.h"

namespace inbetween {

OfxStatus render(OfxImageEffectHandle effect, const Properties& arguments);

}  // namespace inbetween

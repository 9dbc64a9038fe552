// Starting the render server and the panel.
#pragma once

#include <initializer_list>

namespace inbetween {

// Starts `inbetween <arguments>` in a session of its own, with an environment free of the host's
// libraries. Throws EffectError where the command is not there.
void launch(std::initializer_list<const char*> arguments);

}  // namespace inbetween

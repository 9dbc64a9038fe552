// Where the render server listens: ARCHITECTURE.md, "The rendezvous".
#pragma once

#include <string>

namespace inbetween {

std::string runtime_folder();

// How a sentence ends about a server that went wrong.
std::string see_log();

// Throws EffectError where the path is too long for a socket.
std::string socket_path();

// Whether somebody of this user listens there; answered at once, even where nobody comes to the
// door.
bool is_listening(const std::string& socket_path);

}  // namespace inbetween

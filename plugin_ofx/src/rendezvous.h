// Where the render server listens: ARCHITECTURE.md, "The rendezvous".
#pragma once

#include <string>

namespace inbetween {

std::string runtime_folder();

// Throws EffectError where the path is too long for a socket.
std::string socket_path();

// Whether anybody accepts connections there and belongs to this user; answered at once.
bool is_listening(const std::string& socket_path);

}  // namespace inbetween

#include "rendezvous.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "errors.h"

namespace inbetween {
namespace {

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string temporary_folder() {
#ifdef __APPLE__
  std::string folder = environment("TMPDIR");
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  if (!folder.empty()) return folder;
#endif
  return "/tmp";
}

// A socket in a folder of somebody else is not our server's.
bool belongs_to_us(const std::string& path) {
  struct stat status{};
  return lstat(path.c_str(), &status) == 0 && status.st_uid == getuid() && S_ISSOCK(status.st_mode);
}

}  // namespace

std::string runtime_folder() {
  if (std::string chosen = environment("INBETWEEN_RUNTIME_DIR"); !chosen.empty()) return chosen;
  if (std::string chosen = environment("XDG_RUNTIME_DIR"); !chosen.empty()) {
    return chosen + "/inbetween";
  }
  return temporary_folder() + "/inbetween-" + std::to_string(getuid());
}

std::string see_log() { return "see its log (" + runtime_folder() + "/server.log)."; }

std::string socket_path() {
  const std::string path = runtime_folder() + "/server.sock";
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    throw EffectError("The path of the render server's socket is too long (" + path +
                      "): set INBETWEEN_RUNTIME_DIR to a shorter folder.");
  }
  return path;
}

bool is_listening(const std::string& socket_path) {
  if (!belongs_to_us(socket_path)) return false;
  const int descriptor = socket(AF_UNIX, SOCK_STREAM, 0);
  if (descriptor < 0) return false;
  // One that hangs has a queue before its door, and connecting would wait there with no end.
  fcntl(descriptor, F_SETFL, O_NONBLOCK);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  const bool listens =
      connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 ||
      errno == EAGAIN || errno == EINPROGRESS;
  close(descriptor);
  return listens;
}

}  // namespace inbetween

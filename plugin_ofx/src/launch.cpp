#include "launch.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "errors.h"
#include "rendezvous.h"

extern char** environ;

namespace inbetween {
namespace {

// Contents/<platform>/Inbetween.ofx is this library; the command stands in Contents/Resources.
std::filesystem::path command_file() {
  static const char here = 0;
  Dl_info found{};
  if (dladdr(&here, &found) == 0 || found.dli_fname == nullptr) {
    throw EffectError("The effect does not find its own bundle: install Inbetween again.");
  }
  const std::filesystem::path library = std::filesystem::canonical(found.dli_fname);
  return library.parent_path().parent_path() / "Resources" / "inbetween.command";
}

std::string command() {
  const std::filesystem::path file = command_file();
  std::string line;
  std::getline(std::ifstream(file) >> std::ws, line);
  if (line.empty() || access(line.c_str(), X_OK) != 0) {
    throw EffectError("The command " + line + " that " + file.string() +
                      " names cannot be run: install Inbetween again, or start the render server "
                      "by hand: inbetween server start.");
  }
  return line;
}

// The host's own libraries and interpreters (Resolve, Fusion, Flatpak) must not shadow ours.
bool is_foreign(std::string_view variable) {
  const std::string_view name = variable.substr(0, variable.find('='));
  return name == "LD_LIBRARY_PATH" || name == "LD_PRELOAD" || name.starts_with("DYLD_") ||
         name.starts_with("PYTHON") || name.starts_with("QT_");
}

std::vector<char*> clean_environment() {
  std::vector<char*> kept;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    if (!is_foreign(*variable)) kept.push_back(*variable);
  }
  kept.push_back(nullptr);
  return kept;
}

// Files and signals of the new process: nothing of the host's.
class SpawnOptions {
 public:
  explicit SpawnOptions(const std::string& log) {
    posix_spawn_file_actions_init(&files_);
    posix_spawn_file_actions_addopen(&files_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files_, STDOUT_FILENO, log.c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&files_, STDOUT_FILENO, STDERR_FILENO);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    posix_spawn_file_actions_addclosefrom_np(&files_, STDERR_FILENO + 1);
#endif
    posix_spawnattr_init(&attributes_);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setsigdefault(&attributes_, &all);
    posix_spawnattr_setflags(&attributes_,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
  }
  ~SpawnOptions() {
    posix_spawn_file_actions_destroy(&files_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnOptions(const SpawnOptions&) = delete;
  SpawnOptions& operator=(const SpawnOptions&) = delete;

  const posix_spawn_file_actions_t* files() const { return &files_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
};

}  // namespace

void launch(std::initializer_list<const char*> arguments) {
  const std::string program = command();
  const std::string folder = runtime_folder();
  mkdir(folder.c_str(), 0700);

  std::vector<char*> words{const_cast<char*>(program.c_str())};
  for (const char* argument : arguments) words.push_back(const_cast<char*>(argument));
  words.push_back(nullptr);

  const SpawnOptions options(folder + "/server.log");
  pid_t child = 0;
  const int error = posix_spawn(&child, program.c_str(), options.files(), options.attributes(),
                                words.data(), clean_environment().data());
  if (error != 0) {
    throw EffectError("The command " + program + " could not be started: " + std::strerror(error) +
                      ".");
  }
  // Waits for the process, so that it leaves no zombie in the host.
  std::thread([child] {
    while (waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
  }).detach();
}

}  // namespace inbetween

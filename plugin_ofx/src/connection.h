// The connection to the render server, and a server at its other end.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "errors.h"
#include "polling.h"

namespace inbetween {

// The connection was found dead before anything was answered. A channel notices the end of its
// server only at the next call, which may be made again.
class Disconnected : public EffectError {
 public:
  Disconnected();
};

// Safe to use from several threads.
class Connection {
 public:
  // A channel with a server at its other end. Throws EffectError where there is none.
  std::shared_ptr<grpc::Channel> channel(const Caller& caller);

  // Why a call failed.
  EffectError failure(const grpc::Status& status, const Caller& caller);
  // That the server took too long.
  EffectError no_answer(const Caller& caller);

 private:
  std::shared_ptr<grpc::Channel> channel_to(const std::string& path);
  void start(const std::string& path, const KeepGoing& keep_going);
  void launch_server();
  // What a viewer is told, which waits for nothing. A server that this process had started, and
  // that has ended by itself since, is started again.
  EffectError absent(const std::string& path);

  // Held while this process starts a server, by the thread that launched it.
  std::mutex starting_;
  // When this process launched a server last.
  std::atomic<std::chrono::steady_clock::time_point> launched_{};
  // A server that did not answer is not asked by viewers again before this time.
  std::atomic<std::chrono::steady_clock::time_point> silent_until_{};

  // Guards what follows; never held through a wait.
  std::mutex mutex_;
  std::string path_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace inbetween

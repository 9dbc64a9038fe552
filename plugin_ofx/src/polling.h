// Waits that the host may end.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <functional>

#include "errors.h"
#include "inbetween/v1/session.pb.h"

namespace inbetween {

// Asked several times a second while a call waits for anything, with the job once there is one.
// False ends the call, which then throws Aborted.
using KeepGoing = std::function<bool(const v1::Job* job)>;

// Whose wish a call is.
enum class Urgency {
  // A viewer's: answered at once or not at all; starts nothing.
  kInteractive,
  // A person's or a final render's: starts a server where none runs.
  kPatient,
};

struct Caller {
  Urgency urgency;
  KeepGoing keep_going;

  bool is_viewer() const { return urgency == Urgency::kInteractive; }
};

// How often the host is asked.
inline constexpr std::chrono::milliseconds kPoll{50};

// One gRPC call whose operations are polled. Whoever begins an operation with queue() and tag()
// waits for it, and for the call's Finish, before this goes: gRPC still uses both.
class PolledCall {
 public:
  explicit PolledCall(const KeepGoing& keep_going) : keep_going_(keep_going) {}
  ~PolledCall();
  PolledCall(const PolledCall&) = delete;
  PolledCall& operator=(const PolledCall&) = delete;

  grpc::ClientContext* context() { return &context_; }
  grpc::CompletionQueue* queue() { return &queue_; }
  void* tag() { return this; }

  // Before the first operation: the server has so long for the whole call.
  void set_deadline(std::chrono::milliseconds time);

  // Waits for the operation under way, and ends the call where that takes longer than `limit`.
  // False: the operation found the call at its end.
  bool wait(const v1::Job* job = nullptr,
            std::chrono::milliseconds limit = std::chrono::milliseconds::max());

  // Operations under way, and those that follow, find the call at its end.
  void cancel() { context_.TryCancel(); }

  // Throws Aborted where the host ended the call.
  void check_aborted() const;

  // Whether an operation took longer than its limit.
  bool stalled() const { return stalled_; }

 private:
  bool is_unwanted(const v1::Job* job);

  const KeepGoing& keep_going_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::chrono::steady_clock::time_point next_question_ = std::chrono::steady_clock::now() + kPoll;
  bool aborted_ = false;
  bool stalled_ = false;
};

// Calls `happens(kPoll)`, which waits that long for it, until it is so. False: it is not after
// `patience`. Throws Aborted where the host ends the wait.
template <typename Happens>
bool wait_until(Happens happens, std::chrono::milliseconds patience, const KeepGoing& keep_going) {
  const auto gives_up = std::chrono::steady_clock::now() + patience;
  while (!happens(kPoll)) {
    if (!keep_going(nullptr)) throw Aborted();
    if (std::chrono::steady_clock::now() > gives_up) return false;
  }
  return true;
}

}  // namespace inbetween

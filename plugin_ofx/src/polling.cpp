#include "polling.h"

namespace inbetween {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

PolledCall::~PolledCall() {
  queue_.Shutdown();
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
  }
}

void PolledCall::set_deadline(milliseconds time) {
  context_.set_deadline(system_clock::now() + time);
}

bool PolledCall::wait(const v1::Job* job, milliseconds limit) {
  void* tag = nullptr;
  bool ok = false;
  bool is_done = false;
  const auto began = steady_clock::now();
  while (!is_done) {
    is_done =
        queue_.AsyncNext(&tag, &ok, system_clock::now() + kPoll) != grpc::CompletionQueue::TIMEOUT;
    const auto passed = std::chrono::duration_cast<milliseconds>(steady_clock::now() - began);
    aborted_ = aborted_ || is_unwanted(job);
    stalled_ = stalled_ || (!is_done && passed > limit);
    if (aborted_ || stalled_) cancel();
  }
  return ok;
}

void PolledCall::check_aborted() const {
  if (aborted_) throw Aborted();
}

// Asks the host once every kPoll, however many operations end meanwhile.
bool PolledCall::is_unwanted(const v1::Job* job) {
  const auto now = steady_clock::now();
  if (now < next_question_) return false;
  next_question_ = now + kPoll;
  return !keep_going_(job);
}

}  // namespace inbetween

#include "connection.h"

#include <thread>

#include "launch.h"
#include "rendezvous.h"

namespace inbetween {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr milliseconds kViewersConnectTime{300};
constexpr seconds kSilence{5};
// A busy machine is no failure: a server that starts in a second may take twenty there.
constexpr milliseconds kStartTime{60'000};

EffectError unanswered() { return EffectError("The render server does not answer: " + see_log()); }

// The server's own words; gRPC's code where it has none.
std::string sentence(const grpc::Status& status) {
  if (!status.error_message().empty()) return status.error_message();
  return "The render server failed (gRPC status " + std::to_string(status.error_code()) +
         "): " + see_log();
}

}  // namespace

Disconnected::Disconnected() : EffectError(unanswered()) {}

std::shared_ptr<grpc::Channel> Connection::channel(const Caller& caller) {
  const std::string path = socket_path();
  if (caller.is_viewer() && steady_clock::now() < silent_until_.load()) throw unanswered();
  if (!is_listening(path)) {
    if (caller.is_viewer()) throw absent(path);
    start(path, caller.keep_going);
  }
  auto channel = channel_to(path);
  const auto connects = [&](milliseconds time) {
    return channel->WaitForConnected(system_clock::now() + time);
  };
  const milliseconds patience = caller.is_viewer() ? kViewersConnectTime : kStartTime;
  if (!wait_until(connects, patience, caller.keep_going)) throw no_answer(caller);
  return channel;
}

EffectError Connection::failure(const grpc::Status& status, const Caller& caller) {
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) return no_answer(caller);
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) return unanswered();
  return EffectError(sentence(status));
}

EffectError Connection::no_answer(const Caller& caller) {
  if (caller.is_viewer()) silent_until_ = steady_clock::now() + kSilence;
  return unanswered();
}

std::shared_ptr<grpc::Channel> Connection::channel_to(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (channel_ == nullptr || path != path_) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
    channel_ =
        grpc::CreateCustomChannel("unix:" + path, grpc::InsecureChannelCredentials(), arguments);
    path_ = path;
  }
  return channel_;
}

void Connection::start(const std::string& path, const KeepGoing& keep_going) {
  std::unique_lock starting(starting_, std::defer_lock);
  const auto listens = [&](milliseconds time) {
    // Who waits for another thread's server takes over where that thread gives up.
    const bool takes_over = !starting.owns_lock() && starting.try_lock();
    if (is_listening(path)) return true;
    if (takes_over) launch_server();
    std::this_thread::sleep_for(time);
    return false;
  };
  if (!wait_until(listens, kStartTime, keep_going)) {
    throw EffectError("The render server did not start: " + see_log());
  }
}

void Connection::launch_server() {
  launch({"server", "start"});
  launched_ = steady_clock::now();
}

EffectError Connection::absent(const std::string& path) {
  if (launched_.load() == steady_clock::time_point{}) {
    return EffectError(
        "No render server is running: press Open key frames, or run: inbetween server start.");
  }
  const std::unique_lock starting(starting_, std::try_to_lock);
  const bool may_launch = starting && steady_clock::now() > launched_.load() + kSilence;
  if (may_launch && !is_listening(path)) launch_server();
  return EffectError("The render server is starting again: the source is shown until it answers.");
}

}  // namespace inbetween

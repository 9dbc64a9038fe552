#include "server.h"

#include <algorithm>
#include <cstring>
#include <thread>

#include "launch.h"
#include "rendezvous.h"

namespace inbetween {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;

constexpr milliseconds kConnectTime{300};
constexpr milliseconds kInteractiveTime{2000};
constexpr seconds kSilence{5};
// A busy machine is no failure: a server that starts in a second may take twenty there.
constexpr milliseconds kButtonTime{30'000};
constexpr seconds kStartTime{60};
// A server that takes no piece of a frame for so long is not there any more.
constexpr seconds kStallTime{60};
constexpr milliseconds kPoll{50};
constexpr size_t kPieceBytes = size_t{1} << 20;

// One call that is polled, so that the host's wish to end it is met within kPoll. Whoever begins an
// operation waits for it, and for the call's Finish, before this goes: gRPC still uses both.
class PolledCall {
 public:
  explicit PolledCall(const KeepGoing& keep_going) : keep_going_(keep_going) {}
  ~PolledCall() {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }
  PolledCall(const PolledCall&) = delete;
  PolledCall& operator=(const PolledCall&) = delete;

  grpc::ClientContext& context() { return context_; }
  grpc::CompletionQueue& queue() { return queue_; }
  void* tag() { return this; }

  // Waits for the operation under way, and ends the call where that takes longer than `limit`.
  // False: the operation found the call at its end.
  bool wait(const v1::Job* job = nullptr, milliseconds limit = milliseconds::max()) {
    void* tag = nullptr;
    bool ok = false;
    bool is_done = false;
    const auto began = steady_clock::now();
    while (!is_done) {
      is_done = queue_.AsyncNext(&tag, &ok, system_clock::now() + kPoll) !=
                grpc::CompletionQueue::TIMEOUT;
      const auto passed = std::chrono::duration_cast<milliseconds>(steady_clock::now() - began);
      aborted_ = aborted_ || is_unwanted(job);
      stalled_ = stalled_ || (!is_done && passed > limit);
      if (aborted_ || stalled_) context_.TryCancel();
    }
    return ok;
  }

  // Throws Aborted where the host ended the call.
  void check_aborted() const {
    if (aborted_) throw Aborted();
  }

  bool stalled() const { return stalled_; }

 private:
  // Asks the host once every kPoll, however many operations end meanwhile.
  bool is_unwanted(const v1::Job* job) {
    const auto now = steady_clock::now();
    if (now < next_question_) return false;
    next_question_ = now + kPoll;
    return !keep_going_(job);
  }

  const KeepGoing& keep_going_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  steady_clock::time_point next_question_ = steady_clock::now() + kPoll;
  bool aborted_ = false;
  bool stalled_ = false;
};

// Calls `happens(kPoll)`, which waits that long for it, until it is so. False: it is not after
// `patience`. Throws Aborted where the host ends the wait.
template <typename Happens>
bool wait_until(Happens happens, milliseconds patience, const KeepGoing& keep_going) {
  const auto gives_up = steady_clock::now() + patience;
  while (!happens(kPoll)) {
    if (!keep_going(nullptr)) throw Aborted();
    if (steady_clock::now() > gives_up) return false;
  }
  return true;
}

// Puts the pieces of one frame together, and holds them to what was asked.
class FrameReader {
 public:
  explicit FrameReader(const v1::RenderFrameRequest& request) : request_(request) {}

  void take(const v1::FramePiece& piece) {
    if (piece.has_header()) {
      begin(piece.header());
    } else {
      add(piece.pixels());
    }
  }

  // Nothing where no frame came.
  std::optional<WireFrame> finish() {
    if (frame_ && received_ != frame_->bytes()) refuse("an incomplete picture");
    return std::move(frame_);
  }

 private:
  void begin(const v1::FrameHeader& header) {
    if (frame_) refuse("two pictures for one");
    const bool as_asked = header.index() == request_.index() &&
                          header.size().width() == request_.size().width() &&
                          header.size().height() == request_.size().height() &&
                          header.pixel_type() == request_.pixel_type();
    if (!as_asked) refuse("another picture than was asked for");
    frame_.emplace();
    frame_->header = header;
    frame_->pixels = std::make_unique_for_overwrite<std::byte[]>(frame_->bytes());
  }

  void add(const std::string& pixels) {
    if (!frame_ || pixels.size() > frame_->bytes() - received_) refuse("too many pixels");
    std::memcpy(frame_->pixels.get() + received_, pixels.data(), pixels.size());
    received_ += pixels.size();
  }

  [[noreturn]] static void refuse(const std::string& what) {
    throw EffectError("The render server sent " + what +
                      ": update the effect and the server to the same version.");
  }

  const v1::RenderFrameRequest& request_;
  std::optional<WireFrame> frame_;
  size_t received_ = 0;
};

// Reads the answers of one RenderFrame call.
class ReplyReader {
 public:
  explicit ReplyReader(const v1::RenderFrameRequest& request) : frame_(request) {}

  void take(const v1::RenderFrameResponse& answer) {
    empty_ = false;
    switch (answer.answer_case()) {
      case v1::RenderFrameResponse::kSessionId:
        reply_.session_id = answer.session_id();
        break;
      case v1::RenderFrameResponse::kFrame:
        frame_.take(answer.frame());
        break;
      case v1::RenderFrameResponse::kSourceFramesNeeded:
        for (const int index : answer.source_frames_needed().indices()) {
          reply_.needed.push_back(index);
        }
        answered_ = true;
        break;
      case v1::RenderFrameResponse::kNotReady:
        job_ = answer.not_ready().job();
        reply_.not_ready = true;
        break;
      case v1::RenderFrameResponse::kSourceShown:
        reply_.source_reason = answer.source_shown().reason();
        break;
      case v1::RenderFrameResponse::ANSWER_NOT_SET:
        break;
    }
  }

  bool is_empty() const { return empty_; }

  const v1::Job* job() const { return reply_.not_ready ? &job_ : nullptr; }

  RenderReply finish(bool waits) {
    reply_.frame = frame_.finish();
    if (waits && reply_.frame) reply_.not_ready = false;
    const bool answered = answered_ || reply_.frame || reply_.not_ready || reply_.source_reason;
    if (!answered || (waits && reply_.not_ready)) {
      throw EffectError("The render server ended its answer early: see its log (" +
                        runtime_folder() + "/server.log).");
    }
    return std::move(reply_);
  }

 private:
  FrameReader frame_;
  RenderReply reply_;
  v1::Job job_;
  bool answered_ = false;
  bool empty_ = true;
};

EffectError unanswered() {
  return EffectError("The render server does not answer: see its log (" + runtime_folder() +
                     "/server.log).");
}

// The server's own words; gRPC's code where it has none.
std::string sentence(const grpc::Status& status) {
  if (!status.error_message().empty()) return status.error_message();
  return "The render server failed (gRPC status " + std::to_string(status.error_code()) +
         "): see its log (" + runtime_folder() + "/server.log).";
}

// The connection was found dead before anything was answered. A channel notices the end of its
// server only at the next call, which may be made again.
class Disconnected : public EffectError {
 public:
  Disconnected() : EffectError(unanswered()) {}
};

}  // namespace

Server& Server::shared() {
  // Never destroyed: gRPC's threads may outlive the instances and the library's last unloading.
  static auto* server = new Server;
  return *server;
}

RenderReply Server::render_frame(const v1::RenderFrameRequest& request, const Caller& caller) {
  try {
    return ask(request, caller);
  } catch (const Disconnected&) {
    std::this_thread::sleep_for(kPoll);  // One that ends by itself just now listens no more then.
    return ask(request, caller);
  }
}

RenderReply Server::ask(const v1::RenderFrameRequest& request, const Caller& caller) {
  const bool is_interactive = caller.urgency == Urgency::kInteractive;
  const auto stub = v1::RenderService::NewStub(channel(caller));
  PolledCall call(caller.keep_going);
  if (!request.wait()) {
    call.context().set_deadline(system_clock::now() +
                                (is_interactive ? kInteractiveTime : kStartTime));
  }
  const auto reader = stub->AsyncRenderFrame(&call.context(), request, &call.queue(), call.tag());
  ReplyReader reply(request);
  std::exception_ptr wrong;
  bool open = call.wait();
  while (open) {
    v1::RenderFrameResponse answer;
    reader->Read(&answer, call.tag());
    open = call.wait(reply.job());
    if (!open || wrong) continue;
    try {
      reply.take(answer);
    } catch (...) {
      wrong = std::current_exception();
      call.context().TryCancel();
    }
  }
  grpc::Status status;
  reader->Finish(&status, call.tag());
  call.wait();
  call.check_aborted();
  if (wrong) std::rethrow_exception(wrong);
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE && reply.is_empty()) {
    throw Disconnected();
  }
  if (!status.ok()) throw failure(status, caller.urgency);
  return reply.finish(request.wait());
}

void Server::send_source_frames(const std::string& session_id,
                                const std::function<std::optional<WireFrame>()>& next,
                                const Caller& caller) {
  const auto stub = v1::RenderService::NewStub(channel(caller));
  PolledCall call(caller.keep_going);
  v1::SendSourceFramesResponse response;
  const auto writer =
      stub->AsyncSendSourceFrames(&call.context(), &response, &call.queue(), call.tag());
  bool open = call.wait();
  const auto write = [&](const v1::SendSourceFramesRequest& request) {
    writer->Write(request, call.tag());
    return call.wait(nullptr, kStallTime);
  };
  const auto send_frame = [&](const WireFrame& frame) {
    v1::SendSourceFramesRequest request;
    *request.mutable_frame()->mutable_header() = frame.header;
    bool sent = write(request);
    for (size_t at = 0; sent && at < frame.bytes(); at += kPieceBytes) {
      request.mutable_frame()->set_pixels(frame.pixels.get() + at,
                                          std::min(kPieceBytes, frame.bytes() - at));
      sent = write(request);
    }
    return sent;
  };
  std::exception_ptr wrong;
  try {
    v1::SendSourceFramesRequest session;
    session.set_session_id(session_id);
    open = open && write(session);
    while (open) {
      const std::optional<WireFrame> frame = next();
      if (!frame) break;
      open = send_frame(*frame);
    }
  } catch (...) {
    wrong = std::current_exception();
    call.context().TryCancel();
  }
  if (open && !wrong) {
    writer->WritesDone(call.tag());
    call.wait(nullptr, kStallTime);
  }
  grpc::Status status;
  writer->Finish(&status, call.tag());
  call.wait(nullptr, kStallTime);
  call.check_aborted();
  if (wrong) std::rethrow_exception(wrong);
  if (call.stalled()) throw no_answer(caller.urgency);
  if (!status.ok()) throw failure(status, caller.urgency);
}

template <typename Stub, typename Request, typename Response>
Response Server::call(UnaryMethod<Stub, Request, Response> method, const Request& request,
                      const Caller& caller) {
  const bool is_interactive = caller.urgency == Urgency::kInteractive;
  for (const bool again : {false, true}) {
    Stub stub(channel(caller));
    PolledCall call(caller.keep_going);
    call.context().set_deadline(system_clock::now() +
                                (is_interactive ? kInteractiveTime : kButtonTime));
    const auto reader = (stub.*method)(&call.context(), request, &call.queue());
    Response response;
    grpc::Status status;
    reader->Finish(&response, &status, call.tag());
    call.wait();
    call.check_aborted();
    if (status.ok()) return response;
    if (again || status.error_code() != grpc::StatusCode::UNAVAILABLE) {
      throw failure(status, caller.urgency);
    }
    std::this_thread::sleep_for(kPoll);
  }
  throw unanswered();
}

std::vector<int> Server::missing_source_frames(const std::string& session_id,
                                               std::optional<int> frame, const Caller& caller) {
  v1::ListMissingSourceFramesRequest request;
  request.set_session_id(session_id);
  if (frame) {
    request.mutable_range()->set_first(*frame);
    request.mutable_range()->set_last(*frame);
  }
  const auto response =
      call(&v1::RenderService::Stub::AsyncListMissingSourceFrames, request, caller);
  return {response.indices().begin(), response.indices().end()};
}

v1::Session Server::open_session(const v1::OpenSessionRequest& request, const Caller& caller) {
  return call(&v1::SessionService::Stub::AsyncOpenSession, request, caller).session();
}

v1::Session Server::add_key_frame(const std::string& session_id, int index, const Caller& caller) {
  v1::AddKeyFrameRequest request;
  request.set_session_id(session_id);
  request.mutable_key_frame()->set_index(index);
  request.mutable_key_frame()->set_placement(v1::PLACEMENT_HAND);
  return call(&v1::SessionService::Stub::AsyncAddKeyFrame, request, caller).session();
}

v1::Session Server::delete_key_frame(const std::string& session_id, int index,
                                     const Caller& caller) {
  v1::DeleteKeyFrameRequest request;
  request.set_session_id(session_id);
  request.set_index(index);
  return call(&v1::SessionService::Stub::AsyncDeleteKeyFrame, request, caller).session();
}

v1::Job Server::start_job(const std::string& session_id, const Caller& caller) {
  v1::StartJobRequest request;
  request.set_session_id(session_id);
  return call(&v1::RenderService::Stub::AsyncStartJob, request, caller).job();
}

std::shared_ptr<grpc::Channel> Server::channel(const Caller& caller) {
  const bool is_interactive = caller.urgency == Urgency::kInteractive;
  const std::string path = socket_path();
  if (is_interactive && steady_clock::now() < silent_until_.load()) throw unanswered();
  if (!is_listening(path)) {
    if (is_interactive) throw absent(path);
    start(path, caller.keep_going);
  }
  auto channel = channel_to(path);
  const auto connects = [&](milliseconds time) {
    return channel->WaitForConnected(system_clock::now() + time);
  };
  const auto patience = is_interactive ? kConnectTime : milliseconds(kStartTime);
  if (!wait_until(connects, patience, caller.keep_going)) throw no_answer(caller.urgency);
  return channel;
}

std::shared_ptr<grpc::Channel> Server::channel_to(const std::string& path) {
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

void Server::start(const std::string& path, const KeepGoing& keep_going) {
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
    throw EffectError("The render server did not start: see its log (" + runtime_folder() +
                      "/server.log).");
  }
}

void Server::launch_server() {
  launch({"server", "start"});
  launched_ = steady_clock::now();
}

EffectError Server::absent(const std::string& path) {
  if (launched_.load() == steady_clock::time_point{}) {
    return EffectError(
        "No render server is running: press Open key frames, or run: inbetween server start.");
  }
  const std::unique_lock starting(starting_, std::try_to_lock);
  const bool may_launch = starting && steady_clock::now() > launched_.load() + kSilence;
  if (may_launch && !is_listening(path)) launch_server();
  return EffectError("The render server is starting again: the source is shown until it answers.");
}

EffectError Server::failure(const grpc::Status& status, Urgency urgency) {
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) return no_answer(urgency);
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) return unanswered();
  return EffectError(sentence(status));
}

EffectError Server::no_answer(Urgency urgency) {
  if (urgency == Urgency::kInteractive) silent_until_ = steady_clock::now() + kSilence;
  return unanswered();
}

}  // namespace inbetween

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
    const auto began = steady_clock::now();
    while (queue_.AsyncNext(&tag, &ok, system_clock::now() + kPoll) ==
           grpc::CompletionQueue::TIMEOUT) {
      aborted_ = aborted_ || !keep_going_(job);
      const auto passed = std::chrono::duration_cast<milliseconds>(steady_clock::now() - began);
      stalled_ = stalled_ || passed > limit;
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
  const KeepGoing& keep_going_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  bool aborted_ = false;
  bool stalled_ = false;
};

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

RenderReply Server::render_frame(const v1::RenderFrameRequest& request, Urgency urgency,
                                 const KeepGoing& keep_going) {
  try {
    return ask(request, urgency, keep_going);
  } catch (const Disconnected&) {
    std::this_thread::sleep_for(kPoll);  // One that ends by itself just now listens no more then.
    return ask(request, urgency, keep_going);
  }
}

RenderReply Server::ask(const v1::RenderFrameRequest& request, Urgency urgency,
                        const KeepGoing& keep_going) {
  const auto stub = v1::RenderService::NewStub(channel(urgency));
  PolledCall call(keep_going);
  if (!request.wait()) {
    call.context().set_deadline(system_clock::now() +
                                (urgency == Urgency::kInteractive ? kInteractiveTime : kStartTime));
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
  if (!status.ok()) throw failure(status, urgency);
  return reply.finish(request.wait());
}

void Server::send_source_frames(const std::string& session_id, Urgency urgency,
                                const std::function<std::optional<WireFrame>()>& next,
                                const KeepGoing& keep_going) {
  const auto stub = v1::RenderService::NewStub(channel(urgency));
  PolledCall call(keep_going);
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
  if (call.stalled()) throw no_answer(urgency);
  if (!status.ok()) throw failure(status, urgency);
}

template <typename Stub, typename Request, typename Response>
Response Server::call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                      const Request& request, Urgency urgency) {
  for (const bool again : {false, true}) {
    Stub stub(channel(urgency));
    grpc::ClientContext context;
    context.set_deadline(system_clock::now() +
                         (urgency == Urgency::kInteractive ? kInteractiveTime : kButtonTime));
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (status.ok()) return response;
    if (again || status.error_code() != grpc::StatusCode::UNAVAILABLE) {
      throw failure(status, urgency);
    }
    std::this_thread::sleep_for(kPoll);
  }
  throw unanswered();
}

std::vector<int> Server::missing_source_frames(const std::string& session_id,
                                               std::optional<int> frame, Urgency urgency) {
  v1::ListMissingSourceFramesRequest request;
  request.set_session_id(session_id);
  if (frame) {
    request.mutable_range()->set_first(*frame);
    request.mutable_range()->set_last(*frame);
  }
  const auto response = call(&v1::RenderService::Stub::ListMissingSourceFrames, request, urgency);
  return {response.indices().begin(), response.indices().end()};
}

v1::Session Server::open_session(const v1::OpenSessionRequest& request) {
  return call(&v1::SessionService::Stub::OpenSession, request).session();
}

v1::Session Server::add_key_frame(const std::string& session_id, int index) {
  v1::AddKeyFrameRequest request;
  request.set_session_id(session_id);
  request.mutable_key_frame()->set_index(index);
  request.mutable_key_frame()->set_placement(v1::PLACEMENT_HAND);
  return call(&v1::SessionService::Stub::AddKeyFrame, request).session();
}

v1::Session Server::delete_key_frame(const std::string& session_id, int index) {
  v1::DeleteKeyFrameRequest request;
  request.set_session_id(session_id);
  request.set_index(index);
  return call(&v1::SessionService::Stub::DeleteKeyFrame, request).session();
}

v1::Job Server::start_job(const std::string& session_id) {
  v1::StartJobRequest request;
  request.set_session_id(session_id);
  return call(&v1::RenderService::Stub::StartJob, request).job();
}

std::shared_ptr<grpc::Channel> Server::channel(Urgency urgency) {
  const std::string path = socket_path();
  if (urgency == Urgency::kInteractive && steady_clock::now() < silent_until_.load()) {
    throw unanswered();
  }
  if (!is_listening(path)) {
    if (urgency == Urgency::kInteractive) throw absent(path);
    start(path);
  }
  auto channel = channel_to(path);
  const auto patience = urgency == Urgency::kInteractive ? kConnectTime : milliseconds(kStartTime);
  if (!channel->WaitForConnected(system_clock::now() + patience)) throw no_answer(urgency);
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

void Server::start(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto patience_ends = steady_clock::now() + kStartTime;
  if (!is_listening(path)) launch_server();
  while (!is_listening(path)) {
    if (steady_clock::now() > patience_ends) {
      throw EffectError("The render server did not start: see its log (" + runtime_folder() +
                        "/server.log).");
    }
    std::this_thread::sleep_for(kPoll);
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
  // Another thread that holds the lock is starting it.
  const std::unique_lock lock(mutex_, std::try_to_lock);
  const bool may_launch = lock && steady_clock::now() > launched_.load() + kSilence;
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

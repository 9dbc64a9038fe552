// Calls of the render server. Every call has a deadline or somebody who may end it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "errors.h"
#include "image.h"
#include "inbetween/v1/render.grpc.pb.h"
#include "inbetween/v1/session.grpc.pb.h"

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
};

struct RenderReply {
  std::string session_id;
  // The picture: the result, or with `not_ready` an older one.
  std::optional<WireFrame> frame;
  bool not_ready = false;
  // Source frames to be sent before it can be told.
  std::vector<int> needed;
  // Why the source is to be shown.
  std::optional<std::string> source_reason;
};

// The one server that all instances of this process talk to. Safe to use from several threads.
// Throws EffectError where the server is absent, slow, wrong or refuses.
class Server {
 public:
  static Server& shared();

  RenderReply render_frame(const v1::RenderFrameRequest& request, const Caller& caller);
  // Sends frames of one session; `next` gives them one by one, then nothing.
  void send_source_frames(const std::string& session_id,
                          const std::function<std::optional<WireFrame>()>& next,
                          const Caller& caller);

  // The source frames that the host still has to send before `frame`, or with none the whole clip,
  // can be rendered.
  std::vector<int> missing_source_frames(const std::string& session_id, std::optional<int> frame,
                                         const Caller& caller);

  v1::Session open_session(const v1::OpenSessionRequest& request, const Caller& caller);
  v1::Session add_key_frame(const std::string& session_id, int index, const Caller& caller);
  v1::Session delete_key_frame(const std::string& session_id, int index, const Caller& caller);
  v1::Job start_job(const std::string& session_id, const Caller& caller);

 private:
  template <typename Stub, typename Request, typename Response>
  using UnaryMethod = std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> (Stub::*)(
      grpc::ClientContext*, const Request&, grpc::CompletionQueue*);

  RenderReply ask(const v1::RenderFrameRequest& request, const Caller& caller);
  template <typename Stub, typename Request, typename Response>
  Response call(UnaryMethod<Stub, Request, Response> method, const Request& request,
                const Caller& caller);
  std::shared_ptr<grpc::Channel> channel(const Caller& caller);
  std::shared_ptr<grpc::Channel> channel_to(const std::string& path);
  void start(const std::string& path, const KeepGoing& keep_going);
  void launch_server();
  // What a viewer is told, which waits for nothing. A server that this process had started, and
  // that has ended by itself since, is started again.
  EffectError absent(const std::string& path);
  EffectError failure(const grpc::Status& status, Urgency urgency);
  EffectError no_answer(Urgency urgency);

  // Held while this process starts a server, by the thread that launched it.
  std::mutex starting_;
  // Guards path_ and channel_; never held through a wait.
  std::mutex mutex_;
  std::string path_;
  std::shared_ptr<grpc::Channel> channel_;
  // When this process launched a server last.
  std::atomic<std::chrono::steady_clock::time_point> launched_{};
  // A server that did not answer is not asked by viewers again before this time.
  std::atomic<std::chrono::steady_clock::time_point> silent_until_{};
};

}  // namespace inbetween

// Calls of the render server.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connection.h"
#include "image.h"
#include "inbetween/v1/render.grpc.pb.h"
#include "inbetween/v1/session.grpc.pb.h"
#include "polling.h"
#include "replies.h"

namespace inbetween {

// The one server that all instances of this process talk to. Safe to use from several threads.
// Every call has a deadline or somebody who may end it, mostly both. Throws EffectError where the
// server is absent, slow, wrong or refuses, Aborted where the caller ended the call.
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
  template <typename Stub, typename Request, typename Response>
  Response call_once(UnaryMethod<Stub, Request, Response> method, const Request& request,
                     const Caller& caller);

  Connection connection_;
};

}  // namespace inbetween

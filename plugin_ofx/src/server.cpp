#include "server.h"

#include <chrono>
#include <exception>
#include <thread>

#include "uploads.h"

namespace inbetween {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kViewersTime{2000};
// A busy machine is no failure.
constexpr milliseconds kPatientTime{30'000};

// Makes a call, and once more where the connection was found dead.
template <typename Call>
auto with_a_second_try(Call call) {
  try {
    return call();
  } catch (const Disconnected&) {
    std::this_thread::sleep_for(kPoll);  // One that ends by itself just now listens no more then.
    return call();
  }
}

// Hands the answers of a call to the reader until it ends. What the reader finds wrong ends the
// call, and is handed back: the call must come to its end first.
std::exception_ptr read_answers(grpc::ClientAsyncReader<v1::RenderFrameResponse>& answers,
                                PolledCall& call, ReplyReader& reply) {
  std::exception_ptr wrong;
  bool open = call.wait();
  while (open) {
    v1::RenderFrameResponse answer;
    answers.Read(&answer, call.tag());
    open = call.wait(reply.job());
    if (!open || wrong) continue;
    try {
      reply.take(answer);
    } catch (...) {
      wrong = std::current_exception();
      call.cancel();
    }
  }
  return wrong;
}

// As read_answers, for what is sent.
std::exception_ptr send_frames(Upload& upload, PolledCall& call, const std::string& session_id,
                               const std::function<std::optional<WireFrame>()>& next) {
  try {
    bool open = upload.begin(session_id);
    while (open) {
      const std::optional<WireFrame> frame = next();
      open = frame ? upload.send(*frame) : upload.end();
    }
    return nullptr;
  } catch (...) {
    call.cancel();
    return std::current_exception();
  }
}

}  // namespace

Server& Server::shared() {
  // Never destroyed: gRPC's threads may outlive the instances and the library's last unloading.
  static auto* server = new Server;
  return *server;
}

RenderReply Server::render_frame(const v1::RenderFrameRequest& request, const Caller& caller) {
  return with_a_second_try([&] { return ask(request, caller); });
}

RenderReply Server::ask(const v1::RenderFrameRequest& request, const Caller& caller) {
  const auto stub = v1::RenderService::NewStub(connection_.channel(caller));
  PolledCall call(caller.keep_going);
  // A patient caller's render may take hours.
  if (caller.is_viewer()) call.set_deadline(kViewersTime);
  const auto answers = stub->AsyncRenderFrame(call.context(), request, call.queue(), call.tag());
  ReplyReader reply(request);
  const std::exception_ptr wrong = read_answers(*answers, call, reply);
  grpc::Status status;
  answers->Finish(&status, call.tag());
  call.wait();
  call.check_aborted();
  if (wrong) std::rethrow_exception(wrong);
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE && reply.is_empty()) {
    throw Disconnected();
  }
  if (!status.ok()) throw connection_.failure(status, caller);
  return reply.finish();
}

void Server::send_source_frames(const std::string& session_id,
                                const std::function<std::optional<WireFrame>()>& next,
                                const Caller& caller) {
  const auto stub = v1::RenderService::NewStub(connection_.channel(caller));
  PolledCall call(caller.keep_going);
  Upload upload(*stub, call);
  const std::exception_ptr wrong = send_frames(upload, call, session_id, next);
  const grpc::Status status = upload.finish();
  call.check_aborted();
  if (wrong) std::rethrow_exception(wrong);
  if (call.stalled()) throw connection_.no_answer(caller);
  if (!status.ok()) throw connection_.failure(status, caller);
}

template <typename Stub, typename Request, typename Response>
Response Server::call(UnaryMethod<Stub, Request, Response> method, const Request& request,
                      const Caller& caller) {
  return with_a_second_try([&] { return call_once(method, request, caller); });
}

template <typename Stub, typename Request, typename Response>
Response Server::call_once(UnaryMethod<Stub, Request, Response> method, const Request& request,
                           const Caller& caller) {
  Stub stub(connection_.channel(caller));
  PolledCall call(caller.keep_going);
  call.set_deadline(caller.is_viewer() ? kViewersTime : kPatientTime);
  const auto answer = (stub.*method)(call.context(), request, call.queue());
  Response response;
  grpc::Status status;
  answer->Finish(&response, &status, call.tag());
  call.wait();
  call.check_aborted();
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) throw Disconnected();
  if (!status.ok()) throw connection_.failure(status, caller);
  return response;
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

}  // namespace inbetween

#include "uploads.h"

#include <algorithm>

namespace inbetween {
namespace {

// A server that takes no piece of a frame for so long is not there any more.
constexpr std::chrono::seconds kStallTime{60};
constexpr size_t kPieceBytes = size_t{1} << 20;

}  // namespace

Upload::Upload(v1::RenderService::Stub& stub, PolledCall& call)
    : call_(call),
      writer_(stub.AsyncSendSourceFrames(call.context(), &response_, call.queue(), call.tag())) {}

bool Upload::begin(const std::string& session_id) {
  if (!call_.wait()) return false;
  v1::SendSourceFramesRequest request;
  request.set_session_id(session_id);
  return write(request);
}

bool Upload::send(const WireFrame& frame) {
  v1::SendSourceFramesRequest request;
  *request.mutable_frame()->mutable_header() = frame.header;
  bool open = write(request);
  for (size_t at = 0; open && at < frame.bytes(); at += kPieceBytes) {
    request.mutable_frame()->set_pixels(frame.pixels.get() + at,
                                        std::min(kPieceBytes, frame.bytes() - at));
    open = write(request);
  }
  return open;
}

bool Upload::end() {
  writer_->WritesDone(call_.tag());
  call_.wait(nullptr, kStallTime);
  return false;
}

grpc::Status Upload::finish() {
  grpc::Status status;
  writer_->Finish(&status, call_.tag());
  call_.wait(nullptr, kStallTime);
  return status;
}

bool Upload::write(const v1::SendSourceFramesRequest& request) {
  writer_->Write(request, call_.tag());
  return call_.wait(nullptr, kStallTime);
}

}  // namespace inbetween

// Writing source frames to the server.
#pragma once

#include <memory>
#include <string>

#include "image.h"
#include "inbetween/v1/render.grpc.pb.h"
#include "polling.h"

namespace inbetween {

// The messages of one SendSourceFrames call. What gives a bool gives false where the call is at its
// end, and nothing more can be sent.
class Upload {
 public:
  Upload(v1::RenderService::Stub& stub, PolledCall& call);

  bool begin(const std::string& session_id);
  // In pieces, as messages are limited.
  bool send(const WireFrame& frame);
  bool end();

  // The server's verdict; to be asked for last, whatever happened.
  grpc::Status finish();

 private:
  bool write(const v1::SendSourceFramesRequest& request);

  PolledCall& call_;
  v1::SendSourceFramesResponse response_;
  std::unique_ptr<grpc::ClientAsyncWriter<v1::SendSourceFramesRequest>> writer_;
};

}  // namespace inbetween

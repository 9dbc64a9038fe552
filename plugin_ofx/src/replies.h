// Reading what the server answers to RenderFrame.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "image.h"
#include "inbetween/v1/render.pb.h"

namespace inbetween {

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

// Puts the pieces of one frame together, and holds them to what was asked.
class FrameReader {
 public:
  explicit FrameReader(const v1::RenderFrameRequest& request) : request_(request) {}

  void take(const v1::FramePiece& piece);

  // Nothing where no frame came.
  std::optional<WireFrame> finish();

 private:
  void begin(const v1::FrameHeader& header);
  void add(const std::string& pixels);

  const v1::RenderFrameRequest& request_;
  std::optional<WireFrame> frame_;
  size_t received_ = 0;
};

// Makes a reply of the answers of one call. Throws EffectError where they are not what was asked.
class ReplyReader {
 public:
  explicit ReplyReader(const v1::RenderFrameRequest& request)
      : request_(request), frame_(request) {}

  void take(const v1::RenderFrameResponse& answer);

  // Whether no answer came yet.
  bool is_empty() const { return empty_; }

  // The job that the server waits for, once it told one.
  const v1::Job* job() const { return reply_.not_ready ? &job_ : nullptr; }

  RenderReply finish();

 private:
  const v1::RenderFrameRequest& request_;
  FrameReader frame_;
  RenderReply reply_;
  v1::Job job_;
  bool empty_ = true;
};

}  // namespace inbetween

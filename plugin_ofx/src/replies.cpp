#include "replies.h"

#include <cstring>
#include <utility>

#include "errors.h"
#include "rendezvous.h"

namespace inbetween {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw EffectError("The render server sent " + what +
                    ": update the effect and the server to the same version.");
}

}  // namespace

void FrameReader::take(const v1::FramePiece& piece) {
  if (piece.has_header()) {
    begin(piece.header());
  } else {
    add(piece.pixels());
  }
}

std::optional<WireFrame> FrameReader::finish() {
  if (frame_ && received_ != frame_->bytes()) refuse("an incomplete picture");
  return std::move(frame_);
}

void FrameReader::begin(const v1::FrameHeader& header) {
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

void FrameReader::add(const std::string& pixels) {
  if (!frame_ || pixels.size() > frame_->bytes() - received_) refuse("too many pixels");
  std::memcpy(frame_->pixels.get() + received_, pixels.data(), pixels.size());
  received_ += pixels.size();
}

void ReplyReader::take(const v1::RenderFrameResponse& answer) {
  empty_ = false;
  switch (answer.answer_case()) {
    case v1::RenderFrameResponse::kSessionId:
      reply_.session_id = answer.session_id();
      break;
    case v1::RenderFrameResponse::kFrame:
      frame_.take(answer.frame());
      break;
    case v1::RenderFrameResponse::kSourceFramesNeeded: {
      const auto& indices = answer.source_frames_needed().indices();
      reply_.needed.insert(reply_.needed.end(), indices.begin(), indices.end());
      break;
    }
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

RenderReply ReplyReader::finish() {
  reply_.frame = frame_.finish();
  if (request_.wait() && reply_.frame) reply_.not_ready = false;
  const bool answered =
      !reply_.needed.empty() || reply_.frame || reply_.not_ready || reply_.source_reason;
  if (!answered || (request_.wait() && reply_.not_ready)) {
    throw EffectError("The render server ended its answer early: " + see_log());
  }
  return std::move(reply_);
}

}  // namespace inbetween

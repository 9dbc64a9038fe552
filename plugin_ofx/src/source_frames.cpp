#include "source_frames.h"

#include <algorithm>
#include <cstring>

#include "errors.h"

namespace inbetween {
namespace {

WireFrame clone(const WireFrame& frame) {
  WireFrame same;
  same.header = frame.header;
  same.pixels = std::make_unique_for_overwrite<std::byte[]>(frame.bytes());
  std::memcpy(same.pixels.get(), frame.pixels.get(), frame.bytes());
  return same;
}

}  // namespace

size_t SourceFrames::send(const std::vector<int>& indices, const std::string& session_id,
                          std::optional<std::chrono::milliseconds> patience, const Caller& caller) {
  const auto began = std::chrono::steady_clock::now();
  const std::vector<int> to_send = sendable(indices);
  size_t sent = 0;
  const auto next = [&]() -> std::optional<WireFrame> {
    if (!caller.keep_going(nullptr)) throw Aborted();
    const bool late = patience && std::chrono::steady_clock::now() - began > *patience;
    if (sent == to_send.size() || (late && sent > 0)) return std::nullopt;
    fraction_sent_ = static_cast<double>(sent) / static_cast<double>(to_send.size());
    return fetch(to_send[sent++]);
  };
  if (!to_send.empty()) Server::shared().send_source_frames(session_id, next, caller);
  return indices.size() - sent;
}

std::vector<int> SourceFrames::sendable(const std::vector<int>& indices) const {
  std::vector<int> possible;
  for (const int index : indices) {
    const bool at_hand = current_ && current_->header.index() == index;
    if (at_hand) possible.insert(possible.begin(), index);
    if (!at_hand && has_temporal_access()) possible.push_back(index);
  }
  return possible;
}

WireFrame SourceFrames::fetch(int index) const {
  if (current_ && current_->header.index() == index) return clone(*current_);
  const auto image = Image::fetch(instance_.source(), index - frame_offset_);
  if (!image) {
    throw EffectError("The host does not hand over source frame " + std::to_string(index) +
                      ": check that the clip reaches that far.");
  }
  return pack(*image, index);
}

}  // namespace inbetween

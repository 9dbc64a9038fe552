// Handing source frames to the server.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "instance.h"
#include "server.h"

namespace inbetween {

// The source frames that the host can give in one action, at full size.
class SourceFrames {
 public:
  SourceFrames(const Instance& instance, int frame_offset)
      : instance_(instance), frame_offset_(frame_offset) {}

  // The frame that is being rendered; it is sent without another fetch.
  void set_current(const Image& image, int index) { current_ = pack(image, index); }
  const WireFrame* current() const { return current_ ? &*current_ : nullptr; }

  // Sends those of `indices` that the host can give, the current one first, as long as `patience`
  // lasts, and tells how many of them are still missing.
  size_t send(const std::vector<int>& indices, const std::string& session_id,
              std::optional<std::chrono::milliseconds> patience, const Caller& caller);

  // How much of what send() has to send is sent, 0..1.
  double fraction_sent() const { return fraction_sent_; }

 private:
  std::vector<int> sendable(const std::vector<int>& indices) const;
  WireFrame fetch(int index) const;

  const Instance& instance_;
  int frame_offset_;
  std::optional<WireFrame> current_;
  double fraction_sent_ = 0;
};

}  // namespace inbetween

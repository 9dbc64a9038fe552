// The suites that the host offers, and its quirks.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "effect.h"
#include "ofxCore.h"

struct Message {
  std::string kind;  // "message", "persistent" or "clear"
  std::string type;
  std::string text;
};

struct HostState {
  Layout layout;
  // The clip that is wired into "Mask"; without a file, none is.
  Layout mask;
  // Suites that a host may lack.
  bool messages_v1 = true;
  bool messages_v2 = true;
  bool progress = true;
  bool time_line = true;
  // No temporal access; `hides` it as MLT does: OK, and the current frame.
  bool temporal_access = true;
  bool hides_missing_access = false;
  // A write of a parameter outside InstanceChanged is refused, as in Nuke.
  bool refuses_writes = true;
  // Fails where an instance asks for its clips.
  bool refuses_clips = false;
  // Keeps what an instance wants to remember.
  bool instance_data = true;
  // "0", "1" or "absent".
  std::string interactive = "1";
  std::string source_path;
  std::optional<int> source_frame_offset;
  bool thumbnail = false;
  // abort() answers yes after so many questions; -1: never. The same for the progress window.
  int abort_after = -1;
  int cancel_after = -1;
  // abort() answers yes once this file is there.
  std::string abort_file;

  std::atomic<int> abort_questions{0};
  std::atomic<int> progress_updates{0};
  std::atomic<int> open_progress{0};
  std::atomic<int> fetched_images{0};
  std::atomic<int> allocations{0};
  std::mutex mutex;
  std::vector<Message> messages;
};

HostState& state();
OfxHost* ofx_host();

// Sets what the host tells of itself; to be called when an option changed.
void describe_host();
// The layout of a clip by its name.
const Layout& layout_of(const std::string& clip);
// The properties of an instance and its clips that come from the host.
void describe_instance(OfxImageEffectStruct& effect);

#include "render.h"

#include <set>

#include "errors.h"
#include "instance.h"
#include "mask.h"
#include "messages.h"
#include "server.h"
#include "source_frames.h"

namespace inbetween {
namespace {

using std::chrono::milliseconds;

// How long a viewer's render may hand over source frames: the rest follows with the next ones.
constexpr milliseconds kViewerPatience{400};

constexpr char kNotReady[] =
    "Not everything is rendered yet: press Render clip, then Update from panel.";
constexpr char kHandingOver[] = "Source frames are being handed over to the render server.";
constexpr char kOneByOne[] =
    "This host hands over one frame at a time, and the render server needs others too: render or "
    "play the clip once from its start to its end, then again.";
constexpr char kReducedSize[] =
    "The render server needs source frames at full size: look at this frame at full resolution "
    "once.";

struct Arguments {
  OfxTime time;
  OfxRectI window;
  bool full_scale;
  bool final_render;
};

// What is to be shown: a picture, or without one the source; and what is to be said.
struct Outcome {
  std::optional<WireFrame> picture;
  std::string notice;
};

Arguments read(const Properties& given) {
  Arguments arguments{};
  arguments.time = given.get_double(kOfxPropTime);
  arguments.window = {given.get_int(kOfxImageEffectPropRenderWindow, 0),
                      given.get_int(kOfxImageEffectPropRenderWindow, 1),
                      given.get_int(kOfxImageEffectPropRenderWindow, 2),
                      given.get_int(kOfxImageEffectPropRenderWindow, 3)};
  arguments.full_scale = given.find_double(kOfxImageEffectPropRenderScale, 0).value_or(1) == 1 &&
                         given.find_double(kOfxImageEffectPropRenderScale, 1).value_or(1) == 1;
  // A host that does not tell is taken for a viewer: a final render that shows the source can be
  // repeated, a viewer that hangs cannot be used.
  arguments.final_render = given.find_int(kOfxImageEffectPropInteractiveRenderStatus) == 0;
  return arguments;
}

v1::FrameSize size_of(const Image& image) {
  v1::FrameSize size;
  size.set_width(image.width());
  size.set_height(image.height());
  return size;
}

// One render: from the question to the picture.
class Rendering {
 public:
  Rendering(const Instance& instance, const Arguments& arguments, const Properties& given,
            const Image& source, const Image& output)
      : instance_(instance),
        arguments_(arguments),
        when_missing_(instance.parameters().when_missing(arguments.time)),
        frame_offset_(instance.frame_offset(given, arguments.time)),
        source_(source),
        output_(output),
        frames_(instance, frame_offset_),
        progress_(instance.effect()) {}

  bool waits() const {
    if (instance_.is_thumbnail()) return false;
    return when_missing_ == WhenMissing::kWait ||
           (when_missing_ == WhenMissing::kAutomatic && arguments_.final_render);
  }

  // Asks until there is an answer, sending the source frames that the server names.
  Outcome run() {
    if (arguments_.full_scale) {
      frames_.set_current(source_, source_frame(arguments_.time, frame_offset_));
    }
    v1::RenderFrameRequest request = question();
    std::set<int> sent;
    while (true) {
      RenderReply reply = Server::shared().render_frame(request, caller());
      instance_.remember_session(reply.session_id);
      if (!reply.session_id.empty()) request.set_session_id(reply.session_id);
      if (reply.needed.empty()) return outcome(std::move(reply), request.session_id());
      for (const int index : reply.needed) {
        if (!sent.insert(index).second) {
          throw EffectError("The render server asks again for source frame " +
                            std::to_string(index) + ", which it was sent: see its log.");
        }
      }
      if (auto end = send(reply.needed, request.session_id())) return std::move(*end);
    }
  }

 private:
  Caller caller() {
    const auto keep_going = [this](const v1::Job* job) {
      if (is_aborted(instance_.effect())) return false;
      return !waits() || job == nullptr || progress_.update(job->fraction());
    };
    return {waits() ? Urgency::kPatient : Urgency::kInteractive, keep_going};
  }

  v1::RenderFrameRequest question() const {
    v1::RenderFrameRequest request;
    const OfxTime time = arguments_.time;
    const auto size = arguments_.full_scale ? std::optional(size_of(source_)) : std::nullopt;
    request.set_session_id(instance_.session_id(time));
    *request.mutable_clip() = instance_.describe_clip(frame_offset_, time, size);
    *request.mutable_settings() = instance_.parameters().settings(time);
    request.set_index(source_frame(time, frame_offset_));
    if (frames_.current() != nullptr) {
      request.set_source_digest(frames_.current()->header.digest());
    }
    *request.mutable_size() = size_of(source_);
    request.set_pixel_type(output_.pixel_type());
    request.set_alpha(output_.alpha());
    request.set_wait(waits());
    return request;
  }

  // Nothing where the server can be asked again; otherwise what is shown until it can.
  std::optional<Outcome> send(const std::vector<int>& needed, const std::string& session_id) {
    if (instance_.is_thumbnail()) return Outcome{};
    if (!arguments_.full_scale) {
      if (waits()) throw EffectError(kReducedSize);
      return Outcome{{}, kReducedSize};
    }
    const auto patience = waits() ? std::nullopt : std::optional(kViewerPatience);
    const size_t missing = frames_.send(needed, session_id, patience, caller());
    if (missing == 0) return std::nullopt;
    return Outcome{{}, has_temporal_access() ? kHandingOver : kOneByOne};
  }

  Outcome outcome(RenderReply reply, const std::string& session_id) {
    if (reply.source_reason) return {{}, *reply.source_reason};
    if (!reply.not_ready) return {std::move(reply.frame), ""};
    if (when_missing_ == WhenMissing::kShowSource) reply.frame.reset();
    const bool complete = has_temporal_access() || hand_over_current(session_id);
    return {std::move(reply.frame), complete ? kNotReady : kOneByOne};
  }

  // A host that gives one frame at a time hands each over while it is played. False: the server
  // lacks others for this one.
  bool hand_over_current(const std::string& session_id) {
    if (frames_.current() == nullptr || instance_.is_thumbnail()) return true;
    const int index = frames_.current()->header.index();
    const std::vector<int> missing =
        Server::shared().missing_source_frames(session_id, index, caller());
    return frames_.send(missing, session_id, kViewerPatience, caller()) == 0;
  }

  const Instance& instance_;
  const Arguments& arguments_;
  const WhenMissing when_missing_;
  const int frame_offset_;
  const Image& source_;
  const Image& output_;
  SourceFrames frames_;
  ProgressWindow progress_;
};

void show(const Outcome& outcome, const Instance& instance, const Arguments& arguments,
          const Image& source, const Image& output) {
  if (!outcome.picture) {
    copy(source, output, arguments.window);
    return;
  }
  put(*outcome.picture, source.bounds(), output, arguments.window);
  if (OfxImageClipHandle mask = instance.mask()) {
    restore_source(Image::fetch_mask(mask, arguments.time), source, output, arguments.window);
  }
}

void tell(const Outcome& outcome, OfxImageEffectHandle effect) {
  if (outcome.notice.empty()) {
    clear_messages(effect);
  } else {
    report_notice(effect, outcome.notice);
  }
}

}  // namespace

OfxStatus render(OfxImageEffectHandle effect, const Properties& given) {
  const Arguments arguments = read(given);
  const Instance instance(effect);
  const auto output = Image::fetch(instance.output(), arguments.time);
  if (!output) throw HostError(kOfxStatFailed, "no output image");
  const auto source = Image::fetch(instance.source(), arguments.time);
  if (!source) {
    clear(*output, arguments.window);
    return kOfxStatOK;
  }

  bool waits = false;
  try {
    Rendering rendering(instance, arguments, given, *source, *output);
    waits = rendering.waits();
    const Outcome outcome = rendering.run();
    show(outcome, instance, arguments, *source, *output);
    if (!instance.is_thumbnail()) tell(outcome, effect);
    return kOfxStatOK;
  } catch (const Aborted&) {
    copy(*source, *output, arguments.window);
    return kOfxStatOK;
  } catch (const std::exception& error) {
    copy(*source, *output, arguments.window);
    if (!instance.is_thumbnail()) report_error(effect, error.what());
    // The host must not take the source for the finished frame of a final render.
    return waits ? kOfxStatFailed : kOfxStatOK;
  }
}

}  // namespace inbetween

#include "buttons.h"

#include <map>
#include <string>
#include <vector>

#include "errors.h"
#include "instance.h"
#include "launch.h"
#include "messages.h"
#include "server.h"
#include "source_frames.h"

namespace inbetween {
namespace {

constexpr char kStopped[] = "Stopped before it was done: press the button again to go on.";

struct Press {
  const Instance& instance;
  OfxTime time;
  int frame_offset;

  int frame() const { return source_frame(time, frame_offset); }

  Caller caller() const {
    return {Urgency::kPatient,
            [effect = instance.effect()](const v1::Job*) { return !is_aborted(effect); }};
  }
};

v1::Clip clip_of(const Press& press) {
  return press.instance.describe_clip(press.frame_offset, press.time, std::nullopt);
}

// The session of this instance, which is remembered in its parameters.
v1::Session open_session(const Press& press) {
  v1::OpenSessionRequest request;
  request.set_session_id(press.instance.session_id(press.time));
  *request.mutable_clip() = clip_of(press);
  *request.mutable_settings() = press.instance.parameters().settings(press.time);
  v1::Session session = Server::shared().open_session(request, press.caller());
  press.instance.remember_session(session.id());
  press.instance.store_session(press.time);
  return session;
}

// Makes the host throw away what it has cached of this instance.
void refresh(const Press& press) {
  const Parameters& parameters = press.instance.parameters();
  parameters.set(kRefresh, (parameters.integer(kRefresh, press.time) + 1) & 0xffff);
}

void add_key(const Press& press) {
  Server::shared().add_key_frame(open_session(press).id(), press.frame(), press.caller());
  refresh(press);
}

void remove_key(const Press& press) {
  Server::shared().delete_key_frame(open_session(press).id(), press.frame(), press.caller());
  refresh(press);
}

void open_panel(const Press& press) {
  launch({"panel", "--session", open_session(press).id().c_str()});
}

void update_from_panel(const Press& press) {
  press.instance.parameters().set_settings(open_session(press).settings());
  // Tells the server at once what the effect has now: it would take it for a change by the editor
  // where the panel changed more before the next render.
  open_session(press);
  refresh(press);
}

// Hands over every source frame that the server lacks.
void send_clip(const Press& press, const v1::Session& session) {
  const OfxImageEffectHandle effect = press.instance.effect();
  ProgressWindow progress(effect);
  SourceFrames frames(press.instance, press.frame_offset);
  const Caller caller{Urgency::kPatient, [&](const v1::Job*) {
                        return !is_aborted(effect) && progress.update(frames.fraction_sent());
                      }};
  const std::vector<int> missing =
      Server::shared().missing_source_frames(session.id(), std::nullopt, caller);
  if (frames.send(missing, session.id(), std::nullopt, caller) > 0) {
    throw EffectError(
        "This host hands over one frame at a time: play or render the clip once from its start to "
        "its end, then press Render clip again.");
  }
}

void render_clip(const Press& press) {
  const v1::Session session = open_session(press);
  send_clip(press, session);
  Server::shared().start_job(session.id(), press.caller());
  answer_button(press.instance.effect(), kOfxMessageMessage,
                "The clip renders in the background. Open key frames shows how it goes; Update "
                "from panel shows what is finished.");
}

void press_button(const std::string& name, const Press& press) {
  static const std::map<std::string, void (*)(const Press&)> buttons = {
      {kAddKey, add_key},
      {kRemoveKey, remove_key},
      {kOpenPanel, open_panel},
      {kRenderClip, render_clip},
      {kUpdateFromPanel, update_from_panel}};
  const auto button = buttons.find(name);
  if (button != buttons.end()) button->second(press);
}

}  // namespace

OfxStatus instance_changed(OfxImageEffectHandle effect, const Properties& arguments) {
  if (arguments.find_string(kOfxPropChangeReason) != kOfxChangeUserEdited ||
      arguments.find_string(kOfxPropType) != kOfxTypeParameter) {
    return kOfxStatReplyDefault;
  }
  const std::string name = arguments.get_string(kOfxPropName);
  const Instance instance(effect);
  const OfxTime time = arguments.find_double(kOfxPropTime).value_or(0);
  try {
    instance.store_session(time);
    press_button(name, Press{instance, time, instance.frame_offset(arguments, time)});
    instance.parameters().enable_what_is_in_use(time);
  } catch (const Aborted&) {
    answer_button(effect, kOfxMessageMessage, kStopped);
  } catch (const std::exception& error) {
    answer_button(effect, kOfxMessageError, error.what());
  }
  return kOfxStatOK;
}

}  // namespace inbetween

#include "messages.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <set>

namespace inbetween {
namespace {

constexpr char kMessageId[] = "inbetween";

// What is shown now on each instance, and what was ever shown in a window.
class Said {
 public:
  // Whether the text is news.
  bool show(OfxImageEffectHandle effect, const std::string& text) {
    const std::lock_guard lock(mutex_);
    std::string& shown = shown_[effect];
    if (shown == text) return false;
    shown = text;
    return true;
  }

  // Whether anything was shown.
  bool clear(OfxImageEffectHandle effect) {
    const std::lock_guard lock(mutex_);
    return shown_.erase(effect) > 0;
  }

  bool first_time(const std::string& text) {
    const std::lock_guard lock(mutex_);
    return ever_.insert(text).second;
  }

 private:
  std::mutex mutex_;
  std::map<OfxImageEffectHandle, std::string> shown_;
  std::set<std::string> ever_;
};

// Never destroyed: a render may still run when the process ends.
Said& said() {
  static auto* said = new Said;
  return *said;
}

bool has_persistent_messages() {
  const auto* suite = host().persistent_messages;
  return suite != nullptr && suite->setPersistentMessage != nullptr &&
         suite->clearPersistentMessage != nullptr;
}

void report(OfxImageEffectHandle effect, const char* type, const std::string& text) {
  if (!said().show(effect, text)) return;
  host().persistent_messages->setPersistentMessage(effect, type, kMessageId, "%s", text.c_str());
}

}  // namespace

void report_error(OfxImageEffectHandle effect, const std::string& text) {
  if (has_persistent_messages()) {
    report(effect, kOfxMessageError, text);
  } else if (said().first_time(text)) {
    answer_button(effect, kOfxMessageError, text);
  }
}

void report_notice(OfxImageEffectHandle effect, const std::string& text) {
  if (has_persistent_messages()) report(effect, kOfxMessageMessage, text);
}

void clear_messages(OfxImageEffectHandle effect) {
  if (!said().clear(effect) || !has_persistent_messages()) return;
  host().persistent_messages->clearPersistentMessage(effect);
}

void forget_messages(OfxImageEffectHandle effect) { said().clear(effect); }

void answer_button(OfxImageEffectHandle effect, const char* type, const std::string& text) {
  if (host().persistent_messages != nullptr && host().persistent_messages->message != nullptr) {
    host().persistent_messages->message(effect, type, kMessageId, "%s", text.c_str());
  } else if (host().messages != nullptr && host().messages->message != nullptr) {
    host().messages->message(effect, type, kMessageId, "%s", text.c_str());
  }
}

ProgressWindow::~ProgressWindow() {
  if (open_ && host().progress->progressEnd != nullptr) host().progress->progressEnd(effect_);
}

bool ProgressWindow::update(double fraction) {
  const auto* suite = host().progress;
  if (suite == nullptr || suite->progressStart == nullptr || suite->progressUpdate == nullptr) {
    return true;
  }
  if (!open_) open_ = suite->progressStart(effect_, "Inbetween") == kOfxStatOK;
  if (!open_) return true;
  return suite->progressUpdate(effect_, std::clamp(fraction, 0.0, 1.0)) != kOfxStatReplyNo;
}

}  // namespace inbetween

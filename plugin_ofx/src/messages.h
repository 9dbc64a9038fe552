// What the editor is told, in the words of the host.
#pragma once

#include <string>

#include "host.h"

namespace inbetween {

// Each distinct text is shown once on an instance and stays until the next success. A host without
// persistent messages (Resolve) opens a window for each: it gets errors only, and each text once.
void report_error(OfxImageEffectHandle effect, const std::string& text);

// As report_error, for what is no error.
void report_notice(OfxImageEffectHandle effect, const std::string& text);

// Takes the message away after a success.
void clear_messages(OfxImageEffectHandle effect);

// Forgets what an instance was told; at its end.
void forget_messages(OfxImageEffectHandle effect);

// Answers a button: shown each time.
void answer_button(OfxImageEffectHandle effect, const char* type, const std::string& text);

// The host's progress window, where there is one, while this lives.
class ProgressWindow {
 public:
  explicit ProgressWindow(OfxImageEffectHandle effect) : effect_(effect) {}
  ~ProgressWindow();
  ProgressWindow(const ProgressWindow&) = delete;
  ProgressWindow& operator=(const ProgressWindow&) = delete;

  // 0..1; opens the window at the first call. False: the user wants the work to end.
  bool update(double fraction);

 private:
  OfxImageEffectHandle effect_;
  bool open_ = false;
};

}  // namespace inbetween

// The host: its suites and what it says of itself.
#pragma once

#include <optional>
#include <string>

#include "ofxCore.h"
#include "ofxImageEffect.h"
#include "ofxMessage.h"
#include "ofxParam.h"
#include "ofxProgress.h"
#include "ofxProperty.h"

namespace inbetween {

struct Host {
  OfxPropertySetHandle description = nullptr;
  const OfxPropertySuiteV1* properties = nullptr;
  const OfxImageEffectSuiteV1* effects = nullptr;
  const OfxParameterSuiteV1* parameters = nullptr;
  // Each of these may be missing.
  const OfxMessageSuiteV1* messages = nullptr;
  const OfxMessageSuiteV2* persistent_messages = nullptr;
  const OfxProgressSuiteV1* progress = nullptr;

  bool operator==(const Host&) const = default;
};

// As the last Load action found it. Some hosts (MLT) load again while other threads render, so what
// was handed out stays as it is and is never freed. Throws HostError before the first Load action.
const Host& host();

// Remembers the structure that the host hands over before the Load action.
void remember_host(const OfxHost* given);

// Fetches the suites. Throws HostError where one is missing that no effect can do without.
void load_host();

// The host's name for its user.
std::string application_name();

// Whether the source can be had at any time. Where it cannot, MLT says OK to such a request and
// hands over the current frame, so only this answer may be trusted.
bool has_temporal_access();

// Whether the host has no more use for what the instance is doing.
bool is_aborted(OfxImageEffectHandle effect);

// Named values of a handle. A getter gives nothing where the host does not have the property; a
// setter leaves properties that the host does not know to it.
class Properties {
 public:
  explicit Properties(OfxPropertySetHandle handle) : handle_(handle) {}

  std::optional<int> find_int(const char* name, int index = 0) const;
  std::optional<double> find_double(const char* name, int index = 0) const;
  std::optional<std::string> find_string(const char* name, int index = 0) const;
  void* find_pointer(const char* name) const;

  // Throw HostError where the host does not have it.
  int get_int(const char* name, int index = 0) const;
  double get_double(const char* name, int index = 0) const;
  std::string get_string(const char* name, int index = 0) const;

  void set(const char* name, int value, int index = 0) const;
  void set(const char* name, double value, int index = 0) const;
  void set(const char* name, const char* value, int index = 0) const;
  void set(const char* name, const std::string& value, int index = 0) const;
  // False where the host does not keep it.
  bool set_pointer(const char* name, void* value) const;

 private:
  OfxPropertySetHandle handle_;
};

}  // namespace inbetween

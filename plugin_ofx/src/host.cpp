#include "host.h"

#include <algorithm>
#include <atomic>
#include <forward_list>
#include <mutex>

#include "errors.h"

namespace inbetween {
namespace {

std::atomic<const OfxHost*> given_host{nullptr};
std::atomic<const Host*> loaded_host{nullptr};

// Keeps what hosts offered, each offer once, so that loading again and again takes no more memory.
// Never destroyed: a render may still run when the process ends.
const Host* keep(const Host& host) {
  static std::mutex mutex;
  static auto* kept = new std::forward_list<Host>;
  const std::lock_guard lock(mutex);
  const auto known = std::find(kept->begin(), kept->end(), host);
  return known != kept->end() ? &*known : &kept->emplace_front(host);
}

template <typename Suite>
const Suite* fetch(const OfxHost& given, const char* name, int version) {
  return static_cast<const Suite*>(given.fetchSuite(given.host, name, version));
}

template <typename Suite>
const Suite* require(const OfxHost& given, const char* name, int version) {
  const auto* suite = fetch<Suite>(given, name, version);
  if (suite == nullptr) throw HostError(kOfxStatErrMissingHostFeature, name);
  return suite;
}

}  // namespace

const Host& host() {
  const Host* loaded = loaded_host;
  if (loaded == nullptr) throw HostError(kOfxStatErrMissingHostFeature, "no Load action came");
  return *loaded;
}

void remember_host(const OfxHost* given) { given_host = given; }

void load_host() {
  const OfxHost* given = given_host;
  if (given == nullptr || given->fetchSuite == nullptr) {
    throw HostError(kOfxStatErrMissingHostFeature, "no host was set");
  }
  loaded_host = keep({
      .description = given->host,
      .properties = require<OfxPropertySuiteV1>(*given, kOfxPropertySuite, 1),
      .effects = require<OfxImageEffectSuiteV1>(*given, kOfxImageEffectSuite, 1),
      .parameters = require<OfxParameterSuiteV1>(*given, kOfxParameterSuite, 1),
      .messages = fetch<OfxMessageSuiteV1>(*given, kOfxMessageSuite, 1),
      .persistent_messages = fetch<OfxMessageSuiteV2>(*given, kOfxMessageSuite, 2),
      .progress = fetch<OfxProgressSuiteV1>(*given, kOfxProgressSuite, 1),
  });
}

std::string application_name() {
  const Properties description(host().description);
  std::string name = description.find_string(kOfxPropLabel).value_or("");
  if (name.empty()) name = description.find_string(kOfxPropName).value_or("unknown host");
  const std::string version = description.find_string(kOfxPropVersionLabel).value_or("");
  return version.empty() ? name : name + " " + version;
}

bool has_temporal_access() {
  return Properties(host().description).find_int(kOfxImageEffectPropTemporalClipAccess) == 1;
}

bool is_aborted(OfxImageEffectHandle effect) { return host().effects->abort(effect) != 0; }

std::optional<int> Properties::find_int(const char* name, int index) const {
  int value = 0;
  if (handle_ == nullptr) return std::nullopt;
  if (host().properties->propGetInt(handle_, name, index, &value) != kOfxStatOK) return {};
  return value;
}

std::optional<double> Properties::find_double(const char* name, int index) const {
  double value = 0;
  if (handle_ == nullptr) return std::nullopt;
  if (host().properties->propGetDouble(handle_, name, index, &value) != kOfxStatOK) return {};
  return value;
}

std::optional<std::string> Properties::find_string(const char* name, int index) const {
  char* value = nullptr;
  if (handle_ == nullptr) return std::nullopt;
  if (host().properties->propGetString(handle_, name, index, &value) != kOfxStatOK) return {};
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

void* Properties::find_pointer(const char* name) const {
  void* value = nullptr;
  if (host().properties->propGetPointer(handle_, name, 0, &value) != kOfxStatOK) return nullptr;
  return value;
}

int Properties::get_int(const char* name, int index) const {
  int value = 0;
  check(host().properties->propGetInt(handle_, name, index, &value), name);
  return value;
}

double Properties::get_double(const char* name, int index) const {
  double value = 0;
  check(host().properties->propGetDouble(handle_, name, index, &value), name);
  return value;
}

std::string Properties::get_string(const char* name, int index) const {
  char* value = nullptr;
  check(host().properties->propGetString(handle_, name, index, &value), name);
  return value == nullptr ? "" : value;
}

void Properties::set(const char* name, int value, int index) const {
  host().properties->propSetInt(handle_, name, index, value);
}

void Properties::set(const char* name, double value, int index) const {
  host().properties->propSetDouble(handle_, name, index, value);
}

void Properties::set(const char* name, const char* value, int index) const {
  host().properties->propSetString(handle_, name, index, value);
}

void Properties::set(const char* name, const std::string& value, int index) const {
  set(name, value.c_str(), index);
}

bool Properties::set_pointer(const char* name, void* value) const {
  return host().properties->propSetPointer(handle_, name, 0, value) == kOfxStatOK;
}

}  // namespace inbetween

#include "suites.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "ledger.h"
#include "ofxMemory.h"
#include "ofxMessage.h"
#include "ofxMultiThread.h"
#include "ofxProgress.h"
#include "ofxTimeLine.h"

struct OfxMutex {
  std::recursive_mutex mutex;
};

namespace {

bool in(std::initializer_list<const char*> actions) {
  for (const char* action : actions) {
    if (current_action().name == action) return true;
  }
  return false;
}

// ---- Image effect suite

OfxStatus effect_properties(OfxImageEffectHandle effect, OfxPropertySetHandle* properties) {
  if (!ledger().is_lent(effect, "an effect")) return kOfxStatErrBadHandle;
  *properties = &effect->properties;
  return kOfxStatOK;
}

OfxStatus effect_parameters(OfxImageEffectHandle effect, OfxParamSetHandle* parameters) {
  if (!ledger().is_lent(effect, "an effect")) return kOfxStatErrBadHandle;
  *parameters = &effect->parameter_set;
  return kOfxStatOK;
}

OfxStatus clip_define(OfxImageEffectHandle effect, const char* name,
                      OfxPropertySetHandle* properties) {
  if (!ledger().is_lent(effect, "an effect")) return kOfxStatErrBadHandle;
  if (!in({kOfxImageEffectActionDescribeInContext})) ledger().violation("a clip was defined");
  auto& clip = effect->clips[name];
  clip = std::make_unique<OfxImageClipStruct>(name, effect);
  ledger().lend(clip.get());
  if (properties != nullptr) *properties = &clip->properties;
  return kOfxStatOK;
}

OfxStatus clip_handle(OfxImageEffectHandle effect, const char* name, OfxImageClipHandle* handle,
                      OfxPropertySetHandle* properties) {
  if (!ledger().is_lent(effect, "an effect")) return kOfxStatErrBadHandle;
  if (!effect->is_instance) ledger().violation("a clip was asked of a descriptor");
  if (state().refuses_clips) return kOfxStatFailed;
  const auto found = effect->clips.find(name);
  if (found == effect->clips.end()) return kOfxStatErrBadHandle;
  *handle = found->second.get();
  if (properties != nullptr) *properties = &found->second->properties;
  return kOfxStatOK;
}

OfxStatus clip_properties(OfxImageClipHandle clip, OfxPropertySetHandle* properties) {
  if (!ledger().is_lent(clip, "a clip")) return kOfxStatErrBadHandle;
  *properties = &clip->properties;
  return kOfxStatOK;
}

OfxStatus input_image(const Layout& layout, double time, OfxPropertySetHandle* image) {
  if (!state().temporal_access && time != current_action().time) {
    if (!state().hides_missing_access) return kOfxStatFailed;
    time = current_action().time;
  }
  const int frame = static_cast<int>(time) - layout.first_time;
  if (frame < 0 || frame >= layout.frames) return kOfxStatFailed;
  auto* input = new HostImage(layout, layout.source_bounds(), false);
  input->load(layout, frame);
  *image = input;
  ++current_action().images;
  ++state().fetched_images;
  return kOfxStatOK;
}

OfxStatus clip_image(OfxImageClipHandle clip, OfxTime time, const OfxRectD*,
                     OfxPropertySetHandle* image) {
  if (!ledger().is_lent(clip, "a clip")) return kOfxStatErrBadHandle;
  if (!in({kOfxImageEffectActionRender, kOfxActionInstanceChanged})) {
    ledger().violation("an image was fetched");
    return kOfxStatFailed;
  }
  if (clip->name != kOfxImageEffectOutputClipName) {
    return input_image(layout_of(clip->name), time, image);
  }
  if (clip->effect->output == nullptr) return kOfxStatFailed;
  *image = clip->effect->output;
  ++current_action().images;
  return kOfxStatOK;
}

OfxStatus release_image(OfxPropertySetHandle handle) {
  if (!ledger().is_lent(handle, "an image")) return kOfxStatErrBadHandle;
  auto* image = dynamic_cast<HostImage*>(handle);
  if (image == nullptr) {
    ledger().violation("something else than an image was released");
    return kOfxStatErrBadHandle;
  }
  --current_action().images;
  const auto* effect = static_cast<const OfxImageEffectStruct*>(current_action().effect);
  if (effect == nullptr || image != effect->output) delete image;
  return kOfxStatOK;
}

OfxStatus clip_region(OfxImageClipHandle clip, OfxTime, OfxRectD* region) {
  if (!ledger().is_lent(clip, "a clip")) return kOfxStatErrBadHandle;
  const Layout& layout = state().layout;
  *region = {layout.offset_x * layout.pixel_aspect, static_cast<double>(layout.offset_y),
             (layout.offset_x + layout.width) * layout.pixel_aspect,
             static_cast<double>(layout.offset_y + layout.height)};
  return kOfxStatOK;
}

int is_aborted(OfxImageEffectHandle effect) {
  ledger().is_lent(effect, "an effect");
  const int asked = ++state().abort_questions;
  const bool is_late = state().abort_after >= 0 && asked > state().abort_after;
  return is_late || std::filesystem::exists(state().abort_file) ? 1 : 0;
}

OfxStatus image_memory_alloc(OfxImageEffectHandle, size_t bytes, OfxImageMemoryHandle* memory) {
  ++state().allocations;
  *memory = static_cast<OfxImageMemoryHandle>(std::malloc(bytes));
  return kOfxStatOK;
}
OfxStatus image_memory_free(OfxImageMemoryHandle memory) {
  --state().allocations;
  std::free(memory);
  return kOfxStatOK;
}
OfxStatus image_memory_lock(OfxImageMemoryHandle memory, void** data) {
  *data = memory;
  return kOfxStatOK;
}
OfxStatus image_memory_unlock(OfxImageMemoryHandle) { return kOfxStatOK; }

// ---- Parameter suite

OfxStatus param_define(OfxParamSetHandle set, const char* type, const char* name,
                       OfxPropertySetHandle* properties) {
  if (!ledger().is_lent(set, "a parameter set")) return kOfxStatErrBadHandle;
  if (!in({kOfxImageEffectActionDescribeInContext})) ledger().violation("a parameter was defined");
  if (set->effect->find_parameter(name) != nullptr) {
    ledger().violation(std::string("parameter ") + name + " was defined twice");
    return kOfxStatErrExists;
  }
  auto& parameters = set->effect->parameters;
  parameters.push_back(std::make_unique<OfxParamStruct>(type, name));
  if (properties != nullptr) *properties = &parameters.back()->properties;
  return kOfxStatOK;
}

OfxStatus param_handle(OfxParamSetHandle set, const char* name, OfxParamHandle* handle,
                       OfxPropertySetHandle* properties) {
  if (!ledger().is_lent(set, "a parameter set")) return kOfxStatErrBadHandle;
  OfxParamStruct* parameter = set->effect->find_parameter(name);
  if (parameter == nullptr) {
    ledger().violation(std::string("parameter ") + name + " was never defined");
    return kOfxStatErrUnknown;
  }
  *handle = parameter;
  if (properties != nullptr) *properties = &parameter->properties;
  return kOfxStatOK;
}

OfxStatus param_set_properties(OfxParamSetHandle set, OfxPropertySetHandle* properties) {
  if (!ledger().is_lent(set, "a parameter set")) return kOfxStatErrBadHandle;
  *properties = &set->effect->properties;
  return kOfxStatOK;
}

OfxStatus param_properties(OfxParamHandle parameter, OfxPropertySetHandle* properties) {
  if (!ledger().is_lent(parameter, "a parameter")) return kOfxStatErrBadHandle;
  *properties = &parameter->properties;
  return kOfxStatOK;
}

OfxStatus get_value(OfxParamHandle parameter, va_list& arguments) {
  if (!ledger().is_lent(parameter, "a parameter")) return kOfxStatErrBadHandle;
  if (const auto* text = std::get_if<std::string>(&parameter->value)) {
    *va_arg(arguments, char**) = lend_text(*text);
  } else if (const auto* number = std::get_if<double>(&parameter->value)) {
    *va_arg(arguments, double*) = *number;
  } else {
    *va_arg(arguments, int*) = std::get<int>(parameter->value);
  }
  return kOfxStatOK;
}

OfxStatus param_get(OfxParamHandle parameter, ...) {
  if (in({kOfxImageEffectActionRender})) {
    ledger().violation("a parameter was read without a time");
  }
  va_list arguments;
  va_start(arguments, parameter);
  const OfxStatus status = get_value(parameter, arguments);
  va_end(arguments);
  return status;
}

OfxStatus param_get_at(OfxParamHandle parameter, OfxTime time, ...) {
  va_list arguments;
  va_start(arguments, time);
  const OfxStatus status = get_value(parameter, arguments);
  va_end(arguments);
  return status;
}

OfxStatus param_set(OfxParamHandle parameter, ...) {
  if (!ledger().is_lent(parameter, "a parameter")) return kOfxStatErrBadHandle;
  if (!in({kOfxActionInstanceChanged})) {
    ledger().violation("parameter " + parameter->name + " was written");
    if (state().refuses_writes) return kOfxStatFailed;
  }
  va_list arguments;
  va_start(arguments, parameter);
  if (std::holds_alternative<std::string>(parameter->value)) {
    parameter->value = std::string(va_arg(arguments, const char*));
  } else if (std::holds_alternative<double>(parameter->value)) {
    parameter->value = va_arg(arguments, double);
  } else {
    parameter->value = va_arg(arguments, int);
  }
  va_end(arguments);
  return kOfxStatOK;
}

OfxStatus param_derivative(OfxParamHandle, OfxTime, ...) { return kOfxStatErrUnsupported; }
OfxStatus param_integral(OfxParamHandle, OfxTime, OfxTime, ...) { return kOfxStatErrUnsupported; }
OfxStatus param_set_at(OfxParamHandle, OfxTime, ...) { return kOfxStatErrUnsupported; }
OfxStatus param_key_count(OfxParamHandle, unsigned int* count) {
  *count = 0;
  return kOfxStatOK;
}
OfxStatus param_key_time(OfxParamHandle, unsigned int, OfxTime*) { return kOfxStatErrBadIndex; }
OfxStatus param_key_index(OfxParamHandle, OfxTime, int, int*) { return kOfxStatFailed; }
OfxStatus param_delete_key(OfxParamHandle, OfxTime) { return kOfxStatErrBadIndex; }
OfxStatus param_delete_keys(OfxParamHandle) { return kOfxStatOK; }
OfxStatus param_copy(OfxParamHandle to, OfxParamHandle from, OfxTime, const OfxRangeD*) {
  to->value = from->value;
  return kOfxStatOK;
}
OfxStatus edit_begin(OfxParamSetHandle set, const char*) {
  ++set->effect->open_edits;
  return kOfxStatOK;
}
OfxStatus edit_end(OfxParamSetHandle set) {
  if (--set->effect->open_edits < 0) ledger().violation("an edit ended that never began");
  return kOfxStatOK;
}

// ---- Memory, threads, messages, progress, time line

OfxStatus memory_alloc(void*, size_t bytes, void** data) {
  ++state().allocations;
  *data = std::malloc(bytes);
  return *data == nullptr ? kOfxStatErrMemory : kOfxStatOK;
}
OfxStatus memory_free(void* data) {
  --state().allocations;
  std::free(data);
  return kOfxStatOK;
}

thread_local unsigned int thread_index = 0;
thread_local bool spawned = false;

OfxStatus multi_thread(OfxThreadFunctionV1 function, unsigned int count, void* argument) {
  std::vector<std::thread> threads;
  for (unsigned int index = 0; index < count; ++index) {
    threads.emplace_back([=] {
      thread_index = index;
      spawned = true;
      function(index, count, argument);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return kOfxStatOK;
}
OfxStatus cpu_count(unsigned int* count) {
  *count = std::max(1u, std::thread::hardware_concurrency());
  return kOfxStatOK;
}
OfxStatus index_of_thread(unsigned int* index) {
  *index = thread_index;
  return kOfxStatOK;
}
int is_spawned() { return spawned ? 1 : 0; }
OfxStatus mutex_create(OfxMutexHandle* mutex, int locks) {
  *mutex = new OfxMutex;
  ++state().allocations;
  for (int lock = 0; lock < locks; ++lock) (*mutex)->mutex.lock();
  return kOfxStatOK;
}
OfxStatus mutex_destroy(const OfxMutexHandle mutex) {
  --state().allocations;
  delete mutex;
  return kOfxStatOK;
}
OfxStatus mutex_lock(const OfxMutexHandle mutex) {
  mutex->mutex.lock();
  return kOfxStatOK;
}
OfxStatus mutex_unlock(const OfxMutexHandle mutex) {
  mutex->mutex.unlock();
  return kOfxStatOK;
}
OfxStatus mutex_try_lock(const OfxMutexHandle mutex) {
  return mutex->mutex.try_lock() ? kOfxStatOK : kOfxStatFailed;
}

OfxStatus note(void* effect, const char* kind, const char* type, const char* format,
               va_list& arguments) {
  if (!ledger().is_lent(effect, "an effect")) return kOfxStatErrBadHandle;
  char text[4096];
  std::vsnprintf(text, sizeof(text), format, arguments);
  const std::lock_guard lock(state().mutex);
  state().messages.push_back({kind, type, text});
  return kOfxStatOK;
}

OfxStatus message(void* effect, const char* type, const char*, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const OfxStatus status = note(effect, "message", type, format, arguments);
  va_end(arguments);
  return status;
}
OfxStatus set_persistent(void* effect, const char* type, const char*, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const OfxStatus status = note(effect, "persistent", type, format, arguments);
  va_end(arguments);
  return status;
}
OfxStatus clear_persistent(void*) {
  const std::lock_guard lock(state().mutex);
  state().messages.push_back({"clear", "", ""});
  return kOfxStatOK;
}

OfxStatus progress_start(void* effect, const char*) {
  ledger().is_lent(effect, "an effect");
  ++state().open_progress;
  return kOfxStatOK;
}
OfxStatus progress_update(void*, double fraction) {
  if (state().open_progress == 0) ledger().violation("progress was told without a start");
  if (fraction < 0 || fraction > 1) ledger().violation("progress outside 0..1");
  const int updates = ++state().progress_updates;
  return state().cancel_after >= 0 && updates > state().cancel_after ? kOfxStatReplyNo : kOfxStatOK;
}
OfxStatus progress_end(void*) {
  --state().open_progress;
  return kOfxStatOK;
}

OfxStatus line_time(void*, double* time) {
  *time = current_action().time;
  return kOfxStatOK;
}
OfxStatus line_goto(void*, double) { return kOfxStatOK; }
OfxStatus line_bounds(void*, double* first, double* last) {
  *first = state().layout.first_time;
  *last = state().layout.first_time + state().layout.frames - 1;
  return kOfxStatOK;
}

const OfxImageEffectSuiteV1 effect_suite = {
    effect_properties, effect_parameters, clip_define,        clip_handle, clip_properties,
    clip_image,        release_image,     clip_region,        is_aborted,  image_memory_alloc,
    image_memory_free, image_memory_lock, image_memory_unlock};
const OfxParameterSuiteV1 parameter_suite = {
    param_define,    param_handle,     param_set_properties, param_properties,
    param_get,       param_get_at,     param_derivative,     param_integral,
    param_set,       param_set_at,     param_key_count,      param_key_time,
    param_key_index, param_delete_key, param_delete_keys,    param_copy,
    edit_begin,      edit_end};
const OfxMemorySuiteV1 memory_suite = {memory_alloc, memory_free};
const OfxMultiThreadSuiteV1 thread_suite = {multi_thread, cpu_count,    index_of_thread,
                                            is_spawned,   mutex_create, mutex_destroy,
                                            mutex_lock,   mutex_unlock, mutex_try_lock};
const OfxMessageSuiteV1 message_suite = {message};
const OfxMessageSuiteV2 message_suite_2 = {message, set_persistent, clear_persistent};
const OfxProgressSuiteV1 progress_suite = {progress_start, progress_update, progress_end};
const OfxTimeLineSuiteV1 time_line_suite = {line_time, line_goto, line_bounds};

const void* fetch_suite(OfxPropertySetHandle, const char* name, int version) {
  const HostState& host = state();
  const struct {
    const char* name;
    int version;
    const void* suite;
    bool offered;
  } suites[] = {
      {kOfxPropertySuite, 1, property_suite(), true},
      {kOfxImageEffectSuite, 1, &effect_suite, true},
      {kOfxParameterSuite, 1, &parameter_suite, true},
      {kOfxMemorySuite, 1, &memory_suite, true},
      {kOfxMultiThreadSuite, 1, &thread_suite, true},
      {kOfxMessageSuite, 1, &message_suite, host.messages_v1},
      {kOfxMessageSuite, 2, &message_suite_2, host.messages_v2},
      {kOfxProgressSuite, 1, &progress_suite, host.progress},
      {kOfxTimeLineSuite, 1, &time_line_suite, host.time_line},
  };
  for (const auto& suite : suites) {
    if (suite.offered && suite.version == version && std::strcmp(suite.name, name) == 0) {
      return suite.suite;
    }
  }
  return nullptr;
}

OfxPropertySetStruct& host_properties() {
  static OfxPropertySetStruct properties("the host", true);
  return properties;
}

}  // namespace

HostState& state() {
  static HostState state;
  return state;
}

OfxHost* ofx_host() {
  static OfxHost host = {&host_properties(), fetch_suite};
  return &host;
}

void describe_host() {
  OfxPropertySetStruct& host = host_properties();
  host.define(kOfxPropType, {std::string(kOfxTypeImageEffectHost)});
  host.define(kOfxPropName, {std::string("org.inbetween.TestHost")});
  host.define(kOfxPropLabel, {std::string("Inbetween test host")});
  host.define(kOfxPropVersion, {1, 0});
  host.define(kOfxPropVersionLabel, {std::string("1.0")});
  host.define(kOfxImageEffectHostPropIsBackground, {0});
  host.define(kOfxImageEffectPropTemporalClipAccess, {state().temporal_access ? 1 : 0});
  host.define(kOfxImageEffectPropSupportsTiles, {0});
  host.define(kOfxImageEffectPropSupportsMultiResolution, {0});
  host.define(kOfxImageEffectPropSupportsMultipleClipDepths, {0});
}

const Layout& layout_of(const std::string& clip) {
  return clip == "Mask" ? state().mask : state().layout;
}

void describe_instance(OfxImageEffectStruct& effect) {
  if (!state().instance_data) effect.properties.remove(kOfxPropInstanceData);
  if (!state().source_path.empty()) {
    effect.properties.define("OfxImageEffectPropSrcFilePath", {state().source_path});
  }
  for (auto& [name, clip] : effect.clips) {
    const Layout& layout = layout_of(name);
    const double first = layout.first_time;
    OfxPropertySetStruct& properties = clip->properties;
    properties.define(kOfxImageEffectPropPixelDepth, {layout.depth});
    properties.define(kOfxImageEffectPropComponents, {layout.components});
    properties.define(kOfxImageEffectPropPreMultiplication, {layout.premultiplication});
    properties.define(kOfxImagePropPixelAspectRatio, {layout.pixel_aspect});
    properties.define(kOfxImageEffectPropFrameRate, {layout.frame_rate});
    properties.define(kOfxImageEffectPropFrameRange, {first, first + layout.frames - 1});
    properties.define(kOfxImageClipPropConnected, {layout.file.empty() ? 0 : 1});
    if (state().thumbnail) properties.define("kOfxImageClipPropThumbnail", {1});
  }
}

#include "commands.h"

#include <dlfcn.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <map>
#include <stdexcept>
#include <thread>

#include "ledger.h"
#include "suites.h"

namespace {

std::string json_text(const std::string& text) {
  std::string json = "\"";
  for (const unsigned char character : text) {
    if (character == '"' || character == '\\') json += '\\';
    if (character < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", character);
      json += escape;
    } else {
      json += static_cast<char>(character);
    }
  }
  return json + "\"";
}

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.17g", value);
  return text;
}

std::string json(const PropertyValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return json_text(*text);
  if (const auto* real = std::get_if<double>(&value)) return number(*real);
  if (const auto* whole = std::get_if<int>(&value)) return std::to_string(*whole);
  return "null";
}

std::string json(const OfxPropertySetStruct& properties) {
  std::string object;
  for (const auto& [name, property] : properties.all()) {
    std::string values;
    for (const PropertyValue& value : property.values) {
      values += (values.empty() ? "" : ",") + json(value);
    }
    object += (object.empty() ? "" : ",") + json_text(name) + ":[" + values + "]";
  }
  return "{" + object + "}";
}

std::string json(const OfxImageEffectStruct& effect) {
  std::string parameters, clips;
  for (const auto& parameter : effect.parameters) {
    parameters += (parameters.empty() ? "" : ",") + json_text(parameter->name) + ":" +
                  json(parameter->properties);
  }
  for (const auto& [name, clip] : effect.clips) {
    clips += (clips.empty() ? "" : ",") + json_text(name) + ":" + json(clip->properties);
  }
  return "{\"effect\":" + json(effect.properties) + ",\"parameters\":{" + parameters +
         "},\"clips\":{" + clips + "}}";
}

template <typename Item>
std::string list(const std::vector<Item>& items, std::string (*to_json)(const Item&)) {
  std::string text;
  for (const Item& item : items) text += (text.empty() ? "" : ",") + to_json(item);
  return "[" + text + "]";
}

using Options = std::map<std::string, std::function<void(const std::string&)>>;

const Options& options() {
  static HostState& host = state();
  static Layout& layout = host.layout;
  static Layout& mask = host.mask;
  const auto flag = [](bool& target) {
    return [&target](const std::string& value) { target = value == "1"; };
  };
  const auto whole = [](int& target) {
    return [&target](const std::string& value) { target = std::stoi(value); };
  };
  const auto real = [](double& target) {
    return [&target](const std::string& value) { target = std::stod(value); };
  };
  const auto text = [](std::string& target) {
    return [&target](const std::string& value) { target = value; };
  };
  static const Options options = {
      {"file", [](const std::string& value) { layout.file = value; }},
      {"width", whole(layout.width)},
      {"height", whole(layout.height)},
      {"frames", whole(layout.frames)},
      {"depth", text(layout.depth)},
      {"components", text(layout.components)},
      {"premultiplication", text(layout.premultiplication)},
      {"first_time", whole(layout.first_time)},
      {"frame_rate", real(layout.frame_rate)},
      {"pixel_aspect", real(layout.pixel_aspect)},
      {"negative_rows", flag(layout.negative_rows)},
      {"row_padding", whole(layout.row_padding)},
      {"offset_x", whole(layout.offset_x)},
      {"offset_y", whole(layout.offset_y)},
      {"output_margin", whole(layout.output_margin)},
      {"window_inset", whole(layout.window_inset)},
      {"reduction", whole(layout.reduction)},
      {"mask_file", [](const std::string& value) { mask.file = value; }},
      {"mask_width", whole(mask.width)},
      {"mask_height", whole(mask.height)},
      {"mask_frames", whole(mask.frames)},
      {"mask_depth", text(mask.depth)},
      {"mask_components", text(mask.components)},
      {"mask_premultiplication", text(mask.premultiplication)},
      {"mask_offset_x", whole(mask.offset_x)},
      {"mask_offset_y", whole(mask.offset_y)},
      {"mask_reduction", whole(mask.reduction)},
      {"messages_v1", flag(host.messages_v1)},
      {"messages_v2", flag(host.messages_v2)},
      {"progress", flag(host.progress)},
      {"time_line", flag(host.time_line)},
      {"temporal_access", flag(host.temporal_access)},
      {"hides_missing_access", flag(host.hides_missing_access)},
      {"refuses_writes", flag(host.refuses_writes)},
      {"refuses_clips", flag(host.refuses_clips)},
      {"instance_data", flag(host.instance_data)},
      {"interactive", text(host.interactive)},
      {"source_path", text(host.source_path)},
      {"source_frame_offset",
       [](const std::string& value) { host.source_frame_offset = std::stoi(value); }},
      {"thumbnail", flag(host.thumbnail)},
      {"abort_after", whole(host.abort_after)},
      {"cancel_after", whole(host.cancel_after)},
      {"abort_file", text(host.abort_file)},
  };
  return options;
}

void check_range(const OfxParamStruct& parameter) {
  if (parameter.type != kOfxParamTypeInteger && parameter.type != kOfxParamTypeDouble) return;
  const auto at = [&](const char* name) {
    return parameter.type == kOfxParamTypeInteger ? parameter.properties.get<int>(name, 0, 0)
                                                  : parameter.properties.get<double>(name, 0, 0.0);
  };
  const double initial = at(kOfxParamPropDefault);
  const bool ordered = at(kOfxParamPropMin) < at(kOfxParamPropMax) &&
                       at(kOfxParamPropDisplayMin) < at(kOfxParamPropDisplayMax) &&
                       at(kOfxParamPropMin) <= initial && initial <= at(kOfxParamPropMax);
  if (!ordered) ledger().violation("parameter " + parameter.name + " has no proper range");
}

}  // namespace

std::string Commands::run(const std::vector<std::string>& words) {
  const std::string& command = words.at(0);
  const auto index = [&](size_t word) { return static_cast<size_t>(std::stoul(words.at(word))); };
  if (command == "option") return option(words.at(1), words.at(2));
  if (command == "load") return load(words.at(1));
  if (command == "unload") return unload(index(1));
  if (command == "describe") return describe(index(1), words.at(2));
  if (command == "create") return create(index(1), words.at(2));
  if (command == "clone") return clone(index(1));
  if (command == "destroy") return destroy(index(1));
  if (command == "enabled") return enabled(index(1));
  if (command == "get") return get(index(1), words.at(2));
  if (command == "set") return set(index(1), words.at(2), words.at(3));
  if (command == "press") return press(index(1), words.at(2), std::stod(words.at(3)));
  if (command == "render") return render(words);
  if (command == "close") return close();
  if (command == "counters") return counters();
  if (command == "messages") return messages();
  if (command == "violations") return violations();
  throw std::runtime_error("unknown command " + command);
}

std::string Commands::option(const std::string& name, const std::string& value) {
  if (name == "recreate" || name == "reload") {
    (name == "recreate" ? recreate_ : reload_) = value == "1";
    return "null";
  }
  const auto found = options().find(name);
  if (found == options().end()) throw std::runtime_error("unknown option " + name);
  found->second(value);
  state().abort_questions = 0;
  state().progress_updates = 0;
  describe_host();
  for (const auto& instance : instances_) {
    if (instance) describe_instance(*instance->effect);
  }
  return "null";
}

std::string Commands::load(const std::string& path) {
  describe_host();
  auto plugin = std::make_unique<Plugin>();
  plugin->library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (plugin->library == nullptr) throw std::runtime_error(dlerror());
  using SetHost = OfxStatus (*)(const OfxHost*);
  using Count = int (*)();
  using Get = OfxPlugin* (*)(int);
  if (auto set_host = reinterpret_cast<SetHost>(dlsym(plugin->library, "OfxSetHost"))) {
    set_host(ofx_host());
  }
  auto count = reinterpret_cast<Count>(dlsym(plugin->library, "OfxGetNumberOfPlugins"));
  auto get = reinterpret_cast<Get>(dlsym(plugin->library, "OfxGetPlugin"));
  if (count == nullptr || get == nullptr || count() < 1) {
    throw std::runtime_error("not an OpenFX plugin");
  }
  plugin->plugin = get(0);
  plugin->plugin->setHost(ofx_host());
  plugin->descriptor = std::make_unique<OfxImageEffectStruct>();
  const OfxStatus loaded = act(*plugin, kOfxActionLoad, nullptr, nullptr, nullptr, 0);
  const OfxStatus described =
      act(*plugin, kOfxActionDescribe, plugin->descriptor.get(), nullptr, nullptr, 0);
  const std::string answer = "{\"plugin\":" + std::to_string(plugins_.size()) +
                             ",\"identifier\":" + json_text(plugin->plugin->pluginIdentifier) +
                             ",\"load\":" + std::to_string(loaded) +
                             ",\"describe\":" + std::to_string(described) + "}";
  plugins_.push_back(std::move(plugin));
  return answer;
}

std::string Commands::unload(size_t index) {
  Plugin& plugin = plugin_at(index);
  const OfxStatus status = act(plugin, kOfxActionUnload, nullptr, nullptr, nullptr, 0);
  dlclose(plugin.library);
  plugins_[index].reset();
  return std::to_string(status);
}

std::string Commands::describe(size_t plugin, const std::string& context) {
  const auto effect = described_in(plugin_at(plugin), context);
  for (const auto& parameter : effect->parameters) check_range(*parameter);
  return json(*effect);
}

std::string Commands::create(size_t index, const std::string& context) {
  Plugin& plugin = plugin_at(index);
  const auto described = described_in(plugin, context);
  auto instance = std::make_unique<Instance>();
  instance->plugin = &plugin;
  instance->effect = std::make_unique<OfxImageEffectStruct>(*described, true);
  describe_instance(*instance->effect);
  const OfxStatus status =
      act(plugin, kOfxActionCreateInstance, instance->effect.get(), nullptr, nullptr, 0);
  if (status != kOfxStatOK) {
    check_left_nothing(*instance->effect);
    throw std::runtime_error("CreateInstance gave " + std::to_string(status));
  }
  instances_.push_back(std::move(instance));
  return std::to_string(instances_.size() - 1);
}

std::string Commands::clone(size_t index) {
  instances_.push_back(std::make_unique<Instance>(copy_of(instance_at(index))));
  return std::to_string(instances_.size() - 1);
}

std::string Commands::destroy(size_t index) {
  end(instance_at(index));
  instances_[index].reset();
  return "null";
}

std::string Commands::enabled(size_t index) {
  std::vector<std::string> names;
  for (const auto& parameter : instance_at(index).effect->parameters) {
    if (parameter->properties.get<int>(kOfxParamPropEnabled, 0, 1) == 1) {
      names.push_back(parameter->name);
    }
  }
  return list(names, json_text);
}

std::string Commands::get(size_t index, const std::string& name) {
  const OfxParamStruct* parameter = instance_at(index).effect->find_parameter(name);
  if (parameter == nullptr) throw std::runtime_error("no parameter " + name);
  if (const auto* text = std::get_if<std::string>(&parameter->value)) return json_text(*text);
  if (const auto* real = std::get_if<double>(&parameter->value)) return number(*real);
  return std::to_string(std::get<int>(parameter->value));
}

std::string Commands::set(size_t index, const std::string& name, const std::string& value) {
  OfxParamStruct* parameter = instance_at(index).effect->find_parameter(name);
  if (parameter == nullptr) throw std::runtime_error("no parameter " + name);
  if (std::holds_alternative<std::string>(parameter->value)) parameter->value = value;
  if (std::holds_alternative<double>(parameter->value)) parameter->value = std::stod(value);
  if (std::holds_alternative<int>(parameter->value)) parameter->value = std::stoi(value);
  return std::to_string(changed(instance_at(index), name, 0));
}

std::string Commands::press(size_t index, const std::string& name, double time) {
  if (instance_at(index).effect->find_parameter(name) == nullptr) {
    throw std::runtime_error("no button " + name);
  }
  return std::to_string(changed(instance_at(index), name, time));
}

// render PREFIX INSTANCES TIMES: each instance renders in a thread of its own.
std::string Commands::render(const std::vector<std::string>& words) {
  const std::string prefix = words.at(1);
  const size_t thread_count = std::stoul(words.at(2));
  std::vector<size_t> ids;
  std::vector<double> times;
  for (size_t word = 3; word < 3 + thread_count; ++word) ids.push_back(std::stoul(words.at(word)));
  for (size_t word = 3 + thread_count; word < words.size(); ++word) {
    times.push_back(std::stod(words[word]));
  }
  std::vector<std::string> answers(times.size());
  std::atomic<size_t> next{0};
  std::vector<std::thread> threads;
  for (const size_t id : ids) {
    threads.emplace_back([&, id] {
      for (size_t at = next++; at < times.size(); at = next++) {
        answers[at] = render_one(instance_at(id), times[at], prefix + std::to_string(at) + ".raw");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return list<std::string>(answers, [](const std::string& answer) { return answer; });
}

std::string Commands::close() {
  for (const auto& instance : instances_) {
    if (instance) end(*instance);
  }
  instances_.clear();
  for (size_t plugin = 0; plugin < plugins_.size(); ++plugin) {
    if (plugins_[plugin]) unload(plugin);
  }
  if (state().allocations != 0) ledger().violation("memory of the host was not given back");
  return "null";
}

std::string Commands::counters() {
  return "{\"fetched_images\":" + std::to_string(state().fetched_images) +
         ",\"progress_updates\":" + std::to_string(state().progress_updates) +
         ",\"allocations\":" + std::to_string(state().allocations) + "}";
}

std::string Commands::messages() {
  const std::lock_guard lock(state().mutex);
  const std::string answer = list<Message>(state().messages, [](const Message& message) {
    return "{\"kind\":" + json_text(message.kind) + ",\"type\":" + json_text(message.type) +
           ",\"text\":" + json_text(message.text) + "}";
  });
  state().messages.clear();
  return answer;
}

std::string Commands::violations() {
  return list<std::string>(ledger().take(),
                           [](const std::string& text) { return json_text(text); });
}

OfxStatus Commands::act(Plugin& plugin, const char* action, OfxImageEffectStruct* effect,
                        OfxPropertySetHandle in, OfxPropertySetHandle out, double time) {
  current_action() = {action, effect, time, 0};
  const OfxStatus status = plugin.plugin->mainEntry(action, effect, in, out);
  if (current_action().images != 0) ledger().violation("images were not released");
  if (effect != nullptr && effect->open_edits != 0) ledger().violation("an edit was not ended");
  if (state().open_progress != 0 && instances_.size() == 1) {
    ledger().violation("progress was not ended");
  }
  current_action() = {};
  return status;
}

OfxStatus Commands::changed(Instance& instance, const std::string& name, double time) {
  OfxPropertySetStruct in("the arguments of InstanceChanged", true);
  in.define(kOfxPropType, {std::string(kOfxTypeParameter)});
  in.define(kOfxPropName, {name});
  in.define(kOfxPropChangeReason, {std::string(kOfxChangeUserEdited)});
  in.define(kOfxPropTime, {time});
  in.define(kOfxImageEffectPropRenderScale, {1.0, 1.0});
  OfxPropertySetStruct reason("the arguments of BeginInstanceChanged", true);
  reason.define(kOfxPropChangeReason, {std::string(kOfxChangeUserEdited)});
  act(*instance.plugin, kOfxActionBeginInstanceChanged, instance.effect.get(), &reason, nullptr,
      time);
  const OfxStatus status =
      act(*instance.plugin, kOfxActionInstanceChanged, instance.effect.get(), &in, nullptr, time);
  act(*instance.plugin, kOfxActionEndInstanceChanged, instance.effect.get(), &reason, nullptr,
      time);
  return status;
}

std::unique_ptr<OfxImageEffectStruct> Commands::described_in(Plugin& plugin,
                                                             const std::string& context) {
  auto effect = std::make_unique<OfxImageEffectStruct>(*plugin.descriptor, false);
  effect->context = context;
  OfxPropertySetStruct in("the arguments of DescribeInContext", true);
  in.define(kOfxImageEffectPropContext, {context});
  const OfxStatus status =
      act(plugin, kOfxImageEffectActionDescribeInContext, effect.get(), &in, nullptr, 0);
  if (status != kOfxStatOK) {
    throw std::runtime_error("DescribeInContext gave " + std::to_string(status));
  }
  return effect;
}

// The layout of the output, as the plugin prefers it. Premultiplied if an input is, by default.
Layout Commands::output_layout(Instance& instance) {
  Layout layout = state().layout;
  for (const auto& [name, clip] : instance.effect->clips) {
    const Layout& input = layout_of(name);
    if (!input.file.empty() && input.premultiplication == kOfxImagePreMultiplied) {
      layout.premultiplication = kOfxImagePreMultiplied;
    }
  }
  OfxPropertySetStruct preferences("the answer of GetClipPreferences");
  preferences.define("OfxImageClipPropComponents_Output", {std::string(kOfxImageComponentRGBA)});
  preferences.define(kOfxImageEffectPropPreMultiplication, {layout.premultiplication});
  const OfxStatus status = act(*instance.plugin, kOfxImageEffectActionGetClipPreferences,
                               instance.effect.get(), nullptr, &preferences, 0);
  if (status != kOfxStatOK) return layout;
  layout.components = preferences.get<std::string>("OfxImageClipPropComponents_Output", 0, "");
  layout.premultiplication =
      preferences.get<std::string>(kOfxImageEffectPropPreMultiplication, 0, "");
  return layout;
}

std::string Commands::render_one(Instance& given, double time, const std::string& path) {
  if (reload_) act(*given.plugin, kOfxActionLoad, nullptr, nullptr, nullptr, 0);
  Instance fresh;
  if (recreate_) fresh = copy_of(given);
  Instance& instance = recreate_ ? fresh : given;
  const Layout layout = output_layout(instance);
  HostImage output(layout, layout.output_bounds(), true);
  const auto began = std::chrono::steady_clock::now();
  const OfxStatus status = render_action(instance, time, output);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  if (!output.guards_hold(layout.window())) {
    ledger().violation("pixels outside the window were written");
  }
  if (recreate_) end(fresh);
  const std::vector<std::byte> pixels = output.packed();
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(pixels.data()),
             static_cast<std::streamsize>(pixels.size()));
  return "{\"time\":" + number(time) + ",\"status\":" + std::to_string(status) +
         ",\"seconds\":" + number(took.count()) + ",\"path\":" + json_text(path) +
         ",\"width\":" + std::to_string(output.bounds().x2 - output.bounds().x1) +
         ",\"height\":" + std::to_string(output.bounds().y2 - output.bounds().y1) + "}";
}

OfxStatus Commands::render_action(Instance& instance, double time, HostImage& output) {
  const OfxRectI window = state().layout.window();
  const double scale = 1.0 / state().layout.reduction;
  OfxPropertySetStruct in("the arguments of Render", true);
  in.define(kOfxPropTime, {time});
  in.define(kOfxImageEffectPropFieldToRender, {std::string(kOfxImageFieldNone)});
  in.define(kOfxImageEffectPropRenderWindow, {window.x1, window.y1, window.x2, window.y2});
  in.define(kOfxImageEffectPropRenderScale, {scale, scale});
  in.define(kOfxImageEffectPropSequentialRenderStatus, {0});
  if (state().interactive != "absent") {
    in.define(kOfxImageEffectPropInteractiveRenderStatus, {std::stoi(state().interactive)});
  }
  if (state().source_frame_offset) {
    in.define("OfxImageEffectPropSrcFrame",
              {static_cast<int>(time) + *state().source_frame_offset});
  }
  OfxPropertySetStruct identity("the answer of IsIdentity");
  identity.define(kOfxPropName, {std::string()});
  identity.define(kOfxPropTime, {time});

  const std::lock_guard one_at_a_time(instance.effect->rendering);
  OfxImageEffectStruct* effect = instance.effect.get();
  effect->output = &output;
  act(*instance.plugin, kOfxImageEffectActionBeginSequenceRender, effect, &in, nullptr, time);
  act(*instance.plugin, kOfxImageEffectActionIsIdentity, effect, &in, &identity, time);
  const OfxStatus status =
      act(*instance.plugin, kOfxImageEffectActionRender, effect, &in, nullptr, time);
  act(*instance.plugin, kOfxImageEffectActionEndSequenceRender, effect, &in, nullptr, time);
  effect->output = nullptr;
  return status;
}

Instance Commands::copy_of(const Instance& instance) {
  Instance copy;
  copy.plugin = instance.plugin;
  copy.effect = std::make_unique<OfxImageEffectStruct>(*instance.effect, true);
  for (const auto& parameter : instance.effect->parameters) {
    copy.effect->find_parameter(parameter->name)->value = parameter->value;
  }
  describe_instance(*copy.effect);
  act(*copy.plugin, kOfxActionCreateInstance, copy.effect.get(), nullptr, nullptr, 0);
  return copy;
}

void Commands::end(Instance& instance) {
  act(*instance.plugin, kOfxActionDestroyInstance, instance.effect.get(), nullptr, nullptr, 0);
  check_left_nothing(*instance.effect);
  instance.effect.reset();
}

void Commands::check_left_nothing(const OfxImageEffectStruct& effect) {
  if (effect.properties.get<void*>(kOfxPropInstanceData, 0, nullptr) != nullptr) {
    ledger().violation("instance data was left behind");
  }
}

Plugin& Commands::plugin_at(size_t index) {
  if (index >= plugins_.size() || !plugins_[index]) throw std::runtime_error("no such plugin");
  return *plugins_[index];
}

Instance& Commands::instance_at(size_t index) {
  if (index >= instances_.size() || !instances_[index]) {
    throw std::runtime_error("no such instance");
  }
  return *instances_[index];
}

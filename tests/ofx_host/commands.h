// The commands that drive the host: one line each, words in double quotes or bare; the answer is
// one line of JSON.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "effect.h"
#include "ofxCore.h"

// A loaded plugin with its descriptor.
struct Plugin {
  void* library = nullptr;
  OfxPlugin* plugin = nullptr;
  std::unique_ptr<OfxImageEffectStruct> descriptor;
};

struct Instance {
  Plugin* plugin = nullptr;
  std::unique_ptr<OfxImageEffectStruct> effect;
};

class Commands {
 public:
  // Throws std::runtime_error for a command that cannot be done.
  std::string run(const std::vector<std::string>& words);

 private:
  std::string option(const std::string& name, const std::string& value);
  std::string load(const std::string& path);
  std::string unload(size_t plugin);
  std::string describe(size_t plugin, const std::string& context);
  std::string create(size_t plugin, const std::string& context);
  std::string clone(size_t instance);
  std::string destroy(size_t instance);
  // The parameters that are not greyed out.
  std::string enabled(size_t instance);
  std::string get(size_t instance, const std::string& name);
  std::string set(size_t instance, const std::string& name, const std::string& value);
  std::string press(size_t instance, const std::string& name, double time);
  std::string render(const std::vector<std::string>& words);
  // Ends every instance and unloads every plugin.
  std::string close();
  std::string counters();
  std::string messages();
  std::string violations();

  OfxStatus act(Plugin& plugin, const char* action, OfxImageEffectStruct* effect,
                OfxPropertySetHandle in, OfxPropertySetHandle out, double time);
  OfxStatus changed(Instance& instance, const std::string& name, double time);
  std::unique_ptr<OfxImageEffectStruct> described_in(Plugin& plugin, const std::string& context);
  Layout output_layout(Instance& instance);
  std::string render_one(Instance& instance, double time, const std::string& path);
  OfxStatus render_action(Instance& instance, double time, HostImage& output);
  Instance copy_of(const Instance& instance);
  void end(Instance& instance);
  // After CreateInstance failed or DestroyInstance: whatever the instance remembered is gone.
  static void check_left_nothing(const OfxImageEffectStruct& effect);
  Plugin& plugin_at(size_t index);
  Instance& instance_at(size_t index);

  std::vector<std::unique_ptr<Plugin>> plugins_;
  std::vector<std::unique_ptr<Instance>> instances_;
  // An instance for each frame, and the Load action before each, as in MLT.
  bool recreate_ = false;
  bool reload_ = false;
};

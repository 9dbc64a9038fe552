// Effects as the host knows them: descriptors, instances, their parameters and clips.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "image.h"
#include "ofxImageEffect.h"
#include "ofxParam.h"
#include "properties.h"

using ParameterValue = std::variant<int, double, std::string>;

struct OfxParamStruct {
  OfxParamStruct(const std::string& type, const std::string& name);
  OfxParamStruct(const OfxParamStruct&) = default;
  ~OfxParamStruct();

  // The values of a new instance.
  void reset_to_default();

  std::string type;
  std::string name;
  OfxPropertySetStruct properties;
  ParameterValue value;
};

struct OfxImageClipStruct {
  OfxImageClipStruct(const std::string& name, OfxImageEffectHandle effect);

  std::string name;
  OfxImageEffectHandle effect;
  OfxPropertySetStruct properties;
};

// A handle of parameters, which is never looked into.
struct OfxParamSetStruct {
  OfxImageEffectHandle effect;
};

struct OfxImageEffectStruct {
  // A descriptor; the plugin describes it.
  OfxImageEffectStruct();
  // A descriptor for a context, or an instance of one.
  OfxImageEffectStruct(const OfxImageEffectStruct& described, bool instance);
  ~OfxImageEffectStruct();

  OfxParamStruct* find_parameter(const std::string& name);

  bool is_instance = false;
  std::string context;
  OfxPropertySetStruct properties;
  OfxParamSetStruct parameter_set;
  std::vector<std::unique_ptr<OfxParamStruct>> parameters;
  std::map<std::string, std::unique_ptr<OfxImageClipStruct>> clips;
  // The plugin declares that one instance renders one frame at a time.
  std::mutex rendering;
  // The output of the render under way.
  HostImage* output = nullptr;
  int open_edits = 0;
};

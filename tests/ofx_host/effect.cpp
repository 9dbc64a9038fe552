#include "effect.h"

#include "ledger.h"

namespace {

void define_range(OfxPropertySetStruct& properties, PropertyValue zero) {
  for (const char* name : {kOfxParamPropDefault, kOfxParamPropMin, kOfxParamPropMax,
                           kOfxParamPropDisplayMin, kOfxParamPropDisplayMax}) {
    properties.define(name, {zero});
  }
}

void define_effect(OfxPropertySetStruct& properties) {
  const std::string empty;
  properties.define(kOfxPropType, {std::string(kOfxTypeImageEffect)});
  for (const char* name : {kOfxPropLabel, kOfxPropPluginDescription,
                           kOfxImageEffectPluginPropGrouping, kOfxPropVersionLabel}) {
    properties.define(name, {empty});
  }
  properties.define_empty<std::string>(kOfxImageEffectPropSupportedContexts);
  properties.define_empty<std::string>(kOfxImageEffectPropSupportedPixelDepths);
  properties.define(kOfxImageEffectPluginRenderThreadSafety,
                    {std::string(kOfxImageEffectRenderInstanceSafe)});
  for (const char* name :
       {kOfxImageEffectPluginPropSingleInstance, kOfxImageEffectPluginPropHostFrameThreading,
        kOfxImageEffectPluginPropFieldRenderTwiceAlways, kOfxImageEffectPropSupportsTiles,
        kOfxImageEffectPropSupportsMultiResolution, kOfxImageEffectPropSupportsMultipleClipDepths,
        kOfxImageEffectPropTemporalClipAccess}) {
    properties.define(name, {0});
  }
}

void define_clip(OfxPropertySetStruct& properties, const std::string& name) {
  properties.define(kOfxPropType, {std::string(kOfxTypeClip)});
  properties.define(kOfxPropName, {name});
  properties.define(kOfxPropLabel, {name});
  properties.define_empty<std::string>(kOfxImageEffectPropSupportedComponents);
  for (const char* flag : {kOfxImageEffectPropTemporalClipAccess, kOfxImageClipPropOptional,
                           kOfxImageClipPropIsMask, kOfxImageEffectPropSupportsTiles}) {
    properties.define(flag, {0});
  }
}

}  // namespace

OfxParamStruct::OfxParamStruct(const std::string& type, const std::string& name)
    : type(type), name(name), properties("parameter " + name) {
  ledger().lend(this);
  properties.define(kOfxPropType, {std::string(kOfxTypeParameter)});
  properties.define(kOfxParamPropType, {type});
  properties.define(kOfxPropName, {name});
  properties.define(kOfxParamPropScriptName, {name});
  for (const char* text : {kOfxPropLabel, kOfxParamPropHint, kOfxParamPropParent}) {
    properties.define(text, {std::string()});
  }
  properties.define(kOfxParamPropSecret, {0});
  properties.define(kOfxParamPropEnabled, {1});
  if (type == kOfxParamTypeGroup) properties.define(kOfxParamPropGroupOpen, {1});
  if (type == kOfxParamTypeGroup || type == kOfxParamTypePushButton) return;
  for (const char* flag : {kOfxParamPropAnimates, kOfxParamPropCanUndo, kOfxParamPropPersistant,
                           kOfxParamPropEvaluateOnChange}) {
    properties.define(flag, {1});
  }
  if (type == kOfxParamTypeInteger) define_range(properties, 0);
  if (type == kOfxParamTypeDouble) define_range(properties, 0.0);
  if (type == kOfxParamTypeBoolean) properties.define(kOfxParamPropDefault, {0});
  if (type == kOfxParamTypeChoice) {
    properties.define(kOfxParamPropDefault, {0});
    properties.define_empty<std::string>(kOfxParamPropChoiceOption);
  }
  if (type == kOfxParamTypeString) {
    properties.define(kOfxParamPropDefault, {std::string()});
    properties.define(kOfxParamPropStringMode, {std::string(kOfxParamStringIsSingleLine)});
    properties.define(kOfxParamPropStringFilePathExists, {1});
  }
}

OfxParamStruct::~OfxParamStruct() { ledger().take_back(this); }

void OfxParamStruct::reset_to_default() {
  if (type == kOfxParamTypeString) {
    value = properties.get<std::string>(kOfxParamPropDefault, 0, "");
  } else if (type == kOfxParamTypeDouble) {
    value = properties.get<double>(kOfxParamPropDefault, 0, 0.0);
  } else {
    value = properties.get<int>(kOfxParamPropDefault, 0, 0);
  }
}

OfxImageClipStruct::OfxImageClipStruct(const std::string& name, OfxImageEffectHandle effect)
    : name(name), effect(effect), properties("clip " + name) {
  define_clip(properties, name);
}

OfxImageEffectStruct::OfxImageEffectStruct() : properties("the effect"), parameter_set{this} {
  ledger().lend(this);
  ledger().lend(&parameter_set);
  define_effect(properties);
}

OfxImageEffectStruct::OfxImageEffectStruct(const OfxImageEffectStruct& described, bool instance)
    : is_instance(instance),
      context(described.context),
      properties(described.properties),
      parameter_set{this} {
  ledger().lend(this);
  ledger().lend(&parameter_set);
  if (!instance) return;
  properties.define(kOfxPropType, {std::string(kOfxTypeImageEffectInstance)});
  properties.define(kOfxPropInstanceData, {static_cast<void*>(nullptr)});
  properties.define(kOfxImageEffectPropContext, {context});
  for (const auto& parameter : described.parameters) {
    parameters.push_back(std::make_unique<OfxParamStruct>(*parameter));
    ledger().lend(parameters.back().get());
    parameters.back()->reset_to_default();
  }
  for (const auto& [name, clip] : described.clips) {
    clips[name] = std::make_unique<OfxImageClipStruct>(name, this);
    ledger().lend(clips[name].get());
  }
}

OfxImageEffectStruct::~OfxImageEffectStruct() {
  for (const auto& [name, clip] : clips) ledger().take_back(clip.get());
  ledger().take_back(&parameter_set);
  ledger().take_back(this);
}

OfxParamStruct* OfxImageEffectStruct::find_parameter(const std::string& name) {
  for (const auto& parameter : parameters) {
    if (parameter->name == name) return parameter.get();
  }
  return nullptr;
}

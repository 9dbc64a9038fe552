// The entry points of the effect.

#include <cstring>
#include <new>

#include "buttons.h"
#include "errors.h"
#include "host.h"
#include "instance.h"
#include "parameters.h"
#include "render.h"

namespace inbetween {
namespace {

void describe(OfxImageEffectHandle effect) {
  OfxPropertySetHandle handle = nullptr;
  check(host().effects->getPropertySet(effect, &handle), "getPropertySet");
  const Properties properties(handle);
  properties.set(kOfxPropLabel, "Inbetween");
  properties.set(kOfxPropPluginDescription,
                 "Key frames of the clip are painted by a diffusion model or by hand; the frames "
                 "in between follow.");
  properties.set(kOfxImageEffectPluginPropGrouping, "Inbetween");
  properties.set(kOfxImageEffectPropSupportedContexts, kOfxImageEffectContextFilter, 0);
  properties.set(kOfxImageEffectPropSupportedContexts, kOfxImageEffectContextGeneral, 1);
  properties.set(kOfxImageEffectPropSupportedPixelDepths, kOfxBitDepthFloat, 0);
  properties.set(kOfxImageEffectPropSupportedPixelDepths, kOfxBitDepthShort, 1);
  properties.set(kOfxImageEffectPropSupportedPixelDepths, kOfxBitDepthByte, 2);
  properties.set(kOfxImageEffectPluginRenderThreadSafety, kOfxImageEffectRenderInstanceSafe);
  properties.set(kOfxImageEffectPluginPropHostFrameThreading, 0);
  properties.set(kOfxImageEffectPluginPropFieldRenderTwiceAlways, 0);
  properties.set(kOfxImageEffectPropSupportsTiles, 0);
  properties.set(kOfxImageEffectPropSupportsMultiResolution, 1);
  properties.set(kOfxImageEffectPropSupportsMultipleClipDepths, 0);
  properties.set(kOfxImageEffectPropTemporalClipAccess, 1);
}

void define_clip(OfxImageEffectHandle effect, const char* name) {
  OfxPropertySetHandle handle = nullptr;
  check(host().effects->clipDefine(effect, name, &handle), name);
  const Properties clip(handle);
  clip.set(kOfxImageEffectPropSupportedComponents, kOfxImageComponentRGBA, 0);
  clip.set(kOfxImageEffectPropSupportedComponents, kOfxImageComponentRGB, 1);
  clip.set(kOfxImageEffectPropSupportsTiles, 0);
  if (std::strcmp(name, kOfxImageEffectSimpleSourceClipName) == 0) {
    clip.set(kOfxImageEffectPropTemporalClipAccess, 1);
  }
}

void define_mask(OfxImageEffectHandle effect) {
  OfxPropertySetHandle handle = nullptr;
  check(host().effects->clipDefine(effect, kMaskClipName, &handle), kMaskClipName);
  const Properties clip(handle);
  clip.set(kOfxImageEffectPropSupportedComponents, kOfxImageComponentAlpha, 0);
  clip.set(kOfxImageEffectPropSupportedComponents, kOfxImageComponentRGBA, 1);
  clip.set(kOfxImageEffectPropSupportedComponents, kOfxImageComponentRGB, 2);
  clip.set(kOfxImageEffectPropSupportsTiles, 0);
  clip.set(kOfxImageClipPropOptional, 1);
  clip.set(kOfxImageClipPropIsMask, 1);
}

void describe_in_context(OfxImageEffectHandle effect, const Properties& arguments) {
  define_clip(effect, kOfxImageEffectSimpleSourceClipName);
  define_clip(effect, kOfxImageEffectOutputClipName);
  if (arguments.find_string(kOfxImageEffectPropContext) == kOfxImageEffectContextGeneral) {
    define_mask(effect);
  }
  define_parameters(effect);
}

OfxStatus act(const std::string& action, OfxImageEffectHandle effect, const Properties& arguments,
              const Properties& answer) {
  if (action == kOfxActionLoad) {
    load_host();
  } else if (action == kOfxActionDescribe) {
    describe(effect);
  } else if (action == kOfxImageEffectActionDescribeInContext) {
    describe_in_context(effect, arguments);
  } else if (action == kOfxActionCreateInstance) {
    create_instance(effect);
  } else if (action == kOfxActionDestroyInstance) {
    destroy_instance(effect);
  } else if (action == kOfxActionInstanceChanged) {
    return instance_changed(effect, arguments);
  } else if (action == kOfxImageEffectActionGetClipPreferences) {
    return Instance(effect).describe_output(answer) ? kOfxStatOK : kOfxStatReplyDefault;
  } else if (action == kOfxImageEffectActionRender) {
    return render(effect, arguments);
  } else if (action != kOfxActionUnload) {
    return kOfxStatReplyDefault;
  }
  return kOfxStatOK;
}

// Nothing is ever thrown into the host.
OfxStatus main_entry(const char* action, const void* handle, OfxPropertySetHandle arguments,
                     OfxPropertySetHandle answer) {
  try {
    auto* effect = static_cast<OfxImageEffectHandle>(const_cast<void*>(handle));
    return act(action == nullptr ? "" : action, effect, Properties(arguments), Properties(answer));
  } catch (const HostError& error) {
    return error.status();
  } catch (const std::bad_alloc&) {
    return kOfxStatErrMemory;
  } catch (...) {
    return kOfxStatFailed;
  }
}

void set_host(OfxHost* given) { remember_host(given); }

OfxPlugin plugin = {
    .pluginApi = kOfxImageEffectPluginApi,
    .apiVersion = kOfxImageEffectPluginApiVersion,
    .pluginIdentifier = INBETWEEN_IDENTIFIER,
    .pluginVersionMajor = 1,
    .pluginVersionMinor = 0,
    .setHost = set_host,
    .mainEntry = main_entry,
};

}  // namespace
}  // namespace inbetween

OfxExport int OfxGetNumberOfPlugins(void) { return 1; }

OfxExport OfxPlugin* OfxGetPlugin(int nth) { return nth == 0 ? &inbetween::plugin : nullptr; }

OfxExport OfxStatus OfxSetHost(const OfxHost* given) {
  inbetween::remember_host(given);
  return kOfxStatOK;
}

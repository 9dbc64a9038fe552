/* OpenFX: a progress window of the host. */
#ifndef OFX_PROGRESS_H
#define OFX_PROGRESS_H

#include "ofxCore.h"

#ifdef __cplusplus
extern "C" {
#endif

#define kOfxProgressSuite "OfxProgressSuite"

typedef struct OfxProgressSuiteV1 {
  OfxStatus (*progressStart)(void* effectInstance, const char* label);
  /* 0..1; kOfxStatReplyNo: the user wants it to end. */
  OfxStatus (*progressUpdate)(void* effectInstance, double progress);
  OfxStatus (*progressEnd)(void* effectInstance);
} OfxProgressSuiteV1;

#ifdef __cplusplus
}
#endif

#endif

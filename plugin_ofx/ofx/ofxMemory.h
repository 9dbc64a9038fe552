/* OpenFX: memory that the host counts. */
#ifndef OFX_MEMORY_H
#define OFX_MEMORY_H

#include <stddef.h>

#include "ofxCore.h"

#ifdef __cplusplus
extern "C" {
#endif

#define kOfxMemorySuite "OfxMemorySuite"

typedef struct OfxMemorySuiteV1 {
  OfxStatus (*memoryAlloc)(void* handle, size_t bytes, void** data);
  OfxStatus (*memoryFree)(void* data);
} OfxMemorySuiteV1;

#ifdef __cplusplus
}
#endif

#endif

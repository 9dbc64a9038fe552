#ifndef INBETWEEN_CPU_SYNTHESIS_H_
#define INBETWEEN_CPU_SYNTHESIS_H_

#include "inbetween/kernels.h"

namespace inbetween {

/* Guided patch synthesis with checked parameters; see kernels.h. */
void synthesize(const inbetween_synthesis& parameters);

}  // namespace inbetween

#endif  // INBETWEEN_CPU_SYNTHESIS_H_

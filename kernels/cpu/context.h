#ifndef INBETWEEN_CPU_CONTEXT_H_
#define INBETWEEN_CPU_CONTEXT_H_

#include "inbetween/kernels.h"
#include "workers.h"

struct inbetween_context {
  explicit inbetween_context(const inbetween_device& device)
      : workers(device.threads),
        instruction_set(static_cast<inbetween_instruction_set>(device.instruction_set)) {}

  inbetween::Workers workers;
  inbetween_instruction_set instruction_set; /* never INBETWEEN_BEST */
};

#endif  // INBETWEEN_CPU_CONTEXT_H_

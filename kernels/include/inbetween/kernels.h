/* The C ABI of Inbetween's native kernels.
 *
 * A backend is one implementation of this header. Arrays are C-contiguous, rows run top-down,
 * positions are x then y with pixel centres at integers. Nothing is kept between calls, and any
 * number of threads may call at once. */
#ifndef INBETWEEN_KERNELS_H_
#define INBETWEEN_KERNELS_H_

#include <stdint.h>

#if defined(_WIN32)
#define INBETWEEN_EXPORT __declspec(dllexport)
#else
#define INBETWEEN_EXPORT __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define INBETWEEN_ABI_VERSION 1
#define INBETWEEN_MAX_SIDE 32767
#define INBETWEEN_MAX_GUIDE_CHANNELS 61

enum inbetween_status {
  INBETWEEN_OK = 0,
  INBETWEEN_INVALID_VALUE = 1,
  INBETWEEN_OUT_OF_MEMORY = 2,
  INBETWEEN_FAILED = 3,
};

enum inbetween_instruction_set {
  INBETWEEN_BEST = 0,  /* the fastest that this processor has */
  INBETWEEN_PLAIN = 1, /* what the compiler makes of plain C++ */
  INBETWEEN_AVX2 = 2,
  INBETWEEN_AVX512 = 3, /* F, BW, VL and VNNI */
};

/* Guided patch synthesis: carries the style of a key frame to another frame. */
struct inbetween_synthesis {
  int32_t source_width;           /* of the key frame, 1..INBETWEEN_MAX_SIDE */
  int32_t source_height;          /* likewise */
  int32_t target_width;           /* of the frame that is made, 1..INBETWEEN_MAX_SIDE */
  int32_t target_height;          /* likewise */
  int32_t guide_channels;         /* 1..INBETWEEN_MAX_GUIDE_CHANNELS */
  int32_t patch_size;             /* side of a patch in pixels, odd, 3..15 */
  int32_t search_vote_iterations; /* per pyramid level, 1..100 */
  int32_t threads;                /* 0: one per processor; the result does not depend on it */
  int32_t instruction_set;        /* enum inbetween_instruction_set; likewise */
  uint32_t seed;                  /* of the random candidates */
  float uniformity;               /* cost of using a source pixel once per fair share, >= 0 */
  const float* style;             /* [source_height, source_width, 3], finite, 0..1 is matched */
  const uint8_t* source_guides;   /* [source_height, source_width, guide_channels] */
  const uint8_t* target_guides;   /* [target_height, target_width, guide_channels] */
  const float* guide_weights;     /* [guide_channels], finite, >= 0; style weighs 1/3 a channel */
  const float* initial_xy;        /* [target_height, target_width, 2], finite, source pixels */
  float* picture;                 /* out: [target_height, target_width, 3] */
  int32_t* source_xy;             /* out: [target_height, target_width, 2] */
  float* patch_error;             /* out: [target_height, target_width] */
};

/* INBETWEEN_ABI_VERSION of the library: the caller refuses another than its own. */
INBETWEEN_EXPORT int32_t inbetween_abi_version(void);

/* The enum inbetween_instruction_set that INBETWEEN_BEST stands for on this processor. */
INBETWEEN_EXPORT int32_t inbetween_best_instruction_set(void);

/* Returns an enum inbetween_status. The outputs hold nothing useful unless it is INBETWEEN_OK. */
INBETWEEN_EXPORT int32_t inbetween_synthesize(const struct inbetween_synthesis* parameters);

/* What was wrong with this thread's last call: one English sentence, valid until its next call. */
INBETWEEN_EXPORT const char* inbetween_last_error(void);

#ifdef __cplusplus
}
#endif

#endif /* INBETWEEN_KERNELS_H_ */

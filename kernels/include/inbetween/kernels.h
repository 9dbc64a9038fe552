/* The C ABI of Inbetween's native kernels.
 *
 * A backend is one library that implements this header: libinbetween_kernels computes on the
 * processor, libinbetween_kernels_cuda on a CUDA device. Pointers to pixels are to the backend's
 * memory, everything else is the caller's. Arrays are C-contiguous, rows run top-down, positions
 * are x then y with pixel centres at integers. Values must be finite; where one is not, the result
 * means nothing, but no memory is harmed. Outputs may not overlap inputs unless said.
 *
 * Work is done in the order of the calls. On CUDA a call returns once its work is queued on the
 * context's stream: an error of the device may be reported by a later call. */
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

#define INBETWEEN_ABI_VERSION 4
#define INBETWEEN_MAX_SIDE 32767
#define INBETWEEN_MAX_GUIDE_CHANNELS 61
#define INBETWEEN_MAX_SYNTHESES 4

/* What functions return that can fail. The outputs hold nothing useful unless it is INBETWEEN_OK.
 */
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

/* INBETWEEN_ABI_VERSION of the library: the caller refuses another than its own. */
INBETWEEN_EXPORT int32_t inbetween_abi_version(void);

/* The bytes of a struct of this header by its name, "inbetween_warp" for example, as the library
 * was built; 0 for a name that it does not know. The caller compares them with its own. */
INBETWEEN_EXPORT uint64_t inbetween_size_of(const char* name);

/* What was wrong with this thread's last call: one English sentence, valid until its next call. */
INBETWEEN_EXPORT const char* inbetween_last_error(void);

/* How many devices there are: 1 for the processor, 0 for CUDA without a driver or a card. */
INBETWEEN_EXPORT int32_t inbetween_device_count(void);

/* What a context computes with. */
struct inbetween_device {
  int32_t index;   /* of the CUDA device; 0 for the processor */
  int32_t threads; /* processor: 0 for one per core, up to 1024; results do not depend on it */
  int32_t instruction_set; /* processor: enum inbetween_instruction_set; likewise */
  void* stream; /* CUDA: the cudaStream_t to queue on; NULL for one of the context's own */
};

/* The enum inbetween_instruction_set that INBETWEEN_BEST stands for on this processor. */
INBETWEEN_EXPORT int32_t inbetween_best_instruction_set(void);

/* Writes the device's name, at most `size` bytes with the closing zero. */
INBETWEEN_EXPORT int32_t inbetween_device_name(int32_t index, char* name, int32_t size);

/* A device with its threads or stream, and memory that is used again by the next call. One thread
 * may use it at a time. */
typedef struct inbetween_context inbetween_context;

INBETWEEN_EXPORT int32_t inbetween_open(const struct inbetween_device* device,
                                        inbetween_context** context);
INBETWEEN_EXPORT void inbetween_close(inbetween_context* context);

/* Memory of the backend, aligned to 64 bytes or more. */
INBETWEEN_EXPORT int32_t inbetween_allocate(inbetween_context* context, uint64_t bytes,
                                            void** memory);
INBETWEEN_EXPORT void inbetween_release(inbetween_context* context, void* memory);
/* Both wait until the bytes are there. */
INBETWEEN_EXPORT int32_t inbetween_upload(inbetween_context* context, void* to, const void* from,
                                          uint64_t bytes);
INBETWEEN_EXPORT int32_t inbetween_download(inbetween_context* context, void* to, const void* from,
                                            uint64_t bytes);
/* Waits until all that was queued is done, and reports an error that it met. */
INBETWEEN_EXPORT int32_t inbetween_finish(inbetween_context* context);

/* An image sampled where a flow leads: out(p) = image(p + displacement(p)), bilinear; outside the
 * image its border goes on. */
struct inbetween_warp {
  int32_t image_width;       /* 1..INBETWEEN_MAX_SIDE */
  int32_t image_height;      /* likewise */
  int32_t width;             /* of the flow and of the result, likewise */
  int32_t height;            /* likewise */
  int32_t channels;          /* 1..64 */
  const float* image;        /* [image_height, image_width, channels] */
  const float* displacement; /* [height, width, 2] */
  float* warped;             /* out: [height, width, channels] */
};
INBETWEEN_EXPORT int32_t inbetween_warp(inbetween_context* context,
                                        const struct inbetween_warp* parameters);

/* One flow after another: first(p) + second(p + first(p)), with the confidences multiplied. */
struct inbetween_composition {
  int32_t width;                  /* 1..INBETWEEN_MAX_SIDE */
  int32_t height;                 /* likewise */
  const float* first;             /* [height, width, 2] from a to b */
  const float* first_confidence;  /* [height, width], 0..1 */
  const float* second;            /* [height, width, 2] from b to c */
  const float* second_confidence; /* [height, width], 0..1 */
  float* composed;                /* out: [height, width, 2] from a to c */
  float* confidence;              /* out: [height, width] */
};
INBETWEEN_EXPORT int32_t inbetween_compose(inbetween_context* context,
                                           const struct inbetween_composition* parameters);

/* How far a flow can be trusted: 0 where the way there and back does not end where it began,
 * widened and blurred outwards; 1 elsewhere. */
struct inbetween_confidence {
  int32_t width;            /* 1..INBETWEEN_MAX_SIDE */
  int32_t height;           /* likewise */
  float relative_tolerance; /* of the lengths of both ways, >= 0 */
  float absolute_tolerance; /* in pixels, >= 0 */
  int32_t widened;          /* side of the square that widens and blurs, odd, 1..63 */
  const float* forward;     /* [height, width, 2] the flow */
  const float* backward;    /* [height, width, 2] the flow back */
  float* confidence;        /* out: [height, width] */
};
INBETWEEN_EXPORT int32_t inbetween_confidence(inbetween_context* context,
                                              const struct inbetween_confidence* parameters);

/* The guides of the patch search: colour, edge (3x3 Laplacian) and temporal, 8 bits each. */
struct inbetween_guides {
  int32_t width;         /* 1..INBETWEEN_MAX_SIDE */
  int32_t height;        /* likewise */
  const float* source;   /* [height, width, 3], 0..1 */
  const float* temporal; /* [height, width, 3], 0..1 */
  uint8_t* guides;       /* out: [height, width, 9] */
};
INBETWEEN_EXPORT int32_t inbetween_guides(inbetween_context* context,
                                          const struct inbetween_guides* parameters);

/* Guided patch synthesis: carries the style of a key frame to another frame. Several are done in
 * one call, 1..INBETWEEN_MAX_SYNTHESES: most of what they try late is too little for a device,
 * which therefore does them side by side. Each gives what it would give alone. */
struct inbetween_synthesis {
  int32_t source_width;           /* of the key frame, 1..INBETWEEN_MAX_SIDE */
  int32_t source_height;          /* likewise */
  int32_t target_width;           /* of the frame that is made, 1..INBETWEEN_MAX_SIDE */
  int32_t target_height;          /* likewise */
  int32_t guide_channels;         /* 1..INBETWEEN_MAX_GUIDE_CHANNELS */
  int32_t patch_size;             /* side of a patch in pixels, odd, 3..15 */
  int32_t search_vote_iterations; /* per pyramid level, 1..100 */
  int32_t stop_threshold;         /* of 255: a style whose channels a vote changed by less together
                                     is settled, 1..255 */
  uint32_t seed;                  /* of the random candidates */
  float uniformity;               /* cost of using a source pixel once per fair share, >= 0 */
  float position_weight;          /* cost of leaving the flow, >= 0; see engine/native/reference */
  const float* guide_weights;     /* [guide_channels], the caller's memory, finite, >= 0; the style
                                     weighs 1/3 a channel */
  const float* style;             /* [source_height, source_width, 3], 0..1 is matched */
  const uint8_t* source_guides;   /* [source_height, source_width, guide_channels] */
  const uint8_t* target_guides;   /* [target_height, target_width, guide_channels] */
  const float* to_source;         /* [target_height, target_width, 2] composed flow */
  const float* confidence;        /* [target_height, target_width] of that flow, 0..1; NULL for 1 */
  const float* temporal_confidence; /* [target_height, target_width], or NULL: the last three guide
                                       channels hold the style at the key frame; where this is
                                       below 0.5, at the target they are voted as the style is and
                                       so have no say of their own */
  float* picture;                   /* out: [target_height, target_width, 3] */
  int32_t* source_xy;               /* out: [target_height, target_width, 2] */
  float* patch_error;               /* out: [target_height, target_width] */
};
INBETWEEN_EXPORT int32_t inbetween_synthesize(inbetween_context* context,
                                              const struct inbetween_synthesis* parameters,
                                              int32_t count);

/* The pictures that two key frames give for a frame, joined: each pixel chosen by its error, both
 * sides mixed in CIE-LAB so that colours and contrast become those of the chosen picture (Heitz and
 * Neyret 2018, linear form). */
struct inbetween_blend {
  int32_t width;              /* 1..INBETWEEN_MAX_SIDE */
  int32_t height;             /* likewise */
  int32_t left_distance;      /* frames to the left key frame, >= 1 */
  int32_t right_distance;     /* frames to the right one, >= 1 */
  const float* left_picture;  /* [height, width, 3], 0..1 */
  const float* left_error;    /* [height, width], >= 0 */
  const float* right_picture; /* as the left one */
  const float* right_error;   /* as the left one */
  const float* carried; /* [height, width], the choice of the frame before, brought here; or NULL */
  float* choice;        /* out: [height, width], 0 is left, 1 is right */
  float* picture;       /* out: [height, width, 3], 0..1; NULL where only the choice is wanted */
};
INBETWEEN_EXPORT int32_t inbetween_blend(inbetween_context* context,
                                         const struct inbetween_blend* parameters);

/* Screened Poisson: the picture closest to `picture` whose gradients are closest to those of the
 * chosen sides; borders between the sides lose their step. */
struct inbetween_poisson {
  int32_t width;              /* 1..INBETWEEN_MAX_SIDE */
  int32_t height;             /* likewise */
  float screening;            /* weight of the colours against the gradients, > 0 */
  const float* picture;       /* [height, width, 3] */
  const float* left_picture;  /* [height, width, 3] */
  const float* right_picture; /* [height, width, 3] */
  const float* choice;        /* [height, width], 0 is left, 1 is right */
  float* solved;              /* out: [height, width, 3] */
};
INBETWEEN_EXPORT int32_t inbetween_poisson(inbetween_context* context,
                                           const struct inbetween_poisson* parameters);

/* Each value as a picture of half precision holds it: the nearest number that 16-bit floats have,
 * infinity beyond the largest. */
struct inbetween_halves {
  int64_t count;
  const float* values; /* [count], 0 or more */
  float* halves;       /* out: [count]; may be the values */
};
INBETWEEN_EXPORT int32_t inbetween_nearest_half(inbetween_context* context,
                                                const struct inbetween_halves* parameters);

#ifdef __cplusplus
}
#endif

#endif /* INBETWEEN_KERNELS_H_ */

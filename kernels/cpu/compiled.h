#ifndef INBETWEEN_CPU_COMPILED_H_
#define INBETWEEN_CPU_COMPILED_H_

#include "inbetween/kernels.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define INBETWEEN_FOR_AVX2 __attribute__((flatten, target("avx2")))
#define INBETWEEN_FOR_AVX512 __attribute__((flatten, target("avx512f,avx512bw,avx512vl,avx512dq")))
#else
#define INBETWEEN_FOR_AVX2
#define INBETWEEN_FOR_AVX512
#endif

namespace inbetween {

template <auto kFunction>
struct Compiled;

/* A function with all that it calls, compiled for each instruction set. With neither contraction
 * nor fast-math, all give the same bits. */
template <typename... Arguments, void (*kFunction)(Arguments...)>
struct Compiled<kFunction> {
  static void plain(Arguments... arguments) { kFunction(arguments...); }
  INBETWEEN_FOR_AVX2 static void avx2(Arguments... arguments) { kFunction(arguments...); }
  INBETWEEN_FOR_AVX512 static void avx512(Arguments... arguments) { kFunction(arguments...); }
};

template <auto kFunction>
auto compiled_for(inbetween_instruction_set set) {
  if (set == INBETWEEN_AVX512) return &Compiled<kFunction>::avx512;
  if (set == INBETWEEN_AVX2) return &Compiled<kFunction>::avx2;
  return &Compiled<kFunction>::plain;
}

}  // namespace inbetween

#endif  // INBETWEEN_CPU_COMPILED_H_

#ifndef INBETWEEN_COMMON_PORTABLE_H_
#define INBETWEEN_COMMON_PORTABLE_H_

/* Arithmetic that every backend shares is written once, in this folder, for both compilers. Neither
 * contracts a multiplication and an addition into one, so that additions, multiplications,
 * divisions and square roots give the same bits everywhere. */
#if defined(__CUDACC__)
#define INBETWEEN_BOTH __host__ __device__ __forceinline__
#else
#define INBETWEEN_BOTH inline
#endif

namespace inbetween {

/* NaN becomes the lowest value: what follows may index with it. */
template <typename T>
INBETWEEN_BOTH T clamped(T value, T lowest, T highest) {
  return value > lowest ? (value < highest ? value : highest) : lowest;
}

}  // namespace inbetween

#endif  // INBETWEEN_COMMON_PORTABLE_H_

#include "patch_distance.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define AVX2_TARGET __attribute__((target("avx2")))
#define AVX512_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#endif

namespace inbetween {
namespace {

void plain_distances(const PatchLayout& layout, const std::uint8_t* target,
                     const std::uint8_t* const* sources, int count, std::uint32_t* distances) {
  for (int i = 0; i < count; ++i) {
    std::uint32_t sum = 0;
    for (int row = 0; row < layout.rows; ++row) {
      const std::uint8_t* a = target + row * layout.target_stride;
      const std::uint8_t* b = sources[i] + row * layout.source_stride;
      for (int k = 0; k < layout.row_bytes; ++k) sum += squared_difference(a[k], b[k]);
    }
    distances[i] = sum;
  }
}

#if defined(__x86_64__)

AVX2_TARGET inline __m256i load(const std::uint8_t* bytes) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
}

AVX2_TARGET inline __m256i load_half(const std::uint8_t* bytes) {
  return _mm256_zextsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
}

AVX2_TARGET inline __m256i add_squares(__m256i sums, __m256i a, __m256i b) {
  const __m256i difference = _mm256_or_si256(_mm256_subs_epu8(a, b), _mm256_subs_epu8(b, a));
  const __m256i d = _mm256_min_epu8(difference, _mm256_set1_epi8(kMaxDifference));
  const __m256i pairs = _mm256_maddubs_epi16(d, d);
  return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

AVX2_TARGET inline std::uint32_t total(__m256i sums) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(s));
}

/* Rows and RowBytes are 0 where only the layout knows them. */
template <int Rows, int RowBytes>
AVX2_TARGET void avx2_distances(const PatchLayout& layout, const std::uint8_t* target,
                                const std::uint8_t* const* sources, int count,
                                std::uint32_t* distances) {
  const int rows = Rows ? Rows : layout.rows;
  const int row_bytes = RowBytes ? RowBytes : layout.row_bytes;
  for (int i = 0; i < count; ++i) {
    __m256i sums = _mm256_setzero_si256();
    for (int row = 0; row < rows; ++row) {
      const std::uint8_t* a = target + row * layout.target_stride;
      const std::uint8_t* b = sources[i] + row * layout.source_stride;
      int k = 0;
      for (; k + 32 <= row_bytes; k += 32) sums = add_squares(sums, load(a + k), load(b + k));
      if (k < row_bytes) sums = add_squares(sums, load_half(a + k), load_half(b + k));
    }
    distances[i] = total(sums);
  }
}

AVX512_TARGET inline __m512i add_squares(__m512i sums, __m512i a, __m512i b) {
  const __m512i difference = _mm512_or_si512(_mm512_subs_epu8(a, b), _mm512_subs_epu8(b, a));
  const __m512i d = _mm512_min_epu8(difference, _mm512_set1_epi8(kMaxDifference));
  return _mm512_dpbusd_epi32(sums, d, d);
}

template <int Rows, int RowBytes>
AVX512_TARGET void avx512_distances(const PatchLayout& layout, const std::uint8_t* target,
                                    const std::uint8_t* const* sources, int count,
                                    std::uint32_t* distances) {
  const int rows = Rows ? Rows : layout.rows;
  const int row_bytes = RowBytes ? RowBytes : layout.row_bytes;
  const __mmask64 tail = (1ULL << (row_bytes % 64)) - 1;
  for (int i = 0; i < count; ++i) {
    __m512i sums = _mm512_setzero_si512();
    for (int row = 0; row < rows; ++row) {
      const std::uint8_t* a = target + row * layout.target_stride;
      const std::uint8_t* b = sources[i] + row * layout.source_stride;
      int k = 0;
      for (; k + 64 <= row_bytes; k += 64) {
        sums = add_squares(sums, _mm512_loadu_si512(a + k), _mm512_loadu_si512(b + k));
      }
      if (k < row_bytes) {
        sums = add_squares(sums, _mm512_maskz_loadu_epi8(tail, a + k),
                           _mm512_maskz_loadu_epi8(tail, b + k));
      }
    }
    distances[i] = static_cast<std::uint32_t>(_mm512_reduce_add_epi32(sums));
  }
}

#endif

}  // namespace

inbetween_instruction_set best_instruction_set() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512vnni")) {
    return INBETWEEN_AVX512;
  }
  if (__builtin_cpu_supports("avx2")) return INBETWEEN_AVX2;
#endif
  return INBETWEEN_PLAIN;
}

PatchDistances patch_distances_for(inbetween_instruction_set set, const PatchLayout& layout) {
#if defined(__x86_64__)
  /* 5x5 patches of up to 16 channels: the paper's. */
  const bool usual = layout.rows == 5 && layout.row_bytes == 80;
  if (set == INBETWEEN_AVX512) return usual ? avx512_distances<5, 80> : avx512_distances<0, 0>;
  if (set == INBETWEEN_AVX2) return usual ? avx2_distances<5, 80> : avx2_distances<0, 0>;
#else
  (void)set;
  (void)layout;
#endif
  return plain_distances;
}

}  // namespace inbetween

#include "patch_distance.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define AVX2_TARGET __attribute__((target("avx2")))
#define AVX512_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))
#endif

namespace inbetween {
namespace {

void plain_distances(const PatchLayout& layout, const std::uint8_t* target,
                     const std::uint8_t* const* sources, int count,
                     std::uint32_t* __restrict distances) {
  for (int i = 0; i < count; ++i) {
    std::uint32_t sum = 0;
    for (int row = 0; row < layout.rows; ++row) {
      const std::uint8_t* a = target + row * layout.target_stride;
      const std::uint8_t* b = sources[i] + row * layout.source_stride;
      for (int k = 0; k < layout.row_bytes; ++k) {
        const int difference = a[k] - b[k];
        sum += static_cast<std::uint32_t>(difference * difference);
      }
    }
    distances[i] = sum;
  }
}

#if defined(__x86_64__)

/* Rows are read in blocks, whose bytes become 16-bit words; of the last block only what belongs to
 * the patch counts. Rows and RowBytes are 0 where only the layout knows them. */

constexpr int kAvx2Block = 16;

AVX2_TARGET inline __m256i avx2_words(const std::uint8_t* bytes) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
}

AVX2_TARGET inline __m256i avx2_square_sums(__m256i a, __m256i b) {
  const __m256i difference = _mm256_sub_epi16(a, b);
  return _mm256_madd_epi16(difference, difference);
}

AVX2_TARGET inline std::uint32_t total(__m256i sums) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(s));
}

template <int Rows, int RowBytes>
AVX2_TARGET void avx2_distances(const PatchLayout& layout, const std::uint8_t* target,
                                const std::uint8_t* const* sources, int count,
                                std::uint32_t* __restrict distances) {
  const int rows = Rows ? Rows : layout.rows;
  const int row_bytes = RowBytes ? RowBytes : layout.row_bytes;
  const int whole = row_bytes / kAvx2Block * kAvx2Block;
  const __m256i index = _mm256_setr_epi16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m256i tail =
      _mm256_cmpgt_epi16(_mm256_set1_epi16(static_cast<short>(row_bytes - whole)), index);
  for (int i = 0; i < count; ++i) {
    __m256i sums = _mm256_setzero_si256();
    for (int row = 0; row < rows; ++row) {
      const std::uint8_t* a = target + row * layout.target_stride;
      const std::uint8_t* b = sources[i] + row * layout.source_stride;
      int k = 0;
      for (; k < whole; k += kAvx2Block) {
        sums = _mm256_add_epi32(sums, avx2_square_sums(avx2_words(a + k), avx2_words(b + k)));
      }
      if (k < row_bytes) {
        const __m256i difference =
            _mm256_and_si256(tail, _mm256_sub_epi16(avx2_words(a + k), avx2_words(b + k)));
        sums = _mm256_add_epi32(sums, _mm256_madd_epi16(difference, difference));
      }
    }
    distances[i] = total(sums);
  }
}

constexpr int kAvx512Block = 32;

AVX512_TARGET inline __m512i avx512_words(__mmask32 counted, const std::uint8_t* bytes) {
  return _mm512_cvtepu8_epi16(_mm256_maskz_loadu_epi8(counted, bytes));
}

AVX512_TARGET inline __m512i avx512_add_squares(__m512i sums, __m512i a, __m512i b) {
  const __m512i difference = _mm512_sub_epi16(a, b);
  return _mm512_dpwssd_epi32(sums, difference, difference);
}

template <int Rows, int RowBytes>
AVX512_TARGET void avx512_distances(const PatchLayout& layout, const std::uint8_t* target,
                                    const std::uint8_t* const* sources, int count,
                                    std::uint32_t* __restrict distances) {
  const int rows = Rows ? Rows : layout.rows;
  const int row_bytes = RowBytes ? RowBytes : layout.row_bytes;
  const int whole = row_bytes / kAvx512Block * kAvx512Block;
  constexpr __mmask32 kAll = ~__mmask32{0};
  const __mmask32 tail = (std::uint64_t{1} << (row_bytes - whole)) - 1;
  for (int i = 0; i < count; ++i) {
    __m512i sums = _mm512_setzero_si512();
    for (int row = 0; row < rows; ++row) {
      const std::uint8_t* a = target + row * layout.target_stride;
      const std::uint8_t* b = sources[i] + row * layout.source_stride;
      int k = 0;
      for (; k < whole; k += kAvx512Block) {
        sums = avx512_add_squares(sums, avx512_words(kAll, a + k), avx512_words(kAll, b + k));
      }
      if (k < row_bytes) {
        sums = avx512_add_squares(sums, avx512_words(tail, a + k), avx512_words(tail, b + k));
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
  /* 5x5 patches of 12 channels: the paper's. */
  const bool usual = layout.rows == 5 && layout.row_bytes == 60;
  if (set == INBETWEEN_AVX512) return usual ? avx512_distances<5, 60> : avx512_distances<0, 0>;
  if (set == INBETWEEN_AVX2) return usual ? avx2_distances<5, 60> : avx2_distances<0, 0>;
#else
  (void)set;
  (void)layout;
#endif
  return plain_distances;
}

}  // namespace inbetween

#include "base/half.h"

#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace graft {
namespace {

void to_f16_plain(const char* src, char* dst, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    float f;
    std::memcpy(&f, src + 4 * i, 4);
    const uint16_t h = f16_bits(f);
    std::memcpy(dst + 2 * i, &h, 2);
  }
}
void to_f32_plain(const char* src, char* dst, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    uint16_t h;
    std::memcpy(&h, src + 2 * i, 2);
    const float f = f16_value(h);
    std::memcpy(dst + 4 * i, &f, 4);
  }
}

#if defined(__x86_64__)
// _MM_FROUND_TO_NEAREST_INT, not the MXCSR mode: the caller may have changed it.
__attribute__((target("avx,f16c"))) int64_t to_f16_f16c(const char* src, char* dst, int64_t count) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256 f = _mm256_loadu_ps(reinterpret_cast<const float*>(src + 4 * i));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(dst + 2 * i), _mm256_cvtps_ph(f, _MM_FROUND_TO_NEAREST_INT));
  }
  return i;
}
__attribute__((target("avx,f16c"))) int64_t to_f32_f16c(const char* src, char* dst, int64_t count) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m128i h = _mm_loadu_si128(reinterpret_cast<const __m128i*>(src + 2 * i));
    _mm256_storeu_ps(reinterpret_cast<float*>(dst + 4 * i), _mm256_cvtph_ps(h));
  }
  return i;
}
// Every CPU with AVX2 has F16C; Clang 14 does not know "f16c" by name here.
bool has_f16c() { return __builtin_cpu_supports("avx2"); }
#endif

}  // namespace

void f32_to_f16(const void* src, void* dst, int64_t count) {
  const char* s = static_cast<const char*>(src);
  char* d = static_cast<char*>(dst);
  int64_t done = 0;
#if defined(__x86_64__)
  if (has_f16c()) done = to_f16_f16c(s, d, count);
#endif
  to_f16_plain(s + 4 * done, d + 2 * done, count - done);
}

void f16_to_f32(const void* src, void* dst, int64_t count) {
  const char* s = static_cast<const char*>(src);
  char* d = static_cast<char*>(dst);
  int64_t done = 0;
#if defined(__x86_64__)
  if (has_f16c()) done = to_f32_f16c(s, d, count);
#endif
  to_f32_plain(s + 2 * done, d + 4 * done, count - done);
}

}  // namespace graft

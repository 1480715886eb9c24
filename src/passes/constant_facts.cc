#include "passes/constant_facts.h"

#include <cmath>
#include <cstring>

#include "base/half.h"

namespace graft::passes {
namespace {

float load(const void* data, int64_t i) {
  float v;
  std::memcpy(&v, static_cast<const char*>(data) + 4 * i, 4);
  return v;
}

bool too_big(float v) { return std::isfinite(v) && std::fabs(v) >= 65520.0f; }  // rounds to infinity
bool vanishes(float v) { return v != 0 && std::fabs(v) <= 0x1p-25f; }           // rounds to zero

// Compressed constants are not kept decompressed for this.
template <class Fn>
void for_each(const ir::Constant& c, Fn fn) {
  c.read([&](const void* data, size_t bytes) {
    for (int64_t i = 0, n = static_cast<int64_t>(bytes / sizeof(float)); i < n; ++i) fn(load(data, i));
  });
}

template <class Fn>
ir::ConstantPtr mapped(const ir::Constant& c, Fn fn) {
  Tensor t(DType::f32, c.shape());
  float* to = t.span<float>().data();
  for_each(c, [&](float v) { *to++ = fn(v); });
  return ir::Constant::of(std::move(t));
}

}  // namespace

ConstantFacts facts_of(const ir::Constant& constant) {
  // A first look that the compiler turns into vector code; nearly all weights need no second one.
  float largest = 0, least = INFINITY;
  for_each(constant, [&](float v) {
    const float a = std::fabs(v);
    largest = a > largest ? a : largest;
    least = a < least ? a : least;
  });
  ConstantFacts f;
  f.largest = largest;
  f.rest_is_zero = largest == 0;
  if (largest < 65520.0f && least > 0x1p-25f) return f;
  f = {};
  for_each(constant, [&](float v) {
    if (std::isfinite(v) && std::fabs(v) > f.largest) {
      f.largest = std::fabs(v);
      f.extreme = v;
    }
    f.vanished += vanishes(v);
    if (too_big(v)) {
      ++f.too_big;
      f.too_big_positive += v > 0;
    } else if (v != 0) {
      f.rest_is_zero = false;
    }
  });
  return f;
}

ir::ConstantPtr saturated(const ir::Constant& constant, double lowest, double highest) {
  const float lo = static_cast<float>(lowest), hi = static_cast<float>(highest);
  return mapped(constant, [=](float v) { return !too_big(v) ? v : v < 0 ? lo : hi; });
}

ir::ConstantPtr raised(const ir::Constant& constant) {
  return mapped(constant, [](float v) { return vanishes(v) ? std::copysign(0x1p-24f, v) : v; });
}

}  // namespace graft::passes

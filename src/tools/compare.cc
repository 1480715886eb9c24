#include "tools/compare.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace graft::tools {
namespace {

// The places of the k largest of a row, NaN last, ties by place.
std::vector<int64_t> top_of(const TensorView& t, int64_t first, int64_t count, int k) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  const auto keep = std::min<std::ptrdiff_t>(k, std::ssize(order));
  std::partial_sort(order.begin(), order.begin() + keep, order.end(), [&](int64_t a, int64_t b) {
    const double x = element_as_double(t, first + a), y = element_as_double(t, first + b);
    if (std::isnan(x) || std::isnan(y)) return std::isnan(y) && (!std::isnan(x) || a < b);
    return x != y ? x > y : a < b;
  });
  order.resize(static_cast<size_t>(keep));
  return order;
}

void rank_rows(const TensorView& reference, const TensorView& got, Difference& d) {
  const int64_t classes = reference.shape[1];
  d.rows = reference.shape[0];
  constexpr int kTop = 5;
  for (int64_t r = 0; r < d.rows; ++r) {
    const std::vector<int64_t> a = top_of(reference, r * classes, classes, kTop);
    const std::vector<int64_t> b = top_of(got, r * classes, classes, kTop);
    const auto score = [&](int64_t i) { return element_as_double(reference, r * classes + i); };
    // A tie in the reference has no one right answer: whatever ties with its first place agrees with it.
    if (!a.empty() && (a[0] == b[0] || score(b[0]) == score(a[0]))) ++d.top1_equal;
    const auto common =
        std::count_if(a.begin(), a.end(), [&](int64_t x) { return std::find(b.begin(), b.end(), x) != b.end(); });
    d.top5_share += static_cast<double>(common) / kTop / static_cast<double>(d.rows);
  }
}

bool same_bits(const TensorView& a, const TensorView& b) {
  if (a.dtype == DType::string)
    return std::equal(a.as<std::string>(), a.as<std::string>() + a.count(), b.as<std::string>());
  return a.bytes() == 0 || std::memcmp(a.data, b.data, a.bytes()) == 0;
}

}  // namespace

bool is_classifier(const TensorView& t) {
  constexpr int64_t kClasses = 10;
  return is_float(t.dtype) && t.rank() == 2 && t.shape[0] >= 1 && t.shape[1] >= kClasses;
}

Difference compare(const TensorView& reference, const TensorView& got, bool classifier) {
  Difference d;
  d.same_type = reference.dtype == got.dtype && reference.shape == got.shape;
  if (!d.same_type) return d;
  d.count = reference.count();
  if (!is_float(reference.dtype) && !is_int(reference.dtype) && reference.dtype != DType::boolean) {
    d.max_abs = same_bits(reference, got) ? 0 : INFINITY;
    return d;
  }
  double lo = INFINITY, hi = -INFINITY, signal = 0, noise = 0, dot = 0, got_power = 0;
  for (int64_t i = 0; i < d.count; ++i) {
    const double a = element_as_double(reference, i), b = element_as_double(got, i);
    d.reference_nans += std::isnan(a) ? 1 : 0;
    d.reference_infs += std::isinf(a) ? 1 : 0;
    d.nans += std::isnan(b) ? 1 : 0;
    d.infs += std::isinf(b) ? 1 : 0;
    if (!std::isfinite(a) || !std::isfinite(b)) {
      if (!(std::isnan(a) && std::isnan(b)) && a != b) d.same_special = false;
      continue;
    }
    lo = std::min(lo, a);
    hi = std::max(hi, a);
    d.max_abs = std::max(d.max_abs, std::abs(a - b));
    signal += a * a;
    noise += (a - b) * (a - b);
    dot += a * b;
    got_power += b * b;
  }
  if (lo <= hi) d.range = std::max({hi - lo, std::abs(lo), std::abs(hi)});
  for (int64_t i = 0; i < d.count && d.max_abs > 0; ++i) {
    const double a = element_as_double(reference, i), b = element_as_double(got, i);
    if (std::isfinite(a) && std::isfinite(b) && std::abs(a) > 1e-6 * d.range)
      d.max_rel = std::max(d.max_rel, std::abs(a - b) / std::abs(a));
  }
  if (noise > 0) d.snr_db = signal > 0 ? 10 * std::log10(signal / noise) : -INFINITY;
  if (signal > 0 && got_power > 0) d.cosine = dot / std::sqrt(signal) / std::sqrt(got_power);
  if (classifier && is_classifier(reference)) rank_rows(reference, got, d);
  return d;
}

bool accurate(const Difference& d, DType dtype, const Tolerance& tolerance) {
  if (!d.same_type || !d.same_special) return false;
  if (!is_float(dtype)) return d.max_abs == 0;
  if (!d.snr_db) return true;
  if (tolerance.f32) return d.max_abs <= tolerance.relative * d.range;
  if (d.rows > 0) return d.top1_equal == d.rows && *d.snr_db >= tolerance.classifier_snr_db;
  return *d.snr_db >= tolerance.snr_db;
}

}  // namespace graft::tools

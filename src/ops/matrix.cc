// Determinants and inverses of square matrices, by elimination in double. The kernels allocate one matrix.
#include "ops/host_rows.h"
#include "ops/moving.h"

namespace graft::ops {
namespace {

constexpr int64_t kMaxSide = 1 << 13;  // n^3 steps, n^2 doubles

Status check_square(const Call& call) {
  const Operand& x = call.in("x");
  if (x.rank() < 2 || ir::never_equal(x.dims().back(), x.dims()[x.dims().size() - 2]))
    return fail(Code::shape_mismatch, format("takes square matrices, got {}", x.type->to_string()));
  if (x.dims().back().range().lo > kMaxSide)
    return fail(Code::limit_exceeded, format("matrices of {}, takes up to {}", x.type->to_string(), kMaxSide));
  return {};
}
Status det_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_square(call));
  const Dims& dims = call.in("x").dims();
  out.push_back(Type::tensor(call.in("x").dtype(), Dims(dims.begin(), dims.end() - 2)));
  return {};
}
Status inverse_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_square(call));
  return infer_like_x(call, out);
}

// Turns the n x n matrix `a`, whose rows are `columns` long, into the unit matrix (with `whole`) or a triangle by
// adding and exchanging rows; gives its determinant.
double eliminate(std::vector<double>& a, int64_t n, int64_t columns, bool whole, Pace& pace) {
  const auto row = [&](int64_t r) { return a.data() + r * columns; };
  double det = 1;
  for (int64_t k = 0; k < n; ++k) {
    int64_t pivot = k;
    for (int64_t r = k + 1; r < n; ++r) {
      if (std::abs(row(r)[k]) > std::abs(row(pivot)[k])) pivot = r;
    }
    const double value = row(pivot)[k];
    det *= value;
    if (value == 0) return 0;
    if (pivot != k) {
      std::swap_ranges(row(k), row(k) + columns, row(pivot));
      det = -det;
    }
    if (whole) {
      for (int64_t c = k; c < columns; ++c) row(k)[c] /= value;
    }
    for (int64_t r = whole ? 0 : k + 1; r < n && pace.go_on(columns - k); ++r) {
      if (r == k) continue;
      const double factor = row(r)[k] / row(k)[k];
      for (int64_t c = k; c < columns && factor != 0; ++c) row(r)[c] -= factor * row(k)[c];
    }
  }
  return det;
}

template <bool inverse>
Status matrix_reference(const Call& call, Outputs& out) {
  GRAFT_CHECK(allocate_outputs(call, out));
  const TensorView x = call.in("x").value;
  const int64_t n = x.shape.back(), columns = inverse ? 2 * n : n, each = inverse ? n * n : 1;
  if (x.shape[x.rank() - 2] != n || n > kMaxSide)
    return fail(Code::shape_mismatch,
                format("takes square matrices of up to {} rows, got {}", kMaxSide, to_string(x.shape)));
  std::vector<double> a(static_cast<size_t>(n * columns));
  Pace pace = call.pace();
  bool ok = false;
  Status status;
  visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (is_float_type<T>) {
      ok = true;
      for (int64_t m = 0, count = out[0].count() / std::max<int64_t>(each, 1); m < count && pace.go_on(n * n); ++m) {
        std::fill(a.begin(), a.end(), 0.0);
        for (int64_t i = 0; i < n * n; ++i) {
          a[static_cast<size_t>(i / n * columns + i % n)] = static_cast<double>(widen(x.as<T>()[m * n * n + i]));
          if (inverse && i / n == i % n) a[static_cast<size_t>(i / n * columns + n + i % n)] = 1;
        }
        const double det = eliminate(a, n, columns, inverse, pace);
        if constexpr (inverse) {
          if (det == 0 && n > 0) status = fail(Code::value_out_of_range, format("matrix {} has no inverse", m));
          for (int64_t i = 0; i < n * n; ++i)
            out[0].as<T>()[m * n * n + i] = narrow<T>(a[static_cast<size_t>(i / n * columns + n + i % n)]);
        } else {
          out[0].as<T>()[m] = narrow<T>(det);
        }
      }
    }
  });
  if (!status) return status;
  return ok ? Status{} : no_kernel(call, x.dtype);
}

constexpr Variant kVariants[] = {{Opset::host, "x:T", "T={fp16,fp32,fp64,bf16}"}};
constexpr OpDef host_det = {.name = "host_det",
                            .family = "host",
                            .doc = "ONNX Det: the determinants of square matrices",
                            .variants = kVariants,
                            .infer = det_type,
                            .reference = matrix_reference<false>};
constexpr OpDef host_inverse = {.name = "host_inverse",
                                .family = "host",
                                .doc = "ONNX Runtime Inverse: the inverses of square matrices",
                                .variants = kVariants,
                                .infer = inverse_type,
                                .reference = matrix_reference<true>};

constexpr const OpDef* kRows[] = {&host_det, &host_inverse};

}  // namespace

Rows matrix_rows() { return kRows; }

}  // namespace graft::ops

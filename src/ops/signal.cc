// The Fourier transform of lines of any length, and the mel filter bank. MIL has neither. All arithmetic is in double.
//
// Lengths of small prime factors are transformed factor by factor, others by convolving with a chirp (Bluestein)
// through a power of two: n log n either way. The kernel allocates its tables and two lines.
#include <complex>
#include <numbers>

#include "ops/host_rows.h"
#include "ops/moving.h"

namespace graft::ops {
namespace {

using Complex = std::complex<double>;
using Line = std::vector<Complex>;

// e^(-2 pi i k / n), exact where it is.
Complex root(int64_t k, int64_t n) {
  const int64_t eighth = 8 * k / n;  // of which octant, so that angles stay small
  const double turn = 2 * std::numbers::pi * (static_cast<double>(8 * k - eighth * n) / static_cast<double>(8 * n));
  constexpr double h = std::numbers::sqrt2 / 2;
  constexpr std::array<std::array<double, 2>, 8> kCorners{
      {{1, 0}, {h, -h}, {0, -1}, {-h, -h}, {-1, 0}, {-h, h}, {0, 1}, {h, h}}};
  const auto& corner = kCorners[static_cast<size_t>(eighth & 7)];
  return Complex(corner[0], corner[1]) * Complex(std::cos(turn), -std::sin(turn));
}

// Products without the standard's search for infinities.
Complex times(Complex a, Complex b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

constexpr int64_t kMaxFactor = 13, kMaxSmooth = int64_t{1} << 24, kMaxLength = int64_t{1} << 21;

// The factors of n; empty where one of them is too large.
std::vector<int64_t> factors_of(int64_t n) {
  std::vector<int64_t> list;
  for (int64_t p : {4, 2, 3, 5, 7, 11, 13}) {
    for (; n % p == 0; n /= p) list.push_back(p);
  }
  return n == 1 ? list : std::vector<int64_t>{};
}

// The transform of a length of small factors (Stockham: the order comes out right).
class Smooth {
 public:
  explicit Smooth(int64_t n) : n_(n), factors_(factors_of(n)), roots_(static_cast<size_t>(n)) {
    for (int64_t k = 0; k < n; ++k) roots_[static_cast<size_t>(k)] = root(k, n);
  }
  // `other` is as long, and is written over.
  void run(Line& line, Line& other, Pace& pace) const {
    int64_t step = 1;  // the product of the factors done
    for (int64_t p : factors_) {
      const int64_t m = n_ / step / p;
      for (int64_t q = 0; q < m && pace.go_on(step * p); ++q) {
        for (int64_t k = 0; k < step; ++k) {
          std::array<Complex, kMaxFactor> x;
          for (int64_t r = 0; r < p; ++r) x[static_cast<size_t>(r)] = line[static_cast<size_t>(k + step * (q + m * r))];
          butterfly(p, x);
          for (int64_t j = 0; j < p; ++j)
            other[static_cast<size_t>(k + step * (p * q + j))] =
                times(x[static_cast<size_t>(j)], roots_[static_cast<size_t>(q * j * step)]);
        }
      }
      line.swap(other);
      step *= p;
    }
  }

 private:
  void butterfly(int64_t p, std::array<Complex, kMaxFactor>& x) const {
    if (p == 2) {
      const Complex a = x[0] + x[1];
      x[1] = x[0] - x[1];
      x[0] = a;
    } else if (p == 4) {
      const Complex a = x[0] + x[2], b = x[0] - x[2], c = x[1] + x[3], d = x[1] - x[3];
      const Complex turned(d.imag(), -d.real());
      x[0] = a + c;
      x[1] = b + turned;
      x[2] = a - c;
      x[3] = b - turned;
    } else {
      std::array<Complex, kMaxFactor> y;
      for (int64_t j = 0; j < p; ++j) {
        Complex sum = x[0];
        for (int64_t r = 1; r < p; ++r)
          sum += times(x[static_cast<size_t>(r)], roots_[static_cast<size_t>(r * j % p * (n_ / p))]);
        y[static_cast<size_t>(j)] = sum;
      }
      x = y;
    }
  }

  int64_t n_;
  std::vector<int64_t> factors_;
  Line roots_;
};

class Transform {
 public:
  explicit Transform(int64_t n) : smooth_(smooth_length(n)) {
    const auto m = static_cast<size_t>(smooth_length(n));
    other_.resize(m);
    if (m == static_cast<size_t>(n)) return;
    // k^2 / 2 turns by n-ths: k^2 counts modulo 2n.
    for (int64_t k = 0; k < n; ++k) chirp_.push_back(root(k * k % (2 * n), 2 * n));
    kernel_.assign(m, 0);
    for (size_t k = 0; k < chirp_.size(); ++k) {
      kernel_[k] = std::conj(chirp_[k]);
      if (k > 0) kernel_[m - k] = kernel_[k];
    }
    padded_.resize(m);
    Pace free(nullptr);
    smooth_.run(kernel_, other_, free);
  }
  // In place; not divided by n.
  void run(Line& line, bool inverse, Pace& pace) {
    if (inverse) conjugate(line);
    if (chirp_.empty()) {
      smooth_.run(line, other_, pace);
    } else {
      const auto m = static_cast<double>(padded_.size());
      std::fill(padded_.begin(), padded_.end(), Complex{});
      for (size_t k = 0; k < chirp_.size(); ++k) padded_[k] = times(line[k], chirp_[k]);
      smooth_.run(padded_, other_, pace);
      for (size_t k = 0; k < padded_.size(); ++k) padded_[k] = std::conj(times(padded_[k], kernel_[k]));
      smooth_.run(padded_, other_, pace);  // backwards, by conjugates
      for (size_t k = 0; k < chirp_.size(); ++k) line[k] = times(std::conj(padded_[k]), chirp_[k]) / m;
    }
    if (inverse) conjugate(line);
  }

 private:
  // n itself, or a power of two with room for its convolution.
  static int64_t smooth_length(int64_t n) {
    if (n == 1 || !factors_of(n).empty()) return n;
    int64_t m = 1;
    while (m < 2 * n - 1) m *= 2;
    return m;
  }
  static void conjugate(Line& line) {
    for (Complex& c : line) c = std::conj(c);
  }

  Smooth smooth_;
  Line chirp_, kernel_, other_, padded_;
};

Status check_length(int64_t n) {
  if (n < 1) return fail(Code::value_out_of_range, format("a transform of length {}", n));
  if (n > kMaxSmooth || (n > kMaxLength && factors_of(n).empty()))
    return fail(Code::limit_exceeded, format("a transform of length {}, takes up to {}, or up to {} of prime factors "
                                             "up to {}",
                                             n, kMaxLength, kMaxSmooth, kMaxFactor));
  return {};
}

Status dft_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  const bool inverse = call.flag("inverse"), onesided = call.flag("onesided"), known = call.known("axis");
  GRAFT_CHECK(check_scalar(call, "axis"));
  GRAFT_TRY(const int axis, normal_axis(known ? call.i("axis") : 0, x.rank()));
  if (x.rank() < 2 || axis == x.rank() - 1)
    return fail(Code::value_out_of_range,
                format("axis {} of {}: the last dim holds real and imaginary parts", axis, x.type->to_string()));
  const Dim& parts = x.dims().back();
  if (ir::never_equal(parts, Dim(1)) && ir::never_equal(parts, Dim(2)))
    return fail(Code::shape_mismatch, format("the last dim is of 1 or 2 parts, got {}", x.type->to_string()));
  if (onesided && inverse && ir::never_equal(parts, Dim(2)))
    return fail(Code::shape_mismatch, format("half a spectrum is complex, got {}", x.type->to_string()));
  if (onesided && !inverse && ir::never_equal(parts, Dim(1)))
    return fail(Code::shape_mismatch, format("half a spectrum is of real numbers, got {}", x.type->to_string()));
  GRAFT_CHECK(check_scalar(call, "dft_length"));
  Dims dims = x.dims();
  if (!known) {  // any dim may be the one that changes
    for (size_t d = 0; d + 1 < dims.size() && (onesided || call.has("dft_length")); ++d)
      dims[d] = call.fresh({0, kMaxSmooth});
    dims.back() = Dim(onesided && inverse ? 1 : 2);
    out.push_back(Type::tensor(x.dtype(), std::move(dims)));
    return {};
  }
  Dim& n = dims[static_cast<size_t>(axis)];
  if (call.has("dft_length")) {
    const std::optional<Dims> given = call.dims("dft_length");
    n = given && given->size() == 1 ? (*given)[0] : call.fresh({1, kMaxSmooth});
  } else if (onesided && inverse) {
    n = (n - Dim(1)) * Dim(2);
  }
  if (n.known()) GRAFT_CHECK(check_length(n.value()));
  if (onesided && !inverse) n = ir::floor_div(n, Dim(2)) + Dim(1);
  dims.back() = Dim(onesided && inverse ? 1 : 2);
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}

Status dft_reference(const Call& call, Outputs& out) {
  GRAFT_CHECK(allocate_outputs(call, out));
  const TensorView x = call.in("x").value;
  const MutableTensorView y = out[0];
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  if (axis == x.rank() - 1) return fail(Code::value_out_of_range, format("axis {} holds parts of numbers", axis));
  const bool inverse = call.flag("inverse"), onesided = call.flag("onesided"), half_in = onesided && inverse;
  const int64_t parts = x.shape.back(), made_parts = half_in ? 1 : 2, given = x.shape[axis];
  int64_t n = half_in ? 2 * (given - 1) : given;
  if (call.has("dft_length")) n = call.i("dft_length");
  if (call.error()) return fail(*call.error());
  GRAFT_CHECK(check_length(n));
  Shape expect = x.shape;
  expect[axis] = onesided && !inverse ? n / 2 + 1 : n;
  expect[x.rank() - 1] = made_parts;
  GRAFT_CHECK(check_output(call, y, expect));
  if (parts < 1 || parts > 2) return fail(Code::shape_mismatch, format("{} parts of a number", parts));
  const int64_t outer = x.shape.product(0, axis), inner = x.shape.product(axis + 1, x.rank() - 1);
  const int64_t read = std::min(given, half_in ? n / 2 + 1 : n), made = expect[axis];
  if (y.count() == 0) return {};
  Transform transform(n);
  Line line(static_cast<size_t>(n));
  Pace pace = call.pace();
  bool ok = false;
  visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (is_float_type<T>) {
      ok = true;
      for (int64_t at = 0; at < outer * inner && pace.go_on(n); ++at) {
        const int64_t o = at / inner, i = at % inner;
        std::fill(line.begin(), line.end(), Complex{});
        for (int64_t k = 0; k < read; ++k) {
          const T* from = x.as<T>() + ((o * given + k) * inner + i) * parts;
          line[static_cast<size_t>(k)] =
              Complex(static_cast<double>(widen(from[0])), parts == 2 ? static_cast<double>(widen(from[1])) : 0);
          // The other half is its mirror image.
          if (half_in && k > 0 && k < n - k) line[static_cast<size_t>(n - k)] = std::conj(line[static_cast<size_t>(k)]);
        }
        transform.run(line, inverse, pace);
        const double scale = inverse ? static_cast<double>(n) : 1;
        for (int64_t k = 0; k < made; ++k) {
          T* to = y.as<T>() + ((o * made + k) * inner + i) * made_parts;
          const Complex v = line[static_cast<size_t>(k)] / scale;
          to[0] = narrow<T>(v.real());
          if (made_parts == 2) to[1] = narrow<T>(v.imag());
        }
      }
    }
  });
  return ok ? Status{} : no_kernel(call, x.dtype);
}

constexpr Variant kDft[] = {{Opset::host,
                             "x:T; dft_length?:I=none; axis:int64; inverse?:const bool=false; onesided?:const "
                             "bool=false",
                             "T={fp16,fp32,fp64,bf16}; I={int32,int64}"}};
constexpr OpDef host_dft = {.name = "host_dft",
                            .family = "host",
                            .doc =
                                "ONNX DFT along axis; the last dim holds real and imaginary parts; onesided: half a "
                                "spectrum, of or to real numbers",
                            .variants = kDft,
                            .host = kFloats | kInts,
                            .infer = dft_type,
                            .reference = dft_reference};

// ---- host_mel_weight_matrix ---------------------------------------------------------------------------------------

constexpr int64_t kMaxBins = int64_t{1} << 24;

Status mel_type(const Call& call, Types& out) {
  for (std::string_view p : {"num_mel_bins", "dft_length", "sample_rate", "lower_edge_hertz", "upper_edge_hertz"})
    GRAFT_CHECK(check_scalar(call, p));
  const auto size = [&](std::string_view param) -> Dim {
    const std::optional<Dims> given = call.dims(param);
    return given && given->size() == 1 ? (*given)[0] : call.fresh({0, kMaxBins});
  };
  const Dim bins = size("num_mel_bins"), length = size("dft_length");
  for (const Dim* d : {&bins, &length}) {
    if (d->range().hi < 0 || d->range().lo > kMaxBins)
      return fail(Code::value_out_of_range,
                  format("{} mel bins of a spectrum of {}", bins.to_string(), length.to_string()));
  }
  out.push_back(Type::tensor(DType::f64, Dims{ir::floor_div(length, Dim(2)) + Dim(1), bins}));
  return {};
}

Status mel_reference(const Call& call, Outputs& out) {
  const int64_t bins = call.i("num_mel_bins"), length = call.i("dft_length"), rate = call.i("sample_rate");
  const double lower = call.f("lower_edge_hertz"), upper = call.f("upper_edge_hertz");
  if (call.error()) return fail(*call.error());
  if (bins < 0 || bins > kMaxBins || length < 0 || length > kMaxBins || rate < 1)
    return fail(Code::value_out_of_range,
                format("{} mel bins of a spectrum of {} at a rate of {}", bins, length, rate));
  GRAFT_CHECK(allocate_outputs(call, out));
  const int64_t lines = length / 2 + 1;
  GRAFT_CHECK(check_output(call, out[0], {lines, bins}));
  const auto mel = [](double hertz) { return 2595 * std::log10(1 + hertz / 700); };
  // The places of the triangles' corners, equally far apart in mels.
  const double first = mel(lower), step = (mel(upper) - first) / static_cast<double>(bins + 2);
  const auto corner = [&](int64_t i) {
    const double hertz = 700 * (std::pow(10.0, (first + step * static_cast<double>(i)) / 2595) - 1);
    return std::floor(static_cast<double>(length + 1) * hertz / static_cast<double>(rate));
  };
  double* y = out[0].as<double>();
  Pace pace = call.pace();
  std::fill_n(y, lines * bins, 0.0);
  for (int64_t i = 0; i < bins; ++i) {
    const double places[] = {corner(i), corner(i + 1), corner(i + 2)};
    for (double p : places) {
      if (!(p >= 0) || !(p < static_cast<double>(lines)))
        return fail(
            Code::value_out_of_range,
            format("mel bins of {} to {} Hz do not fit a spectrum of {} at a rate of {}", lower, upper, length, rate));
    }
    const auto left = static_cast<int64_t>(places[0]), middle = static_cast<int64_t>(places[1]),
               right = static_cast<int64_t>(places[2]);
    if (!pace.go_on(std::max<int64_t>(1, right - left))) return {};
    if (left == middle) y[middle * bins + i] = 1;
    for (int64_t j = left; j <= middle && left < middle; ++j)
      y[j * bins + i] = static_cast<double>(j - left) / static_cast<double>(middle - left);
    for (int64_t j = middle; j < right; ++j)
      y[j * bins + i] = static_cast<double>(right - j) / static_cast<double>(right - middle);
  }
  return {};
}

constexpr Variant kMel[] = {{Opset::host,
                             "num_mel_bins:I; dft_length:I; sample_rate:I; lower_edge_hertz:T; upper_edge_hertz:T",
                             "T={fp16,fp32,fp64,bf16}; I={int32,int64}"}};
constexpr OpDef host_mel_weight_matrix = {
    .name = "host_mel_weight_matrix",
    .family = "host",
    .doc = "ONNX MelWeightMatrix in fp64: the triangles that sum a spectrum's lines into mel bins",
    .variants = kMel,
    .host = kNumbers,
    .infer = mel_type,
    .reference = mel_reference,
    .domain = {.lo = 1, .hi = 2}};

constexpr const OpDef* kRows[] = {&host_dft, &host_mel_weight_matrix};

}  // namespace

Rows signal_rows() { return kRows; }

}  // namespace graft::ops

#include "base/tensor.h"

#include <cmath>
#include <new>

#include "base/format.h"
#include "base/half.h"
#include "base/list.h"
#include "base/store_element.h"

namespace graft {
namespace {

constexpr size_t kAlign = 64;

// Frees a block, or an array of objects, and what was counted for it.
struct BlockFree {
  DType dtype;
  size_t align;
  MemoryShare share;
  void operator()(void* p) const {
    if (dtype == DType::string)
      delete[] static_cast<std::string*>(p);
    else if (dtype == DType::list)
      delete[] static_cast<List*>(p);
    else
      ::operator delete (p, std::align_val_t{align});
  }
};

// Null where there is no memory.
std::shared_ptr<void> block(DType dtype, int64_t count, MemoryShare share) {
  const auto least_one = static_cast<size_t>(std::max<int64_t>(count, 1));
  void* p = nullptr;
  if (dtype == DType::string)
    p = new (std::nothrow) std::string[least_one];
  else if (dtype == DType::list)
    p = new (std::nothrow) List[least_one];
  else
    p = ::operator new (std::max<size_t>(byte_size(dtype, count), 1), std::align_val_t{kAlign}, std::nothrow);
  if (p == nullptr) return nullptr;
  return {p, BlockFree{dtype, kAlign, std::move(share)}};
}

size_t object_size(DType dtype) {
  return dtype == DType::string ? sizeof(std::string) : dtype == DType::list ? sizeof(List) : item_size(dtype);
}

template <class T>
T load(const TensorView& t, int64_t i) {
  T v;
  std::memcpy(&v, static_cast<const char*>(t.data) + static_cast<size_t>(i) * sizeof(T), sizeof(T));
  return v;
}

// The raw bits of element i of a packed sub-byte tensor, least significant bit first.
uint32_t load_bits(const TensorView& t, int64_t i) {
  const int n = bits(t.dtype);
  const auto* p = static_cast<const uint8_t*>(t.data);
  uint32_t v = 0;
  for (int b = 0; b < n; ++b) {
    const int64_t pos = i * n + b;
    v |= static_cast<uint32_t>((p[pos / 8] >> (pos % 8)) & 1) << b;
  }
  return v;
}

// Field widths, bias and largest value of 8-bit and 4-bit floats.
struct SmallFloat {
  int exp_bits, man_bits, bias;
  double largest;
};
SmallFloat fields_of(DType t) {
  switch (t) {
    case DType::f8e4m3fn: return {4, 3, 7, 448};
    case DType::f8e4m3fnuz: return {4, 3, 8, 240};
    case DType::f8e5m2: return {5, 2, 15, 57344};
    case DType::f8e5m2fnuz: return {5, 2, 16, 57344};
    default: return {2, 1, 1, 6};  // f4e2m1
  }
}

// 8-bit and 4-bit floats by their field widths; `fnuz` has no -0 and one NaN, `fn` has no infinities.
double small_float(uint32_t v, DType t) {
  const auto [exp_bits, man_bits, bias, largest] = fields_of(t);
  const uint32_t sign = v >> (exp_bits + man_bits) & 1u;
  const uint32_t e = v >> man_bits & ((1u << exp_bits) - 1), m = v & ((1u << man_bits) - 1);
  const bool fnuz = t == DType::f8e4m3fnuz || t == DType::f8e5m2fnuz;
  const uint32_t emax = (1u << exp_bits) - 1;
  if (fnuz && sign == 1 && e == 0 && m == 0) return std::nan("");
  if (t == DType::f8e4m3fn && e == emax && m == (1u << man_bits) - 1) return std::nan("");
  if (t == DType::f8e5m2 && e == emax) return m ? std::nan("") : (sign ? -INFINITY : INFINITY);
  const double frac = static_cast<double>(m) / static_cast<double>(1u << man_bits);
  const double mag = e == 0 ? std::ldexp(frac, 1 - bias) : std::ldexp(1.0 + frac, static_cast<int>(e) - bias);
  return sign ? -mag : mag;
}

uint32_t power_of_two_bits(double v) {
  if (std::isnan(v)) return 255;
  if (v <= 0x1p-127) return 0;
  if (v > 0x1p127) return 254;
  int e = std::ilogb(v);
  if (std::ldexp(1.0, e) < v) ++e;
  return static_cast<uint32_t>(e + 127);
}

uint32_t small_float_bits(double v, DType t, bool saturate) {
  if (t == DType::f8e8m0) return power_of_two_bits(v);
  const SmallFloat f = fields_of(t);
  const bool fnuz = t == DType::f8e4m3fnuz || t == DType::f8e5m2fnuz;
  const uint32_t sign_bit = 1u << (f.exp_bits + f.man_bits), sign = std::signbit(v) ? sign_bit : 0;
  const uint32_t nan = t == DType::f4e2m1 ? sign_bit : fnuz ? sign_bit : sign_bit - 1;
  if (std::isnan(v)) return nan;
  double a = std::fabs(v);
  if (a != 0 && std::isfinite(a)) {
    const double step = std::ldexp(1.0, std::max(std::ilogb(a), 1 - f.bias) - f.man_bits);
    a = std::nearbyint(a / step) * step;
  }
  if (a > f.largest) {
    if (!saturate && t != DType::f4e2m1) return t == DType::f8e5m2 ? sign | 0x7cu : nan | (fnuz ? 0 : sign);
    a = f.largest;
  }
  if (a == 0) return fnuz ? 0 : sign;
  const int e = std::ilogb(a);
  if (e < 1 - f.bias) return sign | static_cast<uint32_t>(std::ldexp(a, f.bias - 1 + f.man_bits));
  const auto m = static_cast<uint32_t>(std::ldexp(a, f.man_bits - e)) - (1u << f.man_bits);
  return sign | static_cast<uint32_t>(e + f.bias) << f.man_bits | m;
}

template <class T>
void put(const MutableTensorView& t, int64_t i, T v) {
  std::memcpy(static_cast<char*>(t.data) + static_cast<size_t>(i) * sizeof(T), &v, sizeof(T));
}

void put_bits(const MutableTensorView& t, int64_t i, uint32_t v) {
  const int n = bits(t.dtype);
  auto* p = static_cast<uint8_t*>(t.data);
  for (int b = 0; b < n; ++b) {
    const int64_t pos = i * n + b;
    const auto bit = static_cast<uint8_t>(1u << (pos % 8));
    p[pos / 8] = static_cast<uint8_t>((v >> b & 1u) != 0 ? p[pos / 8] | bit : p[pos / 8] & ~bit);
  }
}

}  // namespace

Tensor::Tensor(DType dtype, const Shape& shape)
    : dtype_(dtype), shape_(shape), data_(block(dtype, shape.product(), {})) {
  if (data_ == nullptr) throw std::bad_alloc();
}

Result<Tensor> Tensor::allocate(DType dtype, const Shape& shape, const std::shared_ptr<MemoryLimit>& limit) {
  // A terabyte is beyond any machine this runs on; the allocator refuses the rest.
  constexpr int64_t kMost = int64_t{1} << 40;
  const int64_t n = checked_count(shape);
  const size_t item = object_size(dtype);
  if (n < 0 || n > kMost / static_cast<int64_t>(std::max<size_t>(1, item))) {
    return fail(Code::out_of_memory, format("a tensor {} is too large", describe(dtype, shape)));
  }
  const size_t bytes = holds_objects(dtype) ? static_cast<size_t>(n) * item : byte_size(dtype, n);
  Result<MemoryShare> share = MemoryShare::take(limit, bytes);
  if (!share) {
    Diag d = std::move(share).error();
    d.message = format("a tensor {}: {}", describe(dtype, shape), d.message);
    return fail(std::move(d));
  }
  Tensor t;
  t.dtype_ = dtype;
  t.shape_ = shape;
  t.data_ = block(dtype, n, std::move(*share));
  if (t.data_ == nullptr) return fail(Code::out_of_memory, format("no memory for a tensor {}", describe(dtype, shape)));
  return t;
}

Tensor Tensor::adopt(DType dtype, const Shape& shape, void* data, size_t align, MemoryShare share) {
  Tensor t;
  t.dtype_ = dtype;
  t.shape_ = shape;
  t.data_ = std::shared_ptr<void>(data, BlockFree{dtype, align, std::move(share)});
  return t;
}

void Tensor::hand_over() {
  if (auto* free = std::get_deleter<BlockFree>(data_)) free->share = MemoryShare();
}

void copy_values(DType dtype, const void* from, void* to, int64_t count) {
  if (dtype == DType::string)
    std::copy_n(static_cast<const std::string*>(from), count, static_cast<std::string*>(to));
  else if (dtype == DType::list)
    std::copy_n(static_cast<const List*>(from), count, static_cast<List*>(to));
  else if (const size_t bytes = byte_size(dtype, count); bytes != 0)
    std::memcpy(to, from, bytes);
}

Tensor Tensor::copy_of(const TensorView& view) {
  Tensor t(view.dtype, view.shape);
  copy_values(view.dtype, view.data, t.data_.get(), view.count());
  return t;
}

Result<Tensor> Tensor::copy_of(const TensorView& view, const std::shared_ptr<MemoryLimit>& limit) {
  GRAFT_TRY(Tensor t, allocate(view.dtype, view.shape, limit));
  copy_values(view.dtype, view.data, t.data_.get(), view.count());
  return t;
}

Tensor Tensor::reshaped(const Shape& shape) const {
  Tensor t = *this;
  t.shape_ = shape;
  return t;
}

double element_as_double(const TensorView& t, int64_t i) {
  switch (t.dtype) {
    case DType::f16: return load<Half>(t, i);
    case DType::bf16: return load<BFloat16>(t, i);
    case DType::f32: return load<float>(t, i);
    case DType::f64: return load<double>(t, i);
    case DType::u64: return static_cast<double>(load<uint64_t>(t, i));
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz: return small_float(load<uint8_t>(t, i), t.dtype);
    case DType::f4e2m1: return small_float(load_bits(t, i), t.dtype);
    case DType::f8e8m0: {
      const int e = load<uint8_t>(t, i);
      return e == 255 ? std::nan("") : std::ldexp(1.0, e - 127);
    }
    default: return static_cast<double>(element_as_int(t, i));
  }
}

int64_t element_as_int(const TensorView& t, int64_t i) {
  switch (t.dtype) {
    case DType::boolean: return load<uint8_t>(t, i) != 0;
    case DType::i8: return load<int8_t>(t, i);
    case DType::i16: return load<int16_t>(t, i);
    case DType::i32: return load<int32_t>(t, i);
    case DType::i64: return load<int64_t>(t, i);
    case DType::u8: return load<uint8_t>(t, i);
    case DType::u16: return load<uint16_t>(t, i);
    case DType::u32: return load<uint32_t>(t, i);
    case DType::u64: return static_cast<int64_t>(std::min<uint64_t>(load<uint64_t>(t, i), INT64_MAX));
    case DType::u1:
    case DType::u2:
    case DType::u3:
    case DType::u4:
    case DType::u6: return load_bits(t, i);
    case DType::i2:
    case DType::i4: {
      const int n = bits(t.dtype);
      const int64_t v = load_bits(t, i);
      return v >= (1 << (n - 1)) ? v - (1 << n) : v;
    }
    case DType::invalid:
    case DType::string:
    case DType::list:
    case DType::c64:
    case DType::c128:
    case DType::count_: return 0;
    default: {
      const double d = element_as_double(t, i);
      if (std::isnan(d)) return 0;
      if (d >= 9223372036854775808.0) return INT64_MAX;
      if (d < -9223372036854775808.0) return INT64_MIN;
      return static_cast<int64_t>(d);
    }
  }
}

void store_element(const MutableTensorView& t, int64_t i, double v, bool saturate) {
  switch (t.dtype) {
    case DType::boolean: return put<uint8_t>(t, i, v != 0 ? 1 : 0);
    case DType::f16: return put(t, i, Half(v));
    case DType::bf16: return put(t, i, BFloat16(v));
    case DType::f32: return put(t, i, static_cast<float>(v));
    case DType::f64: return put(t, i, v);
    case DType::i8: return put(t, i, static_cast<int8_t>(v));
    case DType::i16: return put(t, i, static_cast<int16_t>(v));
    case DType::i32: return put(t, i, static_cast<int32_t>(v));
    case DType::i64: return put(t, i, static_cast<int64_t>(v));
    case DType::u8: return put(t, i, static_cast<uint8_t>(v));
    case DType::u16: return put(t, i, static_cast<uint16_t>(v));
    case DType::u32: return put(t, i, static_cast<uint32_t>(v));
    case DType::u64: return put(t, i, static_cast<uint64_t>(v));
    case DType::u1:
    case DType::u2:
    case DType::u3:
    case DType::u4:
    case DType::u6: return put_bits(t, i, static_cast<uint32_t>(v));
    case DType::i2:
    case DType::i4: return put_bits(t, i, static_cast<uint32_t>(static_cast<int32_t>(v)));
    case DType::f4e2m1: return put_bits(t, i, small_float_bits(v, t.dtype, saturate));
    case DType::f8e4m3fn:
    case DType::f8e4m3fnuz:
    case DType::f8e5m2:
    case DType::f8e5m2fnuz:
    case DType::f8e8m0: return put(t, i, static_cast<uint8_t>(small_float_bits(v, t.dtype, saturate)));
    default: return;
  }
}

uint64_t element_as_bits(const TensorView& t, int64_t i) {
  return t.dtype == DType::u64 ? load<uint64_t>(t, i) : static_cast<uint64_t>(element_as_int(t, i));
}

std::string describe(DType dtype, std::span<const int64_t> dims) {
  return format("{}{}", name(dtype), to_string(dims));
}

}  // namespace graft

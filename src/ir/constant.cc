#include "ir/constant.h"

#include <atomic>
#include <mutex>

#include "base/file.h"
#include "base/format.h"
#include "base/half.h"

namespace graft::ir {

// Filled once, on the first read of a lazy or misaligned constant.
struct Constant::Cache {
  std::once_flag made, aligned, hashed;
  Tensor tensor, copy;
  uint64_t hash = 0;
};

namespace {

constexpr int64_t kPiece = 16384;  // elements that read() hands over at a time

void store(DType dtype, void* at, int64_t i, double d, int64_t v) {
  const auto put = [&](auto x) {
    std::memcpy(static_cast<char*>(at) + static_cast<size_t>(i) * sizeof x, &x, sizeof x);
  };
  switch (dtype) {
    case DType::f16: return put(Half(d).raw);
    case DType::bf16: return put(BFloat16(d).raw);
    case DType::f32: return put(static_cast<float>(d));
    case DType::f64: return put(d);
    case DType::boolean: return put(static_cast<uint8_t>(d != 0));
    case DType::i8:
    case DType::u8: return put(static_cast<uint8_t>(v));
    case DType::i16:
    case DType::u16: return put(static_cast<uint16_t>(v));
    case DType::i32:
    case DType::u32: return put(static_cast<uint32_t>(v));
    case DType::i64:
    case DType::u64: return put(static_cast<uint64_t>(v));
    default: assert(false && "no lazy cast to this dtype");
  }
}

void cast_elements(const TensorView& src, int64_t from, int64_t count, DType dtype, void* dst) {
  const char* s = static_cast<const char*>(src.data);
  if (src.dtype == DType::f32 && dtype == DType::f16) return f32_to_f16(s + 4 * from, dst, count);
  if (src.dtype == DType::f16 && dtype == DType::f32) return f16_to_f32(s + 2 * from, dst, count);
  for (int64_t i = 0; i < count; ++i) {
    const auto v = static_cast<int64_t>(element_as_bits(src, from + i));
    store(dtype, dst, i, element_as_double(src, from + i), v);
  }
}

// dst[j] = src[perm applied to j], elements of `size` bytes.
void transpose_bytes(const TensorView& src, const Ints& perm, char* dst) {
  const int rank = src.rank();
  const size_t size = item_size(src.dtype);
  const Shape strides = strides_of(src.shape);
  Shape out, step, at(rank, 0);
  for (int d = 0; d < rank; ++d) {
    out.push_back(src.shape[static_cast<int>(perm[d])]);
    step.push_back(strides[static_cast<int>(perm[d])]);
  }
  const char* s = static_cast<const char*>(src.data);
  const int64_t n = src.count();
  int64_t offset = 0;
  for (int64_t i = 0; i < n; ++i) {
    std::memcpy(dst + static_cast<size_t>(i) * size, s + static_cast<size_t>(offset) * size, size);
    for (int d = rank - 1; d >= 0; --d) {
      offset += step[d];
      if (++at[d] < out[d]) break;
      offset -= step[d] * out[d];
      at[d] = 0;
    }
  }
}

}  // namespace

ConstantPtr Constant::borrow(const TensorView& view, std::shared_ptr<const void> owner) {
  std::shared_ptr<Constant> c(new Constant);
  c->dtype_ = view.dtype;
  c->shape_ = view.shape;
  c->data_ = view.data;
  c->owner_ = std::move(owner);
  c->cache_ = std::make_shared<Cache>();
  return c;
}

ConstantPtr Constant::of(const Tensor& tensor) { return borrow(tensor.view(), tensor.storage()); }

ConstantPtr Constant::scalar(DType dtype, double value) {
  Tensor t(dtype, Shape{});
  // As an integer only where one is asked for: NaN and 1e30 have none.
  const int64_t whole = is_float(dtype) ? 0 : element_as_int({DType::f64, Shape{}, &value}, 0);
  store(dtype, t.mutable_view().data, 0, value, whole);
  return of(std::move(t));
}

ConstantPtr Constant::int_scalar(DType dtype, int64_t value) {
  Tensor t(dtype, Shape{});
  store(dtype, t.mutable_view().data, 0, static_cast<double>(value), value);
  return of(std::move(t));
}

ConstantPtr Constant::ints(DType dtype, std::span<const int64_t> values) {
  Tensor t(dtype, Shape{static_cast<int64_t>(values.size())});
  for (size_t i = 0; i < values.size(); ++i) {
    store(dtype, t.mutable_view().data, static_cast<int64_t>(i), static_cast<double>(values[i]), values[i]);
  }
  return of(std::move(t));
}

ConstantPtr Constant::text(std::string_view value) {
  Tensor t(DType::string, Shape{});
  *t.mutable_view().as<std::string>() = std::string(value);
  return of(std::move(t));
}

ConstantPtr Constant::cast(ConstantPtr base, DType dtype) {
  if (base->dtype_ == dtype) return base;
  std::shared_ptr<Constant> c(new Constant);
  c->dtype_ = dtype;
  c->shape_ = base->shape_;
  c->base_ = std::move(base);
  c->is_cast_ = true;
  c->cache_ = std::make_shared<Cache>();
  return c;
}

ConstantPtr Constant::transpose(ConstantPtr base, const Ints& perm) {
  std::shared_ptr<Constant> c(new Constant);
  c->dtype_ = base->dtype_;
  for (int64_t p : perm) c->shape_.push_back(base->shape_[static_cast<int>(p)]);
  c->perm_ = perm;
  c->base_ = std::move(base);
  c->cache_ = std::make_shared<Cache>();
  return c;
}

ConstantPtr Constant::reshape(ConstantPtr base, const Shape& shape) {
  if (base->shape_ == shape) return base;
  std::shared_ptr<Constant> c(new Constant);
  if (base->is_direct()) {
    *c = *base;
    c->shape_ = shape;
  } else if (base->is_cast_) {  // keep casts streamable
    return cast(reshape(base->base_, shape), base->dtype_);
  } else {
    TensorView v = base->view();
    v.shape = shape;
    return borrow(v, base);
  }
  c->cache_ = std::make_shared<Cache>();
  return c;
}

void Constant::materialise() const {
  std::call_once(cache_->made, [this] {
    cache_->tensor = Tensor(dtype_, shape_);
    const TensorView src = base_->view();
    char* dst = static_cast<char*>(cache_->tensor.mutable_view().data);
    if (is_cast_) {
      cast_elements(src, 0, count(), dtype_, dst);
    } else {
      transpose_bytes(src, perm_, dst);
    }
  });
}

TensorView Constant::view() const {
  if (is_direct()) return {dtype_, shape_, data_};
  materialise();
  return {dtype_, shape_, cache_->tensor.view().data};
}

TensorView Constant::aligned_view() const {
  const TensorView v = view();
  if (v.aligned()) return v;
  std::call_once(cache_->aligned, [&] { cache_->copy = Tensor::copy_of(v); });
  return cache_->copy.view();
}

void Constant::read(const std::function<void(const void*, size_t)>& sink) const {
  if (!is_direct() && is_cast_ && item_size(dtype_) != 0) {
    const TensorView src = base_->view();
    alignas(64) char piece[kPiece * 8];
    for (int64_t i = 0; i < count(); i += kPiece) {
      const int64_t n = std::min(kPiece, count() - i);
      cast_elements(src, i, n, dtype_, piece);
      sink(piece, static_cast<size_t>(n) * item_size(dtype_));
    }
    return;
  }
  const TensorView v = view();
  if (v.bytes() != 0) sink(v.data, v.bytes());
}

std::string Constant::string_value() const {
  return dtype_ == DType::string && count() == 1 ? *view().as<std::string>() : std::string();
}

bool Constant::same_as(const Constant& o) const {
  if (this == &o) return true;
  if (dtype_ != o.dtype_ || shape_ != o.shape_) return false;
  const TensorView a = view(), b = o.view();
  if (dtype_ == DType::string)
    return std::equal(a.as<std::string>(), a.as<std::string>() + a.count(), b.as<std::string>());
  return a.data == b.data || a.bytes() == 0 || std::memcmp(a.data, b.data, a.bytes()) == 0;
}

uint64_t Constant::hash() const {
  std::call_once(cache_->hashed, [this] {
    uint64_t h = hash64(Bytes(reinterpret_cast<const std::byte*>(shape_.data()), static_cast<size_t>(rank()) * 8),
                        static_cast<uint64_t>(dtype_));
    if (dtype_ == DType::string) {
      const TensorView v = view();
      for (int64_t i = 0; i < v.count(); ++i) {
        const std::string& s = v.as<std::string>()[i];
        h = hash64(Bytes(reinterpret_cast<const std::byte*>(s.data()), s.size()), h);
      }
    } else {
      // In pieces of read()'s size whatever the storage, so that equal contents hash equally.
      const size_t piece = static_cast<size_t>(kPiece) * std::max<size_t>(item_size(dtype_), 1);
      read([&](const void* p, size_t n) {
        for (size_t at = 0; at < n; at += piece) {
          h = hash64(Bytes(static_cast<const std::byte*>(p) + at, std::min(piece, n - at)), h);
        }
      });
    }
    cache_->hash = h;
  });
  return cache_->hash;
}

}  // namespace graft::ir

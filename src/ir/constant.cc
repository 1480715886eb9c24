#include "ir/constant.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "base/file.h"
#include "base/half.h"
#include "ir/constant_stream.h"

namespace graft::ir {

// Filled when somebody first reads what is not direct, or asks for alignment that the storage has not.
struct Constant::Cache {
  std::mutex mutex;
  std::atomic<bool> made{false}, aligned{false};
  Tensor dense, copy;
  std::once_flag hashed;
  uint64_t hash = 0;
};

namespace {

constexpr int64_t kPiece = 16384;  // elements that read() hands over at a time

size_t piece_bytes(const Constant& c) { return byte_size(c.dtype(), std::min(kPiece, c.count())); }

std::vector<ConstantPtr> parts_of(const Constant::Form& form) {
  struct Parts {
    std::vector<ConstantPtr> operator()(const form::Direct&) const { return {}; }
    std::vector<ConstantPtr> operator()(const form::Cast& f) const { return {f.base}; }
    std::vector<ConstantPtr> operator()(const form::Transpose& f) const { return {f.base}; }
    std::vector<ConstantPtr> operator()(const form::Reshape& f) const { return {f.base}; }
    std::vector<ConstantPtr> operator()(const form::Affine& f) const { return {f.data, f.scale, f.zero_point}; }
    std::vector<ConstantPtr> operator()(const form::Blockwise& f) const { return {f.data, f.scale, f.offset, f.mask}; }
    std::vector<ConstantPtr> operator()(const form::Palette& f) const { return {f.indices, f.lut, f.mask}; }
    std::vector<ConstantPtr> operator()(const form::Sparse& f) const { return {f.values, f.mask}; }
    std::vector<ConstantPtr> operator()(const form::Nonzero& f) const { return {f.of}; }
  };
  std::vector<ConstantPtr> parts = std::visit(Parts{}, form);
  std::erase(parts, nullptr);
  return parts;
}

Shape permuted(const Shape& shape, const Ints& perm) {
  Shape s;
  for (int64_t p : perm) s.push_back(shape[static_cast<int>(p)]);
  return s;
}

// The dim of `to` that is dim `axis` of `from`, with as many elements in front of it; -1 when there is none.
int same_axis(const Shape& from, int axis, const Shape& to) {
  const int64_t in_front = from.product(0, axis);
  for (int d = 0; d < to.size(); ++d) {
    if (to[d] == from[axis] && to.product(0, d) == in_front) return d;
  }
  return -1;
}

bool narrow_ints(const ConstantPtr& c) { return c == nullptr || (is_int(c->dtype()) && bits(c->dtype()) <= 8); }

// Whether scale * (data - offset) is the same in fp16 when the scale is fp16: 9 bits by 11 bits are exact in fp32, so
// that there was one rounding all the time.
bool scale_may_be_half(const ConstantPtr& data, const ConstantPtr& scale, const ConstantPtr& offset) {
  if (scale->dtype() != DType::f32 || !narrow_ints(data) || !narrow_ints(offset)) return false;
  bool fits = true;
  scale->read([&](const void* p, size_t n) {
    for (size_t at = 0; at < n && fits; at += sizeof(float)) {
      float s;
      std::memcpy(&s, static_cast<const char*>(p) + at, sizeof s);
      fits = static_cast<float>(Half(s)) == s;
    }
  });
  return fits;
}

}  // namespace

std::shared_ptr<Constant> Constant::make(DType dtype, const Shape& shape, Form form) {
  std::shared_ptr<Constant> c(new Constant);
  c->dtype_ = dtype;
  c->shape_ = shape;
  c->form_ = std::move(form);
  if (c->is_direct()) {
    c->stored_bytes_ = c->source_bytes_ = c->bytes();
  } else {
    for (const ConstantPtr& p : parts_of(c->form_)) {
      c->depth_ = std::max(c->depth_, p->depth_ + 1);
      c->stored_bytes_ += p->stored_bytes_;
      c->source_bytes_ = std::max(c->source_bytes_, p->source_bytes_);
    }
  }
  c->cache_ = std::make_shared<Cache>();
  return c;
}

ConstantPtr Constant::borrow(const TensorView& view, std::shared_ptr<const void> owner) {
  return make(view.dtype, view.shape, form::Direct{view.data, std::move(owner)});
}

ConstantPtr Constant::stored(DType dtype, const Shape& shape, Form form) { return make(dtype, shape, std::move(form)); }

ConstantPtr Constant::of(const Tensor& tensor) { return borrow(tensor.view(), tensor.storage()); }

ConstantPtr Constant::folded(const Tensor& tensor, size_t source_bytes) {
  std::shared_ptr<Constant> c =
      make(tensor.dtype(), tensor.shape(), form::Direct{tensor.view().data, tensor.storage()});
  c->source_bytes_ = std::min(c->source_bytes_, source_bytes);
  return c;
}

ConstantPtr Constant::scalar(DType dtype, double value) {
  Tensor t(dtype, Shape{});
  // As an integer only where one is asked for: NaN and 1e30 have none.
  const int64_t whole = is_float(dtype) ? 0 : element_as_int({DType::f64, Shape{}, &value}, 0);
  store_element(dtype, t.mutable_view().data, 0, value, whole);
  return of(std::move(t));
}

ConstantPtr Constant::int_scalar(DType dtype, int64_t value) {
  Tensor t(dtype, Shape{});
  store_element(dtype, t.mutable_view().data, 0, static_cast<double>(value), value);
  return of(std::move(t));
}

ConstantPtr Constant::ints(DType dtype, std::span<const int64_t> values) {
  Tensor t(dtype, Shape{static_cast<int64_t>(values.size())});
  for (size_t i = 0; i < values.size(); ++i) {
    store_element(dtype, t.mutable_view().data, static_cast<int64_t>(i), static_cast<double>(values[i]), values[i]);
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
  // What only picks elements, or zero, may pick them from a cast list.
  if (const auto* f = base->as<form::Palette>())
    return make(dtype, base->shape_, form::Palette{f->indices, cast(f->lut, dtype), f->axis, f->mask});
  if (const auto* f = base->as<form::Sparse>())
    return make(dtype, base->shape_, form::Sparse{cast(f->values, dtype), f->mask});
  if (dtype == DType::f16) {
    if (const auto* f = base->as<form::Affine>(); f != nullptr && scale_may_be_half(f->data, f->scale, f->zero_point))
      return make(dtype, base->shape_, form::Affine{f->data, cast(f->scale, dtype), f->zero_point, f->axis});
    if (const auto* f = base->as<form::Blockwise>(); f != nullptr && scale_may_be_half(f->data, f->scale, f->offset))
      return make(dtype, base->shape_, form::Blockwise{f->data, cast(f->scale, dtype), f->offset, f->mask});
  }
  const Shape shape = base->shape_;
  return make(dtype, shape, form::Cast{std::move(base)});
}

ConstantPtr Constant::transpose(ConstantPtr base, const Ints& perm) {
  const Shape shape = permuted(base->shape_, perm);
  const auto place_of = [&](int axis) {
    return static_cast<int>(std::find(perm.begin(), perm.end(), axis) - perm.begin());
  };
  if (const auto* f = base->as<form::Cast>()) return cast(transpose(f->base, perm), base->dtype_);
  if (const auto* f = base->as<form::Transpose>()) {
    Ints both;
    for (int64_t p : perm) both.push_back(f->perm[static_cast<int>(p)]);
    return transpose(f->base, both);
  }
  if (const auto* f = base->as<form::Affine>(); f != nullptr && !perm.empty())
    return make(base->dtype_, shape,
                form::Affine{transpose(f->data, perm), f->scale, f->zero_point, place_of(f->axis)});
  if (const auto* f = base->as<form::Blockwise>(); f != nullptr && f->mask == nullptr) {
    return make(base->dtype_, shape,
                form::Blockwise{transpose(f->data, perm), transpose(f->scale, perm),
                                f->offset == nullptr ? nullptr : transpose(f->offset, perm), nullptr});
  }
  if (const auto* f = base->as<form::Palette>(); f != nullptr && f->mask == nullptr) {
    Ints groups = perm;
    for (int d = 0; d < 2; ++d) groups.push_back(base->rank() + d);
    return make(base->dtype_, shape,
                form::Palette{transpose(f->indices, perm), transpose(f->lut, groups), place_of(f->axis), nullptr});
  }
  const DType dtype = base->dtype_;
  return make(dtype, shape, form::Transpose{std::move(base), perm});
}

ConstantPtr Constant::reshape(ConstantPtr base, const Shape& shape) {
  if (base->shape_ == shape) return base;
  if (base->is_direct()) {
    std::shared_ptr<Constant> c = make(base->dtype_, shape, base->form_);
    c->source_bytes_ = base->source_bytes_;
    return c;
  }
  if (const auto* f = base->as<form::Cast>()) return cast(reshape(f->base, shape), base->dtype_);
  if (const auto* f = base->as<form::Reshape>()) return reshape(f->base, shape);
  if (const auto* f = base->as<form::Affine>(); f != nullptr && !shape.empty()) {
    const bool whole = f->scale->count() == 1 && (f->zero_point == nullptr || f->zero_point->count() == 1);
    const int axis = whole ? 0 : same_axis(base->shape_, f->axis, shape);
    if (axis >= 0)
      return make(base->dtype_, shape, form::Affine{reshape(f->data, shape), f->scale, f->zero_point, axis});
  }
  const DType dtype = base->dtype_;
  return make(dtype, shape, form::Reshape{std::move(base)});
}

ConstantPtr Constant::mask_of(const Constant& c) {
  if (const auto* f = c.as<form::Blockwise>()) return f->mask;
  if (const auto* f = c.as<form::Sparse>()) return f->mask;
  const auto* f = c.as<form::Palette>();
  if (f == nullptr || f->mask == nullptr) return nullptr;
  const int64_t vector = f->lut->shape_[f->lut->rank() - 1];
  if (vector == 1) return f->mask;
  // Each bit as often as a vector has elements: by a palette of zeros and ones.
  Shape shape(c.rank(), 1);
  shape.push_back(2);
  shape.push_back(vector);
  Tensor lut(DType::u1, shape);
  auto* bytes = static_cast<uint8_t*>(lut.mutable_view().data);
  std::fill_n(bytes, lut.view().bytes(), uint8_t{0});
  for (int64_t i = vector; i < 2 * vector; ++i) bytes[i / 8] = static_cast<uint8_t>(bytes[i / 8] | 1u << (i % 8));
  return make(DType::u1, c.shape_, form::Palette{f->mask, of(lut), f->axis, nullptr});
}

Result<const void*> Constant::dense(const Bounds& bounds) const {
  if (!cache_->made.load(std::memory_order_acquire)) {
    std::lock_guard lock(cache_->mutex);
    if (!cache_->made.load(std::memory_order_relaxed)) {
      // What a stream reads from anywhere; a cast and a reshape stream theirs.
      if (as<form::Cast>() == nullptr) {
        for (const ConstantPtr& p : parts_of(form_)) GRAFT_CHECK(p->view(bounds));
      }
      GRAFT_TRY(cache_->dense, Tensor::allocate(dtype_, shape_, bounds.memory));
      GRAFT_CHECK(fill(bounds.cancel));
      cache_->made.store(true, std::memory_order_release);
    }
  }
  return cache_->dense.view().data;
}

Status Constant::fill(const CancelToken* cancel) const {
  constexpr int64_t kStretch = 1 << 20;
  const std::unique_ptr<ConstantStream> stream = ConstantStream::open(*this, 0);
  char* to = static_cast<char*>(cache_->dense.mutable_view().data);
  for (int64_t i = 0; i < count(); i += kStretch) {
    GRAFT_CHECK(check(cancel));
    stream->next(std::min(kStretch, count() - i), to + byte_size(dtype_, i));
  }
  return {};
}

Result<TensorView> Constant::view(const Bounds& bounds) const {
  if (const auto* f = as<form::Direct>()) return TensorView{dtype_, shape_, f->data};
  if (const auto* f = as<form::Reshape>()) {
    GRAFT_TRY(const TensorView v, f->base->view(bounds));
    return TensorView{dtype_, shape_, v.data};
  }
  GRAFT_TRY(const void* data, dense(bounds));
  return TensorView{dtype_, shape_, data};
}

TensorView Constant::view() const {
  if (const auto* f = as<form::Direct>()) return {dtype_, shape_, f->data};
  Result<TensorView> v = view(Bounds{});
  if (!v) throw std::bad_alloc();
  return *v;
}

Result<TensorView> Constant::aligned_view(const Bounds& bounds) const {
  GRAFT_TRY(const TensorView v, view(bounds));
  if (v.aligned()) return v;
  if (!cache_->aligned.load(std::memory_order_acquire)) {
    std::lock_guard lock(cache_->mutex);
    if (!cache_->aligned.load(std::memory_order_relaxed)) {
      GRAFT_TRY(cache_->copy, Tensor::copy_of(v, bounds.memory));
      cache_->aligned.store(true, std::memory_order_release);
    }
  }
  return cache_->copy.view();
}

TensorView Constant::aligned_view() const {
  Result<TensorView> v = aligned_view(Bounds{});
  if (!v) throw std::bad_alloc();
  return *v;
}

void Constant::read(int64_t first, int64_t n, const Sink& sink) const {
  if (n == 0) return;
  if (is_direct() || cache_->made.load(std::memory_order_acquire)) {
    const TensorView v = view();
    if (dtype_ == DType::string) return sink(v.as<std::string>() + first, static_cast<size_t>(n) * sizeof(std::string));
    return sink(static_cast<const char*>(v.data) + byte_size(dtype_, first), byte_size(dtype_, n));
  }
  const std::unique_ptr<ConstantStream> stream = ConstantStream::open(*this, first);
  std::vector<char> piece(piece_bytes(*this));
  for (int64_t i = 0; i < n; i += kPiece) {
    const int64_t m = std::min(kPiece, n - i);
    stream->next(m, piece.data());
    sink(piece.data(), byte_size(dtype_, m));
  }
}

std::string Constant::string_value() const {
  return dtype_ == DType::string && count() == 1 ? *view().as<std::string>() : std::string();
}

bool Constant::same_as(const Constant& o) const {
  if (this == &o) return true;
  if (dtype_ != o.dtype_ || shape_ != o.shape_) return false;
  if (dtype_ == DType::string) {
    const TensorView a = view(), b = o.view();
    return std::equal(a.as<std::string>(), a.as<std::string>() + a.count(), b.as<std::string>());
  }
  if (is_direct() && o.is_direct()) {
    const TensorView a = view(), b = o.view();
    return a.data == b.data || a.bytes() == 0 || std::memcmp(a.data, b.data, a.bytes()) == 0;
  }
  const auto a = ConstantStream::open(*this, 0), b = ConstantStream::open(o, 0);
  std::vector<char> here(piece_bytes(*this)), there(here.size());
  for (int64_t i = 0; i < count(); i += kPiece) {
    const int64_t n = std::min(kPiece, count() - i);
    a->next(n, here.data());
    b->next(n, there.data());
    if (std::memcmp(here.data(), there.data(), byte_size(dtype_, n)) != 0) return false;
  }
  return true;
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
      const size_t piece = byte_size(dtype_, kPiece);
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

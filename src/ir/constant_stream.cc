#include "ir/constant_stream.h"

#include <cstring>

#include "base/half.h"

namespace graft::ir {
namespace {

class DirectStream final : public ConstantStream {
 public:
  DirectStream(const TensorView& view, int64_t first)
      : from_(static_cast<const char*>(view.data) + byte_size(view.dtype, first)), dtype_(view.dtype) {}
  void next(int64_t n, void* dst) override {
    const size_t bytes = byte_size(dtype_, n);
    if (bytes != 0) std::memcpy(dst, from_, bytes);
    from_ += bytes;
  }

 private:
  const char* from_;
  DType dtype_;
};

class CastStream final : public ConstantStream {
 public:
  CastStream(const Constant& base, DType to, int64_t first) : from_(base.dtype()), to_(to), at_(first) {
    if (base.is_direct())
      direct_ = base.view();
    else
      base_ = open(base, first);
  }
  void next(int64_t n, void* dst) override {
    auto* to = static_cast<char*>(dst);
    for (int64_t i = 0; i < n; i += kStep) {
      const int64_t m = std::min(kStep, n - i);
      if (base_ == nullptr) {
        cast_elements(direct_, at_ + i, m, to_, to + byte_size(to_, i));
        continue;
      }
      base_->next(m, step_);
      cast_elements({from_, Shape{m}, step_}, 0, m, to_, to + byte_size(to_, i));
    }
    at_ += n;
  }

 private:
  DType from_, to_;
  int64_t at_;
  TensorView direct_;
  std::unique_ptr<ConstantStream> base_;
  alignas(64) char step_[kStep * 8];
};

class TransposeStream final : public ConstantStream {
 public:
  TransposeStream(const form::Transpose& f, const Shape& shape, int64_t first)
      : src_(f.base->view()), shape_(shape), at_(shape.size(), 0) {
    const Shape strides = strides_of(src_.shape);
    for (int64_t p : f.perm) step_.push_back(strides[static_cast<int>(p)]);
    for (int d = shape.size() - 1; d >= 0 && first > 0; first /= shape[d--]) {
      at_[d] = first % shape[d];
      offset_ += at_[d] * step_[d];
    }
  }
  void next(int64_t n, void* dst) override {
    for (int64_t i = 0; i < n; ++i) {
      copy_element(src_.dtype, src_.data, offset_, dst, i);
      for (int d = shape_.size() - 1; d >= 0; --d) {
        offset_ += step_[d];
        if (++at_[d] < shape_[d]) break;
        offset_ -= step_[d] * shape_[d];
        at_[d] = 0;
      }
    }
  }

 private:
  TensorView src_;
  Shape shape_, step_, at_;
  int64_t offset_ = 0;
};

}  // namespace

void store_element(DType dtype, void* dst, int64_t i, double d, int64_t v) {
  const auto put = [&](auto x) {
    std::memcpy(static_cast<char*>(dst) + static_cast<size_t>(i) * sizeof x, &x, sizeof x);
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

void cast_elements(const TensorView& src, int64_t first, int64_t n, DType dtype, void* dst) {
  const char* s = static_cast<const char*>(src.data);
  if (src.dtype == DType::f32 && dtype == DType::f16) return f32_to_f16(s + 4 * first, dst, n);
  if (src.dtype == DType::f16 && dtype == DType::f32) return f16_to_f32(s + 2 * first, dst, n);
  for (int64_t i = 0; i < n; ++i) {
    const auto v = static_cast<int64_t>(element_as_bits(src, first + i));
    store_element(dtype, dst, i, element_as_double(src, first + i), v);
  }
}

std::unique_ptr<ConstantStream> ConstantStream::open(const Constant& c, int64_t first) {
  struct Open {
    const Constant& c;
    int64_t first;
    using Ptr = std::unique_ptr<ConstantStream>;
    Ptr operator()(const form::Direct&) const { return std::make_unique<DirectStream>(c.view(), first); }
    Ptr operator()(const form::Cast& f) const { return std::make_unique<CastStream>(*f.base, c.dtype(), first); }
    Ptr operator()(const form::Transpose& f) const { return std::make_unique<TransposeStream>(f, c.shape(), first); }
    Ptr operator()(const form::Reshape& f) const { return open(*f.base, first); }
    Ptr operator()(const form::Affine& f) const { return open_affine(f, c, first); }
    Ptr operator()(const form::Blockwise& f) const { return open_blockwise(f, c, first); }
    Ptr operator()(const form::Palette& f) const { return open_palette(f, c, first); }
    Ptr operator()(const form::Sparse& f) const { return open_sparse(f, first); }
    Ptr operator()(const form::Nonzero& f) const { return open_nonzero(f, first); }
  };
  return std::visit(Open{c, first}, c.form());
}

}  // namespace graft::ir

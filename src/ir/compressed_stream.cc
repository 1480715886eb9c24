// Streams of the compressed forms: what computes a quantized, palettized or sparse weight is here. They work in steps
// of kStep elements.
#include <bit>
#include <cstring>
#include <optional>

#include "base/half.h"
#include "ir/constant_stream.h"

namespace graft::ir {
namespace {

constexpr size_t kWidest = 16;  // bytes of an element

// n elements of v from `first` on, as numbers of type T.
template <class T>
void unpack(const TensorView& v, int64_t first, int64_t n, T* out) {
  const auto each = [&](auto x) {
    const char* from = static_cast<const char*>(v.data) + first * static_cast<int64_t>(sizeof x);
    for (int64_t i = 0; i < n; ++i) {
      std::memcpy(&x, from + i * static_cast<int64_t>(sizeof x), sizeof x);
      out[i] = static_cast<T>(x);
    }
  };
  switch (v.dtype) {
    case DType::u8: return each(uint8_t{});
    case DType::i8: return each(int8_t{});
    case DType::f32: return each(float{});
    case DType::u1:
    case DType::u2:
    case DType::u3:
    case DType::u4:
    case DType::i4:
    case DType::u6: {
      // A width divides 8, or an element lies in at most two bytes.
      const auto* bytes = static_cast<const uint8_t*>(v.data);
      const int64_t width = bits(v.dtype), end = static_cast<int64_t>(v.bytes());
      for (int64_t i = 0, at = first * width; i < n; ++i, at += width) {
        const int64_t b = at / 8;
        const unsigned next = b + 1 < end ? bytes[b + 1] : 0u;
        const auto raw = static_cast<int>(((bytes[b] | next << 8) >> (at % 8)) & ((1u << width) - 1));
        out[i] = static_cast<T>(v.dtype == DType::i4 ? (raw ^ 8) - 8 : raw);
      }
      return;
    }
    default:
      for (int64_t i = 0; i < n; ++i) {
        if constexpr (std::is_floating_point_v<T>)
          out[i] = static_cast<T>(element_as_double(v, first + i));
        else
          out[i] = static_cast<T>(element_as_int(v, first + i));
      }
  }
}

// A mask whose ones can be counted from anywhere.
class Ones {
 public:
  explicit Ones(const TensorView& mask) : bits_(static_cast<const uint8_t*>(mask.data)) {
    int64_t n = 0;
    for (int64_t i = 0; i < mask.count(); i += kBlock) {
      before_.push_back(n);
      n += count(i, std::min(i + kBlock, mask.count()));
    }
    before_.push_back(n);
  }
  bool at(int64_t i) const { return (bits_[i / 8] >> (i % 8) & 1) != 0; }
  // How many there are in front of element i.
  int64_t before(int64_t i) const { return before_[static_cast<size_t>(i / kBlock)] + count(i / kBlock * kBlock, i); }

 private:
  static constexpr int64_t kBlock = 512;
  // From `begin`, at the start of a byte, to `end`.
  int64_t count(int64_t begin, int64_t end) const {
    int64_t n = 0;
    for (; begin + 8 <= end; begin += 8) n += std::popcount(bits_[begin / 8]);
    return begin == end ? n : n + std::popcount(static_cast<uint8_t>(bits_[begin / 8] & ((1u << (end - begin)) - 1)));
  }
  const uint8_t* bits_;
  std::vector<int64_t> before_;
};

std::optional<Ones> ones_of(const ConstantPtr& mask) {
  return mask == nullptr ? std::nullopt : std::optional<Ones>(mask->view());
}

// Numbers of a masked or a plain part, for the elements from `at` on; 0 where the mask has a zero.
template <class T>
void unpack_masked(const TensorView& part, const std::optional<Ones>& ones, int64_t at, int64_t n, T* out) {
  if (!ones) return unpack(part, at, n, out);
  const int64_t first = ones->before(at), listed = ones->before(at + n) - first;
  T list[kStep];
  unpack(part, first, listed, list);
  for (int64_t i = 0, k = 0; i < n; ++i) out[i] = ones->at(at + i) ? list[k++] : T{0};
}

// Which entries of two small tensors an element belongs to. Dims whose entries change together are joined, so that long
// runs of elements share theirs.
class Blocks {
 public:
  Blocks(const Shape& dense, const Shape& a, const Shape& b) {
    for (int d = 0; d < dense.size(); ++d) {
      const auto joins = [&](const Shape& entries, int64_t last) { return entries[d] == 1 || last == size_.back(); };
      if (d > 0 && joins(a, a_.back()) && joins(b, b_.back())) {
        size_[size_.size() - 1] *= dense[d];
        a_[a_.size() - 1] *= a[d];
        b_[b_.size() - 1] *= b[d];
      } else {
        size_.push_back(dense[d]);
        a_.push_back(a[d]);
        b_.push_back(b[d]);
      }
    }
  }
  struct Run {
    int64_t a = 0, b = 0, length = INT64_MAX;  // for how many elements the entries hold
  };
  Run at(int64_t i) const {
    Run r;
    int64_t a_step = 1, b_step = 1;
    for (int d = size_.size() - 1; d >= 0; --d) {
      const int64_t index = i % size_[d], in_a = size_[d] / a_[d], in_b = size_[d] / b_[d];
      i /= size_[d];
      r.a += index / in_a * a_step;
      r.b += index / in_b * b_step;
      a_step *= a_[d];
      b_step *= b_[d];
      if (d == size_.size() - 1) r.length = std::min(in_a - index % in_a, in_b - index % in_b);
    }
    return r;
  }

 private:
  Shape size_, a_, b_;
};

// scale * (data - offset) in double, rounded once.
class ScaleStream final : public ConstantStream {
 public:
  ScaleStream(const form::Affine& f, const Constant& c, int64_t first)
      : ScaleStream(c, *f.data, *f.scale, f.zero_point.get(), nullptr, along(c, *f.scale, f.axis),
                    f.zero_point == nullptr ? Shape(c.rank(), 1) : along(c, *f.zero_point, f.axis), first) {}
  ScaleStream(const form::Blockwise& f, const Constant& c, int64_t first)
      : ScaleStream(c, *f.data, *f.scale, f.offset.get(), f.mask, f.scale->shape(), f.scale->shape(), first) {}

  void next(int64_t n, void* dst) override {
    auto* to = static_cast<char*>(dst);
    double q[kStep];
    for (int64_t done = 0; done < n;) {
      const int64_t m = std::min(kStep, n - done);
      unpack_masked(data_, ones_, at_, m, q);
      for (int64_t i = 0; i < m;) {
        const Blocks::Run run = blocks_.at(at_ + i);
        const double scale = element_as_double(scale_, run.a),
                     offset = offset_.data == nullptr ? 0 : element_as_double(offset_, run.b);
        for (const int64_t end = std::min(m, run.length > m - i ? m : i + run.length); i < end; ++i)
          q[i] = (q[i] - offset) * scale;
      }
      for (int64_t i = 0; ones_ && i < m; ++i) q[i] = ones_->at(at_ + i) ? q[i] : 0;
      put(q, m, to + byte_size(dtype_, done));
      done += m;
      at_ += m;
    }
  }

 private:
  ScaleStream(const Constant& c, const Constant& data, const Constant& scale, const Constant* offset,
              const ConstantPtr& mask, const Shape& scales, const Shape& offsets, int64_t first)
      : dtype_(c.dtype()),
        data_(data.view()),
        scale_(scale.view()),
        offset_(offset == nullptr ? TensorView{} : offset->view()),
        blocks_(c.shape(), scales, offsets),
        ones_(ones_of(mask)),
        at_(first) {
    const auto small = [](const TensorView& v) { return v.data == nullptr || (is_int(v.dtype) && bits(v.dtype) <= 8); };
    exact_in_float_ = small(data_) && small(offset_) && scale_.dtype == DType::f16;
  }
  // One entry, or one for each place along `axis`, as blocks.
  static Shape along(const Constant& c, const Constant& entries, int axis) {
    Shape s(c.rank(), 1);
    if (entries.count() != 1) s[axis] = entries.count();
    return s;
  }
  void put(const double* q, int64_t n, void* dst) const {
    if (dtype_ == DType::f32 || (dtype_ == DType::f16 && exact_in_float_)) {
      float f[kStep];
      for (int64_t i = 0; i < n; ++i) f[i] = static_cast<float>(q[i]);
      if (dtype_ == DType::f16) return f32_to_f16(f, dst, n);
      std::memcpy(dst, f, static_cast<size_t>(n) * sizeof(float));
      return;
    }
    for (int64_t i = 0; i < n; ++i) store_element(dtype_, dst, i, q[i], 0);
  }

  DType dtype_;
  TensorView data_, scale_, offset_;
  Blocks blocks_;
  std::optional<Ones> ones_;
  int64_t at_;
  bool exact_in_float_ = false;
};

class PaletteStream final : public ConstantStream {
 public:
  PaletteStream(const form::Palette& f, const Constant& c, int64_t first)
      : dtype_(c.dtype()),
        indices_(f.indices->view()),
        lut_(f.lut->view()),
        shape_(c.shape()),
        index_shape_(c.shape()),
        axis_(f.axis),
        entries_(lut_.shape[lut_.rank() - 2]),
        vector_(lut_.shape[lut_.rank() - 1]),
        ones_(ones_of(f.mask)),
        at_(first) {
    if (vector_ > 1) index_shape_[axis_] /= vector_;
    groups_ = lut_.shape;
    groups_.resize(c.rank());
    blocks_.emplace(index_shape_, groups_, groups_);
    if (vector_ > 1) inner_ = shape_.product(axis_ + 1, c.rank());
  }

  void next(int64_t n, void* dst) override {
    auto* to = static_cast<char*>(dst);
    for (int64_t done = 0; done < n;) {
      const int64_t m = std::min(kStep, n - done);
      if (vector_ > 1)
        vectors(m, to + byte_size(dtype_, done));
      else
        scalars(m, to + byte_size(dtype_, done));
      done += m;
      at_ += m;
    }
  }

 private:
  void scalars(int64_t m, char* to) {
    int32_t index[kStep];
    unpack_masked(indices_, ones_, at_, m, index);
    for (int64_t i = 0; i < m;) {
      const Blocks::Run run = blocks_->at(at_ + i);
      for (const int64_t end = run.length > m - i ? m : i + run.length; i < end; ++i) {
        if (ones_ && !ones_->at(at_ + i))
          zero(to, i);
        else
          copy_element(dtype_, lut_.data, run.a * entries_ + index[i], to, i);
      }
    }
  }
  void vectors(int64_t m, char* to) {
    for (int64_t i = 0; i < m; ++i) {
      // Element (outer, vector * k + component, inner) has index (outer, k, inner).
      const int64_t at = at_ + i, inner = at % inner_, along = at / inner_ % shape_[axis_];
      const int64_t outer = at / inner_ / shape_[axis_];
      const int64_t index = (outer * index_shape_[axis_] + along / vector_) * inner_ + inner;
      if (ones_ && !ones_->at(index)) {
        zero(to, i);
        continue;
      }
      const int64_t entry = element_as_int(indices_, ones_ ? ones_->before(index) : index);
      copy_element(dtype_, lut_.data, (blocks_->at(index).a * entries_ + entry) * vector_ + along % vector_, to, i);
    }
  }
  void zero(void* to, int64_t i) const {
    static constexpr char kZeros[kWidest] = {};
    copy_element(dtype_, kZeros, 0, to, i);
  }

  DType dtype_;
  TensorView indices_, lut_;
  Shape shape_, index_shape_, groups_;
  int axis_;
  int64_t entries_, vector_, inner_ = 1;
  std::optional<Blocks> blocks_;
  std::optional<Ones> ones_;
  int64_t at_;
};

class SparseStream final : public ConstantStream {
 public:
  SparseStream(const form::Sparse& f, int64_t first)
      : values_(f.values->view()), ones_(f.mask->view()), at_(first), listed_(ones_.before(first)) {}
  void next(int64_t n, void* dst) override {
    const size_t bytes = byte_size(values_.dtype, n);
    if (bytes != 0) std::memset(dst, 0, bytes);
    for (int64_t i = 0; i < n; ++i, ++at_) {
      if (ones_.at(at_)) copy_element(values_.dtype, values_.data, listed_++, dst, i);
    }
  }

 private:
  TensorView values_;
  Ones ones_;
  int64_t at_, listed_;
};

class NonzeroStream final : public ConstantStream {
 public:
  NonzeroStream(const Constant& of, int64_t first)
      : dtype_(of.dtype()),
        count_(of.count()),
        mask_(Constant::mask_of(of)),
        ones_(mask_->view()),
        dense_(open(of, 0)) {
    for (char skipped[kWidest]; first > 0; --first) next(1, skipped);
  }
  void next(int64_t n, void* dst) override {
    for (int64_t i = 0; i < n;) {
      if (at_ % kStep == 0) dense_->next(std::min(kStep, count_ - at_), step_);
      if (ones_.at(at_)) copy_element(dtype_, step_, at_ % kStep, dst, i++);
      ++at_;
    }
  }

 private:
  DType dtype_;
  int64_t count_, at_ = 0;
  ConstantPtr mask_;
  Ones ones_;
  std::unique_ptr<ConstantStream> dense_;
  alignas(64) char step_[kStep * kWidest];
};

}  // namespace

std::unique_ptr<ConstantStream> open_affine(const form::Affine& f, const Constant& c, int64_t first) {
  return std::make_unique<ScaleStream>(f, c, first);
}
std::unique_ptr<ConstantStream> open_blockwise(const form::Blockwise& f, const Constant& c, int64_t first) {
  return std::make_unique<ScaleStream>(f, c, first);
}
std::unique_ptr<ConstantStream> open_palette(const form::Palette& f, const Constant& c, int64_t first) {
  return std::make_unique<PaletteStream>(f, c, first);
}
std::unique_ptr<ConstantStream> open_sparse(const form::Sparse& f, int64_t first) {
  return std::make_unique<SparseStream>(f, first);
}
std::unique_ptr<ConstantStream> open_nonzero(const form::Nonzero& f, int64_t first) {
  return std::make_unique<NonzeroStream>(*f.of, first);
}

}  // namespace graft::ir

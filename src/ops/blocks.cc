#include "ops/blocks.h"

namespace graft::ops {
namespace {

template <class W>
void load_wide(const TensorView& t, int64_t offset, int64_t stride, int64_t n, W* dst) {
  visit_dtype(t.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* src = t.as<T>() + offset;
    if (stride == 1)  // the compiler makes better code of this one
      for (int64_t i = 0; i < n; ++i) dst[i] = static_cast<W>(widen(src[i]));
    else
      for (int64_t i = 0; i < n; ++i, src += stride) dst[i] = static_cast<W>(widen(*src));
  });
}

template <class W>
void store_wide(const MutableTensorView& t, int64_t offset, int64_t stride, int64_t n, const W* src) {
  visit_dtype(t.dtype, [&](auto tag) {
    using T = decltype(tag);
    T* dst = t.as<T>() + offset;
    if (stride == 1)
      for (int64_t i = 0; i < n; ++i) dst[i] = narrow<T>(src[i]);
    else
      for (int64_t i = 0; i < n; ++i, dst += stride) *dst = narrow<T>(src[i]);
  });
}

}  // namespace

void load(const TensorView& t, int64_t offset, int64_t stride, int64_t n, double* dst) {
  load_wide(t, offset, stride, n, dst);
}
void load(const TensorView& t, int64_t offset, int64_t stride, int64_t n, int64_t* dst) {
  load_wide(t, offset, stride, n, dst);
}
void load(const TensorView& t, int64_t offset, int64_t stride, int64_t n, uint64_t* dst) {
  load_wide(t, offset, stride, n, dst);
}
void load(const TensorView& t, int64_t offset, int64_t stride, int64_t n, bool* dst) {
  load_wide(t, offset, stride, n, dst);
}
void store(const MutableTensorView& t, int64_t offset, int64_t stride, int64_t n, const double* src) {
  store_wide(t, offset, stride, n, src);
}
void store(const MutableTensorView& t, int64_t offset, int64_t stride, int64_t n, const int64_t* src) {
  store_wide(t, offset, stride, n, src);
}
void store(const MutableTensorView& t, int64_t offset, int64_t stride, int64_t n, const uint64_t* src) {
  store_wide(t, offset, stride, n, src);
}
void store(const MutableTensorView& t, int64_t offset, int64_t stride, int64_t n, const bool* src) {
  store_wide(t, offset, stride, n, src);
}

void load(const TensorView& t, int64_t offset, int64_t stride, int64_t n, ir::WideType wide, void* dst) {
  visit_wide(wide, [&](auto tag) { load_wide(t, offset, stride, n, static_cast<decltype(tag)*>(dst)); });
}
void store(const MutableTensorView& t, int64_t offset, int64_t n, ir::WideType wide, const void* src) {
  visit_wide(wide, [&](auto tag) { store_wide(t, offset, 1, n, static_cast<const decltype(tag)*>(src)); });
}

void gather(const TensorView& t, int64_t base, const int64_t* index, int64_t n, double* dst) {
  visit_dtype(t.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* src = t.as<T>() + base;
    for (int64_t i = 0; i < n; ++i) dst[i] = index[i] < 0 ? 0.0 : static_cast<double>(widen(src[index[i]]));
  });
}

Runs::Runs(const Shape& shape, std::span<const int64_t> axes, Pace& pace) : pace_(&pace) {
  const Shape all = strides_of(shape);
  for (int64_t axis : axes) {
    const int64_t size = shape[static_cast<int>(axis)], stride = all[static_cast<int>(axis)];
    const int last = sizes_.size() - 1;
    if (last >= 0 && strides_[last] == stride * size) {
      sizes_[last] *= size;
      strides_[last] = stride;
    } else {
      sizes_.push_back(size);
      strides_.push_back(stride);
    }
  }
  if (sizes_.empty()) {
    sizes_.push_back(1);
    strides_.push_back(1);
  }
}

Result<Ints> given_axes(const Call& call) {
  const int rank = call.in("x").rank();
  if (!call.has("axes")) return other_axes(rank, {});
  Ints axes;
  for (int64_t a : call.ints("axes")) {
    GRAFT_TRY(const int axis, normal_axis(a, rank));
    axes.push_back(axis);
  }
  return axes;
}

Result<Ints> reduced_axes(const Call& call) {
  GRAFT_TRY(Ints axes, given_axes(call));
  std::sort(axes.begin(), axes.end());
  axes.resize(static_cast<int>(std::unique(axes.begin(), axes.end()) - axes.begin()));
  return axes;
}

Ints other_axes(int rank, const Ints& axes) {
  Ints rest;
  for (int d = 0; d < rank; ++d) {
    if (std::find(axes.begin(), axes.end(), d) == axes.end()) rest.push_back(d);
  }
  return rest;
}

}  // namespace graft::ops

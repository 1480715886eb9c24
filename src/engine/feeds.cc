#include "engine/feeds.h"

#include "base/format.h"

namespace graft::engine {

Status check_list(const ir::Type& type, const List& list) {
  const ir::Type& element = *type.element;
  if (type.kind == ir::Type::Kind::optional && list.size() > 1)
    return fail(Code::invalid_argument, format("got {} values, takes one or none", list.size()));
  for (const Tensor& t : list.tensors()) {
    bool fits = t.valid() && t.dtype() == element.stored();
    if (fits && element.is_list()) GRAFT_CHECK(check_list(element, *t.view().as<List>()));
    if (fits && element.is_tensor()) {  // else of any rank
      fits = t.shape().size() == element.rank();
      for (int d = 0; fits && d < element.rank(); ++d) {
        const ir::Dim& dim = element.dims[static_cast<size_t>(d)];
        fits = !dim.known() || dim.value() == t.shape()[d];
      }
    }
    if (!fits)
      return fail(Code::invalid_argument,
                  format("an element is {}, takes {}", t.valid() ? describe(t.dtype(), t.shape()) : "missing",
                         element.to_string()));
  }
  return {};
}

// g++ -O2 makes vector code of loops whose length it knows.
bool not_all_finite(const TensorView& t, const CancelToken* cancel) {
  const auto any = [&](auto exponent) {
    using T = decltype(exponent);
    const T* bits = static_cast<const T*>(t.data);
    constexpr int64_t kPiece = 4096, kTogether = 64;
    for (int64_t i = 0, count = t.count(); i < count; i += kPiece) {
      T found = 0;
      const int64_t end = std::min(i + kPiece, count);
      int64_t k = i;
      for (; k + kTogether <= end; k += kTogether) {
        for (int64_t j = 0; j < kTogether; ++j) found |= (bits[k + j] & exponent) == exponent ? T{1} : T{0};
      }
      for (; k < end; ++k) found |= (bits[k] & exponent) == exponent ? T{1} : T{0};
      if (found != 0) return true;
      if (cancel != nullptr && cancel->cancelled()) return false;
    }
    return false;
  };
  if (t.dtype == DType::f32) return any(uint32_t{0x7f800000});
  if (t.dtype == DType::f16) return any(uint16_t{0x7c00});
  return false;
}

}  // namespace graft::engine

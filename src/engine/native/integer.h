// What the products of codes share: zero points, packed weights, and what makes codes of the sums again where that
// follows. The kernels take one unsigned and one signed side; codes of the other sign are moved by 128, and their zero
// points with them.
#pragma once

#include <array>
#include <cstring>
#include <map>

#include "engine/native/code_kernels.h"
#include "engine/native/code_products.h"
#include "engine/native/kernels.h"
#include "ops/kernel.h"

namespace graft::engine {

inline constexpr uint8_t kTop = 0x80;
inline constexpr int64_t kMostColumns = 32, kMostRows = 8;  // of CodeProducts

inline int32_t zero_at(const void* zeros, DType t, int64_t i) {
  if (zeros == nullptr) return 0;
  return t == DType::i8 ? static_cast<const int8_t*>(zeros)[i] : static_cast<const uint8_t*>(zeros)[i];
}

// Sums are modulo 2^32.
inline uint32_t u32(int64_t v) { return static_cast<uint32_t>(v); }
inline int32_t i32(uint32_t v) { return static_cast<int32_t>(v); }

// What makes codes of the sums of row or column c: clip(round(sum * scale) + zero).
struct Requantize {
  int scale = -1, zero = -1;  // inputs of the step, -1: the sums are the result; no zero
  bool by_channel = false;
  DType to = DType::u8;
};

// Writes results of sums in a run.
class Results {
 public:
  Results(const Frame& frame, const Requantize& r) : by_channel_(r.by_channel) {
    if (r.scale < 0) {
      sums_ = frame.out<int32_t>(0);
      return;
    }
    codes_ = frame.out<uint8_t>(0);
    scale_ = frame.in<float>(static_cast<size_t>(r.scale));
    zero_ = static_cast<float>(zero_at(r.zero < 0 ? nullptr : frame.in<void>(static_cast<size_t>(r.zero)), r.to, 0));
    lo_ = static_cast<float>(int_range(r.to).lo);
    hi_ = static_cast<float>(int_range(r.to).hi);
  }
  bool are_codes() const { return codes_ != nullptr; }
  int32_t* sums() const { return sums_; }
  uint8_t* codes() const { return codes_; }
  // Of the sums of n neighbours, from `channel` on: of one channel each if `each`, else all of that one.
  void make_codes(const int32_t* sums, int64_t n, const Shift& shift, int64_t channel, bool each, uint8_t* y) const {
    code_kernels().requantize(sums, n, shift, scale_ + (by_channel_ ? channel : 0), by_channel_ && each ? 1 : 0, zero_,
                              lo_, hi_, y);
  }

 private:
  bool by_channel_;
  int32_t* sums_ = nullptr;
  uint8_t* codes_ = nullptr;
  const float* scale_ = nullptr;
  float zero_ = 0, lo_ = 0, hi_ = 0;
};

// The step's operator, with what follows it if that is the row of Requantize along `axis` (or with one scale).
inline Requantize take_over(const Selection& s, Prepared& made, int n, int axis) {
  int result = s.node(n).results[0];
  Requantize r;
  made.nodes = {n};
  const int next = s.fusing() ? s.sole_consumer(result) : -1;
  if (next >= 0 && s.node(next).op->kind() == ir::Kind::quantize &&
      s.node(next).op->row->param_index("block_size") < 0) {
    const int scale = s.arg(next, "scale"), zero = s.arg(next, "zero_point");
    const PlanValue &y = s.value(s.node(next).results[0]), &of = s.value(scale);
    const ir::Call call = s.call(next);
    const int64_t count = of.shape.product();
    const Result<int> along = ops::normal_axis(call.i("axis"), y.shape.size());
    const bool fits = count == 1 || (along && *along == axis && y.shape[axis] == count);
    if (s.arg(next, "input") == result && fits && s.available(scale) && (zero < 0 || s.available(zero)) &&
        (zero < 0 || s.value(zero).shape.product() == 1) && of.dtype() == DType::f32) {
      r.by_channel = count != 1;
      r.to = y.dtype();
      r.scale = static_cast<int>(made.in.size());
      made.in.push_back({scale});
      if (zero >= 0) {
        r.zero = static_cast<int>(made.in.size());
        made.in.push_back({zero});
      }
      result = s.node(next).results[0];
      made.nodes.push_back(next);
    }
  }
  made.out = {{result}};
  return r;
}

// Packed weights by constant, and by what they are packed for: groups of a convolution, or one of these.
inline constexpr int64_t kMatrix = 0, kByChannel = -1;
struct CodesState final : ProviderState {
  std::map<std::pair<const ir::Constant*, int64_t>, std::pair<ir::ConstantPtr, std::byte*>> packed;
};

// Packed once for all plans, by pack(codes, to).
template <class Pack>
Result<const std::byte*> packed(const Selection& s, const ir::ConstantPtr& c, int64_t groups, size_t bytes,
                                Pack&& pack) {
  std::unique_ptr<ProviderState>& slot = s.core().states["codes"];
  if (slot == nullptr) slot = std::make_unique<CodesState>();
  auto& entries = static_cast<CodesState&>(*slot).packed;
  if (const auto at = entries.find({c.get(), groups}); at != entries.end()) return at->second.second;
  GRAFT_TRY(const TensorView view, c->aligned_view({s.cancel(), s.core().memory}));
  GRAFT_TRY(std::byte * to, s.core().weights.take(bytes, s.core().memory));
  pack(view.as<uint8_t>(), to);
  entries[{c.get(), groups}] = {c, to};
  return to;
}

// As many as `count`, or one, or none.
inline bool one_or(const Selection& s, int value, int64_t count) {
  return value < 0 || s.value(value).shape.product() == 1 || s.value(value).shape.product() == count;
}

}  // namespace graft::engine

// Data movement: concat in any layout, transpose by tiles.
#include <cstring>

#include "base/format.h"
#include "engine/native/kernels.h"
#include "ops/kernel.h"

namespace graft::engine {
namespace {

// ---- concat ----

// [outer, own bytes] of each operand behind one another.
class ConcatStep final : public Step {
 public:
  ConcatStep(int64_t outer, std::vector<size_t> bytes) : outer_(outer), bytes_(std::move(bytes)) {
    provider = "native";
    label = "concat";
    for (size_t b : bytes_) total_ += b;
  }
  Status run(const Frame& frame) const override {
    const int64_t grain = std::max<int64_t>(1, int64_t{65536} / static_cast<int64_t>(std::max<size_t>(total_, 1)));
    frame.parallel_for(outer_, grain, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        std::byte* to = frame.out<std::byte>(0) + static_cast<size_t>(o) * total_;
        for (size_t i = 0; i < bytes_.size(); ++i) {
          if (bytes_[i] != 0) std::memcpy(to, frame.in<std::byte>(i) + static_cast<size_t>(o) * bytes_[i], bytes_[i]);
          to += bytes_[i];
        }
      }
    });
    return {};
  }

 private:
  int64_t outer_;
  std::vector<size_t> bytes_;
  size_t total_ = 0;
};

// ---- transpose ----

// Copies with permuted strides; where the two innermost dims change places, tile by tile.
class TransposeStep final : public Step {
 public:
  TransposeStep(size_t size, Shape dims, Shape strides) : size_(size), dims_(dims), strides_(strides) {
    provider = "native";
    label = "transpose";
  }
  Status run(const Frame& frame) const override {
    switch (size_) {
      case 1: return move<uint8_t>(frame);
      case 2: return move<uint16_t>(frame);
      case 4: return move<uint32_t>(frame);
      default: return move<uint64_t>(frame);
    }
  }

 private:
  static constexpr int64_t kTile = 16;

  // Output rows [rows, columns] at a time: the dims before the last two are walked.
  template <class T>
  Status move(const Frame& frame) const {
    const int last = dims_.size() - 1;
    const int64_t columns = dims_[last], rows = last > 0 ? dims_[last - 1] : 1;
    const int64_t column_step = strides_[last], row_step = last > 0 ? strides_[last - 1] : 0;
    const int64_t strips = (rows + kTile - 1) / kTile, planes = dims_.product() / (rows * columns);
    frame.parallel_for(planes * strips, std::max<int64_t>(1, 16384 / (kTile * columns)),
                       [&](int64_t begin, int64_t end) {
                         for (int64_t i = begin; i < end; ++i) {
                           const int64_t plane = i / strips, r0 = i % strips * kTile, r1 = std::min(r0 + kTile, rows);
                           int64_t offset = 0, rest = plane;
                           for (int d = last - 2; d >= 0; --d) {
                             offset += rest % dims_[d] * strides_[d];
                             rest /= dims_[d];
                           }
                           const T* from = frame.in<T>(0) + offset;
                           T* to = frame.out<T>(0) + plane * rows * columns;
                           if (column_step == 1) {
                             for (int64_t r = r0; r < r1; ++r)
                               std::copy_n(from + r * row_step, columns, to + r * columns);
                             continue;
                           }
                           for (int64_t c0 = 0; c0 < columns; c0 += kTile) {
                             const int64_t c1 = std::min(c0 + kTile, columns);
                             for (int64_t r = r0; r < r1; ++r) {
                               for (int64_t c = c0; c < c1; ++c)
                                 to[r * columns + c] = from[r * row_step + c * column_step];
                             }
                           }
                         }
                       });
    return {};
  }

  size_t size_;
  Shape dims_, strides_;  // of the result; strides into the operand
};

}  // namespace

Result<Prepared> prepare_concat(const Selection& s, int n) {
  const Node& node = s.node(n);
  const ir::Call call = s.call(n);
  const int param = node.op->row->param_index("values");
  const std::vector<int>& values = node.args[static_cast<size_t>(param)];
  const PlanValue& y = s.value(node.results[0]);
  if (call.flag("interleave")) return decline("interleaved");
  const size_t size = item_size(y.dtype());
  if (size == 0 || y.dtype() == DType::string) return decline(format("{} data", name(y.dtype())));
  GRAFT_TRY(const int axis, ops::normal_axis(call.i("axis"), y.shape.size()));
  if (call.error()) return fail(*call.error());
  // Whole blocks of channels behind one another need no other layout.
  Layout layout;
  if (axis == 1) {
    for (int v : values) {
      if (!s.value(v).layout.plain() && s.value(v).layout.block <= 16) layout = s.value(v).layout;
    }
    for (int v : values) {
      if (layout.padded(s.value(v).shape)) layout = {};
    }
  }
  std::vector<size_t> bytes;
  Prepared made;
  for (int v : values) {
    const Shape& shape = s.value(v).shape;
    bytes.push_back(static_cast<size_t>(shape.product(axis, shape.size())) * size);
    made.in.push_back({v, layout});
  }
  made.out = {{node.results[0], layout}};
  made.nodes = {n};
  made.step = std::make_unique<ConcatStep>(y.shape.product(0, axis), std::move(bytes));
  return made;
}

Result<Prepared> prepare_transpose(const Selection& s, int n) {
  const int xi = s.arg(n, "x"), yi = s.node(n).results[0];
  const PlanValue &x = s.value(xi), &y = s.value(yi);
  const size_t size = item_size(x.dtype());
  if ((size != 1 && size != 2 && size != 4 && size != 8) || x.dtype() == DType::string)
    return decline(format("{} data", name(x.dtype())));
  if (x.shape.product() == 0 || x.shape.empty()) return decline("nothing to move");
  const ir::Call call = s.call(n);
  const Ints perm = call.ints("perm");
  if (call.error()) return fail(*call.error());
  const Shape from = strides_of(x.shape);
  Shape dims, strides;
  for (int d = 0; d < y.shape.size(); ++d) {
    GRAFT_TRY(const int at, ops::normal_axis(perm[d], x.shape.size()));
    if (y.shape[d] == 1) continue;
    const int last = dims.size() - 1;
    if (last >= 0 && strides[last] == from[at] * y.shape[d]) {  // neighbours that stay neighbours
      dims[last] *= y.shape[d];
      strides[last] = from[at];
    } else {
      dims.push_back(y.shape[d]);
      strides.push_back(from[at]);
    }
  }
  if (dims.empty()) {
    dims.push_back(1);
    strides.push_back(1);
  }
  Prepared made;
  made.in = {{xi}};
  made.out = {{yi}};
  made.nodes = {n};
  made.step = std::make_unique<TransposeStep>(size, dims, strides);
  return made;
}

}  // namespace graft::engine

// Bilinear and nearest resizes of the last two dims, in the plain and in blocked layouts.
//
// Where an output row or column lies among the source's is the row's to say, and it is asked: its reference kernel
// resizes a ramp, and what comes out is the position. So no sampling grid is written down twice.
#include "base/format.h"
#include "base/half.h"
#include "engine/native/kernels.h"

namespace graft::engine {
namespace {

struct Tap {
  int64_t lo, hi;
  float share;  // of hi
};

// Output columns [begin, end) and the source columns [first, last] that they read.
struct ColumnRange {
  int64_t begin, end, first, last;
};

constexpr int64_t kPiece = 2048;  // floats of a range: three of these stay in the first cache

std::vector<ColumnRange> column_ranges(const std::vector<Tap>& columns, int64_t block) {
  std::vector<ColumnRange> list;
  for (size_t c = 0; c < columns.size(); ++c) {
    const auto at = static_cast<int64_t>(c);
    const int64_t lo = columns[c].lo, hi = columns[c].hi;
    if (!list.empty()) {
      ColumnRange& s = list.back();
      const int64_t first = std::min(s.first, lo), last = std::max(s.last, hi);
      if ((last - first + 1) * block <= kPiece && (at + 1 - s.begin) * block <= kPiece) {
        s = {s.begin, at + 1, first, last};
        continue;
      }
    }
    list.push_back({at, at + 1, lo, hi});
  }
  return list;
}

class ResizeStep final : public Step {
 public:
  // x as [planes, height, width, block]; two columns of a block fit a piece.
  ResizeStep(bool half, int64_t planes, int64_t height, int64_t width, int64_t block, std::vector<Tap> rows,
             std::vector<Tap> columns)
      : half_(half),
        planes_(planes),
        height_(height),
        width_(width),
        block_(block),
        rows_(std::move(rows)),
        columns_(std::move(columns)),
        ranges_(column_ranges(columns_, block)) {
    provider = "native";
    const auto whole = [](const Tap& t) { return t.share == 0; };
    picks_ = std::all_of(rows_.begin(), rows_.end(), whole) && std::all_of(columns_.begin(), columns_.end(), whole);
  }
  Status run(const Frame& frame) const override {
    const int64_t h = static_cast<int64_t>(rows_.size()), w = static_cast<int64_t>(columns_.size());
    frame.parallel_for(planes_ * h, std::max<int64_t>(1, 8192 / (w * block_)), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        if (half_)
          row<uint16_t>(frame, i / h, i % h, w);
        else
          row<float>(frame, i / h, i % h, w);
      }
    });
    return {};
  }

 private:
  template <class T>
  void row(const Frame& frame, int64_t plane, int64_t y, int64_t w) const {
    const Tap& r = rows_[static_cast<size_t>(y)];
    const T* source = frame.in<T>(0) + plane * height_ * width_ * block_;
    T* to = frame.out<T>(0) + (plane * static_cast<int64_t>(rows_.size()) + y) * w * block_;
    const T *top = source + r.lo * width_ * block_, *bottom = source + r.hi * width_ * block_;
    if (picks_) {
      for (const Tap& c : columns_) to = std::copy_n(top + c.lo * block_, block_, to);
      return;
    }
    alignas(64) float upper[kPiece], lower[kPiece], made[kPiece];
    for (const ColumnRange& s : ranges_) {
      const int64_t count = (s.last - s.first + 1) * block_, first = s.first * block_;
      const float* between = floats(top + first, count, upper);
      if (r.share != 0) {  // a share of 0 takes nothing, not even infinity times 0
        const float* below = floats(bottom + first, count, lower);
        for (int64_t i = 0; i < count; ++i) upper[i] = between[i] * (1 - r.share) + below[i] * r.share;
        between = upper;
      }
      if constexpr (std::is_same_v<T, float>) {
        across(between, s, to + s.begin * block_);
      } else {
        across(between, s, made);
        f32_to_f16(made, to + s.begin * block_, (s.end - s.begin) * block_);
      }
    }
  }

  static const float* floats(const float* from, int64_t, float*) { return from; }
  static const float* floats(const uint16_t* from, int64_t count, float* into) {
    f16_to_f32(from, into, count);
    return into;
  }

  // `from` holds the range's source columns.
  void across(const float* from, const ColumnRange& s, float* to) const {
    for (int64_t x = s.begin; x < s.end; ++x, to += block_) {
      const Tap& c = columns_[static_cast<size_t>(x)];
      const float *a = from + (c.lo - s.first) * block_, *b = from + (c.hi - s.first) * block_;
      if (block_ == 1) {
        const float mixed = *a * (1 - c.share) + *b * c.share;
        *to = c.share == 0 ? *a : mixed;
      } else if (c.share == 0) {
        std::copy_n(a, block_, to);
      } else {
        for (int64_t k = 0; k < block_; ++k) to[k] = a[k] * (1 - c.share) + b[k] * c.share;
      }
    }
  }

  bool half_, picks_ = false;
  int64_t planes_, height_, width_, block_;
  std::vector<Tap> rows_, columns_;
  std::vector<ColumnRange> ranges_;
};

// The positions of one dim's output elements, found by resizing [1, height, width] filled with their coordinate.
Result<std::vector<Tap>> taps(const Selection& s, int n, const Shape& in, const Shape& out, bool of_rows) {
  ir::Call call = s.call(n).with_values();
  Tensor ramp(DType::f64, in);
  for (int64_t i = 0; i < ramp.count(); ++i)
    ramp.span<double>()[static_cast<size_t>(i)] = static_cast<double>(of_rows ? i / in[2] : i % in[2]);
  const ir::Type type = ir::Type::tensor(DType::f64, in);
  ir::Operand x;
  x.type = &type;
  x.value = ramp.view();
  call.set(call.row().param_index("x"), {x});
  GRAFT_TRY(ir::HeapOutputs result, ir::HeapOutputs::for_types({ir::Type::tensor(DType::f64, out)}));
  GRAFT_CHECK(call.row().def->reference(call, result));
  const int64_t count = of_rows ? out[1] : out[2], step = of_rows ? out[2] : 1, last = (of_rows ? in[1] : in[2]) - 1;
  std::vector<Tap> list;
  for (int64_t i = 0; i < count; ++i) {
    const double at = result[0].as<double>()[i * step];
    const int64_t lo = std::clamp<int64_t>(static_cast<int64_t>(at), 0, last);
    list.push_back({lo, std::min(lo + 1, last), static_cast<float>(at - static_cast<double>(lo))});
  }
  return list;
}

}  // namespace

Result<Prepared> prepare_resize(const Selection& s, int n) {
  const int xi = s.arg(n, "x"), yi = s.node(n).results[0];
  const PlanValue &x = s.value(xi), &y = s.value(yi);
  if (x.dtype() != DType::f32 && x.dtype() != DType::f16) return decline(format("{} data", name(x.dtype())));
  const int rank = x.shape.size();
  if (rank < 3 || x.shape.product() == 0 || y.shape.product() == 0) return decline("nothing to resize");
  if (x.shape.product(0, rank - 2) != y.shape.product(0, rank - 2)) return decline("other dims change too");
  const ir::Call call = s.call(n);
  for (const ir::Param& p : call.row().params()) {
    if (p.name != "x" && !call.known(p.name)) return decline(format("{} is not constant", p.name));
  }
  if (call.row().param_index("resized_dims") >= 0 && call.i("resized_dims") != 2) return decline("not two dims");
  const Shape in{1, x.shape[rank - 2], x.shape[rank - 1]}, out{1, y.shape[rank - 2], y.shape[rank - 1]};
  GRAFT_TRY(std::vector<Tap> rows, taps(s, n, in, out, true));
  GRAFT_TRY(std::vector<Tap> columns, taps(s, n, in, out, false));
  Layout layout;
  if (rank == 4 && !x.layout.padded(x.shape) && x.layout.block <= kPiece / 2) layout = x.layout;
  Prepared made;
  auto step = std::make_unique<ResizeStep>(x.dtype() == DType::f16, x.shape.product(0, rank - 2) / layout.block, in[1],
                                           in[2], layout.block, std::move(rows), std::move(columns));
  made.in = {{xi, layout}};
  made.out = {{yi, layout}};
  made.nodes = {n};
  made.step = std::move(step);
  return made;
}

}  // namespace graft::engine

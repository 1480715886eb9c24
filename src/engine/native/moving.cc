// Data movement: concat in any layout, and whatever a row describes as strided copies.
#include <array>
#include <cstring>

#include "base/format.h"
#include "engine/native/kernels.h"
#include "ops/moving.h"

namespace graft::engine {
namespace {

// ---- concat ----

// [outer, own bytes] of each operand behind one another.
class ConcatStep final : public Step {
 public:
  ConcatStep(int64_t outer, std::vector<size_t> bytes) : outer_(outer), bytes_(std::move(bytes)) {
    provider = "native";
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

// ---- any strided copy ----

// Of one operand to one result. The dims are in the order of the loops: the last one has the smallest steps of the
// result, the one before it those of the operand, where those are others.
struct Copy {
  size_t in = 0, out = 0;
  Shape dims;  // at least two
  Shape from, to;
  int64_t from_offset = 0, to_offset = 0;
};

class MoveStep final : public Step {
 public:
  struct Fill {
    size_t out;
    int64_t count;
    int in;  // -1: zeros
  };
  std::vector<Fill> fills;
  std::vector<Copy> copies;
  explicit MoveStep(size_t size) : size_(size) { provider = "native"; }

  Status run(const Frame& frame) const override {
    switch (size_) {
      case 1: return move<uint8_t>(frame);
      case 2: return move<uint16_t>(frame);
      case 4: return move<uint32_t>(frame);
      default: return move<uint64_t>(frame);
    }
  }

 private:
  static constexpr int64_t kTile = 16, kPart = 16384;

  template <class T>
  Status move(const Frame& frame) const {
    for (const Fill& f : fills) {
      const T value = f.in < 0 ? T{0} : *frame.in<T>(static_cast<size_t>(f.in));
      frame.parallel_for(f.count, 65536, [&](int64_t begin, int64_t end) {
        std::fill(frame.out<T>(f.out) + begin, frame.out<T>(f.out) + end, value);
      });
    }
    for (const Copy& c : copies) copy<T>(frame, c);
    return {};
  }

  // [rows, columns] of the last two dims in pieces of kTile rows; the dims before them are walked.
  template <class T>
  static void copy(const Frame& frame, const Copy& c) {
    const int last = c.dims.size() - 1;
    const int64_t rows = c.dims[last - 1], columns = c.dims[last];
    const int64_t strips = (rows + kTile - 1) / kTile, parts = (columns + kPart - 1) / kPart;
    const int64_t planes = c.dims.product(0, last - 1);
    const T* source = frame.in<T>(c.in) + c.from_offset;
    T* target = frame.out<T>(c.out) + c.to_offset;
    const auto piece = [&](int64_t i) {
      const int64_t c0 = i % parts * kPart, r0 = i / parts % strips * kTile;
      int64_t from = r0 * c.from[last - 1] + c0 * c.from[last], to = r0 * c.to[last - 1] + c0 * c.to[last];
      int64_t rest = i / parts / strips;
      for (int d = last - 2; d >= 0; --d) {
        from += rest % c.dims[d] * c.from[d];
        to += rest % c.dims[d] * c.to[d];
        rest /= c.dims[d];
      }
      strip(c, source + from, target + to, std::min(kTile, rows - r0), std::min(kPart, columns - c0));
    };
    const int64_t grain = std::max<int64_t>(1, kPart / (std::min(rows, kTile) * std::min(columns, kPart)));
    frame.parallel_for(planes * strips * parts, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) piece(i);
    });
  }

  template <class T>
  static void strip(const Copy& c, const T* from, T* to, int64_t rows, int64_t columns) {
    const int last = c.dims.size() - 1;
    const int64_t from_row = c.from[last - 1], to_row = c.to[last - 1], from_step = c.from[last], to_step = c.to[last];
    if (to_step == 1 && from_step == 1) {
      for (int64_t r = 0; r < rows; ++r) std::copy_n(from + r * from_row, columns, to + r * to_row);
    } else if (to_step == 1 && from_step == 0) {
      for (int64_t r = 0; r < rows; ++r) std::fill_n(to + r * to_row, columns, from[r * from_row]);
    } else if (to_step == 1) {
      for (int64_t c0 = 0; c0 < columns; c0 += kTile) {
        const int64_t c1 = std::min(c0 + kTile, columns);
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t i = c0; i < c1; ++i) to[r * to_row + i] = from[r * from_row + i * from_step];
        }
      }
    } else {
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t i = 0; i < columns; ++i) to[r * to_row + i * to_step] = from[r * from_row + i * from_step];
      }
    }
  }

  size_t size_;
};

// Notes what a row says it moves.
class Recorder final : public ops::Moves {
 public:
  Recorder(const Selection& s, int n, MoveStep& step) : s_(s), node_(s.node(n)), step_(step) {}
  std::vector<int> in;  // values, by the step's inputs

  void fill(int result, std::string_view param) override {
    const int place = node_.op->row->param_index(param);
    const bool given = place >= 0 && !node_.args[static_cast<size_t>(place)].empty();
    step_.fills.push_back({static_cast<size_t>(result), shape(result).product(), given ? input(param, 0) : -1});
  }
  void copy(std::string_view param, size_t member, const Ints& shape, const ops::Strided& from, int result,
            const ops::Strided& to) override {
    Copy c{static_cast<size_t>(input(param, member)), static_cast<size_t>(result), {}, {}, {}, from.offset, to.offset};
    struct Dim {
      int64_t size, from, to;
    };
    std::array<Dim, static_cast<size_t>(Ints::capacity)> dims;
    size_t count = 0;
    for (int d = 0; d < shape.size(); ++d) {
      const Dim dim{shape[d], from.steps[d], to.steps[d]};
      if (dim.size <= 0) return;
      if (dim.size == 1) continue;
      Dim* before = count == 0 ? nullptr : &dims[count - 1];
      if (before != nullptr && before->from == dim.from * dim.size && before->to == dim.to * dim.size)
        *before = {before->size * dim.size, dim.from, dim.to};
      else
        dims[count++] = dim;
    }
    const auto smallest = [&](size_t among, int64_t Dim::*step) {
      size_t best = 0;
      for (size_t d = 1; d < among; ++d) {
        if (std::abs(dims[d].*step) <= std::abs(dims[best].*step)) best = d;
      }
      return best;
    };
    const auto to_end = [&](size_t d, size_t end) { std::rotate(&dims[d], &dims[d] + 1, &dims[0] + end); };
    if (count > 1) {
      to_end(smallest(count, &Dim::to), count);
      if (std::abs(dims[count - 1].from) != 1) to_end(smallest(count - 1, &Dim::from), count - 1);
    }
    while (count < 2) {
      std::copy_backward(&dims[0], &dims[0] + count, &dims[0] + count + 1);
      dims[0] = {1, 0, count == 0 ? 1 : 0};
      ++count;
    }
    fits_ &= count <= static_cast<size_t>(Shape::capacity);
    for (size_t d = 0; d < count && fits_; ++d) {
      c.dims.push_back(dims[d].size);
      c.from.push_back(dims[d].from);
      c.to.push_back(dims[d].to);
    }
    step_.copies.push_back(c);
  }
  int results() const override { return static_cast<int>(node_.results.size()); }
  const Shape& shape(int result) const override { return s_.value(node_.results[static_cast<size_t>(result)]).shape; }
  bool fits() const { return fits_; }

 private:
  int input(std::string_view param, size_t member) {
    const int value = node_.args[static_cast<size_t>(node_.op->row->param_index(param))][member];
    const auto at = std::find(in.begin(), in.end(), value);
    const auto place = static_cast<int>(at - in.begin());
    if (at == in.end()) in.push_back(value);
    return place;
  }

  const Selection& s_;
  const Node& node_;
  MoveStep& step_;
  bool fits_ = true;
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

Result<Prepared> prepare_move(const Selection& s, int n) {
  const Node& node = s.node(n);
  const ir::OpDef& def = *node.op->row->def;
  const DType dtype = s.value(node.results[0]).dtype();
  const size_t size = item_size(dtype);
  if ((size != 1 && size != 2 && size != 4 && size != 8) || dtype == DType::string)
    return decline(format("{} data", name(dtype)));
  auto step = std::make_unique<MoveStep>(size);
  Recorder recorder(s, n, *step);
  const ir::Call call = s.call(n);
  GRAFT_CHECK(def.moves(call, recorder));
  if (call.error()) return fail(*call.error());
  if (!recorder.fits()) return decline("too many dims");
  Prepared made;
  for (const int v : recorder.in) made.in.push_back({v});
  for (const int r : node.results) made.out.push_back({r});
  made.nodes = {n};
  made.step = std::move(step);
  return made;
}

}  // namespace graft::engine

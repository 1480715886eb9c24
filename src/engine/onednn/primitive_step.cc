// The step that executes oneDNN primitives, and how a result is cut for several of them.
#include <atomic>
#include <cstring>
#include <numeric>

#include "base/format.h"
#include "base/half.h"
#include "engine/onednn/common.h"
#include "engine/onednn/threads.h"

namespace graft::engine {

using dnnl::memory;

namespace {

// One channel lies like that in the plain layout too, but not where it is padded to a block.
bool channels_last(const Shape& shape, Layout layout) { return layout.block == shape[1]; }

int64_t size_of_image(const Shape& shape, Layout layout) {
  Shape one = shape;
  one[0] = 1;
  return layout.count(one);
}

}  // namespace

int64_t pieces_for(int64_t flops, int threads) {
  constexpr int64_t kEach = 2;                 // pieces a thread: one that loses its core holds up half as much
  constexpr int64_t kWorth = 1'000'000;        // flops; some tens of microseconds, several times a wake-up
  constexpr int64_t kLongest = 4'000'000'000;  // flops; cancel is heard between pieces, on one thread too
  const int64_t most = std::max<int64_t>(threads <= 1 ? 1 : kEach * threads, flops / kLongest);
  return std::clamp<int64_t>(flops / kWorth, 1, most);
}

std::vector<std::pair<int64_t, int64_t>> stretches(int64_t size, int64_t unit, int64_t parts) {
  const int64_t units = (size + unit - 1) / unit;
  parts = std::clamp<int64_t>(parts, 1, std::max<int64_t>(units, 1));
  std::vector<std::pair<int64_t, int64_t>> list;
  for (int64_t i = 0; i < parts; ++i)
    list.emplace_back(units * i / parts * unit, std::min(units * (i + 1) / parts * unit, size));
  return list;
}

std::vector<Slice> cut(const Shape& shape, Layout layout, int64_t unit, int64_t flops, int threads) {
  const int64_t images = shape[0], parts = pieces_for(flops, threads);
  if (parts == 1) return {{Slice::Axis::all, 0, 0, 0, images}};
  if (images >= parts) {
    std::vector<Slice> slices;
    for (const auto& [begin, end] : stretches(images, 1, parts))
      slices.push_back({Slice::Axis::images, 0, 0, begin, end - begin});
    return slices;
  }
  const bool by_rows = channels_last(shape, layout);
  const int64_t size = by_rows ? shape[2] : shape[1];
  // Blocks stay whole; so do channels that belong together.
  int64_t whole = by_rows ? 1 : std::lcm(std::max<int64_t>(layout.block, 8), unit);
  if (whole >= size) whole = size;
  std::vector<Slice> slices;
  for (int64_t image = 0; image < images; ++image) {
    for (const auto& [begin, end] : stretches(size, whole, (parts + images - 1) / images))
      slices.push_back({by_rows ? Slice::Axis::rows : Slice::Axis::channels, begin, end, image, 1});
  }
  return slices;
}

std::optional<Part> part_of(const Slice& slice, const Shape& x, Layout x_layout, const Shape& y, Layout y_layout,
                            bool grouped, const std::optional<RowWindow>& rows) {
  Part p{x, y};
  p.x[0] = p.y[0] = slice.images;
  p.x_at = slice.image * size_of_image(x, x_layout);
  p.y_at = slice.image * size_of_image(y, y_layout);
  switch (slice.axis) {
    case Slice::Axis::all:
    case Slice::Axis::images: return p;
    case Slice::Axis::channels:
      p.y[1] = slice.end - slice.begin;
      p.y_at += slice.begin * y.product(2, y.size());
      if (grouped) {
        const int64_t begin = slice.begin * x[1] / y[1], end = slice.end * x[1] / y[1];
        if (channels_last(x, x_layout) || begin % x_layout.block != 0) return std::nullopt;
        p.x[1] = end - begin;
        p.x_at += begin * x.product(2, x.size());
      }
      return p;
    case Slice::Axis::rows: {
      if (!rows || !channels_last(x, x_layout)) return std::nullopt;
      const int64_t low = slice.begin * rows->stride - rows->before;
      const int64_t high = (slice.end - 1) * rows->stride - rows->before + rows->reach;
      const int64_t begin = std::max<int64_t>(low, 0), end = std::min(high, x[2]);
      if (begin >= end) return std::nullopt;  // nothing but padding
      p.y[2] = slice.end - slice.begin;
      p.y_at += slice.begin * y.product(3, y.size()) * y[1];
      p.x[2] = end - begin;
      p.x_at += begin * x.product(3, x.size()) * x[1];
      p.before = begin - low;
      p.after = high - end;
      return p;
    }
  }
  return std::nullopt;
}

// ---- the step ----

struct PrimitiveState final : StepState {
  struct Call {
    explicit Call(const dnnl::engine& engine) : stream(engine) {}
    dnnl::stream stream;
    std::vector<memory> memories;
    std::vector<dnnl_exec_arg_t> args;
  };
  std::vector<Call> calls;  // by piece
  std::vector<std::byte*> tensors;
};

void PrimitiveStep::Piece::bind(int id, const Md& md, int tensor, int64_t offset) {
  args_.push_back({id, md, tensor, static_cast<size_t>(offset) * sizeof(float), nullptr});
}
void PrimitiveStep::Piece::fix(int id, const Md& md, std::shared_ptr<const Packed> packed) {
  args_.push_back({id, md, -1, 0, std::move(packed)});
}

PrimitiveStep::PrimitiveStep(const Core& core) : engine_(cpu_engine(core)) { provider = "onednn"; }

size_t PrimitiveStep::take_scratch(size_t bytes) {
  const size_t at = scratch;
  scratch += align_up(bytes);
  return at;
}

int PrimitiveStep::add(bool result, size_t index, const Md& md, DType dtype) {
  Tensor t{result, index, md.get_size()};
  if (dtype == DType::f16) t.half = take_scratch(t.bytes);
  tensors_.push_back(t);
  return static_cast<int>(tensors_.size()) - 1;
}
int PrimitiveStep::add_in(const Md& md, DType dtype) { return add(false, ins_++, md, dtype); }
int PrimitiveStep::add_out(const Md& md, DType dtype) { return add(true, outs_++, md, dtype); }

PrimitiveStep::Piece& PrimitiveStep::add_piece(dnnl::primitive primitive, const Md& scratchpad) {
  pieces_.push_back(Piece(std::move(primitive)));
  Piece& piece = pieces_.back();
  if (const size_t bytes = scratchpad.get_size(); bytes != 0)
    piece.args_.push_back({DNNL_ARG_SCRATCHPAD, scratchpad, -1, take_scratch(bytes), nullptr});
  return piece;
}

void PrimitiveStep::accumulate_onto(size_t input) {
  onto_ = input;
  ins_ = std::max(ins_, input + 1);
  in_place.emplace_back(0, static_cast<int>(input));
}

std::unique_ptr<StepState> PrimitiveStep::make_state(const Plan&) const {
  auto state = std::make_unique<PrimitiveState>();
  state->tensors.resize(tensors_.size());
  state->calls.reserve(pieces_.size());
  for (const Piece& piece : pieces_) {
    PrimitiveState::Call& call = state->calls.emplace_back(engine_);
    call.memories.reserve(piece.args_.size());
    for (const Piece::Arg& a : piece.args_) {
      call.memories.emplace_back(a.md, engine_,
                                 a.packed != nullptr ? const_cast<void*>(a.packed->data) : DNNL_MEMORY_NONE);
      call.args.push_back({a.id, call.memories.back().get()});
    }
  }
  return state;
}

Status PrimitiveStep::run(const Frame& frame) const {
  constexpr int64_t kGrain = 16384;
  auto& state = static_cast<PrimitiveState&>(*frame.state);
  if (onto_ && frame.out(0) != frame.in(*onto_)) {
    const PlanValue& v = frame.plan.values[static_cast<size_t>(frame.step.out[0])];
    std::memcpy(frame.out(0), frame.in(*onto_), v.bytes());
  }
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const Tensor& t = tensors_[i];
    if (t.half == SIZE_MAX) {
      state.tensors[i] =
          t.result ? frame.out<std::byte>(t.index) : const_cast<std::byte*>(frame.in<std::byte>(t.index));
      continue;
    }
    state.tensors[i] = frame.scratch + t.half;
    if (t.result) continue;
    const auto* from = frame.in<uint16_t>(t.index);
    auto* to = reinterpret_cast<float*>(state.tensors[i]);
    frame.parallel_for(static_cast<int64_t>(t.bytes / sizeof(float)), kGrain,
                       [&](int64_t b, int64_t e) { f16_to_f32(from + b, to + b, e - b); });
  }
  std::atomic<int> failure{dnnl_success};
  const auto execute = [&](size_t k) {
    const Piece& piece = pieces_[k];
    PrimitiveState::Call& call = state.calls[k];
    for (size_t i = 0; i < piece.args_.size(); ++i) {
      const Piece::Arg& a = piece.args_[i];
      if (a.packed != nullptr) continue;
      std::byte* base = a.tensor < 0 ? frame.scratch : state.tensors[static_cast<size_t>(a.tensor)];
      const dnnl_status_t s = dnnl_memory_set_data_handle(call.args[i].memory, base + a.offset);
      if (s != dnnl_success) return s;
    }
    return dnnl_primitive_execute(piece.primitive_.get(), call.stream.get(), static_cast<int>(call.args.size()),
                                  call.args.data());
  };
  frame.parallel_for(static_cast<int64_t>(pieces_.size()), 1, [&](int64_t begin, int64_t end) {
    const OneOpenMpThread alone;
    for (int64_t k = begin; k < end && !frame.cancelled(); ++k) {
      if (const dnnl_status_t s = execute(static_cast<size_t>(k)); s != dnnl_success) failure = s;
    }
  });
  if (failure != dnnl_success)
    return fail(Code::internal, format("oneDNN failed with status {} in {}", failure.load(), label));
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const Tensor& t = tensors_[i];
    if (!t.result || t.half == SIZE_MAX) continue;
    const auto* from = reinterpret_cast<const float*>(state.tensors[i]);
    auto* to = frame.out<uint16_t>(t.index);
    frame.parallel_for(static_cast<int64_t>(t.bytes / sizeof(float)), kGrain,
                       [&](int64_t b, int64_t e) { f32_to_f16(from + b, to + b, e - b); });
  }
  return {};
}

}  // namespace graft::engine

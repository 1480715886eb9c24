#include "engine/onednn/common.h"

#include <cstring>

#include "base/format.h"
#include "base/half.h"

namespace graft::engine {

using dnnl::memory;

const dnnl::engine& cpu_engine(const Core& core) {
  std::shared_ptr<const void>& slot = core.shared["onednn engine"];
  if (slot == nullptr) slot = std::make_shared<const dnnl::engine>(dnnl::engine::kind::cpu, 0);
  return *static_cast<const dnnl::engine*>(slot.get());
}

memory::dims dims_of(const Shape& shape) {
  return shape.empty() ? memory::dims{1} : memory::dims(shape.begin(), shape.end());
}

Md md_of(const Shape& shape, Layout layout) {
  using tag = memory::format_tag;
  const memory::dims dims = dims_of(shape);
  if (layout.block == 8 || layout.block == 16) {
    const bool eight = layout.block == 8;
    if (shape.size() == 3) return Md(dims, memory::data_type::f32, eight ? tag::nCw8c : tag::nCw16c);
    if (shape.size() == 4) return Md(dims, memory::data_type::f32, eight ? tag::nChw8c : tag::nChw16c);
    if (shape.size() == 5) return Md(dims, memory::data_type::f32, eight ? tag::nCdhw8c : tag::nCdhw16c);
  }
  Shape strides = strides_of(shape);
  if (!layout.plain()) {  // channels-last
    int64_t step = shape[1];
    for (int d = shape.size() - 1; d >= 2; --d) {
      strides[d] = step;
      step *= shape[d];
    }
    strides[1] = 1;
  }
  memory::dims s(strides.begin(), strides.end());
  if (s.empty()) s.push_back(1);
  return Md(dims, memory::data_type::f32, s);
}

Md any_md(const Shape& shape) { return Md(dims_of(shape), memory::data_type::f32, memory::format_tag::any); }

std::optional<Layout> layout_of(const Md& md, const Shape& shape) {
  if (md == md_of(shape, Layout{})) return Layout{};
  if (shape.size() < 3 || shape.size() > 5) return std::nullopt;
  for (const int64_t block : {int64_t{8}, int64_t{16}, shape[1]}) {
    if (block > 1 && md == md_of(shape, Layout{block})) return Layout{block};
  }
  return std::nullopt;
}

// ---- the step ----

namespace {

struct PrimitiveState final : StepState {
  explicit PrimitiveState(const dnnl::engine& engine) : stream(engine) {}
  dnnl::stream stream;
  std::vector<memory> memories;
  std::vector<dnnl_exec_arg_t> args;
};

}  // namespace

PrimitiveStep::PrimitiveStep(const Core& core, dnnl::primitive primitive, std::string_view what)
    : core_(core), primitive_(std::move(primitive)) {
  provider = "onednn";
  label = std::string(what);
}

size_t PrimitiveStep::take_scratch(size_t bytes) {
  const size_t at = scratch;
  scratch += align_up(bytes);
  return at;
}

void PrimitiveStep::add_in(int id, const Md& md, DType dtype) {
  Arg a{id, md, Arg::From::in, ins_++, nullptr};
  if (dtype == DType::f16) a.half = take_scratch(md.get_size());
  args_.push_back(std::move(a));
}
void PrimitiveStep::add_out(int id, const Md& md, DType dtype) {
  Arg a{id, md, Arg::From::out, outs_++, nullptr};
  if (dtype == DType::f16) a.half = take_scratch(md.get_size());
  args_.push_back(std::move(a));
}
void PrimitiveStep::add_fixed(int id, const Md& md, std::shared_ptr<const Packed> packed) {
  args_.push_back({id, md, Arg::From::fixed, 0, std::move(packed)});
}
void PrimitiveStep::add_scratchpad(const Md& md) {
  if (md.get_size() == 0) return;
  Arg a{DNNL_ARG_SCRATCHPAD, md, Arg::From::scratchpad, take_scratch(md.get_size()), nullptr};
  args_.push_back(std::move(a));
}
void PrimitiveStep::accumulate_onto(size_t input) {
  onto_ = input;
  ins_ = std::max(ins_, input + 1);
  in_place.emplace_back(0, static_cast<int>(input));
}

std::unique_ptr<StepState> PrimitiveStep::make_state(const Plan&) const {
  const dnnl::engine& engine = *static_cast<const dnnl::engine*>(core_.shared.at("onednn engine").get());
  auto state = std::make_unique<PrimitiveState>(engine);
  state->memories.reserve(args_.size());
  for (const Arg& a : args_) {
    state->memories.emplace_back(a.md, engine,
                                 a.from == Arg::From::fixed ? const_cast<void*>(a.packed->data) : DNNL_MEMORY_NONE);
    state->args.push_back({a.id, state->memories.back().get()});
  }
  return state;
}

Status PrimitiveStep::run(const Frame& frame) const {
  constexpr int64_t kGrain = 16384;
  auto& state = static_cast<PrimitiveState&>(*frame.state);
  const auto failed = [&](dnnl_status_t code) {
    return fail(Code::internal, format("oneDNN failed with status {} in {}", static_cast<int>(code), label));
  };
  if (onto_ && frame.out(0) != frame.in(*onto_)) {
    const PlanValue& v = frame.plan.values[static_cast<size_t>(frame.step.out[0])];
    std::memcpy(frame.out(0), frame.in(*onto_), v.bytes());
  }
  for (size_t i = 0; i < args_.size(); ++i) {
    const Arg& a = args_[i];
    void* data = nullptr;
    switch (a.from) {
      case Arg::From::fixed: continue;
      case Arg::From::in: data = const_cast<void*>(frame.in(a.index)); break;
      case Arg::From::out: data = frame.out(a.index); break;
      case Arg::From::scratchpad: data = frame.scratch + a.index; break;
    }
    if (a.half != SIZE_MAX) {
      const auto* from = static_cast<const uint16_t*>(data);
      auto* to = reinterpret_cast<float*>(frame.scratch + a.half);
      if (a.from == Arg::From::in) {
        frame.parallel_for(static_cast<int64_t>(a.md.get_size() / sizeof(float)), kGrain,
                           [&](int64_t b, int64_t e) { f16_to_f32(from + b, to + b, e - b); });
      }
      data = to;
    }
    if (const auto s = dnnl_memory_set_data_handle(state.args[i].memory, data); s != dnnl_success) return failed(s);
  }
  if (const auto s = dnnl_primitive_execute(primitive_.get(), state.stream.get(), static_cast<int>(state.args.size()),
                                            state.args.data());
      s != dnnl_success)
    return failed(s);
  for (const Arg& a : args_) {
    if (a.from != Arg::From::out || a.half == SIZE_MAX) continue;
    const auto* from = reinterpret_cast<const float*>(frame.scratch + a.half);
    auto* to = frame.out<uint16_t>(a.index);
    frame.parallel_for(static_cast<int64_t>(a.md.get_size() / sizeof(float)), kGrain,
                       [&](int64_t b, int64_t e) { f32_to_f16(from + b, to + b, e - b); });
  }
  return {};
}

}  // namespace graft::engine

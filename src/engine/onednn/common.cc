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

namespace {

void append(std::string& key, const memory::dims& list) {
  for (int64_t v : list) {
    key += std::to_string(v);
    key += ',';
  }
  key += ';';
}

std::string key_of(const Md& md) {
  std::string key;
  append(key, md.get_dims());
  append(key, md.get_padded_dims());
  append(key, md.get_strides());
  append(key, md.get_inner_blks());
  append(key, md.get_inner_idxs());
  return key;
}

// The constant's elements as fp32: where they lie when they are that already, else converted into `copy`.
Result<const void*> as_f32(const ir::Constant& c, Buffer& copy) {
  if (c.dtype() == DType::f32 && c.is_direct()) {
    const TensorView v = c.view();
    return reinterpret_cast<uintptr_t>(v.data) % alignof(float) == 0 ? v.data : c.aligned_view().data;
  }
  GRAFT_CHECK(copy.ensure(std::max<size_t>(static_cast<size_t>(c.count()) * sizeof(float), 1)));
  std::byte* at = copy.data();
  c.read([&](const void* data, size_t bytes) {
    if (c.dtype() == DType::f16) {
      f16_to_f32(data, at, static_cast<int64_t>(bytes / 2));
      at += 2 * bytes;
    } else {
      std::memcpy(at, data, bytes);
      at += bytes;
    }
  });
  return static_cast<const void*>(copy.data());
}

}  // namespace

namespace {

// [out, in, points] to blocks of 8 by 8, the layout of most fp32 convolutions: most of what loading a network costs,
// and three times as fast here as oneDNN's general reorder. False for other layouts.
bool pack_blocks_of_eight(const Core& core, const Md& from, const Md& to, const float* src, float* dst) {
  using tag = memory::format_tag;
  const memory::dims dims = to.get_dims();
  const size_t rank = dims.size();
  if (rank < 3 || rank > 5 || dims[0] % 8 != 0 || dims[1] % 8 != 0) return false;
  const tag plain = rank == 3 ? tag::abc : rank == 4 ? tag::abcd : tag::abcde;
  const tag blocked = rank == 3 ? tag::OIw8i8o : rank == 4 ? tag::OIhw8i8o : tag::OIdhw8i8o;
  if (from != Md(dims, memory::data_type::f32, plain) || to != Md(dims, memory::data_type::f32, blocked)) return false;
  const int64_t in = dims[1];
  int64_t points = 1;
  for (size_t d = 2; d < rank; ++d) points *= dims[d];
  const auto body = [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      float* to_block = dst + o * 8 * in * points;
      for (int64_t i = 0; i < in / 8; ++i, to_block += 64 * points) {
        const float* rows = src + (o * 8 * in + i * 8) * points;
        for (int64_t p = 0; p < points; ++p) {
          for (int64_t c = 0; c < 8; ++c) {
            for (int64_t r = 0; r < 8; ++r) to_block[(p * 8 + c) * 8 + r] = rows[r * in * points + c * points + p];
          }
        }
      }
    }
  };
  core.env->parallel_for(dims[0] / 8, 1, std::ref(body));
  return true;
}

}  // namespace

Result<std::shared_ptr<const Packed>> pack(const Core& core, const ir::ConstantPtr& constant, const Md& from,
                                           const Md& to) {
  const std::string key =
      "onednn " + std::to_string(reinterpret_cast<uintptr_t>(constant.get())) + " " + key_of(from) + ">" + key_of(to);
  if (const auto at = core.shared.find(key); at != core.shared.end())
    return std::static_pointer_cast<const Packed>(at->second);
  auto packed = std::make_shared<Packed>();
  packed->source = constant;
  Buffer copy;
  GRAFT_TRY(const void* src, as_f32(*constant, copy));
  if (from == to) {
    if (copy.size() != 0) packed->converted = std::move(copy);
    packed->data = src;
  } else {
    GRAFT_TRY(std::byte * memory_of_it, core.weights.take(std::max<size_t>(to.get_size(), 1)));
    packed->data = memory_of_it;
    if (!pack_blocks_of_eight(core, from, to, static_cast<const float*>(src), reinterpret_cast<float*>(memory_of_it))) {
      const dnnl::engine& engine = cpu_engine(core);
      dnnl::stream stream(engine);
      memory a(from, engine, const_cast<void*>(src)), b(to, engine, memory_of_it);
      dnnl::reorder(a, b).execute(stream, a, b);
      stream.wait();
    }
  }
  core.shared.emplace(key, packed);
  return std::shared_ptr<const Packed>(packed);
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

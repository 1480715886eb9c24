// One run: the subgraphs in order, values converted where a Core ML program's types are narrower than ONNX's, and the
// host in place of one where a value does not fit or a partition fails. What a run needs beside the caller's memory is
// pooled, so that steady-state runs of one-partition models allocate nothing.
#include <algorithm>

#include "base/format.h"
#include "base/half.h"
#include "session/impl.h"

namespace graft::session {
namespace {

// Element by element, between the dtypes that boundaries convert: integers, bool, fp16, fp32, fp64. False when an
// integer does not fit. Ends early when it is to stop, which the caller has to ask about.
bool convert(const TensorView& from, const MutableTensorView& to, const CancelToken* cancel) {
  const IntRange fits = int_range(to.dtype);
  ir::Pace pace(cancel);
  for (int64_t i = 0, n = from.count(); i < n && pace.go_on(); ++i) {
    if (is_float(from.dtype)) {
      const double v = element_as_double(from, i);
      if (to.dtype == DType::f32)
        to.as<float>()[i] = static_cast<float>(v);
      else if (to.dtype == DType::f16)
        to.as<Half>()[i] = Half(v);
      else if (to.dtype == DType::f64)
        to.as<double>()[i] = v;
      else
        return false;
      continue;
    }
    const int64_t v = element_as_int(from, i);
    if (v < fits.lo || v > fits.hi) return false;
    switch (to.dtype) {
      case DType::i64: to.as<int64_t>()[i] = v; break;
      case DType::i32: to.as<int32_t>()[i] = static_cast<int32_t>(v); break;
      case DType::boolean: to.as<bool>()[i] = v != 0; break;
      case DType::u8: to.as<uint8_t>()[i] = static_cast<uint8_t>(v); break;
      case DType::i8: to.as<int8_t>()[i] = static_cast<int8_t>(v); break;
      case DType::i16: to.as<int16_t>()[i] = static_cast<int16_t>(v); break;
      case DType::u16: to.as<uint16_t>()[i] = static_cast<uint16_t>(v); break;
      case DType::u32: to.as<uint32_t>()[i] = static_cast<uint32_t>(v); break;
      case DType::u64: to.as<uint64_t>()[i] = static_cast<uint64_t>(v); break;
      case DType::f32: to.as<float>()[i] = static_cast<float>(v); break;
      default: return false;
    }
  }
  return true;
}

// A tensor of that type, reusing `have` when it fits and nobody else holds it.
Result<Tensor> reuse(Tensor have, DType dtype, const Shape& shape, const std::shared_ptr<MemoryLimit>& limit) {
  if (have.valid() && have.dtype() == dtype && have.shape() == shape && have.storage().use_count() == 1) return have;
  have = Tensor();
  return Tensor::allocate(dtype, shape, limit);
}

// What a failed run says about the runs after it.
enum class Failure : uint8_t {
  of_the_run,      // the caller's wish or limit, or memory: nothing else can be tried
  of_its_values,   // the data breaks an operator's rules: the host has the last word, on this run alone
  of_the_backend,  // anything else: the host from now on
};
Failure failure_of(Code code) {
  if (out_of_bounds(code)) return Failure::of_the_run;
  switch (code) {
    case Code::invalid_argument:
    case Code::limit_exceeded: return Failure::of_the_run;
    case Code::dtype_mismatch:
    case Code::shape_mismatch:
    case Code::rank_mismatch:
    case Code::value_out_of_range: return Failure::of_its_values;
    default: return Failure::of_the_backend;
  }
}

}  // namespace

std::unique_ptr<RunState> RunStates::take() {
  std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_unique<RunState>();
  std::unique_ptr<RunState> s = std::move(idle_.back());
  idle_.pop_back();
  return s;
}

void RunStates::give_back(std::unique_ptr<RunState> state) {
  for (backend::OutputSlot& o : state->out) o.owned = Tensor();
  for (Tensor& t : state->owned) t = Tensor();
  std::lock_guard lock(mutex_);
  idle_.push_back(std::move(state));
}

void RunStates::drop() {
  std::vector<std::unique_ptr<RunState>> dropped;
  std::lock_guard lock(mutex_);
  dropped.swap(idle_);
}

Status Session::Impl::to_host(const LoadedSubgraph& one, Diag why) const {
  if (!options.host_takes_over || options.require_device || options.require_full_delegation)
    return fail(std::move(why));
  Diag d;
  d.code = Code::claimed_late_refusal;
  d.message = format("partition {} failed on {} and runs on the host", one.partition, device->name());
  d.inner.push_back(std::move(why));
  const std::string text = render(d);
  {
    std::lock_guard lock(one.mutex);
    if (one.moved.load(std::memory_order_relaxed)) return {};  // another run failed first, and has told
    one.why = std::move(d);
    one.moved.store(true, std::memory_order_release);
  }
  if (env->log) env->log(LogLevel::warning, text);
  return {};
}

Result<const Wired*> Session::Impl::twin_of(const LoadedSubgraph& one, const CancelToken* cancel) const {
  GRAFT_TRY(const auto lock, graft::lock(one.mutex, cancel));
  if (one.twin == nullptr) {
    GRAFT_TRY(one.twin, load_twin(one, cancel));
  }
  return one.twin.get();
}

InputsTaken::InputsTaken(const onnx::HostProgram& host) {
  const std::vector<onnx::ValueInfo>& declared = host.model->graph.inputs;
  for (size_t i = 0; i < declared.size(); ++i) {
    if (const auto limit = host.limits.find(declared[i].name); limit != host.limits.end())
      integers_.push_back({static_cast<int>(i), limit->second, declared[i].name});
    if (host.open_dims.empty()) continue;
    const std::vector<onnx::DimInfo>& dims = declared[i].type.dims;
    for (size_t d = 0; d < dims.size(); ++d) {
      if (!dims[d].known())
        sizes_.push_back(
            {static_cast<int>(i), static_cast<int>(d), host.main().inputs[i]->dims()[d], declared[i].name});
    }
  }
}

Status InputsTaken::check_sizes(std::span<const TensorView> in) const {
  const auto size_of = [&](const Size& s) -> std::optional<int64_t> {
    const Shape& shape = in[static_cast<size_t>(s.input)].shape;
    return s.axis < shape.size() ? std::optional(shape[s.axis]) : std::nullopt;
  };
  for (const Size& s : sizes_) {
    const std::optional<int64_t> size = size_of(s);
    if (!size) continue;  // another rank: the program itself says so
    IntRange fits = s.dim.range();
    if (!s.dim.known() && s.dim.symbol_name().empty()) {
      const std::optional<int64_t> sum = s.dim.eval([&](std::string_view symbol) -> std::optional<int64_t> {
        for (const Size& other : sizes_) {
          if (other.dim.symbol_name() == symbol) return size_of(other);
        }
        return std::nullopt;
      });
      if (sum) fits = {*sum, *sum};
    }
    if (*size >= fits.lo && *size <= fits.hi) continue;
    Diag d;
    d.code = Code::value_out_of_range;
    d.tensor = s.name;
    d.message = fits.lo == fits.hi
                    ? format("dim {} is {}, the Core ML program takes {} there", s.axis, *size, fits.lo)
                    : format("dim {} is {}, the Core ML program takes {} to {}", s.axis, *size, fits.lo, fits.hi);
    return fail(std::move(d));
  }
  return {};
}

Status InputsTaken::check(std::span<const TensorView> in) const {
  GRAFT_CHECK(check_sizes(in));
  for (const Integers& s : integers_) {
    const TensorView& x = in[static_cast<size_t>(s.input)];
    if (!is_int(x.dtype)) continue;  // another type: the program itself says so
    for (int64_t k = 0, count = x.count(); k < count; ++k) {
      const int64_t v = element_as_int(x, k);
      if (v >= s.range.lo && v <= s.range.hi) continue;
      Diag d;
      d.code = Code::value_out_of_range;
      d.tensor = s.name;
      d.message = format("it holds {}, the Core ML program takes {} to {}", v, s.range.lo, s.range.hi);
      return fail(std::move(d));
    }
  }
  return {};
}

bool Session::Impl::within_int32(std::span<const TensorView> in) const {
  const IntRange fits = int_range(DType::i32);
  for (size_t i = 0; i < checked_inputs.size(); ++i) {
    if (!checked_inputs[i] || in[i].dtype != DType::i64) continue;
    for (int64_t k = 0, count = in[i].count(); k < count; ++k) {  // nobody has looked at the memory's alignment yet
      const int64_t v = element_as_int(in[i], k);
      if (v < fits.lo || v > fits.hi) return false;
    }
  }
  return true;
}

// The subgraph's arguments, and where its results go. False: an integer left int32 on its way into a Core ML program,
// or a tensor for it has no elements, which Core ML does not have; the host can do both.
Result<bool> Session::Impl::feed(const Wired& wired, RunState& s, std::span<backend::OutputSlot> out,
                                 const backend::RunOptions& run_options) const {
  const std::span<const ir::Port> in_ports = wired.model->inputs(), out_ports = wired.model->outputs();
  s.in.resize(in_ports.size());
  if (s.narrowed.size() < in_ports.size()) s.narrowed.resize(in_ports.size());
  for (size_t i = 0; i < in_ports.size(); ++i) {
    const size_t from = static_cast<size_t>(wired.inputs[i]);
    s.in[i] = s.values[from];
    if (wired.coreml && host != nullptr && s.in[i].count() == 0) return false;
    // Core ML's inputs have a rank: a scalar goes in as one element.
    if (slots[from].type.rank() == 0 && in_ports[i].type.rank() == 1 && s.in[i].shape.empty()) s.in[i].shape = Shape{1};
    const DType want = in_ports[i].type.stored();
    if (s.in[i].dtype == want || s.in[i].dtype != wired.onnx_in[i]) continue;
    GRAFT_TRY(s.narrowed[i], reuse(std::move(s.narrowed[i]), want, s.in[i].shape, memory));
    if (!convert(s.in[i], s.narrowed[i].mutable_view(), run_options.cancel)) return false;
    s.in[i] = s.narrowed[i].view();
  }
  s.out.clear();
  s.out.resize(out_ports.size());
  for (size_t i = 0; i < out_ports.size(); ++i) {
    const int port = slots[static_cast<size_t>(wired.outputs[i])].output;
    if (port >= 0 && out_ports[i].type.stored() == wired.onnx_out[i])
      s.out[i].memory = out[static_cast<size_t>(port)].memory;
  }
  return true;
}

Status Session::Impl::check_state(const backend::RunOptions& run_options) const {
  const auto* state = dynamic_cast<const SessionState*>(run_options.state);
  if (run_options.state == nullptr || (state != nullptr && state->owner == this)) return {};
  return fail(Code::invalid_argument, "the state was made for another session");
}

backend::RunOptions Session::Impl::options_for(const LoadedSubgraph& one,
                                               const backend::RunOptions& run_options) const {
  backend::RunOptions own = run_options;
  own.state = static_cast<const SessionState*>(run_options.state)->of[static_cast<size_t>(one.place)].get();
  return own;
}

// Takes its results into the slots, in ONNX's types.
Status Session::Impl::collect(const Wired& wired, RunState& s, const backend::RunOptions& run_options) const {
  const std::span<const ir::Port> ports = wired.model->outputs();
  for (size_t i = 0; i < ports.size(); ++i) {
    const size_t at = static_cast<size_t>(wired.outputs[i]);
    Tensor made = std::move(s.out[i].owned);
    if (made.valid() && made.dtype() != wired.onnx_out[i]) {
      GRAFT_TRY(Tensor wide, Tensor::allocate(wired.onnx_out[i], made.shape(), memory));
      if (!convert(made.view(), wide.mutable_view(), run_options.cancel)) {
        return fail(Code::value_out_of_range, format("output '{}' has values outside {}, its type in the ONNX model",
                                                     ports[i].name, graft::name(wired.onnx_out[i])));
      }
      made = std::move(wide);
    }
    if (!made.valid()) {
      s.values[at] = s.out[i].memory;
      continue;
    }
    s.values[at] = made.view();
    s.owned[at] = std::move(made);
  }
  return check(run_options.cancel);
}

// Results that are not in the caller's memory yet: handed over, or copied where a subgraph could not write there.
Status Session::Impl::hand_over(RunState& s, std::span<backend::OutputSlot> out) const {
  for (size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].output < 0) continue;
    backend::OutputSlot& o = out[static_cast<size_t>(slots[i].output)];
    const TensorView v = s.values[i];
    if (o.memory.data == nullptr) {
      o.owned = std::move(s.owned[i]);
      if (!o.owned.valid()) {
        GRAFT_TRY(o.owned, Tensor::copy_of(v, memory));
      }
    } else if (o.memory.data != v.data) {
      if (o.memory.dtype != v.dtype || !(o.memory.shape == v.shape)) {
        return fail(Code::invalid_argument,
                    format("output '{}' is {}, the memory given is for {}", slots[i].name, describe(v.dtype, v.shape),
                           describe(o.memory.dtype, o.memory.shape)));
      }
      copy_values(v.dtype, v.data, o.memory.data, v.count());
    }
  }
  return {};
}

Status Session::Impl::run_overridden(std::span<const TensorView> in, std::span<backend::OutputSlot> out,
                                     const backend::RunOptions& run_options) const {
  std::vector<std::string> names;
  std::vector<TensorView> fed(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(inputs.size()));
  for (size_t i = inputs.size(); i < in.size(); ++i) {
    if (in[i].dtype == DType::invalid) continue;
    names.push_back(all_inputs[i].name);
    fed.push_back(in[i]);
  }
  std::shared_ptr<const backend::Model> model;
  {
    GRAFT_TRY(const auto lock, graft::lock(overridden_mutex, run_options.cancel));
    auto& have = overridden[names];
    if (have == nullptr) {
      GRAFT_TRY(have, load_overridden(names, run_options.cancel));
    }
    model = have;
  }
  if (run_options.state == nullptr) return model->run(fed, out, run_options);
  backend::RunOptions own = run_options;
  own.state = nullptr;  // ONNX models keep nothing
  return model->run(fed, out, own);
}

namespace {

// A run's state for its time; results that were not handed over end with it.
struct Taken {
  RunStates& pool;
  std::unique_ptr<RunState> state = pool.take();
  ~Taken() { pool.give_back(std::move(state)); }
};

// Values that a Core ML program cannot be given; of_its_values, so the host is asked where it may be.
Status does_not_fit() {
  return fail(Code::value_out_of_range,
              "an input has integers outside int32, the widest that Core ML takes, or no elements");
}

// A failed run leaves no results behind, and names the model.
struct Finish {
  std::span<backend::OutputSlot> outputs;
  const std::string& path;
  Status operator()(Status ran) const {
    for (backend::OutputSlot& o : outputs) {
      if (ran)
        o.owned.hand_over();
      else
        o.owned = Tensor();
    }
    if (!ran) return fail(std::move(std::move(ran).error()).in_file(path));
    return {};
  }
};

}  // namespace

Status Session::run(std::span<const TensorView> in, std::span<backend::OutputSlot> out,
                    const backend::RunOptions& given) const {
  const Impl& impl = *impl_;
  const CancelToken token(given.cancel, impl.options.time_limit);
  backend::RunOptions run_options = given;
  run_options.cancel = &token;
  const Finish finish{out, impl.path};
  if (Status s = impl.check_state(run_options); !s) return finish(std::move(s));
  if (in.size() == impl.all_inputs.size() && in.size() > impl.inputs.size() && out.size() == impl.outputs.size()) {
    const auto extra = in.subspan(impl.inputs.size());
    if (std::any_of(extra.begin(), extra.end(), [](const TensorView& v) { return v.dtype != DType::invalid; }))
      return finish(impl.run_overridden(in, out, run_options));
    in = in.first(impl.inputs.size());
  }
  if (in.size() != impl.inputs.size() || out.size() != impl.outputs.size()) {
    return finish(fail(Code::invalid_argument, format("the model has {} inputs and {} outputs, got {} and {}",
                                                      impl.inputs.size(), impl.outputs.size(), in.size(), out.size())));
  }
  if (Status fits = impl.accepted.check(in); !fits)
    return finish(impl.options.host_takes_over ? impl.run_overridden(in, out, run_options) : std::move(fits));
  const bool within_int32 = impl.within_int32(in);
  const Taken taken{*impl.states};
  RunState& s = *taken.state;
  s.values.resize(impl.slots.size());
  s.owned.resize(impl.slots.size());
  for (size_t i = 0; i < impl.slots.size(); ++i) {
    if (impl.slots[i].input >= 0) s.values[i] = in[static_cast<size_t>(impl.slots[i].input)];
  }
  for (const LoadedSubgraph& one : impl.loaded) {
    // What a device keeps in its own state nobody else can go on with.
    const bool has_twin = one.partition >= 0 && impl.options.host_takes_over && !one.keeps();
    bool on_host = one.moved.load(std::memory_order_acquire) || (one.partition >= 0 && !within_int32);
    if (on_host && !has_twin) return finish(does_not_fit());
    for (;;) {
      const Wired* wired = &one.planned;
      if (on_host) {
        const auto twin = impl.twin_of(one, run_options.cancel);
        if (!twin) return finish(fail(twin.error()));
        wired = *twin;
      }
      Result<bool> fits = impl.feed(*wired, s, out, run_options);
      Status ran = fits ? *fits ? Status() : does_not_fit() : fail(fits.error());
      if (ran && run_options.state == nullptr) ran = wired->model->run(s.in, s.out, run_options);
      if (ran && run_options.state != nullptr) {
        ran = wired->model->run(s.in, s.out, impl.options_for(one, run_options));
      }
      if (ran) ran = impl.collect(*wired, s, run_options);
      if (ran) break;
      const Failure failure = failure_of(ran.error().code);
      if (on_host || !has_twin || failure == Failure::of_the_run) return finish(std::move(ran));
      if (failure == Failure::of_the_backend) {
        Status moved = impl.to_host(one, std::move(ran).error());
        if (!moved) return finish(std::move(moved));
      }
      on_host = true;  // which has the last word
    }
  }
  return finish(impl.hand_over(s, out));
}

}  // namespace graft::session

// Graft's C++20 interface, second part, over compiler.h: what is in a model, what Core ML would take of it, packages,
// checks, measurements.
//
//   graft::Model model(env, "resnet18.onnx");
//   graft::Partition parts(model, {{"target", "iOS16"}});
//   for (const graft::Reason& r : parts.refusals()) std::cout << r.text() << "\n";
//   graft::compile(parts, "resnet18.mlpackage");
//   graft::Session session(env, parts);
//
// Views live as long as the object that they were asked of.
#ifndef GRAFT_COMPILER_HPP_
#define GRAFT_COMPILER_HPP_

#include <graft/compiler.h>
#include <graft/graft.hpp>

#include <algorithm>

namespace graft {

struct Function {
  std::string_view name;
  std::vector<Port> inputs, outputs, states;
  std::vector<graft_operator_info> operators;
  double flops;
};
struct MissingOperator {
  std::string_view domain, op, message;
  std::vector<std::string_view> nodes;
};

namespace detail {
template <class T>
T as_it_is(const T& info) {
  return info;
}
}  // namespace detail

// A model that was read and is not made ready to run. What is made of it may outlive it.
class Model {
 public:
  Model(const Env& env, const std::string& path, const Options& options = {}, const Cancel* cancel = nullptr) {
    open(env, detail::at(path), options, cancel);
  }
  // An ONNX model in memory, which must outlive everything that is made of it.
  Model(const Env& env, std::span<const std::byte> model, const Options& options = {}, const std::string& folder = {},
        const Cancel* cancel = nullptr) {
    open(env, detail::in_memory(model, folder), options, cancel);
  }

  graft_model_info info() const {
    auto info = detail::sized<graft_model_info>();
    check(graft_model_get(get(), &info));
    return info;
  }
  std::vector<graft_opset_info> opsets() const {
    return detail::collect<graft_opset_info>(
        info().opset_count, [&](size_t i, auto* out) { return graft_model_opset(get(), i, out); },
        detail::as_it_is<graft_opset_info>);
  }
  std::vector<Entry> metadata() const {
    return detail::collect<graft_entry>(
        info().metadata_count, [&](size_t i, auto* out) { return graft_model_metadata(get(), i, out); },
        [](const graft_entry& e) { return Entry(e.key, e.value); });
  }
  std::vector<Function> functions() const {
    std::vector<Function> list;
    for (size_t f = 0; f < info().function_count; ++f) {
      auto of = detail::sized<graft_function_info>();
      check(graft_model_function(get(), f, &of));
      Function function{of.name, {}, {}, {}, {}, of.flops};
      function.inputs = detail::collect<graft_port_info>(
          of.input_count, [&](size_t i, auto* out) { return graft_model_input(get(), f, i, out); }, detail::port);
      function.outputs = detail::collect<graft_port_info>(
          of.output_count, [&](size_t i, auto* out) { return graft_model_output(get(), f, i, out); }, detail::port);
      function.states = detail::collect<graft_port_info>(
          of.state_count, [&](size_t i, auto* out) { return graft_model_state(get(), f, i, out); }, detail::port);
      function.operators = detail::collect<graft_operator_info>(
          of.operator_count, [&](size_t i, auto* out) { return graft_model_operator(get(), f, i, out); },
          detail::as_it_is<graft_operator_info>);
      list.push_back(std::move(function));
    }
    return list;
  }
  std::vector<MissingOperator> missing() const {
    return detail::collect<graft_missing_info>(
        info().missing_count, [&](size_t i, auto* out) { return graft_model_missing(get(), i, out); },
        [](const graft_missing_info& m) {
          return MissingOperator{m.domain, m.op, m.message, {m.nodes, m.nodes + m.node_count}};
        });
  }
  Reason problem() const { return Reason(graft_model_problem(get())); }
  // Of packages.
  std::string_view mil() const {
    const char* text = graft_model_mil(get());
    return text == nullptr ? std::string_view() : text;
  }
  const graft_model* get() const { return model_.get(); }

 private:
  void open(const Env& env, const graft_open_options& how, const Options& options, const Cancel* cancel) {
    model_.reset(detail::open(graft_model_open, env, how, options, cancel));
  }

  detail::Handle<graft_model, graft_model_free> model_;
};

struct Partition {
  int nodes, operators;
  double flops;
  std::string_view target;
  std::vector<Port> inputs, outputs;
  std::vector<graft_dump_info> dumps;
};

// Which nodes Core ML takes, in which partitions. What is made of it may outlive it.
class Partitioning {
 public:
  explicit Partitioning(const Model& model, const Options& options = {}, const std::string& dump_after = {},
                        const Cancel* cancel = nullptr) {
    const detail::OptionPointers o(options);
    auto how = detail::sized<graft_partitioning_options>();
    how.names = o.names();
    how.values = o.values();
    how.count = o.count();
    how.dump_after = dump_after.empty() ? nullptr : dump_after.c_str();
    how.cancel = cancel == nullptr ? nullptr : cancel->get();
    graft_partitioning* p = nullptr;
    check(graft_partitioning_create(model.get(), &how, &p));
    partition_.reset(p);
  }

  graft_partitioning_info info() const {
    auto info = detail::sized<graft_partitioning_info>();
    check(graft_partitioning_get(get(), &info));
    return info;
  }
  std::vector<Node> nodes() const {
    return detail::collect<graft_node_info>(
        info().node_count, [&](size_t i, auto* out) { return graft_partitioning_node(get(), i, out); }, detail::node);
  }
  // Of a node that stays on the host; the first question looks for remedies of all.
  Reason refusal(size_t node) const { return Reason(graft_partitioning_refusal(get(), node)); }
  // The nodes that do, what cuts off most first.
  std::vector<size_t> obstacles() const {
    const std::vector<Node> all = nodes();
    std::vector<size_t> list;
    for (size_t i = 0; i < all.size(); ++i) {
      if (all[i].obstacle >= 0) list.push_back(i);
    }
    std::sort(list.begin(), list.end(), [&](size_t a, size_t b) { return all[a].obstacle < all[b].obstacle; });
    return list;
  }
  std::vector<Reason> refusals() const {  // in that order
    std::vector<Reason> list;
    for (const size_t i : obstacles()) list.push_back(refusal(i));
    return list;
  }
  std::vector<Reason> findings() const {
    std::vector<Reason> list;
    for (size_t i = 0; i < info().finding_count; ++i) list.emplace_back(graft_partitioning_finding(get(), i));
    return list;
  }
  std::vector<Partition> partitions() const {
    std::vector<Partition> list;
    for (size_t p = 0; p < info().partition_count; ++p) {
      auto of = detail::sized<graft_partition_info>();
      check(graft_partitioning_partition(get(), p, &of));
      Partition partition{of.nodes, of.operators, of.flops, of.target, {}, {}, {}};
      partition.inputs = detail::collect<graft_port_info>(
          of.input_count, [&](size_t i, auto* out) { return graft_partitioning_input(get(), p, i, out); },
          detail::port);
      partition.outputs = detail::collect<graft_port_info>(
          of.output_count, [&](size_t i, auto* out) { return graft_partitioning_output(get(), p, i, out); },
          detail::port);
      partition.dumps = detail::collect<graft_dump_info>(
          of.dump_count, [&](size_t i, auto* out) { return graft_partitioning_dump(get(), p, i, out); },
          detail::as_it_is<graft_dump_info>);
      list.push_back(std::move(partition));
    }
    return list;
  }
  // Empty when there is no such partition.
  std::string_view mil(size_t partition) const {
    const char* text = graft_partitioning_mil(get(), partition);
    return text == nullptr ? std::string_view() : text;
  }
  void write(size_t partition, const std::string& path) const {
    check(graft_partitioning_write(get(), partition, path.c_str()));
  }
  const graft_partitioning* get() const { return partition_.get(); }

 private:
  detail::Handle<graft_partitioning, graft_partitioning_free> partition_;
};

inline Session::Session(const Env& env, const Partitioning& partitioning, const Options& options,
                        const Cancel* cancel) {
  auto how = detail::sized<graft_open_options>();
  how.partitioning = partitioning.get();
  open(env, how, options, cancel);
}

struct Package {
  std::string path, target;
  int64_t bytes;
  size_t partition;
};
struct CompileOptions {
  bool allow_partial = false, overwrite = false;
  // The text of report.json of a partial compile; must not throw.
  std::function<std::string(const std::vector<Package>&)> report;
};

namespace detail {
inline std::vector<Package> packages(const graft_compilation* c) {
  return collect<graft_package_info>(
      graft_compilation_package_count(c), [&](size_t i, auto* out) { return graft_compilation_package(c, i, out); },
      [](const graft_package_info& p) {
        return Package{p.path, p.target, p.bytes, p.partition};
      });
}
// The options in C's terms; holds the report's text while a call lasts.
struct CompileCall {
  explicit CompileCall(const CompileOptions& o) : options(o), c(sized<graft_compile_options>()) {
    c.allow_partial = o.allow_partial ? 1 : 0;
    c.overwrite = o.overwrite ? 1 : 0;
    c.report_user = this;
    if (!o.report) return;
    c.report = [](void* user, const graft_compilation* so_far) -> const char* {
      auto* self = static_cast<CompileCall*>(user);
      self->text = self->options.report(packages(so_far));
      return self->text.c_str();
    };
  }
  const CompileOptions& options;
  std::string text;
  graft_compile_options c;
};
}  // namespace detail

inline std::vector<Package> compile(const Partitioning& partitioning, const std::string& output,
                                    const CompileOptions& options = {}) {
  detail::CompileCall call(options);
  graft_compilation* c = nullptr;
  check(graft_compile(partitioning.get(), output.c_str(), &call.c, &c));
  const detail::Handle<graft_compilation, graft_compilation_free> owned(c);
  return detail::packages(c);
}
// What compile() would say about what lies there, before any work is done.
inline void check_output(const std::string& output, const CompileOptions& options = {}) {
  detail::CompileCall call(options);
  check(graft_compile_check(output.c_str(), &call.c));
}

struct File {
  std::string name, head;
  std::span<const std::byte> data;  // after the head
};
inline void write_files(const std::string& folder, const std::vector<File>& files) {
  std::vector<graft_file> list;
  for (const File& f : files) {
    auto c = detail::sized<graft_file>();
    c.name = f.name.c_str();
    c.head = f.head.data();
    c.head_bytes = f.head.size();
    c.data = f.data.data();
    c.bytes = f.data.size();
    list.push_back(c);
  }
  check(graft_write_files(folder.c_str(), list.data(), list.size()));
}

struct VerifyOptions {
  bool layers = false;
  bool own_limit = false;  // min_snr_db decides instead of the stated tolerance
  double min_snr_db = 0;
};
class Verification {
 public:
  // reference: null: one is made.
  Verification(const Partitioning& partitioning, const std::vector<Input>& inputs, const VerifyOptions& options = {},
               const Session* reference = nullptr) {
    const detail::InputPointers in(inputs);
    auto how = detail::sized<graft_verify_options>();
    how.layers = options.layers ? 1 : 0;
    how.own_limit = options.own_limit ? 1 : 0;
    how.min_snr_db = options.min_snr_db;
    graft_verification* v = nullptr;
    check(graft_verify(partitioning.get(), reference == nullptr ? nullptr : reference->get(), in.data(), in.size(),
                       &how, &v));
    verification_.reset(v);
  }
  graft_verification_info info() const {
    auto info = detail::sized<graft_verification_info>();
    check(graft_verification_get(get(), &info));
    return info;
  }
  std::vector<graft_difference> outputs() const {
    return detail::collect<graft_difference>(
        info().output_count, [&](size_t i, auto* out) { return graft_verification_output(get(), i, out); },
        detail::as_it_is<graft_difference>);
  }
  std::vector<graft_difference> layers() const {
    return detail::collect<graft_difference>(
        info().layer_count, [&](size_t i, auto* out) { return graft_verification_layer(get(), i, out); },
        detail::as_it_is<graft_difference>);
  }
  const graft_verification* get() const { return verification_.get(); }

 private:
  detail::Handle<graft_verification, graft_verification_free> verification_;
};

struct DoctorOptions {
  bool own_limit = false;  // min_snr_db decides instead of the stated tolerance
  double min_snr_db = 0;
  int attempts = 0;  // 0: the library's own number
};
class Diagnosis {
 public:
  // reference: null: one is made.
  Diagnosis(const Partitioning& partitioning, const std::vector<Input>& inputs, const DoctorOptions& options = {},
            const Session* reference = nullptr) {
    const detail::InputPointers in(inputs);
    auto how = detail::sized<graft_doctor_options>();
    how.own_limit = options.own_limit ? 1 : 0;
    how.min_snr_db = options.min_snr_db;
    how.attempts = options.attempts;
    graft_diagnosis* d = nullptr;
    check(graft_diagnose(partitioning.get(), reference == nullptr ? nullptr : reference->get(), in.data(), in.size(),
                         &how, &d));
    diagnosis_.reset(d);
  }
  graft_diagnosis_info info() const {
    auto info = detail::sized<graft_diagnosis_info>();
    check(graft_diagnosis_get(get(), &info));
    return info;
  }
  std::vector<graft_difference> before() const { return differences(graft_diagnosis_before); }
  std::vector<graft_difference> outputs() const { return differences(graft_diagnosis_output); }
  std::vector<graft_suspect_info> suspects() const {
    return detail::collect<graft_suspect_info>(
        info().suspect_count, [&](size_t i, auto* out) { return graft_diagnosis_suspect(get(), i, out); },
        detail::as_it_is<graft_suspect_info>);
  }
  const graft_diagnosis* get() const { return diagnosis_.get(); }

 private:
  template <class Get>
  std::vector<graft_difference> differences(Get of) const {
    return detail::collect<graft_difference>(
        info().output_count, [&](size_t i, auto* out) { return of(get(), i, out); },
        detail::as_it_is<graft_difference>);
  }
  detail::Handle<graft_diagnosis, graft_diagnosis_free> diagnosis_;
};

// Kinds of made-up inputs; the first is Session::random_inputs's.
inline std::vector<graft_draw_info> draws() {
  return detail::collect<graft_draw_info>(graft_draw_count(), graft_draw, detail::as_it_is<graft_draw_info>);
}
// Session::random_inputs by a draw, which is a place in draws(); nothing where it makes the same as the first.
inline std::vector<Tensor> draw_inputs(const Session& session, const std::vector<Input>& given, uint64_t seed,
                                       size_t draw) {
  const detail::InputPointers in(given);
  std::vector<graft_tensor*> made(graft_session_input_count(session.get()));
  int32_t applies = 0;
  check(graft_session_draw_inputs(session.get(), in.data(), in.size(), seed, draw, made.data(), &applies));
  std::vector<Tensor> tensors;
  for (graft_tensor* t : made) tensors.push_back(t == nullptr ? Tensor() : Tensor(t));
  return applies != 0 ? std::move(tensors) : std::vector<Tensor>();
}

inline graft_bench_result bench(const Session& session, const std::vector<Input>& inputs, int runs = 50,
                                int warmup = 5) {
  const detail::InputPointers in(inputs);
  auto how = detail::sized<graft_bench_options>();
  how.runs = runs;
  how.warmup = warmup;
  auto result = detail::sized<graft_bench_result>();
  check(graft_bench(session.get(), in.data(), in.size(), &how, &result));
  return result;
}

// What Graft knows, as rows.
inline std::vector<graft_onnx_op_info> onnx_ops() {
  return detail::collect<graft_onnx_op_info>(graft_onnx_op_count(), graft_onnx_op,
                                             detail::as_it_is<graft_onnx_op_info>);
}
inline std::vector<graft_mil_op_info> mil_ops() {
  return detail::collect<graft_mil_op_info>(graft_mil_op_count(), graft_mil_op, detail::as_it_is<graft_mil_op_info>);
}
// Of the MIL operator at that place in mil_ops().
inline std::vector<graft_mil_variant_info> mil_variants(size_t op) {
  auto info = detail::sized<graft_mil_op_info>();
  check(graft_mil_op(op, &info));
  return detail::collect<graft_mil_variant_info>(
      info.variant_count, [&](size_t i, auto* out) { return graft_mil_variant(op, i, out); },
      detail::as_it_is<graft_mil_variant_info>);
}
inline std::vector<graft_code_info> codes() {
  return detail::collect<graft_code_info>(graft_code_count(), graft_code_row, detail::as_it_is<graft_code_info>);
}
inline std::vector<graft_pass_info> passes() {
  return detail::collect<graft_pass_info>(graft_pass_count(), graft_pass, detail::as_it_is<graft_pass_info>);
}

}  // namespace graft

#endif  // GRAFT_COMPILER_HPP_

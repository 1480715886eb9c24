#include "actions.h"

#include <chrono>
#include <memory>

#include "files/file.h"
#include "files/inputs.h"
#include "gather.h"
#include "outputs.h"
#include "report/report.h"

namespace cli {
namespace {

using Clock = std::chrono::steady_clock;
double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

template <class T>
Report report_of(T result, int exit_code = 0, std::string reason = {}) {
  Report r;
  r.exit_code = exit_code;
  r.reason = std::move(reason);
  r.json = json(result);
  auto shared = std::make_shared<const T>(std::move(result));
  r.text = [shared](bool colour) { return text(*shared, Style{colour}); };
  return r;
}

// What passes over the model's files once maps them instead of copying.
graft::Model open_mapped(const Arguments& a, const Context& c, graft::Options options) {
  options.push_back({"weights", "mapped"});
  return {c.env, a.text("model"), options};
}

std::string precision_of(const Arguments& a) {
  const std::string word = a.text("precision", "float16");
  return word.size() == 7 && word.ends_with("32") ? "float32" : "float16";
}

Examined examine_at(const Arguments& a, const Context& c) {
  return examine(a.text("model"), open_mapped(a, c, a.session()), precision_of(a));
}

// What a session is fed: the user's files, and random numbers.
struct Fed {
  std::vector<FileInput> files;
  std::vector<graft::Tensor> random;
  std::vector<graft::Input> inputs;
  std::vector<InputTensor> described;
  uint64_t seed = 1;
  bool initializers = false;  // one of them has a value of its own
};

graft::Input input_of(const graft::Port& port, const graft::Tensor& t) {
  return {std::string(port.name), t.dtype(), {t.shape().begin(), t.shape().end()}, t.bytes().data(), t.bytes().size()};
}

Fed feed(const Arguments& a, const ImageOptions& image, uint64_t seed, const graft::Session& session) {
  Fed fed;
  fed.seed = seed;
  std::vector<graft::Port> ports = session.inputs();
  const size_t needed = ports.size();
  for (graft::Port& p : session.initializers()) ports.push_back(std::move(p));
  fed.files = read_inputs(ports, needed, a.all("input"), image);
  for (const FileInput& f : fed.files) {
    fed.initializers = fed.initializers || f.index >= needed;
    fed.inputs.push_back(f.as(ports[f.index]));
  }
  fed.random = session.random_inputs(fed.inputs, seed);
  auto file = fed.files.begin();
  for (size_t i = 0; i < ports.size(); ++i) {
    if (file != fed.files.end() && file->index == i) {
      for (const FileTensor& t : file->tensors) {
        const bool same = t.stored == t.array.dtype;
        fed.described.push_back({std::string(ports[i].name), type_of(t.array.dtype, t.array.shape), t.file,
                                 same ? "" : graft_dtype_name(t.stored)});
      }
      ++file;
    } else if (i < needed) {
      const graft::Tensor& t = fed.random[i];
      const std::vector<int64_t> shape(t.shape().begin(), t.shape().end());
      fed.described.push_back({std::string(ports[i].name), type_of(t.dtype(), shape), "random", ""});
      fed.inputs.push_back(input_of(ports[i], t));
    }
  }
  return fed;
}

// Looked at before anything is opened.
struct InputOptions {
  explicit InputOptions(const Arguments& a)
      : seed(a.number<uint64_t>("seed", 1, 0, UINT64_MAX)),
        image(parse_image_options(a.text("image-scale"), a.text("image-mean"), a.text("image-layout"))) {}
  uint64_t seed;
  ImageOptions image;
};

void say(const Context& c, std::string_view stage) {
  if (c.progress) c.progress(stage, -1);
}

// A session on the ONNX graph, which is what programs are compared with.
graft::Session open_reference(const Arguments& a, const Context& c, graft::Options options) {
  say(c, "running the ONNX graph on the host");
  options.push_back({"device", "cpu"});
  return {c.env, a.text("model"), options};
}

Fed feed_reference(const Arguments& a, const InputOptions& how, const graft::Session& reference) {
  Fed fed = feed(a, how.image, how.seed, reference);
  if (fed.initializers)
    throw Failure(GRAFT_CODE_INVALID_OPTION,
                  "--input: the program has an initializer's default baked in, so no other value can be verified");
  return fed;
}

// What a verb is told of the doctor's limit.
graft::DoctorOptions doctor_options(const Arguments& a) {
  graft::DoctorOptions options;
  options.own_limit = a.find("min-snr") != nullptr;
  options.min_snr_db = a.number<double>("min-snr", 0, -300, 300);
  return options;
}

// The same comparison on inputs that are harder than the ordinary ones, in place of those that are not given.
std::vector<DrawCheck> verify_draws(const Context& c, const graft::Partitioning& parts, const graft::Session& reference,
                                    const Fed& fed, graft::VerifyOptions options) {
  std::vector<DrawCheck> list;
  const std::vector<graft::Port> ports = reference.inputs();
  std::vector<graft::Input> given;
  for (const FileInput& f : fed.files) given.push_back(f.as(ports[f.index]));
  options.layers = false;
  const std::vector<graft_draw_info> draws = graft::draws();
  for (size_t i = 1; i < draws.size(); ++i) {
    const std::vector<graft::Tensor> made = graft::draw_inputs(reference, given, fed.seed, i);
    if (made.empty()) continue;
    say(c, fmt::format("drawing {}", draws[i].doc));
    std::vector<graft::Input> in = given;
    for (size_t k = 0; k < made.size(); ++k) {
      if (made[k]) in.push_back(input_of(ports[k], made[k]));
    }
    DrawCheck check{draws[i].name, draws[i].doc, draws[i].typical != 0, false, "", std::nullopt, ""};
    try {
      const graft::Verification v(parts, in, options, &reference);
      check.accurate = v.info().accurate != 0;
      for (const graft_difference& d : v.outputs()) {
        const Difference to = difference_of(d);
        const double worst = check.snr_db.value_or(HUGE_VAL);
        const bool special = !to.same_type || to.nans != to.expected_nans || to.infs != to.expected_infs;
        const double snr = special || (!to.snr_db && !to.equal) ? -HUGE_VAL : to.snr_db.value_or(HUGE_VAL);
        if (snr < worst || (check.output.empty() && !to.ok)) {
          check.output = to.name;
          check.snr_db = snr;
        }
      }
    } catch (const graft::Error& error) {
      check.error = error.what();
    }
    list.push_back(std::move(check));
  }
  return list;
}

// compile --precision auto: the program in float16, but for what the doctor keeps in fp32.
void compile_auto(const Arguments& a, const Context& c, const InputOptions& how, const graft::Options& options,
                  Examined& e, Compilation& r) {
  const graft::Session reference = open_reference(a, c, options);
  Fed fed = feed_reference(a, how, reference);
  const graft::Diagnosis found(*e.parts, fed.inputs, doctor_options(a), &reference);
  r.diagnosis = diagnosis_of(a.text("model"), found);
  r.inputs = std::move(fed.described);
  r.seed = how.seed;
  if (r.diagnosis->keep_fp32.empty() || r.diagnosis->accurate_before) return;
  graft::Options with = options;
  with.push_back({"keep_fp32", r.diagnosis->keep_fp32});
  e = examine(a.text("model"), open_mapped(a, c, with), "float16");
}

}  // namespace

Report run_inspect(const Arguments& a, const Context& c) {
  const std::string path = a.text("model"), dump_after = a.text("dump-after");
  graft::Model model = open_mapped(a, c, a.session());
  if (model.info().format == GRAFT_FORMAT_MLPACKAGE) {
    if (!dump_after.empty())
      throw Failure(GRAFT_CODE_INVALID_OPTION,
                    "option dump-after: a package has been through the passes; give an ONNX model");
    return report_of(describe_package(path, model, a.flag("mil")));
  }
  Examined e = examine(path, std::move(model), precision_of(a), dump_after);
  if (e.parts && (a.flag("mil") || !dump_after.empty())) {
    e.verdict.programs_only = true;
    const std::vector<graft::Partition> partitions = e.parts->partitions();
    for (size_t i = 0; i < partitions.size(); ++i) {
      for (const graft_dump_info& d : partitions[i].dumps) e.verdict.texts.push_back({i, d.pass, d.text});
      if (a.flag("mil")) e.verdict.texts.push_back({i, "", std::string(e.parts->mil(i))});
    }
  }
  return report_of(std::move(e.verdict));
}

Report run_compile(const Arguments& a, const Context& c) {
  const Clock::time_point start = Clock::now();
  Compilation r;
  r.output = a.text("output");
  graft::CompileOptions options;
  options.allow_partial = a.flag("allow-partial");
  options.overwrite = a.flag("force");
  graft::check_output(r.output, options);
  const InputOptions how(a);
  graft::Options session = a.session();
  session.push_back({"cost_model", "0"});  // whether a package pays is for whoever opens it to say
  const bool automatic = a.text("precision") == "auto";
  if (automatic) {
    const auto is_precision = [](const auto& o) { return o.name == "precision"; };
    std::find_if(session.begin(), session.end(), is_precision)->value = "float16";
  } else if (!a.all("input").empty() || a.find("min-snr") != nullptr) {
    throw Failure(GRAFT_CODE_INVALID_OPTION, "options input and min-snr: they are for --precision auto");
  }
  Examined e = examine(a.text("model"), open_mapped(a, c, session), automatic ? "float16" : precision_of(a));
  if (automatic && e.parts && !e.verdict.partitions.empty() && (e.verdict.whole || options.allow_partial))
    compile_auto(a, c, how, session, e, r);
  r.verdict = std::move(e.verdict);
  std::string reason;
  const auto finish = [&](const std::vector<graft::Package>& packages) {
    r.done = true;
    r.packages.clear();
    for (const graft::Package& p : packages) {
      const PartitionInfo& partition = r.verdict.partitions[p.partition];
      r.packages.push_back({p.path, p.target, p.bytes, partition.nodes, partition.inputs, partition.outputs});
    }
    r.seconds = ms_since(start) / 1000;
  };
  // A report inside the folder is written before it is published, so it cannot hold that part of the time.
  options.report = [&](const std::vector<graft::Package>& packages) {
    finish(packages);
    return json(r);
  };
  try {
    if (e.parts)
      finish(graft::compile(*e.parts, r.output, options));
    else
      reason = r.verdict.unusable->text;
  } catch (const graft::Error& error) {
    if (error.code() != GRAFT_CODE_NOT_DELEGATED) throw;
    reason = error.what();
  }
  r.seconds = ms_since(start) / 1000;
  int code = r.done ? 0 : 1;
  if (r.done && r.diagnosis && !r.diagnosis->accurate) {
    code = 3;
    reason = as_error({GRAFT_CODE_NOT_ACCURATE, not_accurate_text(*r.diagnosis), r.verdict.path}).what();
  }
  return report_of(std::move(r), code, std::move(reason));
}

Report run_run(const Arguments& a, const Context& c) {
  const InputOptions how(a);
  const int top_k = a.number<int>("top-k", 0, 0, 10000);
  const int steps = a.number<int>("steps", 1, 1, 1000000000);
  const std::string folder = a.text("output");
  if (!folder.empty()) check_output_folder(folder);
  RunResult r;
  r.path = a.text("model");
  r.seed = how.seed;
  say(c, "loading");
  Clock::time_point start = Clock::now();
  const graft::Session session(c.env, r.path, a.session());
  r.load_ms = ms_since(start);
  Fed fed = feed(a, how.image, how.seed, session);
  r.inputs = std::move(fed.described);
  say(c, "running");
  const graft::State state(session);
  r.states = ports_of(session.states());
  r.steps = steps;
  start = Clock::now();
  std::vector<graft::Tensor> tensors;
  for (int step = 0; step < steps; ++step) {
    tensors = session.run(fed.inputs, nullptr, &state);
    if (c.progress && steps > 1) c.progress("running", (step + 1.0) / steps);
  }
  r.run_ms = ms_since(start);
  const std::vector<std::string> labels = labels_of(session.metadata("labels"));
  const std::vector<graft::Port> ports = session.outputs();
  std::vector<graft::Tensor> flat;  // of sequences, what they hold
  for (size_t i = 0; i < tensors.size(); ++i) {
    const size_t first = flat.size();
    flatten(tensors[i], flat);
    for (size_t k = first; k < flat.size(); ++k) {
      r.outputs.push_back(describe_output(std::string(ports[i].name), flat[k], top_k, labels));
      if (tensors[i].is_list()) r.outputs.back().place = static_cast<int64_t>(k - first);
    }
    if (first == flat.size()) r.empty.emplace_back(ports[i].name);
  }
  r.placement = placement_of(session);
  r.findings = problems_of(session.findings());
  if (!folder.empty()) write_outputs(folder, flat, r.outputs);
  return report_of(std::move(r));
}

Report run_verify(const Arguments& a, const Context& c) {
  const InputOptions how(a);
  graft::VerifyOptions options;
  options.layers = a.flag("layers");
  options.own_limit = a.find("min-snr") != nullptr;
  options.min_snr_db = a.number<double>("min-snr", 0, -300, 300);
  Examined e = examine_at(a, c);
  Verification r;
  r.verdict = std::move(e.verdict);
  r.seed = how.seed;
  r.layers_asked = options.layers;
  r.tolerance.by_range = r.verdict.precision == "float32" && !options.own_limit;
  if (options.own_limit) r.tolerance.snr_db = r.tolerance.classifier_snr_db = options.min_snr_db;
  if (!e.parts) {
    const std::string reason = r.verdict.unusable->text;
    return report_of(std::move(r), 1, reason);
  }
  try {
    if (r.verdict.partitions.empty()) const graft::Verification refused(*e.parts, {});
  } catch (const graft::Error& error) {
    if (error.code() != GRAFT_CODE_NOT_DELEGATED) throw;
    return report_of(std::move(r), 1, error.what());
  }
  const graft::Session reference = open_reference(a, c, a.session());
  Fed fed = feed_reference(a, how, reference);
  r.inputs = std::move(fed.described);
  const graft::Verification v(*e.parts, fed.inputs, options, &reference);
  const graft_verification_info info = v.info();
  r.ran = true;
  r.accurate = info.accurate != 0;
  r.from_package = info.from_package != 0;
  r.tolerance = {info.by_range != 0, info.relative, info.snr_db, info.classifier_snr_db};
  for (const graft_difference& d : v.outputs()) r.outputs.push_back(difference_of(d));
  for (const graft_difference& d : v.layers()) r.layers.push_back(difference_of(d));
  if (info.first_bad >= 0) r.first_bad = static_cast<size_t>(info.first_bad);
  if (info.worst >= 0) r.worst = static_cast<size_t>(info.worst);
  r.draws = verify_draws(c, *e.parts, reference, fed, options);
  for (const DrawCheck& d : r.draws) r.accurate = r.accurate && (d.accurate || !d.typical || !d.error.empty());
  if (a.flag("doctor"))
    r.diagnosis = diagnosis_of(r.verdict.path, graft::Diagnosis(*e.parts, fed.inputs, doctor_options(a), &reference));
  if (r.accurate) return report_of(std::move(r));
  const graft::Error error = as_error({GRAFT_CODE_NOT_ACCURATE, not_accurate_text(r), r.verdict.path});
  return report_of(std::move(r), 3, error.what());
}

Report run_bench(const Arguments& a, const Context& c) {
  const InputOptions how(a);
  BenchResult r;
  r.runs = a.number<int>("runs", 50, 1, 1'000'000);
  r.warmup = a.number<int>("warmup", 5, 0, 1'000'000);
  r.path = a.text("model");
  r.seed = how.seed;
  say(c, "loading");
  const Clock::time_point start = Clock::now();
  const graft::Session session(c.env, r.path, a.session());
  r.load_ms = ms_since(start);
  r.placement = placement_of(session);
  Fed fed = feed(a, how.image, how.seed, session);
  r.inputs = std::move(fed.described);
  r.times = graft::bench(session, fed.inputs, r.runs, r.warmup);
  r.cpu = r.times.cpu;
  return report_of(std::move(r));
}

Report run_ops(const Arguments& a, const Context&) {
  if (a.flag("markdown") + a.flag("errors") + a.flag("passes") > 1)
    throw Failure(GRAFT_CODE_INVALID_OPTION,
                  "options markdown, errors and passes make one page each; give one of them");
  Report r = report_of(op_list());
  if (a.flag("markdown")) r.text = [](bool) { return ops_markdown(op_list()); };
  if (a.flag("errors")) r.text = [](bool) { return errors_markdown(graft::codes()); };
  if (a.flag("passes")) r.text = [](bool) { return passes_markdown(graft::passes()); };
  return r;
}

}  // namespace cli

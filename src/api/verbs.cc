// Longer than most files because it is a table: one row a verb, with its help text.
#include "api/verbs.h"

#include <algorithm>
#include <charconv>

#include "base/format.h"
#include "report/report.h"

namespace graft::api {

namespace {

std::string session_name(std::string name) {
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

}  // namespace

// The options given to one verb, checked against its row.
class VerbArguments {
 public:
  static Result<VerbArguments> check(const Verb& verb, const NamedValues& given) {
    VerbArguments a(verb);
    for (const auto& entry : given) {
      const auto& [name, value] = entry;
      const std::string_view key = name;
      const auto row =
          std::find_if(verb.options.begin(), verb.options.end(), [&](const VerbOption& o) { return key == o.name; });
      if (row == verb.options.end()) {
        std::vector<std::string_view> legal;
        for (const VerbOption& o : verb.options) legal.push_back(o.name);
        return fail(Code::unknown_option,
                    format("{} has no option '{}'; it has {}", verb.name, name, join(legal, ", ")));
      }
      if ((row->flags & kRepeated) == 0 && a.find(name) != nullptr)
        return fail(Code::invalid_option, format("option {} is given twice", name));
      if ((row->flags & kSwitch) != 0 && value != "0" && value != "1")
        return fail(Code::invalid_option, format("option {}: '{}' is not one of 0, 1", name, value));
      if ((row->flags & kPath) != 0 && value.empty())
        return fail(Code::invalid_option, format("option {}: the path is empty", name));
      a.given_.emplace_back(name, value);
    }
    for (const VerbOption& o : verb.options) {
      if ((o.flags & kRequired) != 0 && a.find(o.name) == nullptr)
        return fail(Code::invalid_option, format("{} needs {} ({})", verb.name, o.name, o.doc));
    }
    return a;
  }

  const std::string* find(std::string_view name) const {
    for (const auto& [n, v] : given_) {
      if (n == name) return &v;
    }
    return nullptr;
  }
  std::string text(std::string_view name, std::string_view fallback = {}) const {
    const std::string* v = find(name);
    return v == nullptr ? std::string(fallback) : *v;
  }
  bool flag(std::string_view name) const { return text(name) == "1"; }
  std::vector<std::string> all(std::string_view name) const {
    std::vector<std::string> list;
    for (const auto& [n, v] : given_) {
      if (n == name) list.push_back(v);
    }
    return list;
  }
  template <class T>
  Result<T> number(std::string_view name, T fallback, T lo, T hi) const {
    const std::string* v = find(name);
    if (v == nullptr) return fallback;
    T out{};
    const auto [rest, error] = std::from_chars(v->data(), v->data() + v->size(), out);
    if (error != std::errc() || rest != v->data() + v->size() || !(out >= lo && out <= hi))
      return fail(Code::invalid_option, format("option {}: '{}' is not a number from {} to {}", name, *v, lo, hi));
    return out;
  }
  Result<session::Options> session() const {
    std::vector<session::NamedOption> named;
    for (const VerbOption& o : verb_->options) {
      if (const std::string* v = find(o.name); v != nullptr && (o.flags & kSession) != 0)
        named.emplace_back(session_name(o.name), *v);
    }
    return session::parse_options(named);
  }

 private:
  explicit VerbArguments(const Verb& verb) : verb_(&verb) {}
  const Verb* verb_;
  NamedValues given_;
};

namespace {

using session::Options;

Result<tools::InputOptions> input_options(const VerbArguments& a) {
  tools::InputOptions o;
  o.files = a.all("input");
  GRAFT_TRY(o.seed, a.number<uint64_t>("seed", 1, 0, UINT64_MAX));
  GRAFT_TRY(o.image, tools::parse_image_options(a.text("image-scale"), a.text("image-mean"), a.text("image-layout")));
  GRAFT_CHECK(session::parse_shapes(a.text("shapes"), o.shapes));
  return o;
}

template <class T>
Report report_of(T result, int exit_code = 0, std::string reason = {}) {
  Report r;
  r.exit_code = exit_code;
  r.reason = std::move(reason);
  r.json = report::json(result);
  auto shared = std::make_shared<const T>(std::move(result));
  r.text = [shared](bool colour) { return report::text(*shared, report::Style{colour}); };
  return r;
}

// ---- the verbs ----

Result<Report> run_inspect(const VerbArguments& a, std::shared_ptr<const Env> env) {
  const std::string path = a.text("model");
  GRAFT_TRY(const Options options, a.session());
  const tools::InspectOptions what{a.flag("mil"), a.text("dump-after")};
  if (coreml::is_model_path(path)) {
    if (!what.dump_after.empty())
      return fail(Code::invalid_option, "option dump-after: a package has been through the passes; give an ONNX model");
    GRAFT_TRY(tools::PackageInspection r, tools::inspect_package(path, what.mil));
    return report_of(std::move(r));
  }
  GRAFT_TRY(tools::Inspection r, tools::inspect(path, *env, options, what));
  return report_of(std::move(r));
}

Result<Report> run_compile(const VerbArguments& a, std::shared_ptr<const Env> env) {
  tools::CompileOptions options;
  GRAFT_TRY(options.session, a.session());
  options.overwrite = a.flag("force");
  options.allow_partial = a.flag("allow-partial");
  const auto to_json = [](const tools::Compilation& c) { return report::json(c); };
  GRAFT_TRY(tools::Compilation r, tools::compile(a.text("model"), a.text("output"), *env, options, to_json));
  const int code = r.done ? 0 : 1;
  std::string reason = report::reason(r);
  return report_of(std::move(r), code, std::move(reason));
}

Result<Report> run_run(const VerbArguments& a, std::shared_ptr<const Env> env) {
  tools::RunModelOptions options;
  GRAFT_TRY(options.session, a.session());
  GRAFT_TRY(options.inputs, input_options(a));
  GRAFT_TRY(options.top_k, a.number<int>("top-k", 0, 0, 10000));
  options.output_folder = a.text("output");
  GRAFT_TRY(tools::RunResult r, tools::run_model(a.text("model"), std::move(env), options));
  return report_of(std::move(r));
}

Result<Report> run_verify(const VerbArguments& a, std::shared_ptr<const Env> env) {
  tools::VerifyOptions options;
  GRAFT_TRY(options.session, a.session());
  GRAFT_TRY(options.inputs, input_options(a));
  options.layers = a.flag("layers");
  if (a.find("min-snr") != nullptr) {
    GRAFT_TRY(options.min_snr_db, a.number<double>("min-snr", 0, -300, 300));
  }
  GRAFT_TRY(tools::Verification r, tools::verify(a.text("model"), std::move(env), options));
  const int code = !r.ran ? 1 : r.accurate ? 0 : 3;
  std::string reason = report::reason(r);
  return report_of(std::move(r), code, std::move(reason));
}

Result<Report> run_bench(const VerbArguments& a, std::shared_ptr<const Env> env) {
  tools::BenchOptions options;
  GRAFT_TRY(options.session, a.session());
  GRAFT_TRY(options.inputs, input_options(a));
  GRAFT_TRY(options.runs, a.number<int>("runs", options.runs, 1, 1'000'000));
  GRAFT_TRY(options.warmup, a.number<int>("warmup", options.warmup, 0, 1'000'000));
  GRAFT_TRY(tools::BenchResult r, tools::bench(a.text("model"), std::move(env), options));
  return report_of(std::move(r));
}

Result<Report> run_ops(const VerbArguments& a, std::shared_ptr<const Env>) {
  if (a.flag("markdown") + a.flag("errors") + a.flag("passes") > 1)
    return fail(Code::invalid_option, "options markdown, errors and passes make one page each; give one of them");
  Report r = report_of(tools::list_ops());
  if (a.flag("markdown")) r.text = [](bool) { return report::ops_markdown(tools::list_ops()); };
  if (a.flag("errors")) r.text = [](bool) { return report::errors_markdown(); };
  if (a.flag("passes")) r.text = [](bool) { return report::passes_markdown(); };
  return r;
}

// A verb's option that is one of the session's: its text is that of the session's row.
VerbOption session_option(std::string name) {
  const session::OptionInfo* info = session::find_option(session_name(name));
  if (info->values == "0, 1") return {std::move(name), "", "", std::string(info->doc), kSession | kSwitch};
  std::string doc = format("{} ({})", info->doc, info->values);
  if (!info->fallback.empty()) doc += format("; default: {}", info->fallback);
  return {std::move(name), "", std::string(info->placeholder), std::move(doc), kSession};
}

std::vector<Verb> make_verbs() {
  const VerbOption onnx_model{"model", "", "MODEL.onnx", "the model: an ONNX file", kPositional | kRequired | kPath};
  const VerbOption model{"model", "", "MODEL", "the model: an ONNX file or a Core ML package (.mlpackage)",
                         kPositional | kRequired | kPath};
  const VerbOption target = session_option("target"), precision = session_option("precision"),
                   shapes = session_option("shapes"), device = session_option("device"),
                   require_device = session_option("require-device"), engine = session_option("engine"),
                   weights = session_option("weights"), memory_limit = session_option("memory-limit");
  const VerbOption input{"input", "", "NAME=FILE",
                         "an input from an .npy file, or from a .png or .jpg image; others are random", kRepeated};
  const VerbOption seed{"seed", "", "N", "of the random inputs; default: 1"};
  const VerbOption threads{"threads", "", "N", "that compute; default: one a CPU"};
  const VerbOption image_scale{"image-scale", "", "S[,S,S]",
                               "images: value = (pixel - mean) * scale, pixel being 0 to 255; one number, or one a "
                               "channel; default: 1/255"};
  const VerbOption image_mean{"image-mean", "", "M[,M,M]", "see image-scale; default: 0"};
  const VerbOption image_layout{"image-layout", "", "NCHW|NHWC", "of the image in the input; default: NCHW"};
  return {
      {"inspect",
       "What is in a model, and what Core ML would take of it",
       "Prints inputs, outputs and operators of an ONNX model, and the verdict before anything is converted: in how "
       "many\n"
       "partitions Core ML would take it, which share of the nodes and of the work, and for every node that stays on "
       "the\n"
       "host the reason, with a remedy where one was tried and works. Answers for any ONNX file, also with operators "
       "that\n"
       "Graft does not know. A Core ML package is listed by functions, inputs, outputs and operators.\n\n"
       "  graft inspect resnet18.onnx\n"
       "  graft inspect detector.onnx --target iOS16 --shapes 'image:1x3x(64..2048)x(64..2048)'\n"
       "  graft inspect model.onnx --json | jq '.partitions, .refusals[].message'\n"
       "  graft inspect model.onnx --dump-after affine_into_conv > after.mil\n",
       {model,
        target,
        precision,
        shapes,
        memory_limit,
        {"mil", "", "", "print the programs of the partitions, or of a package, as MIL text and nothing else", kSwitch},
        {"dump-after", "", "PASS",
         "print the programs as they are after this pass of the compiler (docs/passes.md lists them), or after all"}},
       run_inspect},
      {"compile",
       "ONNX to a Core ML package",
       "Writes the whole graph as one ML Program package, or writes nothing, says why for every node that is in the "
       "way,\n"
       "and exits with 1. The package appears in one step and is the same byte for byte for the same model and "
       "options.\n"
       "With --allow-partial the output is a folder: one package a partition, and report.json.\n"
       "What is at the output is replaced only when this verb could have written it and nothing else lies in it; "
       "folders\n"
       "with other files, files, pipes and devices (/dev/null too) are refused, with --force as well. To see whether "
       "a model\n"
       "compiles without writing anything, use graft inspect.\n\n"
       "  graft compile resnet18.onnx -o resnet18.mlpackage\n"
       "  graft compile model.onnx -o model.mlpackage --target iOS16 --precision float32\n"
       "  graft compile hard.onnx --allow-partial -o hard_parts\n",
       {onnx_model,
        {"output", "o", "OUT.mlpackage", "where to write the package (with --allow-partial: the folder)",
         kRequired | kPath},
        target,
        precision,
        shapes,
        memory_limit,
        {"allow-partial", "", "", "write what Core ML can take, one package a partition", kSwitch},
        {"force", "", "",
         "let a package take the place of a folder that --allow-partial wrote, or the other way round, or of an empty "
         "folder",
         kSwitch}},
       run_compile},
      {"run",
       "Run a model once",
       "Runs an ONNX model or a Core ML package and prints its outputs. Inputs come from .npy files and images; "
       "missing\n"
       "ones are random with a stated seed. Images become grey or RGB by the input's channels, are resized to its size "
       "and\n"
       "scaled to 0..1. Inputs and outputs have their ONNX names also in a package.\n\n"
       "  graft run mobilenet.onnx --input image=cat.png --top-k 5\n"
       "  graft run model.mlpackage --input tokens=tokens.npy --output results\n"
       "  graft run model.onnx --device coreml-ane --shapes x:1x3x256x256\n",
       {model,
        input,
        {"output", "o", "DIR",
         "write every output as DIR/<output>.npy, all of them or none; characters outside A-Za-z0-9._- become _. DIR "
         "is a folder, never a device or pipe",
         kPath},
        {"top-k", "", "N", "print the N largest elements of each row, with labels where the model has some"},
        device,
        require_device,
        target,
        precision,
        shapes,
        seed,
        threads,
        memory_limit,
        engine,
        weights,
        image_scale,
        image_mean,
        image_layout},
       run_run},
      {"verify",
       "Does the compiled program compute what the ONNX model does?",
       "Runs the ONNX graph on the host in its own types, and the compiled Core ML program from a package that is "
       "written\n"
       "to disk and read back, and compares every output: largest errors, signal to noise, cosine, NaN and "
       "infinities,\n"
       "first places of classifiers. Exits with 3 when that is not accurate enough. --layers also compares the values\n"
       "inside, and names the first and the worst that are off.\n\n"
       "  graft verify resnet18.onnx\n"
       "  graft verify model.onnx --precision float32 --input x=sample.npy --layers\n",
       {onnx_model,
        input,
        {"layers", "", "", "compare the values inside, too", kSwitch},
        {"min-snr", "", "DB", "what is accurate enough, in dB, instead of the stated tolerance"},
        target,
        precision,
        shapes,
        seed,
        threads,
        memory_limit,
        engine,
        image_scale,
        image_mean,
        image_layout},
       run_verify},
      {"bench",
       "How fast a model loads and runs here",
       "Times loading, the first run and steady runs, and states the peak memory of the process, the threads and the "
       "CPU.\n\n"
       "  graft bench resnet18.onnx --threads 1 --runs 100\n"
       "  graft bench resnet18.mlpackage --json | jq .run_ms.median\n",
       {model,
        threads,
        {"runs", "", "N", "that are measured; default: 50"},
        {"warmup", "", "N", "runs before those, not counting the first; default: 5"},
        device,
        require_device,
        target,
        precision,
        shapes,
        input,
        seed,
        memory_limit,
        engine,
        weights,
        image_scale,
        image_mean,
        image_layout},
       run_bench},
      {"ops",
       "The operators that Graft knows",
       "Lists the ONNX operators with their opsets and the MIL operators with their deployment targets, from the "
       "tables\n"
       "that the compiler itself uses.\n\n"
       "  graft ops\n"
       "  graft ops --json | jq -r '.onnx[].op'\n",
       {{"markdown", "", "", "as the page docs/ops.md", kSwitch},
        {"errors", "", "", "the error codes instead, as the page docs/errors.md", kSwitch},
        {"passes", "", "", "the compiler's passes instead, as the page docs/passes.md", kSwitch}},
       run_ops},
  };
}

const std::vector<Verb>& verbs() {
  static const std::vector<Verb> kVerbs = make_verbs();
  return kVerbs;
}

}  // namespace

std::span<const Verb> all_verbs() { return verbs(); }

Result<Report> run_verb(std::string_view name, const NamedValues& options, std::shared_ptr<const Env> env) {
  const auto verb = std::find_if(verbs().begin(), verbs().end(), [&](const Verb& v) { return name == v.name; });
  if (verb == verbs().end()) {
    std::vector<std::string_view> legal;
    for (const Verb& v : verbs()) legal.push_back(v.name);
    return fail(Code::unknown_option, format("unknown verb '{}'; there are {}", name, join(legal, ", ")));
  }
  GRAFT_TRY(const VerbArguments arguments, VerbArguments::check(*verb, options));
  GRAFT_TRY(const int threads, arguments.number<int>("threads", 0, 1, 1024));
  if (threads > 0 && threads != env->threads()) {
    auto own = std::make_shared<Env>(threads);
    own->log = env->log;
    own->progress = env->progress;
    env = std::move(own);
  }
  return verb->run(arguments, std::move(env));
}

}  // namespace graft::api

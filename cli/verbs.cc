// Longer than most files because it is a table: one row a verb, with its help text.
#include "verbs.h"

#include <algorithm>

#include "actions.h"

namespace cli {
namespace {

// A verb's option that is one of the session's: its text is that of the session's row.
VerbOption session_option(std::string name) {
  static const std::vector<graft_option_info> kRows = graft::session_options();
  const std::string wanted = session_name(name);
  const auto row = std::find_if(kRows.begin(), kRows.end(), [&](const auto& o) { return wanted == o.name; });
  if (row == kRows.end()) throw std::logic_error("sessions have no option " + name);
  if (std::string_view(row->values) == "0, 1") return {std::move(name), "", "", row->doc, kSession | kSwitch};
  std::string doc = fmt::format("{} ({})", row->doc, row->values);
  if (*row->fallback != '\0') doc += fmt::format("; default: {}", row->fallback);
  return {std::move(name), "", row->placeholder, std::move(doc), kSession};
}

// How images become inputs.
std::vector<VerbOption> image_options() {
  return {
      {"image-scale", "", "S[,S,S]",
       "images: value = (pixel - mean) * scale, pixel being 0 to 255; one number, or one a channel; default: 1/255"},
      {"image-mean", "", "M[,M,M]", "see image-scale; default: 0"},
      {"image-layout", "", "NCHW|NHWC", "of the image in the input; default: NCHW"}};
}

// What run, verify and bench have in common, around the verb's own options. Verify chooses the devices itself.
std::vector<VerbOption> running_options(VerbOption model, std::vector<VerbOption> own, bool devices) {
  std::vector<VerbOption> list{std::move(model),
                               {"input", "", "NAME=FILE",
                                "an input from an .npy file, or from a .png or .jpg image; others are random. A "
                                "sequence is given tensor by tensor, "
                                "NAME= is an empty one, or an optional that is not there",
                                kRepeated}};
  const auto add = [&](std::vector<VerbOption> more) { list.insert(list.end(), more.begin(), more.end()); };
  add(std::move(own));
  if (devices) add({session_option("device"), session_option("require-device")});
  add({session_option("target"),
       session_option("precision"),
       session_option("keep-fp32"),
       session_option("allow-narrowing"),
       session_option("shapes"),
       session_option("outputs"),
       {"seed", "", "N", "of the random inputs; default: 1"},
       {"threads", "", "N", "that compute; default: one a CPU"},
       session_option("memory-limit"),
       session_option("time-limit"),
       session_option("engine")});
  if (devices) add({session_option("weights")});
  add(image_options());
  return list;
}

std::vector<Verb> make_verbs() {
  const VerbOption onnx_model{"model", "", "MODEL.onnx", "the model: an ONNX file", kPositional | kRequired | kPath};
  const VerbOption model{"model", "", "MODEL", "the model: an ONNX file or a Core ML package (.mlpackage)",
                         kPositional | kRequired | kPath};
  // A model opened with these, and more options of a verb's own.
  const auto examining = [](std::vector<VerbOption> list, VerbOption precision, std::vector<VerbOption> own) {
    list.insert(list.end(), {session_option("target"), std::move(precision), session_option("keep-fp32"),
                             session_option("allow-narrowing"), session_option("shapes"), session_option("outputs"),
                             session_option("memory-limit"), session_option("time-limit")});
    list.insert(list.end(), own.begin(), own.end());
    return list;
  };
  VerbOption any_precision = session_option("precision");
  any_precision.doc += "; auto: float16, but for what has to stay in fp32 for these inputs to be accurate";
  std::vector<VerbOption> compile_options = examining(
      {onnx_model,
       {"output", "o", "OUT.mlpackage", "where to write the package (with --allow-partial: the folder)",
        kRequired | kPath}},
      any_precision,
      {{"allow-partial", "", "", "write what Core ML can take, one package a partition", kSwitch},
       {"force", "", "",
        "let a package take the place of a folder that --allow-partial wrote, or the other way round, or of an empty "
        "folder",
        kSwitch},
       {"input", "", "NAME=FILE", "with --precision auto: an input, as for verify; others are random", kRepeated},
       {"seed", "", "N", "of the random inputs; default: 1"},
       {"min-snr", "", "DB", "with --precision auto: what is accurate enough, instead of verify's tolerance"}});
  for (VerbOption& o : image_options()) compile_options.push_back(std::move(o));
  return {
      {"inspect", "What is in a model, and what Core ML would take of it",
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
       examining(
           {model}, session_option("precision"),
           {{"mil", "", "", "print the programs of the partitions, or of a package, as MIL text and nothing else",
             kSwitch},
            {"dump-after", "", "PASS",
             "print the programs as they are after this pass of the compiler (docs/passes.md lists them), or after "
             "all"}}),
       run_inspect},
      {"compile", "ONNX to a Core ML package",
       "Writes the whole graph as one ML Program package, or writes nothing, says why for every node that is in the "
       "way,\n"
       "and exits with 1. The package appears in one step and is the same byte for byte for the same model and "
       "options.\n"
       "With --allow-partial the output is a folder: one package a partition, and report.json.\n"
       "With --precision auto the model is compiled, run on the inputs and compared with the host; the fewest nodes "
       "that have "
       "to\n"
       "stay in fp32 for it to be accurate are looked for, kept there, and listed. It exits with 3 where that is not "
       "enough.\n"
       "What is at the output is replaced only when this verb could have written it and nothing else lies in it; "
       "folders\n"
       "with other files, files, pipes and devices (/dev/null too) are refused, with --force as well. To see whether "
       "a model\n"
       "compiles without writing anything, use graft inspect.\n\n"
       "  graft compile resnet18.onnx -o resnet18.mlpackage\n"
       "  graft compile model.onnx -o model.mlpackage --target iOS16 --precision float32\n"
       "  graft compile model.onnx -o model.mlpackage --precision auto --input x=sample.npy\n"
       "  graft compile model.onnx -o model.mlpackage --keep-fp32 /encoder/Pow,ReduceMean\n"
       "  graft compile hard.onnx --allow-partial -o hard_parts\n",
       std::move(compile_options), run_compile},
      {"run", "Run a model",
       "Runs an ONNX model or a Core ML package and prints its outputs. Inputs come from .npy files and images; "
       "missing\n"
       "ones are random with a stated seed. Images become grey or RGB by the input's channels, are resized to its size "
       "and\n"
       "scaled to 0..1. Inputs and outputs have their ONNX names also in a package.\n"
       "A package with states keeps them from step to step, as Core ML does with one MLState; they begin with "
       "zeros.\n\n"
       "  graft run mobilenet.onnx --input image=cat.png --top-k 5\n"
       "  graft run model.mlpackage --input tokens=tokens.npy --output results\n"
       "  graft run model.onnx --device coreml-ane --shapes x:1x3x256x256\n"
       "  graft run stateful.mlpackage --steps 8\n",
       running_options(
           model,
           {{"output", "o", "DIR",
             "write every output as DIR/<output>.npy, all of them or none; characters outside A-Za-z0-9._- become _. "
             "DIR is a folder, never a device or pipe",
             kPath},
            {"steps", "", "N", "run N times with the same inputs and give the last results; default: 1"},
            {"top-k", "", "N", "print the N largest elements of each row, with labels where the model has some"}},
           true),
       run_run},
      {"verify", "Does the compiled program compute what the ONNX model does?",
       "Runs the ONNX graph on the host in its own types, and the compiled Core ML program from a package that is "
       "written\n"
       "to disk and read back, and compares every output: largest errors, signal to noise, cosine, NaN and "
       "infinities,\n"
       "first places of classifiers. Exits with 3 when that is not accurate enough. --layers also compares the values\n"
       "inside, and names the first and the worst that are off. --doctor ranks the nodes by the digits that fp16 costs "
       "them,\n"
       "finds the smallest set of them that has to stay in fp32, and prints how to compile with it.\n\n"
       "  graft verify resnet18.onnx\n"
       "  graft verify model.onnx --precision float32 --input x=sample.npy --layers\n"
       "  graft verify model.onnx --doctor --input x=sample.npy\n",
       running_options(onnx_model,
                       {{"layers", "", "", "compare the values inside, too", kSwitch},
                        {"doctor", "", "", "find what has to stay in fp32 for it to be accurate", kSwitch},
                        {"min-snr", "", "DB", "what is accurate enough, in dB, instead of the stated tolerance"}},
                       false),
       run_verify},
      {"bench", "How fast a model loads and runs here",
       "Times loading, the first run and steady runs, and states the peak memory of the process, the threads and the "
       "CPU.\n\n"
       "  graft bench resnet18.onnx --threads 1 --runs 100\n"
       "  graft bench resnet18.mlpackage --json | jq .run_ms.median\n",
       running_options(model,
                       {{"runs", "", "N", "that are measured; default: 50"},
                        {"warmup", "", "N", "runs before those, not counting the first; default: 5"}},
                       true),
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

}  // namespace

std::span<const Verb> verbs() {
  static const std::vector<Verb> kVerbs = make_verbs();
  return kVerbs;
}

graft::Error as_error(const Failure& f) {
  auto info = graft::detail::sized<graft_error_info>();
  info.code = f.code;
  info.message = f.what();
  info.file = f.file.c_str();
  info.tensor = f.tensor.c_str();
  return graft::Error(graft_error_create(&info));
}

Report run_verb(const Verb& verb, const graft::Options& options, graft::EnvOptions env) {
  try {
    const Arguments arguments(verb, options);
    env.threads = arguments.number<int>("threads", 0, 1, 1024);
    const auto progress = env.progress;
    const graft::Env made(std::move(env));
    return verb.run(arguments, {made, progress});
  } catch (const Failure& f) {
    throw as_error(f);
  }
}

}  // namespace cli

#include "session/options.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>

#include "base/file.h"
#include "base/format.h"
#include "base/machine.h"

namespace graft::session {
namespace {

constexpr std::string_view kAutomatic = "auto";

std::string device_names() {
  std::string names(kAutomatic);
  for (const devices::Row& r : devices::rows()) names += ", " + std::string(r.name);
  return names;
}

// What parsing one option may change; `precision_given` because its default depends on the compute units.
struct State {
  Options options;
  bool precision_given = false;
};

constexpr std::string_view kMemoryWords =
    "auto, none (or 0), a number of bytes, or one with K, M, G or T (powers of 1024)";
constexpr std::string_view kTimeWords = "none (or 0), a number of seconds, or one with s, m or h";

using Apply = Status (*)(State&, std::string_view name, std::string_view value);

tl::unexpected<Diag> bad_value(std::string_view name, std::string_view value, std::string_view legal) {
  return fail(Code::invalid_option, format("option {}: '{}' is not one of {}", name, value, legal));
}

Result<bool> parse_bool(std::string_view name, std::string_view value) {
  for (std::string_view yes : {"1", "true", "yes", "on"}) {
    if (same_word(value, yes)) return true;
  }
  for (std::string_view no : {"0", "false", "no", "off"}) {
    if (same_word(value, no)) return false;
  }
  return bad_value(name, value, "0, 1");
}

Status set_device(State& s, std::string_view name, std::string_view value) {
  const devices::Row* row = devices::find(value);
  if (row == nullptr && value != kAutomatic) return bad_value(name, value, device_names());
  s.options.device = value;
  s.options.units = row == nullptr ? backend::ComputeUnits::all : row->units;
  return {};
}

Status set_provider(State& s, std::string_view name, std::string_view value) {
  if (value == "CoreML" || value == "CoreMLExecutionProvider") return set_device(s, name, "coreml");
  if (value == "CPU" || value == "CPUExecutionProvider") return set_device(s, name, "cpu");
  return bad_value(name, value, "CoreML, CoreMLExecutionProvider, CPUExecutionProvider");
}

Status set_require_device(State& s, std::string_view name, std::string_view value) {
  GRAFT_TRY(s.options.require_device, parse_bool(name, value));
  return {};
}
Status set_require_full(State& s, std::string_view name, std::string_view value) {
  GRAFT_TRY(s.options.require_full_delegation, parse_bool(name, value));
  return {};
}

Status set_target(State& s, std::string_view, std::string_view value) {
  if (same_word(value, "auto")) {
    s.options.partitioning.target.reset();
    return {};
  }
  GRAFT_TRY(s.options.partitioning.target, ir::parse_target(value));
  return {};
}

Status set_precision(State& s, std::string_view name, std::string_view value) {
  s.precision_given = true;
  if (same_word(value, "float16"))
    s.options.partitioning.precision = partition::Precision::float16;
  else if (same_word(value, "float32"))
    s.options.partitioning.precision = partition::Precision::float32;
  else
    return bad_value(name, value, "float16, float32");
  return {};
}

// Names separated by commas, or a file of them, a line each; what stands behind '#' there is left out.
Status set_keep_fp32(State& s, std::string_view, std::string_view value) {
  std::vector<std::string>& names = s.options.partitioning.keep_fp32;
  names.clear();
  std::string text(value);
  std::error_code none;
  const bool file = std::filesystem::is_regular_file(text, none);
  if (file) {
    constexpr size_t kLargest = 16 << 20;
    GRAFT_TRY(text, read_file(text, kLargest));
  }
  const char separator = file ? '\n' : ',';
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(separator, at), text.size());
    std::string_view word = std::string_view(text).substr(at, end - at);
    if (file) word = word.substr(0, word.find('#'));
    const size_t first = word.find_first_not_of(" \t\r");
    if (first != std::string_view::npos)
      names.emplace_back(word.substr(first, word.find_last_not_of(" \t\r") + 1 - first));
    at = end + 1;
  }
  return {};
}

Status set_shapes(State& s, std::string_view, std::string_view value) {
  return parse_shapes(value, s.options.lowering);
}

// One name a comma; names that have some themselves cannot be said.
Status set_outputs(State& s, std::string_view name, std::string_view value) {
  s.options.outputs.clear();
  for (size_t at = 0; !value.empty() && at <= value.size();) {
    const size_t end = std::min(value.find(',', at), value.size());
    if (end == at) return bad_value(name, value, "names of values, separated by commas");
    s.options.outputs.emplace_back(value.substr(at, end - at));
    at = end + 1;
  }
  return {};
}

Status set_engine(State& s, std::string_view name, std::string_view value) {
  if (value == "reference")
    s.options.engine.reference = true;
  else if (value == "fast")
    s.options.engine.reference = false;
  else
    return bad_value(name, value, "fast, reference");
  return {};
}

Status set_onednn(State& s, std::string_view name, std::string_view value) {
  GRAFT_TRY(s.options.engine.onednn, parse_bool(name, value));
  return {};
}

Status set_weights(State& s, std::string_view name, std::string_view value) {
  if (value != "copied" && value != "mapped") return bad_value(name, value, "copied, mapped");
  s.options.weights = value == "copied" ? Hold::copied : Hold::mapped;
  return {};
}

// A number and the place of its unit in a list of them; nullopt where it is neither.
template <class T>
std::optional<std::pair<T, size_t>> parse_quantity(std::string_view text, std::span<const std::string_view> units) {
  T number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string_view unit(rest, static_cast<size_t>(end - rest));
  const auto at = std::find_if(units.begin(), units.end(), [&](std::string_view u) { return same_word(unit, u); });
  if (error != std::errc() || at == units.end()) return std::nullopt;
  return std::pair(number, static_cast<size_t>(at - units.begin()));
}

// A number of bytes: "500000000", "512M", "4G".
Status set_memory_limit(State& s, std::string_view name, std::string_view value) {
  s.options.memory_limit.reset();
  if (same_word(value, "auto")) return {};
  s.options.memory_limit = SIZE_MAX;
  if (same_word(value, "none") || value == "0") return {};
  constexpr std::string_view kUnits[] = {"", "K", "M", "G", "T"};
  const auto parsed = parse_quantity<size_t>(value, kUnits);
  if (!parsed || parsed->first == 0 || parsed->first > SIZE_MAX >> 10 * parsed->second)
    return bad_value(name, value, kMemoryWords);
  s.options.memory_limit = parsed->first << 10 * parsed->second;
  return {};
}

// A number of seconds: "0.5", "90s", "10m", "1h".
Status set_time_limit(State& s, std::string_view name, std::string_view value) {
  s.options.time_limit = CancelToken::Time(0);
  if (same_word(value, "none") || value == "0") return {};
  constexpr std::string_view kUnits[] = {"", "s", "m", "h"};
  constexpr double kMilliseconds[] = {1e3, 1e3, 60e3, 3600e3}, kMost = 1e14;  // three thousand years
  const auto parsed = parse_quantity<double>(value, kUnits);
  const double limit = parsed ? parsed->first * kMilliseconds[parsed->second] : 0;
  if (!(limit >= 1 && limit <= kMost)) return bad_value(name, value, kTimeWords);
  s.options.time_limit = CancelToken::Time(static_cast<int64_t>(limit));
  return {};
}

Status set_cost_model(State& s, std::string_view name, std::string_view value) {
  GRAFT_TRY(s.options.partitioning.drop_unprofitable, parse_bool(name, value));
  return {};
}

Status set_units(State& s, std::string_view name, std::string_view value) {
  struct Word {
    std::string_view onnxruntime, coremltools;
    backend::ComputeUnits units;
  };
  constexpr Word kWords[] = {{"ALL", "ALL", backend::ComputeUnits::all},
                             {"CPUOnly", "CPU_ONLY", backend::ComputeUnits::cpu_only},
                             {"CPUAndGPU", "CPU_AND_GPU", backend::ComputeUnits::cpu_and_gpu},
                             {"CPUAndNeuralEngine", "CPU_AND_NE", backend::ComputeUnits::cpu_and_ne}};
  for (const Word& w : kWords) {
    if (value != w.onnxruntime && value != w.coremltools) continue;
    s.options.units = w.units;
    return {};
  }
  return bad_value(name, value,
                   "ALL, CPUOnly, CPUAndGPU, CPUAndNeuralEngine (or ALL, CPU_ONLY, CPU_AND_GPU, CPU_AND_NE)");
}

Status set_format(State&, std::string_view name, std::string_view value) {
  if (value == "MLProgram") return {};
  if (value == "NeuralNetwork")
    return fail(Code::not_available_yet, "option ModelFormat: NeuralNetwork is not available yet; MLProgram is");
  return bad_value(name, value, "MLProgram, NeuralNetwork");
}

// The words of ONNX Runtime's flag form, as names joined by '|' or as their sum. Without CREATE_MLPROGRAM they mean the
// NeuralNetwork format.
Status set_flags(State& s, std::string_view name, std::string_view value) {
  struct Flag {
    std::string_view name;
    unsigned bit;
  };
  constexpr Flag kFlags[] = {{"COREML_FLAG_USE_NONE", 0x000},
                             {"COREML_FLAG_USE_CPU_ONLY", 0x001},
                             {"COREML_FLAG_ENABLE_ON_SUBGRAPH", 0x002},
                             {"COREML_FLAG_ONLY_ENABLE_DEVICE_WITH_ANE", 0x004},
                             {"COREML_FLAG_ONLY_ALLOW_STATIC_INPUT_SHAPES", 0x008},
                             {"COREML_FLAG_CREATE_MLPROGRAM", 0x010},
                             {"COREML_FLAG_USE_CPU_AND_GPU", 0x020}};
  unsigned bits = 0;
  for (size_t at = 0; at <= value.size();) {
    const size_t end = std::min(value.find('|', at), value.size());
    const std::string_view word = value.substr(at, end - at);
    at = end + 1;
    unsigned number = 0;
    const auto [rest, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error == std::errc() && rest == word.data() + word.size()) {
      bits |= number;
      continue;
    }
    const auto* flag =
        std::find_if(std::begin(kFlags), std::end(kFlags), [&](const Flag& f) { return f.name == word; });
    if (flag == std::end(kFlags)) {
      std::string legal;
      for (const Flag& f : kFlags) legal += (legal.empty() ? "" : ", ") + std::string(f.name);
      return bad_value(name, word, legal);
    }
    bits |= flag->bit;
  }
  if (bits > 0x3f) return bad_value(name, value, "a sum of the flags 0x01 to 0x20");
  if ((bits & 0x010u) == 0) return set_format(s, name, "NeuralNetwork");
  if ((bits & 0x008u) != 0)
    return fail(Code::not_available_yet,
                format("option {}: COREML_FLAG_ONLY_ALLOW_STATIC_INPUT_SHAPES is not available yet", name));
  GRAFT_CHECK(set_device(s, name, "coreml"));
  if ((bits & 0x001u) != 0) s.options.units = backend::ComputeUnits::cpu_only;
  if ((bits & 0x004u) != 0) s.options.units = backend::ComputeUnits::cpu_and_ne;
  if ((bits & 0x020u) != 0) s.options.units = backend::ComputeUnits::cpu_and_gpu;
  return {};
}

struct Row {
  OptionInfo info;
  Apply apply;  // null: only the documented default is accepted
};

std::vector<Row> make_rows() {
  return {
      {{"device", device_names(), "auto",
        "where to run; without Core ML on the machine, auto is cpu, and coreml* runs the same ML Program on the host "
        "engine",
        true, "DEVICE"},
       set_device},
      {{"provider", "CoreML, CoreMLExecutionProvider, CPUExecutionProvider", "",
        "the device by ONNX Runtime's provider names", true},
       set_provider},
      {{"require_device", "0, 1", "0", "fail instead of running on the host engine when the machine has no Core ML",
        true},
       set_require_device},
      {{"RequireDevice", "0, 1", "0", "as require_device", true}, set_require_device},
      {{"require_full_delegation", "0, 1", "0",
        "fail, with every reason, when a node is outside the one Core ML partition", true},
       set_require_full},
      {{"RequireFullDelegation", "0, 1", "0", "as require_full_delegation", true}, set_require_full},
      {{"lower_full_graph", "0, 1", "0", "ExecuTorch's word for require_full_delegation", true}, set_require_full},
      {{"target", "auto, " + ir::target_names(), "auto", "deployment target; auto: the lowest that the model needs",
        true, "OS"},
       set_target},
      {{"minimum_deployment_target", "as target", "auto", "coremltools' word for target", true}, set_target},
      {{"precision", "float16, float32", "float16 (float32 when the units are CPU only)",
        "precision of the Core ML program", true, "PRECISION"},
       set_precision},
      {{"compute_precision", "FLOAT16, FLOAT32", "FLOAT16", "coremltools' word for precision", true}, set_precision},
      {{"keep_fp32",
        "names of ONNX nodes, of tensors that nodes make, or operator types, with commas; or a file of them", "",
        "what stays in fp32 in a float16 program, beside what needs to", true, "FILE|NAME,…"},
       set_keep_fp32},
      {{"shapes", "input:1x3x(64..2048)x(64..2048=512),…", "",
        "sizes of open input dims, or their ranges; '=' is the default size", true, "NAME:DIMS,…"},
       set_shapes},
      {{"outputs", "names of values, separated by commas", "",
        "values of an ONNX graph that take the place of its outputs: what only the rest needs is left out", true,
        "NAME,…"},
       set_outputs},
      {{"engine", "fast, reference", "fast", "reference: every operator by its slow reference kernel", true, "ENGINE"},
       set_engine},
      {{"onednn", "0, 1", "1", "let the engine use oneDNN where the build has it", true}, set_onednn},
      {{"weights", "copied, mapped", "copied",
        "how the files' bytes are held: copied needs their size in memory, and the files may change afterwards; mapped "
        "leaves them in the files, which nobody may write to while the session lives",
        true, "HOW"},
       set_weights},
      {{"memory_limit", std::string(kMemoryWords), "auto",
        "most memory that the session and its runs may take together, mapped files and what the caller gives not "
        "counted; auto: three quarters of the machine's memory, or of its container's",
        true, "BYTES"},
       set_memory_limit},
      {{"time_limit", std::string(kTimeWords), "1h", "longest that opening the session may take, and each of its runs",
        true, "SECONDS"},
       set_time_limit},
      {{"cost_model", "0, 1", "1", "leave partitions on the host that do not pay for crossing into Core ML", true},
       set_cost_model},
      {{"MLComputeUnits", "ALL, CPUOnly, CPUAndGPU, CPUAndNeuralEngine", "ALL", "what Core ML may use", true},
       set_units},
      {{"compute_units", "ALL, CPU_ONLY, CPU_AND_GPU, CPU_AND_NE", "ALL", "coremltools' word for MLComputeUnits", true},
       set_units},
      {{"ModelFormat", "MLProgram, NeuralNetwork", "MLProgram", "NeuralNetwork is not available yet", true},
       set_format},
      {{"COREML_FLAGS", "COREML_FLAG_… joined by |, or their sum", "", "ONNX Runtime's flag form", true}, set_flags},
      {{"RequireStaticInputShapes", "0, 1", "0", "refuse nodes with open dims", false}, nullptr},
      {{"EnableOnSubgraphs", "0, 1", "0", "bodies of If are taken with their node whatever this says", false}, nullptr},
      {{"SpecializationStrategy", "Default, FastPrediction", "Default", "Core ML's load hint", false}, nullptr},
      {{"ProfileComputePlan", "0, 1", "0", "print Core ML's compute plan", false}, nullptr},
      {{"AllowLowPrecisionAccumulationOnGPU", "0, 1", "0", "Core ML's GPU hint", false}, nullptr},
      {{"ModelCacheDirectory", "a folder", "", "where compiled models are kept", false}, nullptr},
      {{"skip_ops", "operator names", "", "ONNX operators never to claim", false}, nullptr},
      {{"take_over_mutable_buffer", "0, 1", "1", "ExecuTorch's word: states inside the Core ML program", false},
       nullptr},
      {{"take_over_constant_data", "0, 1", "1", "ExecuTorch's word: weights inside the Core ML program", false},
       nullptr},
  };
}

const std::vector<Row>& rows() {
  static const std::vector<Row> kRows = make_rows();
  return kRows;
}

Status apply_one(State& s, const NamedOption& o) {
  for (const Row& r : rows()) {
    if (r.info.name != o.first) continue;
    if (r.apply != nullptr) return r.apply(s, r.info.name, o.second);
    if (same_word(o.second, r.info.fallback)) return {};
    return fail(Code::not_available_yet,
                format("option {}: '{}' is not available yet; only the default '{}' is accepted", o.first, o.second,
                       r.info.fallback));
  }
  std::string legal;
  for (const Row& r : rows()) legal += (legal.empty() ? "" : ", ") + std::string(r.info.name);
  return fail(Code::unknown_option, format("unknown option '{}'; legal are {}", o.first, legal));
}

}  // namespace

std::shared_ptr<MemoryLimit> memory_limit_of(const Options& options) {
  const size_t limit = options.memory_limit.value_or(machine_memory() / 4 * 3);
  const bool none = options.memory_limit ? limit == SIZE_MAX : limit == 0;  // 0: the machine does not tell
  return none ? nullptr : std::make_shared<MemoryLimit>(limit);
}

std::span<const OptionInfo> all_options() {
  static const std::vector<OptionInfo> kInfos = [] {
    std::vector<OptionInfo> list;
    for (const Row& r : rows()) list.push_back(r.info);
    return list;
  }();
  return kInfos;
}

const OptionInfo* find_option(std::string_view name) {
  for (const OptionInfo& o : all_options()) {
    if (o.name == name) return &o;
  }
  return nullptr;
}

Result<Options> parse_options(std::span<const NamedOption> options) {
  State s;
  for (const NamedOption& o : options) GRAFT_CHECK(apply_one(s, o));
  // CPU-only units exist to get reference values: full precision unless asked otherwise.
  const devices::Row* row = devices::find(s.options.device);
  if (!s.precision_given && row != nullptr && row->coreml && s.options.units == backend::ComputeUnits::cpu_only)
    s.options.partitioning.precision = partition::Precision::float32;
  return std::move(s.options);
}

namespace {

// A cursor over "--shapes" text.
struct Cursor {
  std::string_view text;
  size_t at = 0;
  bool eat(std::string_view s) {
    if (text.substr(at, s.size()) != s) return false;
    at += s.size();
    return true;
  }
  std::optional<int64_t> number() {
    int64_t v = 0;
    const auto [rest, error] = std::from_chars(text.data() + at, text.data() + text.size(), v);
    if (error != std::errc() || v < 0) return std::nullopt;
    at = static_cast<size_t>(rest - text.data());
    return v;
  }
};

tl::unexpected<Diag> bad_shape(std::string_view text, std::string_view why) {
  return fail(
      Code::invalid_option,
      format("shape '{}': {}; write 1x3x224x224, or (64..2048) for a range, (64..2048=512) with its default size", text,
             why));
}

}  // namespace

Result<std::vector<onnx::DimSpec>> parse_shape(std::string_view text) {
  std::vector<onnx::DimSpec> dims;
  Cursor c{text};
  constexpr int64_t kLimit = INT32_MAX;
  if (text.empty() || text == "scalar") return dims;
  do {
    onnx::DimSpec d;
    const bool range = c.eat("(");
    const std::optional<int64_t> lo = c.number();
    if (!lo) return bad_shape(text, "a size is missing");
    d.lo = d.hi = *lo;
    if (range) {
      if (!c.eat("..")) return bad_shape(text, "'..' is missing in a range");
      const std::optional<int64_t> hi = c.number();
      if (!hi) return bad_shape(text, "the upper bound is missing in a range");
      d.hi = *hi;
      if (c.eat("=")) {
        d.preferred = c.number();
        if (!d.preferred || *d.preferred < d.lo || *d.preferred > d.hi)
          return bad_shape(text, "the default size is outside its range");
      }
      if (!c.eat(")")) return bad_shape(text, "')' is missing");
    }
    if (d.lo > d.hi) return bad_shape(text, format("the range {}..{} is empty", d.lo, d.hi));
    if (d.hi > kLimit) return bad_shape(text, format("sizes go up to {}", kLimit));
    dims.push_back(d);
  } while (c.eat("x"));
  if (c.at != text.size()) return bad_shape(text, format("'{}' was not expected", text.substr(c.at)));
  if (dims.size() > static_cast<size_t>(kMaxRank)) return bad_shape(text, format("at most {} dims", kMaxRank));
  return dims;
}

Status parse_shapes(std::string_view text, onnx::LowerOptions& into) {
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view one = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const size_t colon = one.rfind(':');  // ONNX names may hold colons
    if (colon == std::string_view::npos || colon == 0) {
      return fail(Code::invalid_option, format("shapes: '{}' has no input name; write name:1x3x224x224", one));
    }
    GRAFT_TRY(into.shapes[std::string(one.substr(0, colon))], parse_shape(one.substr(colon + 1)));
  }
  return {};
}

}  // namespace graft::session

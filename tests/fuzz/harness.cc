#include "fuzz/harness.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <thread>

namespace graft::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMostElements = 1 << 16;  // of one input or output: work is not what is looked for
constexpr std::chrono::seconds kPatience{2};

[[noreturn]] void defect(const std::string& what) {
  std::fprintf(stderr, "defect: %s\n", what.c_str());
  std::abort();
}

// Everything that an error says.
void read(const graft_error* error) {
  if (*graft_error_text(error) == '\0' || *graft_error_code_name(error) == '\0') defect("an error without words");
  for (size_t i = 0; i < graft_error_remedy_count(error); ++i) {
    if (graft_error_remedy(error, i) == nullptr) defect("a remedy without words");
  }
  for (size_t i = 0; i < graft_error_inner_count(error); ++i) read(graft_error_inner(error, i));
}

// True without an error.
bool fine(graft_error* error) {
  if (error == nullptr) return true;
  const std::string text = graft_error_text(error);
  if (graft_error_code(error) == GRAFT_CODE_INTERNAL || graft_error_fault(error) == GRAFT_FAULT_US) defect(text);
  read(error);
  graft_error_free(error);
  return false;
}

template <class T>
struct Free {
  void (*free)(T*);
  void operator()(T* p) const { free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free<T>>;

const graft_env* env() {
  static const Owned<graft_env> made = [] {
    graft_env_options options{};
    options.struct_size = sizeof options;
    options.threads = 1;
    options.log = [](void*, graft_log_level, const char* text) {
      if (*text == '\0') defect("an empty line in the log");
    };
    graft_env* e = nullptr;
    if (!fine(graft_env_create(&options, &e))) defect("no environment");
    return Owned<graft_env>(e, {graft_env_free});
  }();
  return made.get();
}

// Cancels an opening or a run that takes longer than kPatience. What does not hear it then, libFuzzer's -timeout finds.
class Deadline {
 public:
  Deadline() {
    if (!fine(graft_cancel_create(&cancel_))) defect("no cancel token");
    thread_ = std::thread([this] {
      std::unique_lock lock(mutex_);
      if (!ended_.wait_for(lock, kPatience, [this] { return over_; })) graft_cancel_set(cancel_);
    });
  }
  ~Deadline() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    ended_.notify_one();
    thread_.join();
    graft_cancel_free(cancel_);
  }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;
  const graft_cancel* token() const { return cancel_; }

 private:
  graft_cancel* cancel_ = nullptr;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool over_ = false;
  std::thread thread_;
};

// Names and values as the C interface takes them, and a limit on memory: files ask for any number of gigabytes.
struct Pairs {
  Pairs(const Options& options, const char* limit) : names{limit}, values{"64M"} {
    for (const Option& o : options) {
      names.push_back(o.first.c_str());
      values.push_back(o.second.c_str());
    }
  }
  std::vector<const char*> names, values;
};

size_t item_size(graft_dtype t) {
  switch (t) {
    case GRAFT_DTYPE_UINT8:
    case GRAFT_DTYPE_INT8:
    case GRAFT_DTYPE_BOOL: return 1;
    case GRAFT_DTYPE_UINT16:
    case GRAFT_DTYPE_INT16:
    case GRAFT_DTYPE_FLOAT16:
    case GRAFT_DTYPE_BFLOAT16: return 2;
    case GRAFT_DTYPE_FLOAT32:
    case GRAFT_DTYPE_INT32:
    case GRAFT_DTYPE_UINT32: return 4;
    case GRAFT_DTYPE_COMPLEX128: return 16;
    case GRAFT_DTYPE_STRING: return sizeof(const char*);
    default: return 8;
  }
}

// Small numbers, so that indices and sizes among them are often good, and the ones at which formulas end.
void fill(graft_dtype dtype, int64_t count, std::vector<std::byte>& data) {
  std::minstd_rand random(1);
  const auto put = [&](int64_t i, auto v) {
    std::memcpy(data.data() + static_cast<size_t>(i) * sizeof v, &v, sizeof v);
  };
  const size_t size = item_size(dtype);
  for (int64_t i = 0; i < count; ++i) {
    const bool odd = random() % 32 == 0;
    const int64_t n = static_cast<int64_t>(random() % 8) - 3;
    if (dtype == GRAFT_DTYPE_STRING) {
      put(i, n % 2 == 0 ? "a" : "");
    } else if (dtype == GRAFT_DTYPE_FLOAT32) {
      put(i, odd ? (n < 0 ? -INFINITY : NAN) : static_cast<float>(n) / 2);
    } else if (dtype == GRAFT_DTYPE_FLOAT64) {
      put(i, odd ? static_cast<double>(INFINITY) : static_cast<double>(n) / 2);
    } else if (dtype == GRAFT_DTYPE_BOOL) {
      put(i, n > 0);
    } else {  // integers; the bits of the other floats
      const int64_t v = odd ? (n < 0 ? INT64_MIN : INT64_MAX) : n;
      for (size_t at = 0; at < size; at += sizeof v)
        std::memcpy(data.data() + static_cast<size_t>(i) * size + at, &v, std::min(size, sizeof v));
    }
  }
}

struct Input {
  graft_input in{};
  std::vector<int64_t> shape;
  std::vector<std::byte> data;
  std::vector<graft_input> elements;  // of a sequence; their data is this input's
};

// The size of an open dim: the same for the same symbol, two at best.
class Sizes {
 public:
  int64_t of(const graft_port_info& port, int32_t dim) {
    if (port.shape[dim] >= 0) return port.shape[dim];
    const int64_t size = std::clamp<int64_t>(2, port.min[dim], std::max(port.min[dim], port.max[dim]));
    return sizes_.emplace(port.symbols[dim], size).first->second;
  }

 private:
  std::map<std::string, int64_t> sizes_;
};

// -1: too many.
int64_t elements(const std::vector<int64_t>& shape) {
  int64_t n = 1;
  for (int64_t d : shape) {
    if (d < 0 || (d != 0 && n > kMostElements / d)) return -1;
    n *= d;
  }
  return n;
}

bool invent_inputs(const graft_session* session, std::vector<Input>& inputs) {
  Sizes sizes;
  for (size_t i = 0, n = graft_session_input_count(session); i < n; ++i) {
    graft_port_info port{};
    port.struct_size = sizeof port;
    if (!fine(graft_session_input(session, i, &port))) defect("an input that is not there");
    Input& input = inputs.emplace_back();
    const bool sequence = port.element_dtype != GRAFT_DTYPE_INVALID;
    const graft_dtype dtype = sequence ? port.element_dtype : port.dtype;
    // What the tensors of a sequence are nobody says: small matrices.
    if (sequence) input.shape = {2, 3};
    for (int32_t d = 0; d < port.rank && !sequence; ++d) input.shape.push_back(sizes.of(port, d));
    const int64_t count = elements(input.shape);
    if (count < 0) return false;
    input.data.resize(static_cast<size_t>(count) * item_size(dtype));
    fill(dtype, count, input.data);
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    graft_port_info port{};
    port.struct_size = sizeof port;
    fine(graft_session_input(session, i, &port));
    graft_input& in = inputs[i].in;
    in.struct_size = sizeof in;
    in.name = port.name;
    in.dtype = port.dtype;
    in.rank = static_cast<int32_t>(inputs[i].shape.size());
    in.shape = inputs[i].shape.data();
    in.data = inputs[i].data.data();
    in.bytes = inputs[i].data.size();
    if (port.element_dtype == GRAFT_DTYPE_INVALID) continue;
    graft_input element = in;
    element.dtype = port.element_dtype;
    inputs[i].elements.assign(std::strcmp(port.type, "optional") == 0 ? 1 : 2, element);
    in = {};
    in.struct_size = sizeof in;
    in.name = port.name;
    in.elements = inputs[i].elements.data();
    in.element_count = inputs[i].elements.size();
  }
  return true;
}

// Outputs whose size is known and large; what a run sizes is not known here.
bool large_outputs(const graft_session* session) {
  for (size_t i = 0, n = graft_session_output_count(session); i < n; ++i) {
    graft_port_info port{};
    port.struct_size = sizeof port;
    if (!fine(graft_session_output(session, i, &port))) defect("an output that is not there");
    std::vector<int64_t> shape;
    for (int32_t d = 0; d < port.rank; ++d) shape.push_back(std::max<int64_t>(port.shape[d], 0));
    if (elements(shape) < 0) return true;
  }
  return false;
}

volatile unsigned g_read;  // what was read has a use

void look_at(const graft_tensor* tensor) {
  graft_tensor_info info{};
  info.struct_size = sizeof info;
  if (tensor == nullptr || !fine(graft_tensor_get(tensor, &info))) defect("a run without a result");
  unsigned sum = 0;
  const auto* bytes = static_cast<const unsigned char*>(info.data);
  for (size_t i = 0; i < info.bytes; ++i) sum += bytes[i];
  if (info.dtype == GRAFT_DTYPE_STRING) {
    for (size_t i = 0; i < info.bytes / sizeof(const char*); ++i)
      sum += static_cast<unsigned>(std::strlen(static_cast<const char* const*>(info.data)[i]));
  }
  g_read = sum;
  for (size_t i = 0; i < info.element_count; ++i) look_at(info.elements[i]);
  if (info.keys != nullptr) look_at(info.keys);
}

void look_at_nodes(const graft_session* session) {
  graft_placement placement{};
  placement.struct_size = sizeof placement;
  if (!fine(graft_session_placement(session, &placement))) defect("no placement");
  for (size_t i = 0, n = graft_session_node_count(session); i < n; ++i) {
    graft_node_info node{};
    node.struct_size = sizeof node;
    if (!fine(graft_session_node(session, i, &node))) defect("a node that is not there");
    if (node.reason == GRAFT_CODE_INTERNAL) defect(node.reason_text);
  }
}

void run(const graft_session* session) {
  look_at_nodes(session);
  std::vector<Input> invented;
  if (large_outputs(session) || !invent_inputs(session, invented)) return;
  std::vector<graft_input> inputs;
  for (const Input& i : invented) inputs.push_back(i.in);
  std::vector<graft_output> outputs(graft_session_output_count(session));
  for (graft_output& o : outputs) o.struct_size = sizeof o;
  const Deadline deadline;
  graft_run_options options{};
  options.struct_size = sizeof options;
  options.cancel = deadline.token();
  if (!fine(graft_session_run(session, inputs.data(), inputs.size(), outputs.data(), outputs.size(), &options))) return;
  for (graft_output& o : outputs) {
    look_at(o.tensor);
    graft_tensor_free(o.tensor);
  }
}

}  // namespace

const fs::path& scratch() {
  struct Folder {
    fs::path path = fs::temp_directory_path() / ("graft_fuzz_" + std::to_string(getpid()));
    Folder() { fs::create_directories(path); }
    ~Folder() {
      std::error_code ec;
      fs::remove_all(path, ec);
    }
  };
  static const Folder folder;
  return folder.path;
}

void write(const fs::path& file, std::string_view bytes) {
  std::ofstream(file, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

namespace {
void open_and_run(graft_open_options how, const Options& options) {
  const Pairs pairs(options, "memory_limit");
  const Deadline deadline;
  how.struct_size = sizeof how;
  how.names = pairs.names.data();
  how.values = pairs.values.data();
  how.count = pairs.names.size();
  how.cancel = deadline.token();
  graft_session* session = nullptr;
  if (!fine(graft_session_open(env(), &how, &session))) return;
  run(session);
  graft_session_free(session);
}
}  // namespace

void open_and_run(const fs::path& path, const Options& options) {
  graft_open_options how{};
  how.path = path.c_str();
  open_and_run(how, options);
}

void open_and_run(std::string_view model, const Options& options) {
  graft_open_options how{};
  how.data = model.data();
  how.bytes = model.size();
  open_and_run(how, options);
}

namespace {

template <class T>
T sized() {
  T t{};
  t.struct_size = sizeof t;
  return t;
}

// Asks for each of `count` things.
template <class T>
void ask(size_t count, const auto& get) {
  for (size_t i = 0; i < count; ++i) {
    T info = sized<T>();
    if (!fine(get(i, &info))) defect("what is counted cannot be asked for");
  }
}

void read(const graft_model* model) {
  auto info = sized<graft_model_info>();
  if (!fine(graft_model_get(model, &info))) defect("a model without a description");
  ask<graft_opset_info>(info.opset_count, [&](size_t i, auto* out) { return graft_model_opset(model, i, out); });
  ask<graft_entry>(info.metadata_count, [&](size_t i, auto* out) { return graft_model_metadata(model, i, out); });
  ask<graft_missing_info>(info.missing_count, [&](size_t i, auto* out) { return graft_model_missing(model, i, out); });
  for (size_t f = 0; f < info.function_count; ++f) {
    auto of = sized<graft_function_info>();
    if (!fine(graft_model_function(model, f, &of))) defect("a function without a description");
    ask<graft_port_info>(of.input_count, [&](size_t i, auto* out) { return graft_model_input(model, f, i, out); });
    ask<graft_port_info>(of.output_count, [&](size_t i, auto* out) { return graft_model_output(model, f, i, out); });
    ask<graft_port_info>(of.state_count, [&](size_t i, auto* out) { return graft_model_state(model, f, i, out); });
    ask<graft_operator_info>(of.operator_count,
                             [&](size_t i, auto* out) { return graft_model_operator(model, f, i, out); });
  }
  if ((info.format == GRAFT_FORMAT_MLPACKAGE) != (graft_model_mil(model) != nullptr)) defect("a package without text");
}

void read(const graft_partitioning* partitioning) {
  auto info = sized<graft_partitioning_info>();
  if (!fine(graft_partitioning_get(partitioning, &info))) defect("a partitioning without a description");
  for (size_t i = 0; i < info.node_count; ++i) {
    auto node = sized<graft_node_info>();
    if (!fine(graft_partitioning_node(partitioning, i, &node))) defect("a node without a description");
    const graft_error* refusal = graft_partitioning_refusal(partitioning, i);
    if ((node.where == GRAFT_WHERE_HOST) != (refusal != nullptr)) defect("a node without a reason");
    if (refusal != nullptr) read(refusal);
  }
  for (size_t p = 0; p < info.partition_count; ++p) {
    auto partition = sized<graft_partition_info>();
    if (!fine(graft_partitioning_partition(partitioning, p, &partition))) defect("a partition without a description");
    ask<graft_port_info>(partition.input_count,
                         [&](size_t i, auto* out) { return graft_partitioning_input(partitioning, p, i, out); });
    ask<graft_port_info>(partition.output_count,
                         [&](size_t i, auto* out) { return graft_partitioning_output(partitioning, p, i, out); });
    if (graft_partitioning_mil(partitioning, p) == nullptr) defect("a partition without text");
  }
}

// Random inputs as a run takes them.
void verify(const graft_partitioning* partitioning, const fs::path& path, const Pairs& pairs) {
  graft_session* session = nullptr;
  if (!fine(graft_session_create(env(), path.c_str(), pairs.names.data(), pairs.values.data(), pairs.names.size(),
                                 &session)))
    return;
  const Owned<graft_session> owned(session, {graft_session_free});
  std::vector<graft_tensor*> made(graft_session_input_count(session));
  if (!fine(graft_session_random_inputs(session, nullptr, 0, 1, made.data()))) return;
  std::vector<graft_input> inputs;
  for (const graft_tensor* t : made) {
    auto info = sized<graft_tensor_info>();
    if (!fine(graft_tensor_get(t, &info))) defect("a tensor without a description");
    inputs.push_back(
        {sizeof(graft_input), nullptr, info.dtype, info.rank, info.shape, info.data, info.bytes, nullptr, 0});
  }
  graft_verification* verification = nullptr;
  if (fine(graft_verify(partitioning, session, inputs.data(), inputs.size(), nullptr, &verification)))
    graft_verification_free(verification);
  for (graft_tensor* t : made) graft_tensor_free(t);
}

}  // namespace

bool look_into(const fs::path& path, const Options& options, const Look& look) {
  const Pairs pairs(options, "memory_limit");
  const Deadline deadline;
  auto how = sized<graft_open_options>();
  how.path = path.c_str();
  how.names = pairs.names.data();
  how.values = pairs.values.data();
  how.count = pairs.names.size();
  how.cancel = deadline.token();
  graft_model* opened = nullptr;
  if (!fine(graft_model_open(env(), &how, &opened))) return false;
  const Owned<graft_model> model(opened, {graft_model_free});
  read(opened);
  auto parting = sized<graft_partitioning_options>();
  parting.cancel = deadline.token();
  graft_partitioning* made = nullptr;
  if (!fine(graft_partitioning_create(opened, &parting, &made))) return false;
  const Owned<graft_partitioning> partitioning(made, {graft_partitioning_free});
  read(made);
  if (look.verify) verify(made, path, pairs);
  if (look.package.empty()) return false;
  graft_compilation* compilation = nullptr;
  if (!fine(graft_compile(made, look.package.c_str(), nullptr, &compilation))) return false;
  graft_compilation_free(compilation);
  return true;
}

}  // namespace graft::fuzz

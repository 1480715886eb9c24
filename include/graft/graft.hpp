// Graft's C++20 interface: header-only, over graft.h; compiler.hpp is the part over compiler.h. RAII for every handle,
// spans for memory, graft::Error for errors.
//
//   graft::Env env;
//   graft::Session model(env, "digits.onnx", {{"device", "coreml"}});
//   std::vector<float> pixels(32 * 32);
//   graft::Tensor scores = model.run({graft::input("image", pixels, {1, 1, 32, 32})}).at(0);
//   std::span<const float> s = scores.data<float>();
//
// Every function that can fail throws graft::Error. Moved-from objects may only be destroyed or assigned to. What
// graft.h says about threads and ownership holds here too.
#ifndef GRAFT_GRAFT_HPP_
#define GRAFT_GRAFT_HPP_

#include <graft/graft.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace graft {

// Why something is as it is: an error, a node's refusal, a finding. Belongs to what it was asked of.
class Reason {
 public:
  Reason() = default;
  explicit Reason(const graft_error* error) : error_(error) {}
  explicit operator bool() const { return error_ != nullptr; }  // false: there is none, and all text is empty
  graft_code code() const { return graft_error_code(error_); }
  std::string_view code_name() const { return graft_error_code_name(error_); }
  graft_fault fault() const { return graft_error_fault(error_); }
  std::string_view message() const { return graft_error_message(error_); }
  std::string_view file() const { return graft_error_file(error_); }
  std::string_view node() const { return graft_error_node(error_); }
  std::string_view op() const { return graft_error_op(error_); }
  std::string_view tensor() const { return graft_error_tensor(error_); }
  std::string_view text() const { return graft_error_text(error_); }  // the whole, as it should be shown
  std::vector<std::string_view> remedies() const {
    std::vector<std::string_view> list;
    for (size_t i = 0; i < graft_error_remedy_count(error_); ++i) list.push_back(graft_error_remedy(error_, i));
    return list;
  }
  std::vector<Reason> inner() const {
    std::vector<Reason> list;
    for (size_t i = 0; i < graft_error_inner_count(error_); ++i) list.emplace_back(graft_error_inner(error_, i));
    return list;
  }

 private:
  const graft_error* error_ = nullptr;
};

// what() is the whole error as it should be shown.
class Error : public std::runtime_error {
 public:
  explicit Error(graft_error* error) : std::runtime_error(graft_error_text(error)), error_(error, graft_error_free) {}
  Reason reason() const { return Reason(error_.get()); }
  graft_code code() const { return reason().code(); }
  std::string_view code_name() const { return reason().code_name(); }
  graft_fault fault() const { return reason().fault(); }
  std::string_view message() const { return reason().message(); }

 private:
  std::shared_ptr<graft_error> error_;  // exceptions are copied
};

inline void check(graft_error* error) {
  if (error != nullptr) throw Error(error);
}

namespace detail {
template <class T, void (*release)(T*)>
struct Free {
  void operator()(T* p) const { release(p); }
};
template <class T, void (*release)(T*)>
using Handle = std::unique_ptr<T, Free<T, release>>;

template <class T>
T sized() {
  T t{};
  t.struct_size = sizeof(T);
  return t;
}
}  // namespace detail

inline std::string_view version() { return graft_version(); }

// The element type that holds a C++ type; invalid for types that have none. Half-precision data is handed over as
// uint16_t with its dtype named: graft::input(name, memory, shape, GRAFT_DTYPE_FLOAT16).
template <class T>
constexpr graft_dtype dtype_of() {
  using U = std::remove_cv_t<T>;
  if constexpr (std::is_same_v<U, float>) return GRAFT_DTYPE_FLOAT32;
  if constexpr (std::is_same_v<U, double>) return GRAFT_DTYPE_FLOAT64;
  if constexpr (std::is_same_v<U, int8_t>) return GRAFT_DTYPE_INT8;
  if constexpr (std::is_same_v<U, int16_t>) return GRAFT_DTYPE_INT16;
  if constexpr (std::is_same_v<U, int32_t>) return GRAFT_DTYPE_INT32;
  if constexpr (std::is_same_v<U, int64_t>) return GRAFT_DTYPE_INT64;
  if constexpr (std::is_same_v<U, uint8_t>) return GRAFT_DTYPE_UINT8;
  if constexpr (std::is_same_v<U, uint16_t>) return GRAFT_DTYPE_UINT16;
  if constexpr (std::is_same_v<U, uint32_t>) return GRAFT_DTYPE_UINT32;
  if constexpr (std::is_same_v<U, uint64_t>) return GRAFT_DTYPE_UINT64;
  if constexpr (std::is_same_v<U, bool>) return GRAFT_DTYPE_BOOL;
  return GRAFT_DTYPE_INVALID;
}

struct EnvOptions {
  int threads = 0;  // 0: one a CPU
  std::function<void(graft_log_level, std::string_view)> log;
  std::function<void(std::string_view stage, double fraction)> progress;
};

// Threads, logger and progress that sessions share. The callbacks must not throw. Must outlive its sessions when it has
// callbacks.
class Env {
 public:
  Env() : Env(EnvOptions{}) {}
  explicit Env(EnvOptions options) : options_(std::make_unique<EnvOptions>(std::move(options))) {
    auto o = detail::sized<graft_env_options>();
    o.threads = options_->threads;
    if (options_->log) {
      o.log = [](void* user, graft_log_level level, const char* text) {
        static_cast<EnvOptions*>(user)->log(level, text);
      };
      o.log_user = options_.get();
    }
    if (options_->progress) {
      o.progress = [](void* user, const char* stage, double fraction) {
        static_cast<EnvOptions*>(user)->progress(stage, fraction);
      };
      o.progress_user = options_.get();
    }
    graft_env* env = nullptr;
    check(graft_env_create(&o, &env));
    env_.reset(env);
  }
  const graft_env* get() const { return env_.get(); }

 private:
  std::unique_ptr<EnvOptions> options_;  // its address is the callbacks' user pointer
  detail::Handle<graft_env, graft_env_free> env_;
};

// Options by name, borrowed while a call lasts.
struct Option {
  std::string name, value;
};
using Options = std::vector<Option>;

namespace detail {
class OptionPointers {
 public:
  explicit OptionPointers(const Options& options) {
    for (const Option& o : options) {
      names_.push_back(o.name.c_str());
      values_.push_back(o.value.c_str());
    }
  }
  const char* const* names() const { return names_.data(); }
  const char* const* values() const { return values_.data(); }
  size_t count() const { return names_.size(); }

 private:
  std::vector<const char*> names_, values_;
};
}  // namespace detail

// A result that is ours.
class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(graft_tensor* tensor)
      : Tensor(std::shared_ptr<const graft_tensor>(tensor, detail::Free<graft_tensor, graft_tensor_free>())) {}
  explicit operator bool() const { return tensor_ != nullptr; }
  // Whether it is a sequence, or an optional: one of none or one. Then it has no elements but elements().
  bool is_list() const { return info_.dtype == GRAFT_DTYPE_INVALID && tensor_ != nullptr; }
  std::vector<Tensor> elements() const {
    std::vector<Tensor> list;
    for (size_t i = 0; i < info_.element_count; ++i)
      list.push_back(Tensor(std::shared_ptr<const graft_tensor>(tensor_, info_.elements[i])));
    return list;
  }
  graft_dtype dtype() const { return info_.dtype; }
  std::span<const int64_t> shape() const { return {info_.shape, static_cast<size_t>(info_.rank)}; }
  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(info_.data), info_.bytes}; }
  // The elements; T must be the type that the tensor has. std::invalid_argument if it is not.
  template <class T>
  std::span<const T> data() const {
    if (dtype_of<T>() != info_.dtype && !(sizeof(T) == 2 && info_.dtype == GRAFT_DTYPE_FLOAT16))
      throw std::invalid_argument("graft::Tensor::data: the tensor has another element type");
    return {static_cast<const T*>(info_.data), info_.bytes / sizeof(T)};
  }
  // `count` elements from `first` on, of any real element type.
  std::vector<double> numbers(size_t first, size_t count) const {
    std::vector<double> list(count);
    check(graft_tensor_numbers(tensor_.get(), first, count, list.data()));
    return list;
  }
  std::span<const char* const> strings() const {
    if (info_.dtype != GRAFT_DTYPE_STRING)
      throw std::invalid_argument("graft::Tensor::strings: the tensor has another element type");
    return {static_cast<const char* const*>(info_.data), info_.bytes / sizeof(const char*)};
  }
  // Of a dictionary, whose values the elements are: strings or int64; dtype GRAFT_DTYPE_INVALID where it is none.
  graft_tensor_info keys() const {
    auto keys = detail::sized<graft_tensor_info>();
    if (info_.keys != nullptr) check(graft_tensor_get(info_.keys, &keys));
    return keys;
  }

 private:
  explicit Tensor(std::shared_ptr<const graft_tensor> tensor)
      : tensor_(std::move(tensor)), info_(detail::sized<graft_tensor_info>()) {
    check(graft_tensor_get(tensor_.get(), &info_));
  }
  std::shared_ptr<const graft_tensor> tensor_;  // of an element: shares the sequence's
  graft_tensor_info info_{};
};

// A tensor that goes in: borrows name and memory, keeps the shape. Or, without an element type, a sequence of them.
struct Input {
  std::string name;
  graft_dtype dtype = GRAFT_DTYPE_INVALID;
  std::vector<int64_t> shape;
  const void* data = nullptr;
  size_t bytes = 0;
  std::vector<Input> elements = {};
};
template <class Memory>
Input input(std::string name, const Memory& memory, std::vector<int64_t> shape,
            graft_dtype dtype = GRAFT_DTYPE_INVALID) {
  const std::span elements(memory);
  using T = typename decltype(elements)::element_type;
  return {std::move(name), dtype == GRAFT_DTYPE_INVALID ? dtype_of<T>() : dtype, std::move(shape), elements.data(),
          elements.size_bytes()};
}

// Memory that a result is written to.
struct Output {
  std::string name;
  graft_dtype dtype = GRAFT_DTYPE_INVALID;
  std::vector<int64_t> shape;
  void* data = nullptr;
  size_t bytes = 0;
};
template <class Memory>
Output output(std::string name, Memory& memory, std::vector<int64_t> shape, graft_dtype dtype = GRAFT_DTYPE_INVALID) {
  const std::span elements(memory);
  using T = typename decltype(elements)::element_type;
  return {std::move(name), dtype == GRAFT_DTYPE_INVALID ? dtype_of<T>() : dtype, std::move(shape), elements.data(),
          elements.size_bytes()};
}

// Cancels what it is given to, a run or the opening of a session, from any thread.
class Cancel {
 public:
  Cancel() {
    graft_cancel* c = nullptr;
    check(graft_cancel_create(&c));
    cancel_.reset(c);
  }
  void set() { graft_cancel_set(cancel_.get()); }
  const graft_cancel* get() const { return cancel_.get(); }

 private:
  detail::Handle<graft_cancel, graft_cancel_free> cancel_;
};

// What a session's model keeps from run to run: graft_state. Begins with zeros.
class Session;
class State {
 public:
  explicit State(const Session& session);
  graft_state* get() const { return state_.get(); }

 private:
  detail::Handle<graft_state, graft_state_free> state_;
};

struct Dim {
  int64_t value;  // -1: open
  std::string_view symbol;
  int64_t min, max;
};
struct Port {
  std::string_view name, type;  // "fp32"; in words where it is no tensor
  graft_dtype dtype;
  bool has_rank;
  std::vector<Dim> dims;
  bool image;
  graft_dtype coreml_dtype, element_dtype;
};
struct Node {
  std::string_view name, op, domain;
  graft_where where;
  int partition;
  graft_code reason;
  std::string_view reason_text;
  int obstacle;  // -1: none
  int cut_nodes;
  double cut_flops;
};

namespace detail {
inline Port port(const graft_port_info& p) {
  Port port{p.name, p.type, p.dtype, p.rank >= 0, {}, p.image != 0, p.coreml_dtype, p.element_dtype};
  for (int32_t d = 0; d < p.rank; ++d) port.dims.push_back({p.shape[d], p.symbols[d], p.min[d], p.max[d]});
  return port;
}
inline Node node(const graft_node_info& n) {
  return {n.name, n.op, n.domain, n.where, n.partition, n.reason, n.reason_text, n.obstacle, n.cut_nodes, n.cut_flops};
}
// `count` structs that get(i, &info) fills, each made into what make(info) returns.
template <class Info, class Get, class Make>
auto collect(size_t count, const Get& get, const Make& make) {
  std::vector<decltype(make(std::declval<const Info&>()))> list;
  for (size_t i = 0; i < count; ++i) {
    auto info = sized<Info>();
    check(get(i, &info));
    list.push_back(make(info));
  }
  return list;
}
class InputPointers {
 public:
  explicit InputPointers(const std::vector<Input>& inputs) {
    below_.reserve(inputs.size());
    for (const Input& i : inputs) {
      below_.emplace_back(i.elements.empty() ? nullptr : new InputPointers(i.elements));
      auto c = sized<graft_input>();
      c.name = i.name.c_str();
      c.dtype = i.dtype;
      c.rank = static_cast<int32_t>(i.shape.size());
      c.shape = i.shape.data();
      c.data = i.data;
      c.bytes = i.bytes;
      if (below_.back() != nullptr) {
        c.elements = below_.back()->data();
        c.element_count = below_.back()->size();
      }
      list_.push_back(c);
    }
  }
  const graft_input* data() const { return list_.data(); }
  size_t size() const { return list_.size(); }

 private:
  std::vector<graft_input> list_;
  std::vector<std::unique_ptr<InputPointers>> below_;  // of sequences
};

// Where a model lies; the arguments live until it is opened.
inline graft_open_options at(const std::string& path) {
  auto how = sized<graft_open_options>();
  how.path = path.c_str();
  return how;
}
inline graft_open_options in_memory(std::span<const std::byte> model, const std::string& folder) {
  auto how = sized<graft_open_options>();
  how.data = model.data();
  how.bytes = model.size();
  how.folder = folder.empty() ? nullptr : folder.c_str();
  return how;
}
// graft_session_open or graft_model_open.
template <class T>
T* open(graft_error* (*with)(const graft_env*, const graft_open_options*, T**), const Env& env, graft_open_options how,
        const Options& options, const Cancel* cancel) {
  const OptionPointers o(options);
  how.names = o.names();
  how.values = o.values();
  how.count = o.count();
  how.cancel = cancel == nullptr ? nullptr : cancel->get();
  T* opened = nullptr;
  check(with(env.get(), &how, &opened));
  return opened;
}
}  // namespace detail

using Entry = std::pair<std::string_view, std::string_view>;

class Partitioning;  // compiler.hpp

// A model, ready to run from any number of threads. The views it returns live as long as it does.
class Session {
 public:
  Session(const Env& env, const std::string& path, const Options& options = {}, const Cancel* cancel = nullptr) {
    open(env, detail::at(path), options, cancel);
  }
  // An ONNX model in memory, which must outlive the session.
  Session(const Env& env, std::span<const std::byte> model, const Options& options = {}, const std::string& folder = {},
          const Cancel* cancel = nullptr) {
    open(env, detail::in_memory(model, folder), options, cancel);
  }

  // What was partitioned; defined in compiler.hpp.
  Session(const Env& env, const Partitioning& partitioning, const Options& options = {},
          const Cancel* cancel = nullptr);

  std::vector<Port> inputs() const { return ports(graft_session_input_count, graft_session_input); }
  std::vector<Port> outputs() const { return ports(graft_session_output_count, graft_session_output); }
  // Initializers that may be given like inputs.
  std::vector<Port> initializers() const { return ports(graft_session_initializer_count, graft_session_initializer); }
  std::vector<Port> states() const { return ports(graft_session_state_count, graft_session_state); }

  graft_placement placement() const {
    auto p = detail::sized<graft_placement>();
    check(graft_session_placement(get(), &p));
    return p;
  }
  std::vector<Node> nodes() const {
    return detail::collect<graft_node_info>(
        graft_session_node_count(get()), [&](size_t i, auto* out) { return graft_session_node(get(), i, out); },
        detail::node);
  }
  std::vector<Reason> findings() const {
    std::vector<Reason> list;
    for (size_t i = 0; i < graft_session_finding_count(get()); ++i) list.emplace_back(graft_session_finding(get(), i));
    return list;
  }
  std::vector<Entry> metadata() const {
    return detail::collect<graft_entry>(
        graft_session_metadata_count(get()),
        [&](size_t i, auto* out) { return graft_session_metadata_entry(get(), i, out); },
        [](const graft_entry& e) { return Entry(e.key, e.value); });
  }
  // Empty when the model has no such key.
  std::string_view metadata(const std::string& key) const {
    const char* value = graft_session_metadata(get(), key.c_str());
    return value == nullptr ? std::string_view() : value;
  }

  // Every output as a tensor of its own, in the model's order.
  std::vector<Tensor> run(const std::vector<Input>& inputs, const Cancel* cancel = nullptr,
                          const State* state = nullptr) const {
    std::vector<graft_output> out(graft_session_output_count(get()), detail::sized<graft_output>());
    run(inputs, out, cancel, state);
    std::vector<Tensor> tensors;
    std::vector<detail::Handle<graft_tensor, graft_tensor_free>> owned;
    for (const graft_output& o : out) owned.emplace_back(o.tensor);
    for (auto& t : owned) tensors.emplace_back(t.release());
    return tensors;
  }
  // Into the caller's memory; outputs that are not named are not kept.
  void run(const std::vector<Input>& inputs, const std::vector<Output>& outputs, const Cancel* cancel = nullptr,
           const State* state = nullptr) const {
    std::vector<graft_output> out;
    for (const Output& o : outputs) {
      auto c = detail::sized<graft_output>();
      c.name = o.name.c_str();
      c.dtype = o.dtype;
      c.rank = static_cast<int32_t>(o.shape.size());
      c.shape = o.shape.data();
      c.data = o.data;
      c.bytes = o.bytes;
      out.push_back(c);
    }
    for (const graft_output& o : out) {
      if (o.data == nullptr && o.bytes == 0)
        throw std::invalid_argument("graft::Session::run: an output has no memory");
    }
    run(inputs, out, cancel, state);
  }
  // Tensors for the inputs that are not given; empty ones for those that are.
  std::vector<Tensor> random_inputs(const std::vector<Input>& given = {}, uint64_t seed = 1) const {
    const detail::InputPointers in(given);
    std::vector<graft_tensor*> made(graft_session_input_count(get()));
    check(graft_session_random_inputs(get(), in.data(), in.size(), seed, made.data()));
    std::vector<Tensor> tensors;
    std::vector<detail::Handle<graft_tensor, graft_tensor_free>> owned;
    for (graft_tensor* t : made) owned.emplace_back(t);
    for (auto& t : owned) tensors.push_back(t == nullptr ? Tensor() : Tensor(t.release()));
    return tensors;
  }
  const graft_session* get() const { return session_.get(); }

 private:
  void open(const Env& env, const graft_open_options& how, const Options& options, const Cancel* cancel) {
    session_.reset(detail::open(graft_session_open, env, how, options, cancel));
  }
  void run(const std::vector<Input>& inputs, std::vector<graft_output>& out, const Cancel* cancel,
           const State* state) const {
    const detail::InputPointers in(inputs);
    auto options = detail::sized<graft_run_options>();
    options.cancel = cancel == nullptr ? nullptr : cancel->get();
    options.state = state == nullptr ? nullptr : state->get();
    check(graft_session_run(get(), in.data(), in.size(), out.data(), out.size(), &options));
  }
  std::vector<Port> ports(size_t (*count)(const graft_session*),
                          graft_error* (*get_port)(const graft_session*, size_t, graft_port_info*)) const {
    return detail::collect<graft_port_info>(
        count(get()), [&](size_t i, auto* out) { return get_port(get(), i, out); }, detail::port);
  }

  detail::Handle<graft_session, graft_session_free> session_;
};

inline State::State(const Session& session) {
  graft_state* made = nullptr;
  check(graft_state_create(session.get(), &made));
  state_.reset(made);
}

// The options of a session, as rows.
inline std::vector<graft_option_info> session_options() {
  return detail::collect<graft_option_info>(graft_session_option_count(), graft_session_option,
                                            [](const graft_option_info& o) { return o; });
}

}  // namespace graft

#endif  // GRAFT_GRAFT_HPP_

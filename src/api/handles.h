// What is behind the C ABI's opaque handles, and how errors and structs cross it. Private to src/api.
#pragma once

#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include <graft/graft.h>

#include <graft/compiler.h>

#include "session/session.h"
#include "tools/compile.h"
#include "tools/doctor.h"

struct graft_error {
  graft::Diag diag;
  std::string text;
  std::vector<graft_error> inner;
};

struct graft_env {
  std::shared_ptr<const graft::Env> env;
};

struct graft_tensor {
  graft::Tensor tensor;
  std::vector<int64_t> shape;
  std::vector<const char*> strings;
  std::unique_ptr<graft_tensor> keys;                   // of a dictionary
  std::vector<std::unique_ptr<graft_tensor>> elements;  // of a list
  std::vector<const graft_tensor*> element_pointers;
};

struct graft_cancel {
  graft::CancelToken token;
};

struct graft_state {
  std::shared_ptr<const graft::session::Session> session;
  std::unique_ptr<graft::backend::State> state;
};

namespace graft::api {

inline graft_dtype to_c(DType t) { return static_cast<graft_dtype>(info(t).onnx_code); }

// What can be asked of an object, in C's terms; made once, so that pointers into it stay valid.
struct Port {
  explicit Port(const tools::PortInfo& port, DType coreml = DType::invalid);
  std::string name, type;
  graft_dtype dtype, coreml_dtype, element_dtype;
  int32_t rank = 0, image = 0;
  std::vector<int64_t> shape, min, max;
  std::vector<std::string> symbol_text;
  std::vector<const char*> symbols;
};
using Ports = std::vector<Port>;

using Metadata = std::map<std::string, std::string>;

}  // namespace graft::api

struct graft_session {
  std::shared_ptr<const graft::session::Session> session;
  std::shared_ptr<const graft::Env> env;
  graft::api::Ports inputs, outputs, initializers, states;
  std::vector<graft_error> findings;
  // Why nodes stay on the host, by node. Made at the first question: it is looked for what would change each reason.
  mutable std::once_flag explained;
  mutable std::vector<std::string> reasons;
  mutable std::mutex moved_mutex;
  mutable std::map<size_t, std::string> moved;  // of nodes whose partition moved there meanwhile
};

struct graft_model {
  struct Function {
    graft::api::Ports inputs, outputs, states;
  };
  std::shared_ptr<const graft::tools::Model> model;
  std::vector<Function> functions;
  std::vector<std::vector<const char*>> missing_nodes;
  std::vector<graft_error> problem;  // at most one
  mutable std::once_flag printed;
  mutable std::string mil;
};

struct graft_partitioning {
  struct Partition {
    graft::api::Ports inputs, outputs;
  };
  std::shared_ptr<const graft::tools::Partitioned> parts;
  std::vector<Partition> partitions;
  std::vector<std::string> reasons;  // by node
  int claimed = 0, folded = 0, host = 0;
  std::vector<graft_error> findings;
  mutable std::once_flag explained, printed;
  mutable std::vector<std::unique_ptr<const graft_error>> refusals;  // by node
  mutable std::vector<std::string> mil;                              // by partition
};

struct graft_compilation {
  std::vector<graft::tools::WrittenPackage> packages;
};

struct graft_verification {
  graft::tools::Verification result;
};

struct graft_diagnosis {
  graft::tools::Diagnosis result;
  std::string keep_fp32;  // as the option's value
};

namespace graft::api {

graft_code code_of(Code code);
graft_fault fault_of(Fault fault);
// Never fails: without memory for the error itself, a static one that graft_error_free knows.
graft_error* make_error(Diag diag) noexcept;
graft_error as_error(const Diag& diag);
std::vector<graft_error> as_errors(std::span<const Diag> diags);
graft_error* out_of_memory_error() noexcept;

// Runs what a C function does; no exception gets past it.
template <class Body>
graft_error* guarded(const Body& body) noexcept {
  try {
    Status s = body();
    return s ? nullptr : make_error(std::move(s).error());
  } catch (const std::bad_alloc&) {
    return out_of_memory_error();
  } catch (const std::exception& e) {
    Diag d;
    try {
      d.message = e.what();
    } catch (...) {
      return out_of_memory_error();
    }
    return make_error(std::move(d));
  } catch (...) {
    return make_error(Diag{});
  }
}

inline tl::unexpected<Diag> invalid(std::string message) { return fail(Code::invalid_argument, std::move(message)); }

// A struct from the caller. Version 1 of every struct has the size it has today; later versions read less of an older
// caller's.
template <class T>
Result<T> read_struct(const T* from, const char* what) {
  T to{};
  if (from == nullptr) return invalid(std::string(what) + " is null");
  size_t size = 0;
  std::memcpy(&size, from, sizeof size);
  if (size != sizeof(T))
    return invalid(std::string(what) + ": struct_size is " + std::to_string(size) + ", this library knows " +
                   std::to_string(sizeof(T)));
  std::memcpy(&to, from, size);
  return to;
}
// Fills a struct of the caller's, whose struct_size stays.
template <class T>
Status give(const T& value, T* out) {
  GRAFT_CHECK(read_struct(out, "the struct to fill"));
  const size_t size = out->struct_size;
  *out = value;
  out->struct_size = size;
  return {};
}

// What a C function that fills a struct by an index does: `fill` gets the item and the struct.
template <class T, class List>
graft_error* give_item(const List* list, size_t index, T* out, const auto& fill) noexcept {
  return guarded([&]() -> Status {
    if (list == nullptr) return invalid("what is asked is null, or there is none of that number");
    if (index >= std::size(*list))
      return invalid("index " + std::to_string(index) + " of " + std::to_string(std::size(*list)));
    T value{};
    fill(*std::next(std::begin(*list), static_cast<std::ptrdiff_t>(index)), value);
    return give(value, out);
  });
}
graft_error* give_port(const Ports* ports, size_t index, graft_port_info* out) noexcept;
graft_error* give_entry(const Metadata* entries, size_t index, graft_entry* out) noexcept;
void fill_node(const partition::NodePlan& node, const char* reason, graft_node_info& out);

using NamedValues = std::vector<session::NamedOption>;

// names[i], values[i] as pairs; a null pointer is an error unless count is 0.
Result<NamedValues> read_pairs(const char* const* names, const char* const* values, size_t count);

}  // namespace graft::api

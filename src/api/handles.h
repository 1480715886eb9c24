// What is behind the C ABI's opaque handles, and how errors and structs cross it. Private to src/api.
#pragma once

#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include <graft/graft.h>

#include "api/verbs.h"
#include "session/session.h"

struct graft_error {
  graft::Diag diag;
  std::string text, json;
};

struct graft_env {
  std::shared_ptr<const graft::Env> env;
};

struct graft_tensor {
  graft::Tensor tensor;
  std::vector<int64_t> shape;
  std::vector<const char*> strings;
};

struct graft_cancel {
  graft::CancelToken token;
};

struct graft_report {
  int exit_code = 0;
  std::string plain, coloured, reason, json;
};

// The session and, in C's terms, what can be asked of it; made once, so that pointers into it stay valid.
struct graft_session {
  struct Port {
    std::vector<int64_t> shape, min, max;
    std::vector<std::string> symbol_text;
    std::vector<const char*> symbols;
  };
  std::shared_ptr<const graft::session::Session> session;
  std::vector<Port> inputs, outputs;
  std::vector<std::string> findings;
  // Why nodes stay on the host, by node. Made at the first question: it is looked for what would change each reason.
  mutable std::once_flag explained;
  mutable std::vector<std::string> reasons;
  mutable std::mutex moved_mutex;
  mutable std::map<size_t, std::string> moved;  // of nodes whose piece moved there meanwhile
};

namespace graft::api {

graft_code code_of(Code code);
// Never fails: without memory for the error itself, a static one that graft_error_free knows.
graft_error* make_error(Diag diag) noexcept;
graft_error* bad_argument(std::string message);
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
template <class T>
Status check_struct(const T* p, const char* what) {
  GRAFT_TRY([[maybe_unused]] const T copy, read_struct(p, what));
  return {};
}

// names[i], values[i] as pairs; a null pointer is an error unless count is 0.
Result<NamedValues> read_pairs(const char* const* names, const char* const* values, size_t count);

}  // namespace graft::api

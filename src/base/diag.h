// The one error value. A Diag is built where the fact is known and rendered in one place (render), so that the same
// words reach the tool, C, C++, Python and the documentation. The list of codes is diag.def.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

namespace graft {

enum class Code : uint8_t {
#define GRAFT_DIAG(id, fault, doc) id,
#include "base/diag.def"
#undef GRAFT_DIAG
};

enum class Fault : uint8_t { none, model, options, machine, us };

struct CodeInfo {
  Code code;
  std::string_view name;
  Fault fault;
  std::string_view doc;
};
const CodeInfo& info(Code code);
std::string_view name(Fault fault);
// All codes in the order of diag.def; for docs and tests.
const std::vector<CodeInfo>& all_codes();

struct Diag {
  Code code = Code::internal;
  std::string message;                 // what is wrong: the fact, with what was got and what would fit
  std::string file, node, op, tensor;  // where; empty when not known
  std::vector<std::string> remedies;   // verified changes that would help, ready to print
  std::vector<Diag> inner;             // a body's refusals, or all the reasons behind this one
  std::vector<int32_t> origin;         // ids of the ONNX nodes it is about, where known: names need not be unique

  Fault fault() const { return info(code).fault; }
  // Fill a place that is still empty: outer layers know the file, inner ones the tensor.
  Diag&& in_file(std::string_view v) && { return std::move(*this).put(&Diag::file, v); }
  Diag&& at_node(std::string_view v, std::string_view op_type) && {
    return std::move(*this).put(&Diag::node, v).put(&Diag::op, op_type);
  }
  Diag&& at_tensor(std::string_view v) && { return std::move(*this).put(&Diag::tensor, v); }

 private:
  Diag&& put(std::string Diag::*field, std::string_view v) && {
    if ((this->*field).empty()) this->*field = std::string(v);
    return std::move(*this);
  }
};

// One or several lines: `file: node 'n' (Conv): tensor 't': message [code]`, then remedies and inner reasons indented.
std::string render(const Diag& diag);

template <class T>
using Result = tl::expected<T, Diag>;
using Status = tl::expected<void, Diag>;
// With every reason instead of the first one.
using Refusals = std::vector<Diag>;
template <class T>
using OrRefusals = tl::expected<T, Refusals>;
using tl::unexpected;

inline tl::unexpected<Diag> fail(Code code, std::string message) {
  Diag d;
  d.code = code;
  d.message = std::move(message);
  return tl::unexpected<Diag>(std::move(d));
}
// About a file.
inline tl::unexpected<Diag> fail_in(Code code, std::string file, std::string message) {
  Diag d;
  d.code = code;
  d.file = std::move(file);
  d.message = std::move(message);
  return tl::unexpected<Diag>(std::move(d));
}
inline tl::unexpected<Diag> fail(Diag diag) { return tl::unexpected<Diag>(std::move(diag)); }

// GRAFT_TRY(auto x, expr): x = *expr, or return its error. GRAFT_CHECK(expr): return the error of a Status.
#define GRAFT_CONCAT_(a, b) a##b
#define GRAFT_CONCAT(a, b) GRAFT_CONCAT_(a, b)
#define GRAFT_TRY(decl, expr) GRAFT_TRY_(GRAFT_CONCAT(try_, __LINE__), decl, expr)
#define GRAFT_TRY_(tmp, decl, expr)                             \
  auto tmp = (expr);                                            \
  if (!tmp) return ::graft::unexpected(std::move(tmp).error()); \
  decl = std::move(*tmp)
#define GRAFT_CHECK(expr)                                                                     \
  do {                                                                                        \
    if (auto check_ = (expr); !check_) return ::graft::unexpected(std::move(check_).error()); \
  } while (0)

}  // namespace graft

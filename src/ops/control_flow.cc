// MIL's control_flow family, but its lists: const, cond, while_loop, select.
#include <algorithm>

#include "ops/moving.h"
#include "ops/pointwise.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

// ---- const, cond, while_loop --------------------------------------------------------------------------------------

// In a program constants are values without a producer; this row is for what reads and writes files.
constexpr Variant kConst[] = {{Opset::ios15, "val:const internal", ""}};
constexpr OpDef const_ = {.name = "const",
                          .family = "control_flow",
                          .doc = "a constant: an immediate value or a blob of the weight file",
                          .variants = kConst,
                          .infer = [](const Call& call, Types& out) -> Status {
                            if (!call.has("val")) return fail(Code::invalid_model, "const has no 'val'");
                            out.push_back(*call.in("val").type);
                            return {};
                          },
                          .kind = Kind::constant};

// The results of cond are those of its blocks, which a Call does not see: the builder's emit_blocks and the verifier
// read them there, so there is no inference here, and none may be asked for.
constexpr Variant kCond[] = {{Opset::ios15, "pred:bool; _true_fn:block; _false_fn:block", ""}};
constexpr OpDef cond = {.name = "cond",
                        .family = "control_flow",
                        .doc = "runs one of two blocks; both return values of the same types",
                        .variants = kCond,
                        .kind = Kind::cond};

constexpr Variant kWhileLoop[] = {{Opset::ios15, "_cond:block; _body:block; loop_vars:tuple", ""}};
constexpr OpDef while_loop = {.name = "while_loop",
                              .family = "control_flow",
                              .doc =
                                  "runs the body block while the condition block gives true, on loop variables whose "
                                  "types do not change",
                              .variants = kWhileLoop,
                              .infer = [](const Call& call, Types& out) -> Status {
                                for (const Operand& v : call.all("loop_vars")) out.push_back(*v.type);
                                return {};
                              },
                              .kind = Kind::loop};

// ---- select -------------------------------------------------------------------------------------------------------

Status select_type(const Call& call, Types& out) {
  if (call.in("cond").dtype() != DType::boolean)
    return fail(Code::dtype_mismatch, format("cond is {}, takes bool", name(call.in("cond").dtype())));
  GRAFT_TRY(Dims dims, broadcast(call.in("a").dims(), call.in("b").dims()));
  GRAFT_TRY(dims, broadcast(dims, call.in("cond").dims()));
  out.push_back(Type::tensor(call.in("a").dtype(), std::move(dims)));
  return {};
}

template <class Copy>
void select_elements(const TensorView& cond, const TensorView& a, const TensorView& b, MutableTensorView y, Pace pace,
                     Copy&& copy) {
  Walk<3> walk(y.shape, {cond.shape, a.shape, b.shape});
  const auto* c = cond.as<uint8_t>();
  for (int64_t i = 0, end; (end = pace.until(i, y.count())) != i;) {
    for (; i < end; ++i, walk.next()) {
      const bool yes = c[walk.offset(0)] != 0;
      copy(i, yes ? a.data : b.data, walk.offset(yes ? 1 : 2));
    }
  }
}

Status select_reference(const Call& call, Outputs& out) {
  const TensorView cond = call.in("cond").value, a = call.in("a").value, b = call.in("b").value;
  const MutableTensorView y = out[0];
  for (const Shape* s : {&cond.shape, &a.shape, &b.shape}) {
    for (int d = 1; d <= s->size(); ++d) {
      const int64_t n = (*s)[s->size() - d];
      if (s->size() > y.rank() || (n != 1 && n != y.shape[y.rank() - d]))
        return fail(Code::shape_mismatch, format("{} does not broadcast to {}", to_string(*s), to_string(y.shape)));
    }
  }
  if (y.dtype == DType::string) {
    select_elements(cond, a, b, y, call.pace(), [&](int64_t i, const void* from, int64_t at) {
      y.as<std::string>()[i] = static_cast<const std::string*>(from)[at];
    });
    return {};
  }
  const auto by_size = [&](auto size) {
    constexpr size_t kSize = decltype(size)::value;
    select_elements(cond, a, b, y, call.pace(), [&](int64_t i, const void* from, int64_t at) {
      std::memcpy(y.as<char>() + static_cast<size_t>(i) * kSize,
                  static_cast<const char*>(from) + static_cast<size_t>(at) * kSize, kSize);
    });
  };
  switch (item_size(y.dtype)) {
    case 1: by_size(std::integral_constant<size_t, 1>{}); break;
    case 2: by_size(std::integral_constant<size_t, 2>{}); break;
    case 4: by_size(std::integral_constant<size_t, 4>{}); break;
    case 8: by_size(std::integral_constant<size_t, 8>{}); break;
    default: by_size(std::integral_constant<size_t, 16>{}); break;
  }
  return {};
}

bool select_symbolic(const Call& call, Dims& content) {
  const std::optional<Dims> cond = call.dims("cond"), a = call.dims("a"), b = call.dims("b");
  if (!cond || !ir::all_known(*cond) || !a || !b) return false;
  const size_t n = std::max({cond->size(), a->size(), b->size()});
  const auto fits = [n](const Dims& d) { return d.size() == n || d.size() == 1; };
  if (!fits(*cond) || !fits(*a) || !fits(*b)) return false;
  for (size_t i = 0; i < n; ++i) {
    const Dims& from = (*cond)[cond->size() == 1 ? 0 : i].value() != 0 ? *a : *b;
    content.push_back(from[from.size() == 1 ? 0 : i]);
  }
  return true;
}
IntRange select_range(const Call& call) {
  const IntRange a = call.in("a").range, b = call.in("b").range;
  return {std::min(a.lo, b.lo), std::max(a.hi, b.hi)};
}

constexpr Variant kSelect[] = {
    {Opset::ios15, "cond:bool; a:T; b:T", "T={fp16,fp32,bool,int32}", [](const Call& call) -> Status {
       // Core ML's tools take the result's shape from a and b alone.
       GRAFT_TRY(const Dims both, broadcast(call.in("a").dims(), call.in("b").dims()));
       GRAFT_TRY(const Dims all, broadcast(both, call.in("cond").dims()));
       if (both == all) return {};
       return fail(Code::unsupported_attribute,
                   format("a and b broadcast to {}, the condition to {}: one of them needs the full shape",
                          ir::to_string(both), ir::to_string(all)));
     }}};
template <class W>
void select_stretch(const void* cond, const void* a, const void* b, void* y, int64_t n, const double*) {
  for (int64_t i = 0; i < n; ++i)
    static_cast<W*>(y)[i] = static_cast<const W*>(static_cast<const bool*>(cond)[i] ? a : b)[i];
}
constexpr OpDef select = [] {
  OpDef def = pointwise(
      {.name = "select",
       .family = "control_flow",
       .doc = "a where cond is true, else b; all three broadcast",
       .variants = kSelect,
       .host = kMovable,
       .infer = select_type,
       .reference = select_reference,
       .symbolic = select_symbolic,
       .range = select_range,
       .fp16 = {.saturates = true}},
      {.function = Scalar::select,
       .kernels = {select_stretch<double>, select_stretch<int64_t>, select_stretch<uint64_t>, select_stretch<bool>},
       .operands = {"cond", "a", "b"}});
  def.flops = nullptr;
  return def;
}();

constexpr const OpDef* kRows[] = {&const_, &cond, &while_loop, &select};

}  // namespace

Rows control_flow_rows() { return kRows; }

}  // namespace graft::ops

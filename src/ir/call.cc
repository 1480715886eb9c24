// Calls, and the checks that every maker of operators shares.
#include "ir/call.h"

#include <algorithm>
#include <charconv>

#include "base/format.h"

namespace graft::ir {

Pointwise pointwise_of(const Call& call) {
  Pointwise f = call.row().def->pointwise;
  for (size_t i = 0; i < f.params.size(); ++i) {
    if (!f.params[i].empty()) f.numbers[i] = call.f(f.params[i]);
  }
  if (f.choose != nullptr) f.choose(call, f);
  return f;
}

bool Operand::never_negative() const {
  if (range.lo >= 0 || info(dtype()).kind == DTypeKind::unsigned_int) return true;
  if (!known()) return false;
  const TensorView v = elements();
  for (int64_t i = 0; i < v.count(); ++i) {
    if (element_as_int(v, i) < 0) return false;
  }
  return true;
}

void Call::set(int param, std::vector<Operand> operands) { slots_[static_cast<size_t>(param)] = std::move(operands); }

std::span<const Operand> Call::all(std::string_view param) const {
  const int i = row_->param_index(param);
  assert(i >= 0 && "the row has no such parameter");
  if (i < 0) return {};
  return slots_[static_cast<size_t>(i)];
}

const Operand& Call::in(std::string_view param) const {
  static const Type none_type;
  static const Operand none{&none_type, {}, nullptr, false, {}};
  const std::span<const Operand> list = all(param);
  return list.empty() ? none : list[0];
}

void Call::fault(std::string_view param, std::string message) const {
  if (error_) return;
  Diag d;
  d.code = Code::value_out_of_range;
  d.op = std::string(row_->name());
  d.message = format("parameter '{}' {}", param, message);
  error_ = std::move(d);
}

bool Call::known(std::string_view param) const { return !has(param) || in(param).known(); }

namespace {

std::string_view fallback_of(const OpRow& row, std::string_view param) {
  const int i = row.param_index(param);
  const std::string_view fallback = i < 0 ? std::string_view() : row.params()[static_cast<size_t>(i)].fallback;
  return fallback == "none" ? std::string_view() : fallback;
}

template <class T>
T number(std::string_view s) {
  if (s == "true") return T(1);
  if (s == "false" || s.empty()) return T(0);
  T v{};
  std::from_chars(s.data(), s.data() + s.size(), v);
  return v;
}

}  // namespace

int64_t Call::i(std::string_view param) const {
  if (!has(param)) return number<int64_t>(fallback_of(*row_, param));
  const Operand& o = in(param);
  if (!o.known() || o.elements().count() < 1) {
    fault(param, "must be known here");
    return 0;
  }
  return element_as_int(o.elements(), 0);
}

double Call::f(std::string_view param) const {
  if (!has(param)) return number<double>(fallback_of(*row_, param));
  const Operand& o = in(param);
  if (!o.known() || o.elements().count() < 1) {
    fault(param, "must be known here");
    return 0;
  }
  return element_as_double(o.elements(), 0);
}

bool Call::flag(std::string_view param) const { return i(param) != 0; }

std::string_view Call::str(std::string_view param) const {
  if (!has(param)) {
    std::string_view s = fallback_of(*row_, param);
    if (s.size() >= 2 && s.front() == '"') s = s.substr(1, s.size() - 2);
    return s;
  }
  const TensorView v = in(param).elements();
  if (!in(param).known() || v.count() != 1 || v.dtype != DType::string) {
    fault(param, "must be a known string");
    return {};
  }
  return *v.as<std::string>();
}

Ints Call::ints(std::string_view param) const {
  if (!has(param)) {
    const std::string_view s = fallback_of(*row_, param);
    if (s.empty() || s.front() != '[') return {};
    const size_t close = s.find(']');
    int count = 1;
    if (const std::string_view times = s.substr(close + 1); times.starts_with('*')) {
      const int spatial = std::max(0, in("x").rank() - 2);
      count = times == "*2S" ? 2 * spatial : spatial;
    }
    return Ints(std::min(count, Ints::capacity), number<int64_t>(s.substr(1, close - 1)));
  }
  const Operand& o = in(param);
  const TensorView elements = o.elements();
  if (!o.known() || o.rank() > 1 || elements.count() > Ints::capacity) {
    fault(param, format("must be a known list of at most {} integers", Ints::capacity));
    return {};
  }
  Ints v;
  for (int64_t k = 0; k < elements.count(); ++k) v.push_back(element_as_int(elements, k));
  return v;
}

std::optional<Dims> Call::dims(std::string_view param) const {
  if (!has(param)) return std::nullopt;
  const Operand& o = in(param);
  if (o.known()) {
    const TensorView v = o.elements();
    Dims d;
    for (int64_t k = 0; k < v.count(); ++k) d.emplace_back(element_as_int(v, k));
    return d;
  }
  if (o.type->rank() == 1 && o.dims()[0] == Dim(0)) return Dims{};
  return o.content == nullptr ? std::nullopt : std::optional<Dims>(*o.content);
}

Call Call::with_values() const {
  Call call = *this;
  for (std::vector<Operand>& operands : call.slots_) {
    for (Operand& o : operands) {
      if (o.source != nullptr) o.value = o.source->aligned_view();
    }
  }
  return call;
}

Result<Call> Call::with_values(const Bounds& bounds) const {
  for (const std::vector<Operand>& operands : slots_) {
    for (const Operand& o : operands) {
      if (o.source != nullptr) GRAFT_CHECK(o.source->aligned_view(bounds));
    }
  }
  return with_values();
}

Dim Call::fresh(IntRange range) const { return make_fresh ? make_fresh(range) : Dim::symbol("?", range); }

Result<HeapOutputs> HeapOutputs::for_types(const Types& types, std::shared_ptr<MemoryLimit> limit) {
  HeapOutputs out;
  out.limit_ = std::move(limit);
  out.views_.resize(types.size());
  out.tensors_.resize(types.size());
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i].is_sized()) GRAFT_CHECK(out.allocate(static_cast<int>(i), types[i].stored(), types[i].shape()));
  }
  return out;
}

Status HeapOutputs::allocate(int i, DType dtype, const Shape& shape) {
  GRAFT_TRY(tensors_[static_cast<size_t>(i)], Tensor::allocate(dtype, shape, limit_));
  views_[static_cast<size_t>(i)] = tensors_[static_cast<size_t>(i)].mutable_view();
  return {};
}

namespace {

tl::unexpected<Diag> bad_argument(Code code, const Call& call, std::string_view param, std::string message) {
  Diag d;
  d.code = code;
  d.op = std::string(call.row().name());
  d.message = format("argument '{}': {}", param, message);
  return fail(std::move(d));
}

Status check_dtype(const Call& call, const Signature& sig, const Param& p, const Operand& o, bool host,
                   std::vector<std::pair<std::string_view, DType>>& bound) {
  if (p.kind == Param::Kind::state) {
    if (o.type->kind == Type::Kind::state) return {};
    return bad_argument(Code::dtype_mismatch, call, p.name, format("got {}, takes a state", o.type->to_string()));
  }
  if (p.kind == Param::Kind::list) {
    const bool fits = p.constant ? o.type->is_tensor() && o.rank() == 1 : o.type->kind == Type::Kind::list;
    if (fits) return {};
    return bad_argument(Code::dtype_mismatch, call, p.name, format("got {}, takes a list", o.type->to_string()));
  }
  DTypes allowed = p.dtypes;
  const bool open = !p.letter.empty();
  if (host && (open || !call.row().def->host.empty())) allowed = allowed | call.row().def->host;
  const Type& type = *o.type;
  if (!type.is_tensor())
    return bad_argument(Code::dtype_mismatch, call, p.name, format("got {}, takes a tensor", o.type->to_string()));
  if (!allowed.has(type.dtype)) {
    return bad_argument(host ? Code::dtype_mismatch : Code::unsupported_dtype, call, p.name,
                        format("got {}, takes {}", name(type.dtype), allowed.to_string()));
  }
  if (!open) return {};
  for (const auto& [letter, dtype] : bound) {
    if (letter == p.letter && dtype != type.dtype) {
      return bad_argument(Code::dtype_mismatch, call, p.name,
                          format("got {}, but another argument of the same type is {}", name(type.dtype), name(dtype)));
    }
  }
  bound.emplace_back(p.letter, type.dtype);
  (void)sig;
  return {};
}

}  // namespace

Status check_arguments(const Call& call, const Signature& sig, bool host) {
  std::vector<std::pair<std::string_view, DType>> bound;
  const std::vector<Param>& list = call.row().params();
  for (size_t i = 0; i < list.size(); ++i) {
    const std::vector<Operand>& args = call.slots()[i];
    const Param* p = sig.find(list[i].name);
    if (p == nullptr) {  // a variant without this parameter
      if (args.empty()) continue;
      if (call.row().newest().find(list[i].name) == nullptr)
        return bad_argument(Code::invalid_model, call, list[i].name, "does not go with the other arguments");
      return bad_argument(Code::needs_later_target, call, list[i].name,
                          format("does not exist before {}", info(call.row().newest().variant->since).name));
    }
    if (p->kind == Param::Kind::block) continue;
    if (args.empty()) {
      if (!p->optional && p->kind != Param::Kind::tuple)
        return bad_argument(Code::invalid_model, call, p->name, "is missing");
      continue;
    }
    if (p->kind != Param::Kind::tuple && args.size() != 1)
      return bad_argument(Code::invalid_model, call, p->name, "takes one value");
    for (const Operand& o : args) {
      if (p->constant && !(host ? true : o.constant)) {
        return bad_argument(Code::needs_constant, call, p->name, "must be a constant");
      }
      if (p->kind == Param::Kind::tensor || p->kind == Param::Kind::state || p->kind == Param::Kind::list)
        GRAFT_CHECK(check_dtype(call, sig, *p, o, host, bound));
    }
  }
  return {};
}

Status infer(const Call& call, Types& out) {
  out.clear();
  if (call.row().def->infer == nullptr)
    return fail(Code::internal, format("row '{}' has no inference", call.row().name()));
  Status s = call.row().def->infer(call, out);
  if (s && call.error()) s = fail(*call.error());
  if (!s) {
    Diag d = std::move(s).error();
    if (d.op.empty()) d.op = std::string(call.row().name());
    return fail(std::move(d));
  }
  for (const Type& t : out) {
    if (!t.is_tensor()) continue;
    if (t.rank() > kMaxRank)
      return fail(Code::limit_exceeded, format("the result has rank {}, at most {} are supported", t.rank(), kMaxRank));
    for (const Dim& d : t.dims) {
      if (d.range().hi < 0)
        return fail(Code::shape_mismatch, format("the result would have a negative dim: {}", t.to_string()));
    }
  }
  return {};
}

}  // namespace graft::ir

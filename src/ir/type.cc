#include "ir/type.h"

#include "base/format.h"

namespace graft::ir {
namespace {

Type wrap(Type::Kind kind, Type element) {
  Type t;
  t.kind = kind;
  t.element = std::make_shared<const Type>(std::move(element));
  return t;
}

bool same(const std::shared_ptr<const Type>& a, const std::shared_ptr<const Type>& b) {
  return a == b || (a != nullptr && b != nullptr && *a == *b);
}

}  // namespace

Type Type::state(Type wrapped) { return wrap(Kind::state, std::move(wrapped)); }
Type Type::unranked(DType dtype) {
  Type t;
  t.kind = Kind::unranked;
  t.dtype = dtype;
  return t;
}
Type Type::optional(Type element, Dim length) {
  Type t = wrap(Kind::optional, std::move(element));
  t.length = std::move(length);
  return t;
}
Type Type::list(Type element, Dim length) {
  Type t = wrap(Kind::list, std::move(element));
  t.length = std::move(length);
  return t;
}
Type Type::dictionary(Type key, Type value) {
  Type t = wrap(Kind::dictionary, std::move(value));
  t.key = std::make_shared<const Type>(std::move(key));
  return t;
}

Shape Type::shape() const {
  Shape s;
  for (const Dim& d : dims) s.push_back(d.value());
  return s;
}

std::string Type::to_string() const {
  switch (kind) {
    case Kind::none: return "none";
    case Kind::tensor: return format("tensor<{}, {}>", name(dtype), ir::to_string(dims));
    case Kind::unranked: return format("tensor<{}, of any rank>", name(dtype));
    case Kind::list: return format("list<{}, {}>", element->to_string(), length.to_string());
    case Kind::state: return format("state<{}>", element->to_string());
    case Kind::dictionary: return format("dict<{}, {}>", key->to_string(), element->to_string());
    case Kind::optional: return format("optional<{}>", element->to_string());
  }
  return "none";
}

namespace {

Dim joined_dim(const Dim& a, const Dim& b, const std::function<Dim(IntRange)>& fresh) {
  if (a == b) return a;
  const IntRange p = a.range(), q = b.range();
  return fresh({std::min(p.lo, q.lo), std::max(p.hi, q.hi)});
}

}  // namespace

Type joined(const Type& a, const Type& b, const std::function<Dim(IntRange)>& fresh) {
  if (a == b) return a;
  const auto any = [](const Type& t) { return t.is_tensor() || t.kind == Type::Kind::unranked; };
  if (any(a) && any(b)) {
    if (a.dtype != b.dtype) return {};
    if (!a.is_tensor() || !b.is_tensor() || a.rank() != b.rank()) return Type::unranked(a.dtype);
    Type type = a;
    for (size_t d = 0; d < type.dims.size(); ++d) type.dims[d] = joined_dim(a.dims[d], b.dims[d], fresh);
    return type;
  }
  if (!a.is_list() || a.kind != b.kind) return {};
  const bool same_dtype = a.element->stored() == b.element->stored();
  Type element = !same_dtype          ? Type()
                 : a.length == Dim(0) ? *b.element
                 : b.length == Dim(0) ? *a.element
                                      : joined(*a.element, *b.element, fresh);
  if (element.kind == Type::Kind::none) return {};
  Type type = a;
  type.element = std::make_shared<const Type>(std::move(element));
  if (!(a.length == b.length)) type.length = unknown_length();
  return type;
}

Type with_new_sizes(Type type, const std::function<Dim(IntRange)>& fresh) {
  for (Dim& d : type.dims) {
    bool found = false;
    d.visit_symbols([&](std::string_view symbol, IntRange) { found |= symbol.starts_with('?'); });
    if (found) d = fresh(d.range());
  }
  return type;
}

bool operator==(const Type& a, const Type& b) {
  return a.kind == b.kind && a.dtype == b.dtype && a.dims == b.dims && a.length == b.length &&
         same(a.element, b.element) && same(a.key, b.key);
}

}  // namespace graft::ir

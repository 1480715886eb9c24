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
Type Type::optional(Type element) { return wrap(Kind::optional, std::move(element)); }
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
    case Kind::list: return format("list<{}, {}>", element->to_string(), length.to_string());
    case Kind::state: return format("state<{}>", element->to_string());
    case Kind::dictionary: return format("dict<{}, {}>", key->to_string(), element->to_string());
    case Kind::optional: return format("optional<{}>", element->to_string());
  }
  return "none";
}

bool operator==(const Type& a, const Type& b) {
  return a.kind == b.kind && a.dtype == b.dtype && a.dims == b.dims && a.length == b.length &&
         same(a.element, b.element) && same(a.key, b.key);
}

}  // namespace graft::ir

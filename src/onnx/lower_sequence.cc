// Sequences and optionals. One whose elements are known while the graph is lowered is resolved here: reading it gives
// the element's own value, and no list is left to run. The rest are lists at run time.
#include "base/format.h"
#include "onnx/lower_families.h"

namespace graft::onnx {
namespace {

using ir::Type;

constexpr size_t kMostKnown = 1024;  // elements that are worth an operator each

std::string_view dtype_name(const Value* v) { return name(v->dtype()); }

// What is in a sequence; nullptr where only the run knows.
const Values* elements_of(const Value* list) {
  const ir::Op* op = list->producer;
  return op != nullptr && op->type() == "host_sequence" ? &op->args[0] : nullptr;
}
Value* sequence_of(OpBuilder& b, Values values, std::string_view dtype) {
  return b.emit("host_sequence", {{"values", std::move(values)}, {"dtype", dtype}});
}
std::string_view dtype_of_elements(const Value* list) { return name(list->type.element->dtype); }

bool is_sequence(NodeView& n, const Value* v) {
  if (v->type.kind == Type::Kind::list) return true;
  n.refuse(Code::dtype_mismatch, format("got {}, takes a sequence", v->type.to_string()));
  return false;
}

// A constant place among `count`, -1 counting from the end; nullopt where it is none, or no place.
std::optional<size_t> known_place(const Value* index, size_t count) {
  if (index == nullptr || !index->is_constant() || index->constant->count() != 1 || !is_int(index->dtype()))
    return std::nullopt;
  const int64_t given = element_as_int(index->constant->view(), 0), n = static_cast<int64_t>(count);
  const int64_t place = given < 0 ? given + n : given;
  return place < 0 || place >= n ? std::nullopt : std::optional(static_cast<size_t>(place));
}

Values construct(NodeView& n, OpBuilder& b) {
  Values values = n.all();
  if (!b.ok()) return {n.refused()};
  const std::string_view dtype = dtype_name(values[0]);
  return {sequence_of(b, std::move(values), dtype)};
}

Values empty(NodeView& n, OpBuilder& b) {
  const DType dtype = n.dtype("dtype", DType::f32);
  return {sequence_of(b, {}, name(dtype))};
}

Values at(NodeView& n, OpBuilder& b) {
  Value *list = n.in(0), *index = n.in(1);
  if (!b.ok() || !is_sequence(n, list)) return {n.refused()};
  if (const Values* known = elements_of(list)) {
    if (const auto place = known_place(index, known->size())) return {(*known)[*place]};
  }
  return {b.emit("host_sequence_at", {{"ls", list}, {"index", index}})};
}

Values insert(NodeView& n, OpBuilder& b) {
  Value *list = n.in(0), *value = n.in(1), *index = n.optional_in(2);
  if (!b.ok() || !is_sequence(n, list)) return {n.refused()};
  if (const Values* known = elements_of(list); known != nullptr && known->size() < kMostKnown) {
    // A place behind the last one is one, too.
    std::optional<size_t> place = index == nullptr ? known->size() : known_place(index, known->size());
    if (!place && index != nullptr && index->is_constant() && index->constant->count() == 1 &&
        element_as_int(index->constant->view(), 0) == static_cast<int64_t>(known->size()))
      place = known->size();
    if (place) {
      Values values = *known;
      values.insert(values.begin() + static_cast<std::ptrdiff_t>(*place), value);
      return {sequence_of(b, std::move(values), dtype_of_elements(list))};
    }
  }
  return {b.emit("host_sequence_insert", {{"ls", list}, {"value", value}, {"index", index}})};
}

Values erase(NodeView& n, OpBuilder& b) {
  Value *list = n.in(0), *index = n.optional_in(1);
  if (!b.ok() || !is_sequence(n, list)) return {n.refused()};
  if (const Values* known = elements_of(list); known != nullptr && !known->empty()) {
    const std::optional<size_t> place = index == nullptr ? known->size() - 1 : known_place(index, known->size());
    if (place) {
      Values values = *known;
      values.erase(values.begin() + static_cast<std::ptrdiff_t>(*place));
      return {sequence_of(b, std::move(values), dtype_of_elements(list))};
    }
  }
  return {b.emit("host_sequence_erase", {{"ls", list}, {"index", index}})};
}

Values length(NodeView& n, OpBuilder& b) {
  Value* list = n.in(0);
  if (!b.ok() || !is_sequence(n, list)) return {n.refused()};
  return {b.cast(b.emit("list_length", {{"ls", list}}), n.inside(DType::i64))};
}

// The sizes of the parts, where all of them are known.
std::optional<std::vector<int64_t>> known_parts(const Value* split, const Dim& size) {
  if (!size.known()) return std::nullopt;
  std::vector<int64_t> parts;
  int64_t left = size.value(), each = 1;
  if (split != nullptr) {
    if (!split->is_constant() || split->rank() > 1 || !is_int(split->dtype())) return std::nullopt;
    const TensorView view = split->constant->view();
    if (view.rank() == 1) {
      for (int64_t i = 0; i < view.count() && parts.size() <= kMostKnown; ++i) {
        parts.push_back(element_as_int(view, i));
        if (parts.back() < 0 || parts.back() > left) return std::nullopt;
        left -= parts.back();
      }
      return left == 0 && !parts.empty() && parts.size() <= kMostKnown ? std::optional(parts) : std::nullopt;
    }
    each = element_as_int(view, 0);
  }
  if (each <= 0 || left == 0 || static_cast<size_t>((left - 1) / each) >= kMostKnown) return std::nullopt;
  for (; left > 0; left -= each) parts.push_back(std::min(each, left));
  return parts;
}

Values split(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *sizes = n.optional_in(1);
  if (!b.ok()) return {n.refused()};
  const int axis = n.axis("axis", 0, x->rank());
  const bool keeps = n.flag("keepdims", true);
  if (!b.ok()) return {n.refused()};
  const auto parts = known_parts(sizes, x->dim(axis));
  if (!parts) {
    return {b.emit("host_sequence_split", {{"x", x}, {"split", sizes}, {"axis", axis}, {"keepdims", keeps}})};
  }
  Values values{x};
  if (parts->size() > 1)
    values = b.emit_all("split", std::initializer_list<ir::Arg>{{"x", x}, {"split_sizes", *parts}, {"axis", axis}});
  if (sizes == nullptr && !keeps) {
    for (Value*& v : values) v = b.squeeze(v, Ints{axis});
  }
  return {sequence_of(b, std::move(values), dtype_name(x))};
}

Values concat(NodeView& n, OpBuilder& b) {
  Value* list = n.in(0);
  const int64_t given = n.required_i("axis");
  const bool stacks = n.flag("new_axis");
  if (!b.ok() || !is_sequence(n, list)) return {n.refused()};
  const Values* known = elements_of(list);
  const auto joins = [&](const Value* v) { return v->type.is_tensor() && v->rank() == (*known)[0]->rank(); };
  if (known != nullptr && !known->empty() && std::all_of(known->begin(), known->end(), joins)) {
    const int axis = n.axis("axis", 0, (*known)[0]->rank() + (stacks ? 1 : 0));
    if (!b.ok()) return {n.refused()};
    Values values = *known;
    if (stacks) {
      for (Value*& v : values) v = b.expand_dims(v, Ints{axis});
    }
    return {b.concat(values, axis)};
  }
  return {b.emit("host_sequence_concat", {{"ls", list}, {"axis", given}, {"new_axis", stacks}})};
}

// ---- optionals ----------------------------------------------------------------------------------------------------

Values optional(NodeView& n, OpBuilder& b) {
  if (n.has(0)) return {b.emit("host_optional", {{"x", n.in(0)}})};
  const Attribute* a = n.attr("type");
  if (a == nullptr || a->types.size() != 1)
    return {n.refuse(Code::invalid_attribute, "an optional without a value needs the attribute 'type'")};
  const ValueType* type = &a->types[0];
  const bool sequence = type->kind == ValueType::Kind::sequence && type->element != nullptr;
  if (sequence) type = type->element.get();
  if (type->kind != ValueType::Kind::tensor || type->dtype == DType::invalid)
    return {n.refuse(Code::invalid_attribute, "'type' must be a tensor or a sequence of tensors")};
  return {b.emit("host_optional", {{"dtype", name(type->dtype)}, {"sequence", sequence}})};
}

Values optional_element(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  if (!b.ok() || x->type.kind != Type::Kind::optional) return {x};
  const ir::Op* op = x->producer;
  if (op != nullptr && op->type() == "host_optional" && op->arg("x") != nullptr) return {op->arg("x")};
  return {b.emit("host_optional_element", {{"x", x}})};
}

Values optional_has(NodeView& n, OpBuilder& b) {
  const auto known = [&](bool has) {
    return Values{b.constant(ir::Constant::int_scalar(DType::boolean, has ? 1 : 0))};
  };
  if (!n.has(0)) return known(false);
  Value* x = n.in(0);
  if (!b.ok()) return {n.refused()};
  if (x->type.kind != Type::Kind::optional) return known(true);
  if (x->type.length.known()) return known(x->type.length.value() != 0);
  return {b.emit("host_optional_has", {{"x", x}})};
}

constexpr Lowering row(std::string_view op, std::span<const int> versions, std::string_view signature,
                       Values (*lower)(NodeView&, OpBuilder&), bool any_rank = false) {
  return {
      .domain = "", .op_type = op, .versions = versions, .signature = signature, .lower = lower, .any_rank = any_rank};
}
constexpr Lowering kRows[] = {
    row("SequenceConstruct", kSince<11>, "inputs+ -> output_sequence", construct, true),
    row("SequenceEmpty", kSince<11>, "-> output; dtype", empty),
    row("SequenceAt", kSince<11>, "input_sequence position -> tensor", at),
    row("SequenceInsert", kSince<11>, "input_sequence tensor position? -> output_sequence", insert, true),
    row("SequenceErase", kSince<11>, "input_sequence position? -> output_sequence", erase),
    row("SequenceLength", kSince<11>, "input_sequence -> length", length),
    row("SplitToSequence", kSince<11, 24>, "input split? -> output_sequence; axis keepdims", split),
    row("ConcatFromSequence", kSince<11>, "input_sequence -> concat_result; axis new_axis", concat),
    row("Optional", kSince<15, 28>, "input? -> output; type", optional, true),
    row("OptionalGetElement", kSince<15, 18, 28>, "input -> output", optional_element, true),
    row("OptionalHasElement", kSince<15, 18, 28>, "input<18 input?@18 -> output", optional_has, true),
};

}  // namespace

LoweringRows sequence_lowerings() { return kRows; }

}  // namespace graft::onnx

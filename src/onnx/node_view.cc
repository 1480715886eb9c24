#include "onnx/node_view.h"

#include <algorithm>
#include <unordered_set>

#include "base/format.h"
#include "onnx/deferred.h"
#include "onnx/lowerer.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

std::string listed(std::string_view name, size_t got) { return format("{} ({} given)", name, got); }

}  // namespace

Value* NodeView::in(int i) {
  if (!has(i)) {
    return refuse(Code::invalid_model, listed(format("input {} is missing", i), node_.inputs.size()));
  }
  Value* v = lowerer_.value(node_.inputs[static_cast<size_t>(i)]);
  if (v->poison && b_.ok()) {
    return refuse(Code::unknown_type, format("the type of '{}' is not known behind a node that cannot be taken",
                                             node_.inputs[static_cast<size_t>(i)]));
  }
  return v;
}

Values NodeView::all(int from) {
  Values v;
  for (int i = from; i < inputs(); ++i) v.push_back(in(i));
  return v;
}

Value* NodeView::in_saturated(int i) {
  if (!has(i)) return in(i);
  if (const ir::ConstantPtr c = lowerer_.constant_of(node_.inputs[static_cast<size_t>(i)])) {
    return lowerer_.constant(c, node_.inputs[static_cast<size_t>(i)], true);
  }
  return in(i);
}

Value* NodeView::second() {
  Value *x = in(0), *y = in(1);
  if (version() >= 7 || !has_attr("axis") || !flag("broadcast")) return y;
  const int behind = x->rank() - axis("axis", 0, x->rank(), true) - y->rank();
  if (behind < 0)
    return refuse(Code::shape_mismatch, format("{} does not fit into {} from axis {} on", y->type.to_string(),
                                               x->type.to_string(), i("axis", 0)));
  Ints ones;
  for (int d = 0; d < behind; ++d) ones.push_back(y->rank() + d);
  return b_.expand_dims(y, ones);
}

DType NodeView::onnx_dtype(int i) {
  const DType t = lowerer_.onnx_dtype(node_.inputs[static_cast<size_t>(i)]);
  return t != DType::invalid ? t : in(i)->dtype();
}

std::optional<std::vector<int64_t>> NodeView::const_ints(int i, std::string_view what) {
  if (!has(i)) return std::nullopt;
  std::vector<int64_t> v;
  if (const ir::ConstantPtr c = lowerer_.constant_of(node_.inputs[static_cast<size_t>(i)])) {
    const TensorView view = c->view();
    if (!is_int(view.dtype)) {
      refuse(Code::dtype_mismatch, format("{} is {}, takes integers", what, describe(view.dtype, view.shape)));
      return v;
    }
    if (view.count() > (int64_t{1} << 20)) {
      refuse(Code::limit_exceeded, format("{} has {} entries", what, view.count()));
      return v;
    }
    for (int64_t k = 0; k < view.count(); ++k) v.push_back(element_as_int(view, k));
    return v;
  }
  const Value* x = in(i);
  if (!b_.ok() || ir::product(x->dims()) == Dim(0)) return v;
  if (x->content && ir::all_known(*x->content)) {
    for (const Dim& d : *x->content) v.push_back(d.value());
    return v;
  }
  refuse(Code::needs_constant,
         format("{} (input '{}') must be a constant", what, node_.inputs[static_cast<size_t>(i)]));
  return v;
}

std::optional<NodeView::IntList> NodeView::int_list(int i, std::string_view what, std::optional<int64_t> length) {
  if (!has(i)) return std::nullopt;
  const auto known = [&] {
    IntList list{const_ints(i, what).value_or(std::vector<int64_t>())};
    return b_.ok() ? std::optional(std::move(list)) : std::nullopt;
  };
  if (lowerer_.constant_of(node_.inputs[static_cast<size_t>(i)]) != nullptr) return known();
  Value* v = in(i);
  if (!b_.ok()) return std::nullopt;
  if (v->is_constant() || ir::product(v->dims()) == Dim(0) || (v->content && ir::all_known(*v->content)))
    return known();
  if (!is_int(v->dtype())) {
    refuse(Code::dtype_mismatch, format("{} is {}, takes integers", what, v->type.to_string()));
    return std::nullopt;
  }
  if (v->rank() == 1 && length && *length >= 0) v = of_length(b_, v, *length);
  if (v->rank() != 1 || !v->dim(0).known()) {
    refuse(Code::dynamic_shape, format("{} must be a list of known length, got {}", what, v->type.to_string()));
    return std::nullopt;
  }
  return IntList{{}, v};
}

std::optional<int64_t> NodeView::length(int i) {
  if (!has(i)) return std::nullopt;
  if (const ir::ConstantPtr c = lowerer_.constant_of(node_.inputs[static_cast<size_t>(i)]))
    return c->shape().size() == 1 ? std::optional(c->shape()[0]) : std::nullopt;
  const Value* v = in(i);
  return v->rank() == 1 && v->dim(0).known() ? std::optional(v->dim(0).value()) : std::nullopt;
}

std::optional<int64_t> NodeView::const_int(int i, std::string_view what) {
  if (!has(i)) return std::nullopt;
  const ir::ConstantPtr c = lowerer_.constant_of(node_.inputs[static_cast<size_t>(i)]);
  if (c == nullptr || c->count() != 1) {
    refuse(Code::needs_constant,
           format("{} (input '{}') must be a constant of one element", what, node_.inputs[static_cast<size_t>(i)]));
    return 0;
  }
  return element_as_int(c->view(), 0);
}

std::optional<Dims> NodeView::dims(int i) {
  const Value* x = in(i);
  if (x->rank() > 1 || !is_int(x->dtype())) return std::nullopt;
  if (x->is_constant()) {
    Dims d;
    const TensorView view = x->constant->view();
    for (int64_t k = 0; k < view.count(); ++k) d.emplace_back(element_as_int(view, k));
    return d;
  }
  return x->content;
}

std::optional<NodeView::Axes> NodeView::axes(int input_since, int rank, std::optional<int64_t> length) {
  std::optional<IntList> given;
  if (version() >= input_since) {
    given = int_list(1, "axes", length);
  } else if (has_attr("axes")) {
    given = IntList{ints("axes")};
  }
  if (!given) return std::nullopt;
  if (given->list != nullptr) return Axes{{}, given->list};
  std::vector<int64_t>& list = given->numbers;
  std::sort(list.begin(), list.end());
  Ints out;
  for (int64_t a : list) {
    if (a < -rank || a >= rank || list.size() > static_cast<size_t>(Ints::capacity)) {
      refuse(Code::value_out_of_range, format("axis {} is outside -{}..{}", a, rank, rank - 1));
      return Axes{};
    }
    out.push_back(a < 0 ? a + rank : a);
  }
  std::sort(out.begin(), out.end());
  out.resize(static_cast<int>(std::unique(out.begin(), out.end()) - out.begin()));
  return Axes{out};
}

int NodeView::axis(std::string_view attribute, int64_t fallback, int rank, bool allow_rank) {
  const int64_t a = i(attribute, fallback);
  if (a < -rank || a > rank || (a == rank && !allow_rank)) {
    refuse(Code::value_out_of_range,
           format("{} {} is outside -{}..{}", attribute, a, rank, allow_rank ? rank : rank - 1));
    return 0;
  }
  return static_cast<int>(a < 0 ? a + rank : a);
}

const Attribute* NodeView::attr(std::string_view attribute) const { return node_.find(attribute); }

const Attribute* NodeView::typed(std::string_view attribute, Attribute::Type type) {
  const Attribute* a = attr(attribute);
  if (a != nullptr && a->type != type) {
    refuse(Code::invalid_attribute,
           format("attribute '{}' is of type {}, must be {}", attribute, onnx::name(a->type), onnx::name(type)));
    return nullptr;
  }
  return a;
}

int64_t NodeView::i(std::string_view attribute, int64_t fallback) {
  const Attribute* a = typed(attribute, Attribute::Type::int_);
  return a == nullptr ? fallback : a->i;
}

int64_t NodeView::required_i(std::string_view attribute) {
  if (!has_attr(attribute)) refuse(Code::invalid_attribute, format("attribute '{}' is required", attribute));
  return i(attribute, 0);
}

double NodeView::f(std::string_view attribute, double fallback) {
  const Attribute* a = typed(attribute, Attribute::Type::float_);
  return a == nullptr ? fallback : static_cast<double>(a->f);
}

std::string NodeView::s(std::string_view attribute, std::string_view fallback) {
  const Attribute* a = typed(attribute, Attribute::Type::string);
  return a == nullptr ? std::string(fallback) : a->s;
}

std::vector<int64_t> NodeView::ints(std::string_view attribute, std::vector<int64_t> fallback) {
  const Attribute* a = typed(attribute, Attribute::Type::ints);
  return a == nullptr ? std::move(fallback) : a->ints;
}

std::vector<double> NodeView::floats(std::string_view attribute, std::vector<double> fallback) {
  const Attribute* a = typed(attribute, Attribute::Type::floats);
  return a == nullptr ? std::move(fallback) : std::vector<double>(a->floats.begin(), a->floats.end());
}

std::vector<std::string> NodeView::strings(std::string_view attribute, std::vector<std::string> fallback) {
  const Attribute* a = typed(attribute, Attribute::Type::strings);
  return a == nullptr ? std::move(fallback) : a->strings;
}

DType NodeView::dtype(std::string_view attribute, DType fallback) {
  if (!has_attr(attribute)) return inside(fallback);
  const DType t = dtype_from_onnx(static_cast<int>(std::clamp<int64_t>(i(attribute, 0), 0, 1000)));
  if (t == DType::invalid)
    refuse(Code::invalid_attribute, format("attribute '{}' is no element type: {}", attribute, i(attribute, 0)));
  return inside(t);
}

DType NodeView::dtype_by_name(std::string_view attribute) {
  constexpr std::pair<std::string_view, DType> kNames[] = {
      {"FLOAT", DType::f32},   {"UINT8", DType::u8},   {"INT8", DType::i8},    {"UINT16", DType::u16},
      {"INT16", DType::i16},   {"INT32", DType::i32},  {"INT64", DType::i64},  {"BOOL", DType::boolean},
      {"FLOAT16", DType::f16}, {"DOUBLE", DType::f64}, {"UINT32", DType::u32}, {"UINT64", DType::u64}};
  const std::string given = s(attribute, "");
  for (const auto& [text, dtype] : kNames) {
    if (text == given) return inside(dtype);
  }
  refuse(Code::invalid_attribute, format("attribute '{}' is no element type: '{}'", attribute, given));
  return DType::f32;
}

const IntRange* NodeView::limit(int i) const {
  if (lowerer_.limits == nullptr) return nullptr;
  const auto at = lowerer_.limits->find(node_.outputs[static_cast<size_t>(i)]);
  return at == lowerer_.limits->end() ? nullptr : &at->second;
}

std::optional<int> NodeView::stated_rank(int i) const {
  return lowerer_.stated_rank(node_.outputs[static_cast<size_t>(i)]);
}

std::optional<int64_t> NodeView::stated_loss(int rank) const {
  const std::optional<int> stated = stated_rank(0);
  return stated ? std::optional<int64_t>(rank - *stated) : std::nullopt;
}

int NodeView::nested() const { return lowerer_.depth(); }

std::optional<Values> NodeView::put_off(ir::Types results) {
  if (!b_.target().host() || lowerer_.deferrals > 0) return std::nullopt;
  return defer(lowerer_, node_, std::move(results));
}

std::optional<Values> NodeView::put_off_sizes(DType dtype, const std::vector<int>& ranks) {
  ir::Types results;
  for (const int rank : ranks) {
    ir::Type t = ir::Type::tensor(dtype, ir::Dims{});
    for (int d = 0; d < rank; ++d) t.dims.push_back(ir::Dim::symbol(b_.function().fresh_symbol(), kAnySize));
    results.push_back(std::move(t));
  }
  return put_off(std::move(results));
}

std::optional<Values> NodeView::put_off_for(const Value* shape, DType result) {
  if (shape->rank() != 1 || shape->dim(0).known()) return std::nullopt;
  return put_off({ir::Type::unranked(result)});
}

const Graph* NodeView::body(std::string_view attribute) {
  const Attribute* a = typed(attribute, Attribute::Type::graph);
  if (a == nullptr || a->g == nullptr) {
    refuse(Code::invalid_attribute, format("attribute '{}' must hold a graph", attribute));
    return nullptr;
  }
  return a->g.get();
}

Values NodeView::inline_body(const Graph& graph, std::span<Value* const> body_inputs) {
  return lowerer_.lower_body(graph, body_inputs);
}

std::unique_ptr<ir::Block> NodeView::block_of(const Graph& graph) {
  return block_of({}, [&] { return inline_body(graph); });
}

std::unique_ptr<ir::Block> NodeView::block_of(Values block_inputs, const std::function<Values()>& emit) {
  auto block = std::make_unique<ir::Block>();
  block->function = &b_.function();
  block->inputs = std::move(block_inputs);
  ir::Builder::BlockScope scope(b_, *block);
  block->outputs = emit();
  // A block returns results of its own: what is defined around it, or returned already, goes through an identity.
  std::unordered_set<const ir::Op*> own;
  for (const auto& op : block->ops) own.insert(op.get());
  std::unordered_set<const Value*> returned;
  for (Value*& v : block->outputs) {
    if (!v->is_constant() && (!own.contains(v->producer) || !returned.insert(v).second)) v = b_.identity(v);
    if (!b_.ok()) break;
  }
  return block;
}

Value* NodeView::constant(ir::ConstantPtr c, bool saturate) { return lowerer_.constant(c, "", saturate); }

}  // namespace graft::onnx

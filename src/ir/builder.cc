#include "ir/builder.h"

#include <algorithm>

#include "base/format.h"

namespace graft::ir {
namespace {

// Folding may not blow a small file up into a huge constant: results above this size must not be larger than what they
// were made from.
constexpr size_t kFoldFreely = 64 << 10;
// Integer tensors whose content is tracked symbolically: shapes, sizes, indices.
constexpr int64_t kMaxContent = 64;

DType literal_dtype(const Param& p, const std::vector<std::pair<std::string_view, DType>>& letters, DType plain) {
  for (const auto& [letter, dtype] : letters) {
    if (!p.letter.empty() && letter == p.letter) return dtype;
  }
  if (p.dtypes.has(plain) || p.dtypes.empty()) return plain;
  for (DType t : {DType::i32, DType::u32, DType::f32, DType::f16, DType::boolean, DType::string, DType::u8, DType::i8,
                  DType::u16}) {
    if (p.dtypes.has(t)) return t;
  }
  return plain;
}

// The dtype for numbers that may come straight from a model: int64 where t cannot hold one of them, which the row or
// the target then judges.
DType wide_enough(DType t, std::span<const int64_t> numbers) {
  const IntRange fits = int_range(t);
  const auto outside = [&](int64_t v) { return v < fits.lo || v > fits.hi; };
  return std::any_of(numbers.begin(), numbers.end(), outside) ? DType::i64 : t;
}

// Of a float: rounding in its dtype carries no element outside. Without an end from 2^53 on.
IntRange real_range(IntRange r, DType t) {
  constexpr int64_t kEnd = int64_t{1} << 53;
  const int digits = significand_digits(t);
  if (digits == 0) return {};
  const auto widened = [&](int64_t bound, int64_t sign) {
    const int64_t size = std::abs(bound);
    return size >> digits == 0 ? bound : bound + sign * (size >> (digits - 1));
  };
  if (r.lo <= -kEnd || r.lo >= kEnd) r.lo = INT64_MIN;
  if (r.hi <= -kEnd || r.hi >= kEnd) r.hi = INT64_MAX;
  return {r.lo == INT64_MIN ? r.lo : widened(r.lo, -1), r.hi == INT64_MAX ? r.hi : widened(r.hi, 1)};
}

}  // namespace

Builder::Builder(Function& function, const OpTable& table, Target target, Bounds bounds)
    : function_(&function), block_(&function.body), table_(&table), target_(target), bounds_(std::move(bounds)) {}

Value* Builder::refuse(Diag diag) {
  if (!failure_) failure_ = std::move(diag);
  return function_->poison();
}

Value* Builder::refuse(Code code, std::string message) {
  Diag d;
  d.code = code;
  d.message = std::move(message);
  return refuse(std::move(d));
}

void Builder::rollback(const Mark& m) {
  block_ = m.block;
  block_->ops.resize(m.ops);
  needed_ = m.needed;
  clear_failure();
}

Value* Builder::ints(std::span<const int64_t> v, DType dtype) {
  return constant(Constant::ints(wide_enough(dtype, v), v));
}

Value* Builder::constant(ConstantPtr c, std::string name) {
  Value* v = function_->new_constant(std::move(c), std::move(name));
  v->origin = origin_;
  return v;
}

Value* Builder::literal(const Arg& arg, const Param& p,
                        const std::vector<std::pair<std::string_view, DType>>& letters) {
  struct Make {
    const Param& p;
    const std::vector<std::pair<std::string_view, DType>>& letters;
    ConstantPtr operator()(std::monostate) const { return nullptr; }
    ConstantPtr operator()(const Values&) const { return nullptr; }
    ConstantPtr operator()(int64_t v) const {
      const DType t = literal_dtype(p, letters, DType::i32);
      return is_float(t) ? Constant::scalar(t, static_cast<double>(v))
                         : Constant::int_scalar(wide_enough(t, {&v, 1}), v);
    }
    ConstantPtr operator()(double v) const { return Constant::scalar(literal_dtype(p, letters, DType::f32), v); }
    ConstantPtr operator()(bool v) const { return Constant::int_scalar(DType::boolean, v); }
    ConstantPtr operator()(const std::string& v) const { return Constant::text(v); }
    ConstantPtr operator()(const std::vector<int64_t>& v) const {
      return Constant::ints(wide_enough(literal_dtype(p, letters, DType::i32), v), v);
    }
    ConstantPtr operator()(const std::vector<bool>& v) const {
      std::vector<int64_t> ints(v.begin(), v.end());
      return Constant::ints(DType::boolean, ints);
    }
  };
  ConstantPtr c = std::visit(Make{p, letters}, arg.value);
  return c == nullptr ? nullptr : constant(std::move(c));
}

Status Builder::bind(const OpRow& row, std::span<const Arg> args, Op& op) {
  op.row = &row;
  op.args.resize(row.params().size());
  op.origin = origin_;
  std::vector<std::pair<std::string_view, DType>> letters;
  for (const Arg& a : args) {
    const int i = row.param_index(a.name);
    if (i < 0) return fail(Code::internal, format("{} has no parameter '{}'", row.name(), a.name));
    const Param& p = row.params()[static_cast<size_t>(i)];
    if (const auto* values = std::get_if<Values>(&a.value)) {
      op.args[static_cast<size_t>(i)] = *values;
      if (!p.letter.empty() && !values->empty()) letters.emplace_back(p.letter, (*values)[0]->dtype());
    }
  }
  for (const Arg& a : args) {
    const size_t i = static_cast<size_t>(row.param_index(a.name));
    if (Value* v = literal(a, row.params()[i], letters)) op.args[i] = {v};
  }
  return {};
}

Value* Builder::result_value(Call& call, size_t result, Type type) {
  const bool tensor = type.is_tensor();
  Value* v = function_->new_value(std::move(type));
  if (!tensor || call.row().def->range == nullptr) return v;
  call.result = result;
  const IntRange r = call.row().def->range(call);
  if (is_float(v->dtype()))
    v->range = real_range(r, v->dtype());
  else if (is_int(v->dtype()) || v->dtype() == DType::boolean)
    v->range = {std::max(r.lo, v->range.lo), std::min(r.hi, v->range.hi)};
  return v;
}

bool Builder::fold_empty(const Op& op, const Types& types, Values& results) {
  const bool empty = std::all_of(types.begin(), types.end(), [](const Type& t) {
    return t.is_tensor() && t.is_static() && checked_count(t.shape()) == 0;
  });
  if (types.empty() || !empty || op.row->def->effects != Effects::none) return false;
  Provenance origin = origin_;
  for (const auto& arg : op.args) {
    for (const Value* v : arg) {
      if (!v->type.is_static()) return false;  // sizes of a run may make it impossible
      origin.merge(v->origin);
    }
  }
  for (const Type& t : types) {
    results.push_back(constant(Constant::of(Tensor(t.dtype, t.shape()))));
    results.back()->origin = origin;
  }
  return true;
}

bool Builder::fold(const Op& op, const Call& call, const Types& types, Values& results) {
  const OpDef& def = *op.row->def;
  if (fold_empty(op, types, results)) return true;
  if (def.reference == nullptr || def.effects != Effects::none) return false;
  size_t input_bytes = 0, output_bytes = 0, source_bytes = 0;
  int depth = 0;
  Provenance origin = origin_;
  for (const auto& arg : op.args) {
    for (const Value* v : arg) {
      if (!v->is_constant()) return false;
      depth = std::max(depth, v->constant->depth());
      input_bytes += v->constant->bytes();
      source_bytes = std::max(source_bytes, v->constant->source_bytes());
      origin.merge(v->origin);
    }
  }
  const auto is_static = [](const Type& t) { return t.is_static(); };
  if (def.lazy != nullptr && depth < Constant::kMaxDepth && std::all_of(types.begin(), types.end(), is_static)) {
    for (ConstantPtr& c : def.lazy(call, types)) results.push_back(constant(std::move(c)));
    for (Value* v : results) v->origin = origin;
    if (!results.empty()) return true;
  }
  for (const Type& t : types) {
    if (!t.is_tensor()) return false;
    if (t.is_static()) {
      const Shape s = t.shape();
      const int64_t n = checked_count(s);
      if (n < 0) return false;
      output_bytes += byte_size(t.dtype, n);
    }
  }
  if (output_bytes > std::max(kFoldFreely, input_bytes)) return false;
  std::optional<Diag> failed;
  std::vector<Tensor> made;
  const bool folded = folding_.fold(source_bytes, input_bytes + output_bytes,
                                    [&](int64_t& allowance) { failed = compute(def, call, types, allowance, made); });
  if (failed && (failed->code == Code::memory_limit || !check(bounds_.cancel))) {
    failed->op = std::string(op.type());
    results = {refuse(std::move(*failed))};
    return true;
  }
  if (!folded || failed || !std::all_of(made.begin(), made.end(), [](const Tensor& t) { return t.valid(); }))
    return false;
  for (const Tensor& t : made) {
    results.push_back(constant(Constant::folded(t, source_bytes)));
    results.back()->origin = origin;
  }
  return true;
}

// By the reference kernel; the error is what the kernel says, or what it was cut off by.
std::optional<Diag> Builder::compute(const OpDef& def, const Call& call, const Types& types, int64_t& allowance,
                                     std::vector<Tensor>& made) const {
  Result<HeapOutputs> out = HeapOutputs::for_types(types, bounds_.memory);
  if (!out) return std::move(out).error();
  Result<Call> full = call.with_values(bounds_);
  if (!full) return std::move(full).error();
  full->cancel = bounds_.cancel;
  full->allowance = &allowance;
  const Status computed = def.reference(*full, *out);
  if (Status s = check(bounds_.cancel); !s) return std::move(s).error();
  if (!computed) return computed.error();
  for (size_t i = 0; i < types.size(); ++i) made.push_back(out->take(static_cast<int>(i)));
  return std::nullopt;
}

Value* Builder::emit(std::string_view op, Args args) {
  const Values v = emit_all(op, args);
  return v.size() == 1 ? v[0] : refuse(Code::internal, format("{} has {} results", op, v.size()));
}

Values Builder::emit_all(std::string_view op, Args args) {
  return emit_all(op, std::span<const Arg>(args.begin(), args.size()));
}

Values Builder::emit_all(std::string_view op_name, std::span<const Arg> args) {
  const auto poison = [&](Diag d) {
    if (d.op.empty()) d.op = std::string(op_name);
    return Values{refuse(std::move(d))};
  };
  if (failure_) return {function_->poison()};
  if (Status s = check(bounds_.cancel); !s) return poison(std::move(s).error());
  for (const Arg& a : args) {
    if (const auto* values = std::get_if<Values>(&a.value)) {
      for (const Value* v : *values) {
        if (v->poison) return {refuse(Code::internal, format("{} takes the result of something refused", op_name))};
      }
    }
  }
  const OpRow* row = table_->find(op_name);
  if (row == nullptr) return {refuse(Code::internal, format("no row for operator '{}'", op_name))};
  if (Status s = target_.has(*row); !s) return poison(std::move(s).error());
  auto op = std::make_unique<Op>();
  if (Status s = bind(*row, args, *op); !s) return poison(std::move(s).error());

  Call call = call_of(*op, [this](IntRange r) { return Dim::symbol(function_->fresh_symbol(), r); });
  Types types;
  Status s = check_arguments(call, row->form_of(call), true);
  if (s) s = infer(call, types);
  if (!s) return poison(std::move(s).error());

  Values results;
  if (fold(*op, call, types, results)) return results;
  if (s = legal(call, types); !s) return poison(std::move(s).error());

  if (types.size() == 1 && row->def->symbolic != nullptr && types[0].is_static() && types[0].rank() <= 1 &&
      is_int(types[0].dtype) && types[0].shape().product() <= kMaxContent) {
    Dims content;
    if (row->def->symbolic(call, content)) {
      if (all_known(content) && row->def->effects == Effects::none) {
        std::vector<int64_t> values;
        for (const Dim& d : content) values.push_back(d.value());
        ConstantPtr c = Constant::ints(types[0].dtype, values);
        if (types[0].rank() == 0) c = Constant::reshape(std::move(c), Shape{});
        return {constant(std::move(c))};
      }
      results = {result_value(call, 0, types[0])};
      IntRange r{INT64_MAX, INT64_MIN};
      for (const Dim& d : content) r = {std::min(r.lo, d.range().lo), std::max(r.hi, d.range().hi)};
      if (!content.empty())
        results[0]->range = {std::max(r.lo, results[0]->range.lo), std::min(r.hi, results[0]->range.hi)};
      results[0]->content = std::move(content);
    }
  }
  if (results.empty()) {
    for (size_t i = 0; i < types.size(); ++i) results.push_back(result_value(call, i, std::move(types[i])));
  }
  for (size_t i = 0; i < results.size(); ++i) {
    results[i]->producer = op.get();
    results[i]->result = static_cast<int>(i);
  }
  op->results = results;
  block_->ops.push_back(std::move(op));
  return results;
}

Status Builder::legal(const Call& call, const Types& types) {
  if (target_.host()) return {};
  GRAFT_TRY(const Opset since, target_.accepts(call, types));
  if (keeps_to_defined_ && call.row().def->defined != nullptr) GRAFT_CHECK(call.row().def->defined(call));
  needed_ = std::max(needed_, since);
  return {};
}

namespace {
// Files tell unknown sizes from known ones, and not from each other.
bool same_in_files(const Type& a, const Type& b) {
  return a.is_tensor() && b.is_tensor() &&
         std::equal(a.dims.begin(), a.dims.end(), b.dims.begin(), b.dims.end(),
                    [](const Dim& x, const Dim& y) { return x == y || (!x.known() && !y.known()); });
}
}  // namespace

// Core ML wants one type of a result, whichever block gave it.
Status Builder::legal(std::span<const std::unique_ptr<Block>> blocks, const Types& results) const {
  if (target_.host()) return {};
  for (const auto& block : blocks) {
    for (size_t i = 0; i < results.size() && block->outputs.size() == results.size(); ++i) {
      const Type& got = block->outputs[i]->type;
      if (got == results[i] || got.dtype != results[i].dtype || got.rank() != results[i].rank()) continue;
      if (got.is_list() && results[i].is_list() && *got.element == *results[i].element) continue;
      if (blocks[0]->inputs.empty() && same_in_files(got, results[i])) continue;  // not of what a loop carries
      return fail(Code::dynamic_shape,
                  format("output {} is {} from one branch and may differ from another, Core ML takes one type for both",
                         i, got.to_string()));
    }
  }
  return {};
}

Values Builder::emit_blocks(std::string_view op_name, Args args, std::vector<std::unique_ptr<Block>> blocks,
                            Types result_types) {
  if (failure_) return {function_->poison()};
  const OpRow* row = table_->find(op_name);
  if (row == nullptr) return {refuse(Code::internal, format("no row for operator '{}'", op_name))};
  auto op = std::make_unique<Op>();
  Status s = bind(*row, std::span<const Arg>(args.begin(), args.size()), *op);
  if (s) {
    const Call call = call_of(*op);
    s = check_arguments(call, row->form_of(call), true);
    if (s) s = legal(call, result_types);
    if (s) s = legal(blocks, result_types);
  }
  if (!s) return {refuse(std::move(s).error())};
  for (auto& b : blocks) {
    b->parent = op.get();
    op->blocks.push_back(std::move(b));
  }
  for (size_t i = 0; i < result_types.size(); ++i) {
    Value* v = function_->new_value(std::move(result_types[i]));
    v->producer = op.get();
    v->result = static_cast<int>(i);
    op->results.push_back(v);
  }
  Values results = op->results;
  block_->ops.push_back(std::move(op));
  return results;
}

Value* Builder::dims_value(const Dims& dims, std::span<Value* const> hints) {
  // One rank-1 value of length 1 for each dim, joined by concat; the builder folds what is constant.
  const std::function<Value*(const Dim&)> one = [&](const Dim& d) -> Value* {
    if (d.known()) return ints(std::vector<int64_t>{d.value()});
    for (Value* h : hints) {
      for (int a = 0; a < h->rank(); ++a) {
        if (!(h->dim(a) == d)) continue;
        Value* shape = emit("shape", {{"x", h}});
        return emit("slice_by_index",
                    {{"x", shape}, {"begin", std::vector<int64_t>{a}}, {"end", std::vector<int64_t>{a + 1}}});
      }
    }
    const auto terms = d.linear_terms();
    if (terms.size() == 1 && terms[0].second == 1 && d.constant_part() == 0) {
      const char* op = nullptr;
      switch (d.operation()) {
        case Dim::Operation::floor_div: op = "floor_div"; break;
        case Dim::Operation::min: op = "minimum"; break;
        case Dim::Operation::max: op = "maximum"; break;
        case Dim::Operation::product: op = "mul"; break;
        case Dim::Operation::symbol:
          return refuse(Code::dynamic_shape,
                        format("the size '{}' cannot be computed from the inputs here", d.to_string()));
      }
      const auto [a, b] = d.operands();
      return emit(op, {{"x", one(a)}, {"y", one(b)}});
    }
    Value* sum = ints(std::vector<int64_t>{d.constant_part()});
    for (const auto& [t, c] : terms) {
      sum = emit("add", {{"x", sum}, {"y", emit("mul", {{"x", one(t)}, {"y", ints(std::vector<int64_t>{c})}})}});
    }
    return sum;
  };
  Values parts;
  for (const Dim& d : dims) parts.push_back(one(d));
  if (parts.empty()) return ints({});
  return parts.size() == 1 ? parts[0] : emit("concat", {{"values", parts}, {"axis", 0}});
}

}  // namespace graft::ir

#include "passes/low_rank.h"

#include <algorithm>

#include "passes/match.h"
#include "passes/rewriter.h"

namespace graft::passes {
namespace {

using ir::Dim;
using ir::Dims;

constexpr size_t kMost = ir::Target::kMostDims;

bool many(const Value* v) { return v->dims().size() > kMost; }

// Runs of neighbouring dims, each of which becomes one.
struct Run {
  size_t first, end;
};
using Runs = std::vector<Run>;

// Dims with the same label are one where they are neighbours; kOwn is with none. Dims of 1 go with any.
constexpr int kOwn = -1;
Runs runs_of(const std::vector<int>& labels, const Dims& dims) {
  Runs runs;
  std::optional<int> label;  // of the last run; none: only dims of 1 so far
  for (size_t i = 0; i < labels.size(); ++i) {
    const bool any = labels[i] != kOwn && dims[i] == Dim(1);
    const bool joins = !runs.empty() && label != kOwn && (any || !label || (labels[i] != kOwn && *label == labels[i]));
    if (joins) {
      runs.back().end = i + 1;
    } else {
      runs.push_back({i, i + 1});
      label.reset();
    }
    if (!any) label = labels[i];
  }
  return runs;
}

Dims merged(const Dims& dims, const Runs& runs) {
  Dims to;
  for (const Run& r : runs)
    to.push_back(ir::product(
        Dims(dims.begin() + static_cast<std::ptrdiff_t>(r.first), dims.begin() + static_cast<std::ptrdiff_t>(r.end))));
  return to;
}

// ---- transpositions ------------------------------------------------------------------------------------------------

using Order = std::vector<int64_t>;  // of the dims of a tensor

// Runs of `from` that are runs of `to` as well.
Runs common_runs(const Order& from, const Order& to) {
  Runs runs;
  for (size_t i = 0; i < from.size(); ++i) {
    const auto before = i == 0 ? to.end() : std::find(to.begin(), to.end(), from[i - 1]);
    if (before != to.end() && before + 1 != to.end() && *(before + 1) == from[i])
      runs.back().end = i + 1;
    else
      runs.push_back({i, i + 1});
  }
  return runs;
}

// Two neighbouring stretches of `from` changing places, so that the fewest runs are left on the way to `to`.
Order best_step(const Order& from, const Order& to) {
  Order best = from;
  for (size_t i = 0; i < from.size(); ++i) {
    for (size_t j = i + 1; j < from.size(); ++j) {
      for (size_t k = j + 1; k <= from.size(); ++k) {
        Order next = from;
        const auto at = [&](size_t n) { return next.begin() + static_cast<std::ptrdiff_t>(n); };
        std::rotate(at(i), at(j), at(k));
        if (common_runs(next, to).size() < common_runs(best, to).size()) best = std::move(next);
      }
    }
  }
  return best;
}

class LowRank {
 public:
  LowRank(Rewriter& rewriter, const Function& function) : rewriter_(rewriter), b_(rewriter.build()) {
    std::copy_if(function.inputs.begin(), function.inputs.end(), std::back_inserter(inputs_),
                 [](const Value* v) { return v->type.is_tensor() && !many(v); });
  }

  std::optional<Values> operator()(Op& op) {
    if (op.results.size() != 1 || !touches_many(op)) return std::nullopt;
    switch (op.kind()) {
      case Kind::view: return viewed(op);
      case Kind::sizes: return sizes(op);
      case Kind::transpose: return transposed(op);
      case Kind::slice: return sliced(op);
      case Kind::pad: return padded(op);
      case Kind::concat: return joined(op);
      case Kind::reduction: return reduced(op);
      case Kind::pointwise: return pointwise(op);
      default: return op.row->param_index("reps") < 0 ? std::nullopt : tiled(op);
    }
  }

 private:
  static bool touches_many(const Op& op) {
    const auto any = [](const std::vector<Value*>& list) { return std::any_of(list.begin(), list.end(), many); };
    return any(op.results) || std::any_of(op.args.begin(), op.args.end(), any);
  }

  // The same elements in the same order on few dims, as they came before they had many; null where they did not. A run
  // in which they cannot get the many dims fails as well where dims are made of those, each of them told.
  static Value* few(Value* v) {
    Value* low = v;
    while (many(low) && !low->is_constant()) {
      const Op* op = low->producer;
      Value* x = op == nullptr || !op->is(Kind::view) ? nullptr : op->arg("x");
      if (x == nullptr) return nullptr;
      low = x;
    }
    return low;
  }

  // v with these dims, whose sizes are computed from its own and the inputs'.
  Value* reshaped(Value* v, const Dims& dims) {
    Values hints{v};
    hints.insert(hints.end(), inputs_.begin(), inputs_.end());
    return b_.reshape(v, dims, hints);
  }

  // v with its runs as dims; null where that cannot be.
  Value* with_runs(Value* v, const Runs& runs) {
    Value* low = runs.size() > kMost ? nullptr : few(v);
    if (low == nullptr) return nullptr;
    return reshaped(low, merged(v->dims(), runs));
  }

  // The operator's result from what was computed on few dims.
  Values result(const Op& op, Value* low) {
    Value* y = reshaped(low, op.result()->dims());
    if (!y->poison && !y->is_constant() && y->type != op.result()->type) y->type = op.result()->type;
    return {y};
  }

  Value* list(const Ints& numbers, const Value* like) {
    return b_.ints(std::vector<int64_t>(numbers.begin(), numbers.end()), like == nullptr ? DType::i32 : like->dtype());
  }
  Value* flags(const std::vector<bool>& v) {
    Tensor t(DType::boolean, Shape{static_cast<int64_t>(v.size())});
    std::copy(v.begin(), v.end(), t.mutable_view().as<bool>());
    return b_.constant(ir::Constant::of(std::move(t)));
  }

  using Args = std::vector<std::vector<Value*>>;
  static void set(const Op& op, Args& args, std::string_view param, Value* v) {
    args[static_cast<size_t>(op.row->param_index(param))] = {v};
  }
  std::optional<Values> again(const Op& op, const Args& args) {
    const Values y = rewriter_.emit_again(op, args);
    return y.size() == 1 ? std::optional(result(op, y[0])) : std::nullopt;
  }

  // ---- shapes -----------------------------------------------------------------------------------------------------

  std::optional<Values> viewed(const Op& op) {
    if (many(op.result())) return std::nullopt;  // whoever reads it looks at what it is made of
    Value* low = few(op.arg("x"));
    if (low == nullptr) return std::nullopt;
    // A list that copies no dim says the same of the same elements.
    const Value* shape = op.row->param_index("shape") >= 0 ? op.arg("shape") : nullptr;
    const std::optional<Ints> numbers = shape == nullptr ? std::nullopt : ints_of(op, "shape");
    const bool copies = !numbers || std::find(numbers->begin(), numbers->end(), 0) != numbers->end();
    const bool same = ir::always_equal(ir::product(low->dims()), ir::product(op.result()->dims()));
    if (copies || !same) return result(op, low);
    Args args = op.args;
    set(op, args, "x", low);
    return again(op, args);
  }

  std::optional<Values> sizes(const Op& op) {
    Value* low = few(op.arg("x"));
    if (low == nullptr) return std::nullopt;
    Values hints{low};
    hints.insert(hints.end(), inputs_.begin(), inputs_.end());
    return Values{b_.dims_value(op.arg("x")->dims(), hints)};
  }

  // ---- elements that move -----------------------------------------------------------------------------------------

  std::optional<Values> transposed(const Op& op) {
    const Value* x = op.arg("x");
    Value* v = few(op.arg("x"));
    const std::optional<Ints> perm = ints_of(op, "perm");
    if (v == nullptr || !perm) return std::nullopt;
    Order from, to;
    for (int64_t d = 0; d < x->rank(); ++d) {
      if (!(x->dim(static_cast<int>(d)) == Dim(1))) from.push_back(d);
    }
    for (int64_t p : *perm) {
      const int64_t d = p < 0 ? p + x->rank() : p;
      if (!(x->dim(static_cast<int>(d)) == Dim(1))) to.push_back(d);
    }
    while (from != to) {
      const Order next = common_runs(from, to).size() <= kMost ? to : best_step(from, to);
      const Runs runs = common_runs(from, next);
      Dims dims;
      for (const int64_t d : from) dims.push_back(x->dim(static_cast<int>(d)));
      std::vector<std::pair<std::ptrdiff_t, int64_t>> places;  // in `next`, of the runs
      for (size_t r = 0; r < runs.size(); ++r) {
        places.emplace_back(std::find(next.begin(), next.end(), from[runs[r].first]) - next.begin(), r);
      }
      std::sort(places.begin(), places.end());
      Ints moves;
      for (const auto& place : places) moves.push_back(place.second);
      v = b_.transpose(reshaped(v, merged(dims, runs)), moves);
      from = next;
    }
    return result(op, v);
  }

  std::optional<Values> sliced(const Op& op) {
    const auto begin = ints_of(op, "begin"), end = ints_of(op, "end"), steps = ints_of(op, "stride");
    const auto begin_mask = ints_of(op, "begin_mask"), end_mask = ints_of(op, "end_mask");
    const auto squeeze = ints_of(op, "squeeze_mask");
    Value* x = op.arg("x");
    const int rank = x->rank();
    if (!begin || !end || begin->size() != rank || end->size() != rank) return std::nullopt;
    const auto step = [&](int d) { return steps && d < steps->size() ? (*steps)[d] : 1; };
    const auto on = [](const std::optional<Ints>& mask, int d) { return mask && d < mask->size() && (*mask)[d] != 0; };
    std::vector<int> labels;
    for (int d = 0; d < rank; ++d) {
      const bool starts = on(begin_mask, d) || (*begin)[d] == 0;
      const bool ends = on(end_mask, d) || (x->dim(d).known() && (*end)[d] == x->dim(d).value());
      const bool whole = starts && ends && !on(squeeze, d) && step(d) == 1;
      labels.push_back(whole ? 0 : kOwn);
    }
    const Runs runs = runs_of(labels, x->dims());
    Value* low = with_runs(x, runs);
    if (low == nullptr) return std::nullopt;
    Ints from, to, by;
    std::vector<bool> from_first, to_last, none;
    for (const Run& r : runs) {
      const int d = static_cast<int>(r.first);
      const bool whole = labels[r.first] != kOwn;
      const bool one = on(squeeze, d);  // element, which the reshape behind takes the dim of
      const int64_t after_it = (*begin)[d] + 1;
      from.push_back(whole ? 0 : (*begin)[d]);
      to.push_back(whole ? 0 : one ? after_it : (*end)[d]);
      by.push_back(whole ? 1 : step(d));
      from_first.push_back(whole || on(begin_mask, d));
      to_last.push_back(whole || (one ? after_it == 0 : on(end_mask, d)));
      none.push_back(false);
    }
    Args args = op.args;
    set(op, args, "x", low);
    set(op, args, "begin", list(from, op.arg("begin")));
    set(op, args, "end", list(to, op.arg("end")));
    set(op, args, "stride", list(by, op.arg("stride")));
    set(op, args, "begin_mask", flags(from_first));
    set(op, args, "end_mask", flags(to_last));
    set(op, args, "squeeze_mask", flags(none));
    return again(op, args);
  }

  std::optional<Values> padded(const Op& op) {
    Value* x = op.arg("x");
    const std::optional<Ints> pads = ints_of(op, "pad");
    if (!pads || pads->size() % 2 != 0 || pads->size() > 2 * x->rank()) return std::nullopt;
    const int skipped = x->rank() - static_cast<int>(pads->size()) / 2;  // the pads are those of the last dims
    std::vector<int> labels;
    for (int d = 0; d < x->rank(); ++d) {
      const int at = 2 * (d - skipped);
      labels.push_back(d < skipped || ((*pads)[at] == 0 && (*pads)[at + 1] == 0) ? 0 : kOwn);
    }
    const Runs runs = runs_of(labels, x->dims());
    Value* low = with_runs(x, runs);
    if (low == nullptr) return std::nullopt;
    Ints each;
    for (const Run& r : runs) {
      const int at = 2 * (static_cast<int>(r.first) - skipped);
      const bool moved = labels[r.first] == kOwn;
      each.push_back(moved ? (*pads)[at] : 0);
      each.push_back(moved ? (*pads)[at + 1] : 0);
    }
    Args args = op.args;
    set(op, args, "x", low);
    set(op, args, "pad", list(each, op.arg("pad")));
    return again(op, args);
  }

  std::optional<Values> tiled(const Op& op) {
    Value* x = op.arg("x");
    const std::optional<Ints> reps = ints_of(op, "reps");
    if (!reps || reps->size() != x->rank()) return std::nullopt;
    std::vector<int> labels;
    for (const int64_t r : *reps) labels.push_back(r == 1 ? 0 : kOwn);
    const Runs runs = runs_of(labels, x->dims());
    Value* low = with_runs(x, runs);
    if (low == nullptr) return std::nullopt;
    Ints each;
    for (const Run& r : runs) each.push_back(labels[r.first] == kOwn ? (*reps)[static_cast<int>(r.first)] : 1);
    Args args = op.args;
    set(op, args, "x", low);
    set(op, args, "reps", list(each, op.arg("reps")));
    return again(op, args);
  }

  std::optional<Values> joined(const Op& op) {
    const auto tuple = static_cast<size_t>(op.row->param_index("values"));
    const int rank = op.result()->rank();
    int64_t axis = int_of(op, "axis");
    axis = axis < 0 ? axis + rank : axis;
    std::vector<int> labels(static_cast<size_t>(rank), 0);
    labels[static_cast<size_t>(axis)] = kOwn;
    const Runs runs = runs_of(labels, op.result()->dims());
    Args args = op.args;
    for (Value*& v : args[tuple]) {
      v = with_runs(v, runs);
      if (v == nullptr) return std::nullopt;
    }
    const auto own = std::find_if(runs.begin(), runs.end(), [&](const Run& r) { return labels[r.first] == kOwn; });
    set(op, args, "axis", list_scalar(own - runs.begin()));
    return again(op, args);
  }
  Value* list_scalar(int64_t v) { return b_.constant(ir::Constant::int_scalar(DType::i32, v)); }

  // ---- elements that are computed with ----------------------------------------------------------------------------

  std::optional<Values> reduced(const Op& op) {
    Value* x = op.arg("x");
    const std::optional<Ints> given = op.row->param_index("axes") < 0 ? std::nullopt : ints_of(op, "axes");
    const std::optional<Ints> axes = given ? sorted_axes(*given, x->rank()) : std::nullopt;
    if (!axes) return std::nullopt;
    std::vector<int> labels(x->dims().size(), 0);
    for (const int64_t a : *axes) labels[static_cast<size_t>(a)] = 1;
    const Runs runs = runs_of(labels, x->dims());
    Value* low = with_runs(x, runs);
    if (low == nullptr) return std::nullopt;
    Ints each;
    for (size_t r = 0; r < runs.size(); ++r) {
      for (size_t d = runs[r].first; d < runs[r].end; ++d) {
        if (labels[d] != 1 || x->dims()[d] == Dim(1)) continue;
        each.push_back(static_cast<int64_t>(r));
        break;
      }
    }
    if (each.empty()) return std::nullopt;  // only dims of 1
    Args args = op.args;
    set(op, args, "x", low);
    set(op, args, "axes", list(each, op.arg("axes")));
    return again(op, args);
  }

  std::optional<Values> pointwise(const Op& op) {
    const ir::Pointwise& row = op.row->def->pointwise;
    const Dims& y = op.result()->dims();
    if (row.by_channel != nullptr) return std::nullopt;
    std::vector<int> labels(y.size(), 0);
    std::vector<std::pair<size_t, Value*>> operands;
    int bit = 1;
    for (std::string_view name : row.operands) {
      const int p = name.empty() ? -1 : op.row->param_index(name);
      Value* v = p < 0 ? nullptr : op.arg(name);
      if (v == nullptr || v->rank() == 0) continue;
      for (size_t d = 0; d < y.size(); ++d) {
        const size_t skipped = y.size() - v->dims().size();
        const Dim size = d < skipped ? Dim(1) : v->dims()[d - skipped];
        if (size == y[d])
          labels[d] |= bit;
        else if (!(size == Dim(1)))
          return std::nullopt;
      }
      operands.emplace_back(static_cast<size_t>(p), v);
      bit *= 2;
    }
    const Runs runs = runs_of(labels, y);
    if (runs.size() > kMost) return std::nullopt;
    Args args = op.args;
    for (const auto& [p, v] : operands) {
      Dims own(y.size() - v->dims().size(), Dim(1));
      own.insert(own.end(), v->dims().begin(), v->dims().end());
      Value* low = few(v);
      if (low == nullptr) return std::nullopt;
      args[p] = {reshaped(low, merged(own, runs))};
    }
    return again(op, args);
  }

  Rewriter& rewriter_;
  ops::OpBuilder& b_;
  Values inputs_;  // of the function
};

}  // namespace

Result<int> low_rank(Function& function, PassContext& context) {
  Rewriter rewriter(function, context);
  LowRank rule(rewriter, function);
  return rewriter.run(rule);
}

}  // namespace graft::passes

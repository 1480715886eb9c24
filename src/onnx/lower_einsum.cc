// Einsum by transposes, sums, products and matmul: the operands one after the other, each label summed when no later
// one and not the result has it.
#include <algorithm>
#include <array>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

using Labels = std::vector<int>;  // one a dim: a letter, or kEllipsis + how far from the ellipsis' right end
constexpr int kEllipsis = 256;

struct Term {
  Value* v;
  Labels labels;

  Dim dim(int label) const { return v->dim(place(label)); }
  int place(int label) const {
    return static_cast<int>(std::find(labels.begin(), labels.end(), label) - labels.begin());
  }
  bool has(int label) const { return std::find(labels.begin(), labels.end(), label) != labels.end(); }
};

// The labels of a term whose ellipsis stands for `hidden` dims; below zero, or without one: no such term.
std::optional<Labels> labels_of(std::string_view text, int hidden) {
  Labels labels;
  bool open = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (const char c = text[i]; (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      labels.push_back(c);
      continue;
    }
    if (text.substr(i, 3) != "..." || open || hidden < 0) return std::nullopt;
    for (int k = hidden; k > 0; --k) labels.push_back(kEllipsis + k - 1);
    open = true;
    i += 2;
  }
  return labels;
}
int letters(std::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) { return c != '.'; }));
}

struct Equation {
  std::vector<Term> terms;
  Labels result;
};

std::optional<Equation> read_equation(NodeView& n, const Values& values) {
  std::string text = n.s("equation", "");
  std::erase(text, ' ');
  const auto wrong = [&](const std::string& why) {
    constexpr size_t kShown = 80;
    n.refuse(Code::invalid_attribute, format("equation '{}': {}", text.substr(0, kShown), why));
    return std::nullopt;
  };
  const size_t arrow = text.find("->");
  std::string_view left = std::string_view(text).substr(0, arrow);
  Equation e;
  int hidden = 0;
  std::array<int, kEllipsis> seen{};  // how often each letter stands on the left
  for (Value* v : values) {
    const bool last = e.terms.size() + 1 == values.size();
    const size_t comma = left.find(',');
    if (last != (comma == std::string_view::npos)) return wrong(format("takes {} terms, one an input", values.size()));
    const std::string_view term = left.substr(0, comma);
    left.remove_prefix(last ? left.size() : comma + 1);
    const bool open = term.find('.') != std::string_view::npos;
    const int own = v->rank() - letters(term);
    const std::optional<Labels> labels = labels_of(term, own);
    if (!labels || (!open && own != 0))
      return wrong(format("term {} is not one of {}", e.terms.size() + 1, v->type.to_string()));
    if (open) hidden = std::max(hidden, own);
    for (const int l : *labels) {
      if (l < kEllipsis) ++seen[static_cast<size_t>(l)];
    }
    e.terms.push_back({v, *labels});
  }
  if (arrow == std::string::npos) {
    for (int k = hidden; k > 0; --k) e.result.push_back(kEllipsis + k - 1);
    for (int l = 0; l < kEllipsis; ++l) {
      if (seen[static_cast<size_t>(l)] == 1) e.result.push_back(l);
    }
    return e;
  }
  const std::optional<Labels> result = labels_of(std::string_view(text).substr(arrow + 2), hidden);
  if (!result) return wrong("the result is not a term");
  std::array<bool, kEllipsis> taken{};
  for (const int l : *result) {
    if (l >= kEllipsis) continue;
    if (seen[static_cast<size_t>(l)] == 0 || std::exchange(taken[static_cast<size_t>(l)], true))
      return wrong(format("the result has a label '{}' that no term has, or has it twice",
                          std::string(1, static_cast<char>(l))));
  }
  e.result = *result;
  return e;
}

// The dims in this order.
Value* arranged(OpBuilder& b, const Term& t, const Labels& order) {
  Ints perm;
  for (const int l : order) perm.push_back(t.place(l));
  return b.transpose(t.v, perm);
}

Labels joined(std::initializer_list<Labels> parts) {
  Labels all;
  for (const Labels& p : parts) all.insert(all.end(), p.begin(), p.end());
  return all;
}

// The diagonal of each pair of dims with one label: every (n + 1)-th element of n * n.
void take_diagonals(NodeView& n, OpBuilder& b, Term& t) {
  for (size_t i = 0; i < t.labels.size();) {
    const int label = t.labels[i];
    const auto twin = std::find(t.labels.begin() + static_cast<long>(i) + 1, t.labels.end(), label);
    if (twin == t.labels.end()) {
      ++i;
      continue;
    }
    const int first = static_cast<int>(i), second = static_cast<int>(twin - t.labels.begin());
    const Dim size = t.v->dim(first);
    if (ir::never_equal(size, t.v->dim(second))) {
      n.refuse(Code::shape_mismatch,
               format("dims {} and {} of {} have one label", first, second, t.v->type.to_string()));
      return;
    }
    Ints perm;
    Labels rest;
    Dims flat;
    for (int d = 0; d < t.v->rank(); ++d) {
      if (d == first || d == second) continue;
      perm.push_back(d);
      rest.push_back(t.labels[static_cast<size_t>(d)]);
      flat.push_back(t.v->dim(d));
    }
    perm.push_back(first);
    perm.push_back(second);
    rest.push_back(label);
    flat.push_back(size * size);
    Value* hints[] = {t.v};
    Value *count = size_along(b, t.v, first), *steps = places_along(b, t.v, first);
    Value* places = b.mul(steps, b.add(count, b.like(count, 1)));
    t = {b.gather(b.reshape(b.transpose(t.v, perm), flat, hints), places, static_cast<int64_t>(flat.size()) - 1), rest};
    i = 0;
  }
}

// Dims whose labels are not kept are summed.
template <class Keep>
void sum_others(OpBuilder& b, Term& t, Keep&& keep) {
  Ints axes;
  Labels kept;
  for (size_t d = 0; d < t.labels.size(); ++d) {
    if (keep(t.labels[d]))
      kept.push_back(t.labels[d]);
    else
      axes.push_back(static_cast<int64_t>(d));
  }
  if (axes.empty()) return;
  t = {b.reduce("reduce_sum", t.v, axes, false), kept};
}

// A dim of one beside a larger one repeats: as if its term did not have it.
void drop_repeated(OpBuilder& b, Term& t, const Term& other) {
  Ints axes;
  Labels kept;
  for (size_t d = 0; d < t.labels.size(); ++d) {
    const int l = t.labels[d];
    if (t.v->dim(static_cast<int>(d)) == Dim(1) && other.has(l) && !(other.dim(l) == Dim(1)))
      axes.push_back(static_cast<int64_t>(d));
    else
      kept.push_back(l);
  }
  t = {b.squeeze(t.v, axes), kept};
}

// The dims of x as they lie, then those that only y has.
Term broadcast_product(OpBuilder& b, const Term& x, const Term& y, const Labels& own_y) {
  const Labels all = joined({x.labels, own_y});
  Labels order;
  Ints behind, missing;  // dims of the product that x and y lack; y those behind its first only
  int first = 0;
  for (int i = 0; i < static_cast<int>(all.size()); ++i) {
    if (i >= static_cast<int>(x.labels.size())) behind.push_back(i);
    if (y.has(all[static_cast<size_t>(i)])) {
      if (order.empty()) first = i;
      order.push_back(all[static_cast<size_t>(i)]);
    } else if (!order.empty()) {
      missing.push_back(i - first);
    }
  }
  Value *left = b.expand_dims(x.v, behind), *right = b.expand_dims(arranged(b, y, order), missing);
  return {b.mul(left, right), all};
}

template <class Needed>
Term product(NodeView& n, OpBuilder& b, Term x, Term y, Needed&& needed) {
  drop_repeated(b, x, y);
  drop_repeated(b, y, x);
  sum_others(b, x, [&](int l) { return needed(l) || y.has(l); });
  sum_others(b, y, [&](int l) { return needed(l) || x.has(l); });
  Labels both, own_x, own_y, summed;
  for (const int l : x.labels) {
    if (y.has(l) && ir::never_equal(x.dim(l), y.dim(l)))
      n.refuse(Code::shape_mismatch,
               format("{} and {} have other sizes under one label", x.v->type.to_string(), y.v->type.to_string()));
    (!y.has(l) ? own_x : needed(l) ? both : summed).push_back(l);
  }
  for (const int l : y.labels) {
    if (!x.has(l)) own_y.push_back(l);
  }
  const size_t rank = x.labels.size() - summed.size() + own_y.size();
  if (rank > static_cast<size_t>(kMaxRank)) n.refuse(Code::limit_exceeded, format("a product of rank {}", rank));
  if (!b.ok()) return {n.refused(), {}};
  if (summed.empty()) return broadcast_product(b, x, y, own_y);
  const auto dims = [](const Term& t, const Labels& labels) {
    Dims list;
    for (const int l : labels) list.push_back(t.dim(l));
    return list;
  };
  Value* hints[] = {x.v, y.v};
  // Batches are one dim where they are sure to be the same; matmul repeats those that are one.
  const bool merged = both.size() > 1 && dims(x, both) == dims(y, both);
  const auto matrices = [&](const Term& t, const Labels& rows, const Labels& columns) {
    Dims shape = dims(t, both);
    if (merged) shape = {ir::product(shape)};
    shape.push_back(ir::product(dims(t, rows)));
    shape.push_back(ir::product(dims(t, columns)));
    return b.reshape(arranged(b, t, joined({both, rows, columns})), shape, hints);
  };
  Value* left = matrices(x, own_x, summed);
  Value* right = matrices(y, summed, own_y);
  Value* result = b.matmul(left, right);
  if (!b.ok()) return {result, {}};
  Dims shape = merged ? dims(x, both) : Dims(result->dims().begin(), result->dims().end() - 2);
  for (const int l : own_x) shape.push_back(x.dim(l));
  for (const int l : own_y) shape.push_back(y.dim(l));
  return {b.reshape(result, shape, hints), joined({both, own_x, own_y})};
}

Values einsum(NodeView& n, OpBuilder& b) {
  std::optional<Equation> e = read_equation(n, n.all());
  if (!e) return {n.refused()};
  std::array<int, kEllipsis + kMaxRank> uses{};  // terms still to come that have a label, and the result
  const auto count = [&](const Labels& labels, int by) {
    for (const int l : labels) uses[static_cast<size_t>(l)] += by;
  };
  const auto needed = [&](int l) { return uses[static_cast<size_t>(l)] > 0; };
  for (Term& t : e->terms) {
    take_diagonals(n, b, t);
    count(t.labels, 1);
  }
  if (!b.ok()) return {n.refused()};
  count(e->result, 1);
  Term all = e->terms[0];
  count(all.labels, -1);
  for (size_t i = 1; i < e->terms.size() && b.ok(); ++i) {
    count(e->terms[i].labels, -1);
    all = product(n, b, all, e->terms[i], needed);
  }
  if (!b.ok()) return {n.refused()};
  sum_others(b, all, needed);
  return {arranged(b, all, e->result)};
}

constexpr Lowering kRows[] = {
    {"", "Einsum", kSince<12, 28>, "Inputs+ -> Output; equation", einsum},
};

}  // namespace

LoweringRows einsum_lowerings() { return kRows; }

}  // namespace graft::onnx

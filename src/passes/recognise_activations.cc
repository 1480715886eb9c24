#include <cmath>

#include "passes/match.h"
#include "passes/recognise.h"
#include "passes/rewriter.h"

namespace graft::passes {
namespace {

// A product taken apart: a number times factors, in no particular order. x^2 and x^3 count as x twice and three times.
struct Product {
  double number = 1;
  Values factors;
  bool take(const Value* v) {
    const auto at = std::find(factors.begin(), factors.end(), v);
    if (at == factors.end()) return false;
    factors.erase(at);
    return true;
  }
};

class Matcher {
 public:
  explicit Matcher(Rewriter& rewriter) : rewriter_(rewriter) {}

  std::optional<Values> match(Op& op) {
    if (!is_float(op.result()->dtype())) return std::nullopt;
    Product p;
    for (Value* v : {op.arg("x"), op.arg("y")}) take_apart(v, p, 4);
    if (p.factors.size() != 2) return std::nullopt;
    for (int i = 0; i < 2; ++i) {
      Value *x = p.factors[static_cast<size_t>(i)], *gate = p.factors[static_cast<size_t>(1 - i)];
      if (x->type != op.result()->type) continue;
      const std::string_view mode = gate_of(gate, x, p.number);
      if (mode == "SILU") return Values{rewriter_.build().unary("silu", x)};
      if (!mode.empty()) return Values{rewriter_.build().emit("gelu", {{"x", x}, {"mode", mode}})};
    }
    return std::nullopt;
  }

 private:
  // Only through operators that die with the pattern.
  void take_apart(Value* v, Product& p, int depth) {
    if (const auto c = scalar_of(v)) {
      p.number *= *c;
      return;
    }
    const Op* op = v->producer;
    const bool mine = depth > 0 && op != nullptr && rewriter_.used_once(v);
    if (mine && op->is(Scalar::mul)) {
      take_apart(op->arg("x"), p, depth - 1);
      take_apart(op->arg("y"), p, depth - 1);
    } else if (mine && op->is(Scalar::real_div) && scalar_of(op->arg("y"))) {
      p.number /= *scalar_of(op->arg("y"));
      take_apart(op->arg("x"), p, depth - 1);
    } else if (op != nullptr && op->is(Scalar::square)) {
      p.factors.insert(p.factors.end(), 2, op->arg("x"));
    } else if (op != nullptr && op->is(Scalar::mul) && op->arg("x") == op->arg("y")) {
      p.factors.insert(p.factors.end(), 2, op->arg("x"));
    } else if (op != nullptr && op->is(Scalar::pow) && (is_scalar(op->arg("y"), 2) || is_scalar(op->arg("y"), 3))) {
      p.factors.insert(p.factors.end(), is_scalar(op->arg("y"), 2) ? 2 : 3, op->arg("x"));
    } else {
      p.factors.push_back(v);
    }
  }

  Product product_of(Value* v) {
    Product p;
    take_apart(v, p, 4);
    return p;
  }

  // The other operand of an addition of this number, or null.
  static Value* plus(const Value* v, double number) {
    const Op* add = made_by(v, Scalar::add);
    if (add == nullptr) return nullptr;
    if (is_scalar(add->arg("x"), number)) return add->arg("y");
    return is_scalar(add->arg("y"), number) ? add->arg("x") : nullptr;
  }

  bool is_multiple(Value* v, const Value* x, double number) {
    Product p = product_of(v);
    return near(p.number, number) && p.take(x) && p.factors.empty();
  }

  std::string_view gate_of(Value* gate, const Value* x, double number) {
    if (!rewriter_.used_once(gate)) return {};
    if (const Op* s = made_by(gate, Scalar::sigmoid); s != nullptr && near(number, 1)) {
      if (s->arg("x") == x) return "SILU";
      return is_multiple(s->arg("x"), x, 1.702) ? "SIGMOID_APPROXIMATION" : "";
    }
    Value* inner = near(number, 0.5) ? plus(gate, 1) : nullptr;
    if (const Op* e = made_by(inner, Scalar::erf)) return is_multiple(e->arg("x"), x, std::sqrt(0.5)) ? "EXACT" : "";
    if (const Op* t = made_by(inner, Scalar::tanh)) return is_cubic(t->arg("x"), x) ? "TANH_APPROXIMATION" : "";
    return {};
  }

  // sqrt(2 / pi) * (x + 0.044715 x^3), also as x * (1 + 0.044715 x^2).
  bool is_cubic(Value* v, const Value* x) {
    Product p = product_of(v);
    if (!near(p.number, std::sqrt(2 / std::acos(-1.0)))) return false;
    const int powers = p.take(x) ? 2 : 3;
    if (p.factors.size() != 1) return false;
    const Op* add = made_by(p.factors[0], Scalar::add);
    if (add == nullptr) return false;
    Value* cube = powers == 3 ? other_operand(*add, x) : plus(p.factors[0], 1);
    if (cube == nullptr) return false;
    Product c = product_of(cube);
    bool ok = near(c.number, 0.044715);
    for (int i = 0; i < powers; ++i) ok = ok && c.take(x);
    return ok && c.factors.empty();
  }

  Rewriter& rewriter_;
};

}  // namespace

Result<int> recognise_activations(Function& function, PassContext& context) {
  Rewriter rewriter(function, context);
  Matcher matcher(rewriter);
  return rewriter.run([&](Op& op) { return op.is(Scalar::mul) ? matcher.match(op) : std::nullopt; });
}

}  // namespace graft::passes

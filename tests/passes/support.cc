#include "passes/support.h"

#include "ir/verify.h"

#include <cmath>
#include <deque>
#include <random>
#include <unordered_set>

#include "base/format.h"
#include "base/half.h"

namespace graft::passes {

namespace {

Tensor converted(const Tensor& t, DType to) {
  const ir::ConstantPtr c = ir::Constant::cast(ir::Constant::of(t), to);
  return Tensor::copy_of(c->view());
}

class Evaluator {
 public:
  Status block(const ir::Block& b) {
    for (const auto& op : b.ops) {
      if (op->type() == "cond") {
        GRAFT_CHECK(cond(*op));
      } else {
        GRAFT_CHECK(one(*op));
      }
    }
    return {};
  }
  const Tensor& of(const Value* v) {
    if (v->is_constant() && !env_.contains(v)) env_[v] = Tensor::copy_of(v->constant->view());
    return env_.at(v);
  }
  void set(const Value* v, Tensor t) { env_[v] = std::move(t); }

 private:
  Status cond(const ir::Op& op) {
    const ir::Block& taken = *op.blocks[of(op.arg("pred")).span<bool>()[0] ? 0 : 1];
    GRAFT_CHECK(block(taken));
    for (size_t i = 0; i < op.results.size(); ++i) env_[op.results[i]] = of(taken.outputs[i]);
    return {};
  }

  Status one(const ir::Op& op) {
    std::deque<ir::Type> types;
    ir::Call call(*op.row);
    for (size_t p = 0; p < op.args.size(); ++p) {
      std::vector<ir::Operand> operands;
      for (const Value* v : op.args[p]) {
        const Tensor& t = of(v);
        types.push_back(ir::Type::tensor(t.dtype(), t.shape()));
        ir::Operand o;
        o.type = &types.back();
        o.value = t.view();
        o.constant = v->is_constant();
        operands.push_back(o);
      }
      call.set(static_cast<int>(p), std::move(operands));
    }
    ir::Types out;
    GRAFT_CHECK(ir::infer(call, out));
    GRAFT_TRY(ir::HeapOutputs results, ir::HeapOutputs::for_types(out));
    if (op.row->def->reference == nullptr) return fail(Code::internal, format("{} has no reference", op.type()));
    GRAFT_CHECK(op.row->def->reference(call, results));
    for (size_t i = 0; i < op.results.size(); ++i) {
      Tensor t = results.take(static_cast<int>(i));
      if (t.dtype() != op.results[i]->dtype())
        return fail(Code::internal,
                    format("{} made {}, its type says {}", op.type(), name(t.dtype()), name(op.results[i]->dtype())));
      env_[op.results[i]] = std::move(t);
    }
    return {};
  }

  std::unordered_map<const Value*, Tensor> env_;
};

}  // namespace

Value* Draft::weights(const Shape& shape, unsigned seed, double lo, double hi) {
  return b.constant(ir::Constant::of(random_tensor(DType::f32, shape, seed, lo, hi)));
}

Value* Draft::numbers(const Shape& shape, const std::vector<float>& values) {
  return b.constant(ir::Constant::of(Tensor::of<float>(DType::f32, shape, values)));
}

void Draft::output(Value* v, const std::string& name) {
  ASSERT_TRUE(b.ok()) << render(*b.failure());
  f.body.outputs.push_back(v);
  f.output_names.push_back(name.empty() ? format("y{}", f.output_names.size()) : name);
}

Tensor random_tensor(DType t, const Shape& shape, unsigned seed, double lo, double hi) {
  std::mt19937 engine(seed);
  Tensor x(DType::f32, shape);
  for (float& v : x.span<float>()) {
    v = static_cast<float>(lo + (hi - lo) * static_cast<double>(engine()) / static_cast<double>(engine.max()));
  }
  return t == DType::f32 ? x : converted(x, t);
}

Result<std::vector<Tensor>> evaluate(const ir::Function& f, const std::vector<Tensor>& inputs) {
  Evaluator e;
  for (size_t i = 0; i < f.inputs.size(); ++i) e.set(f.inputs[i], inputs[i]);
  GRAFT_CHECK(e.block(f.body));
  std::vector<Tensor> outputs;
  for (const Value* v : f.body.outputs) outputs.push_back(e.of(v));
  return outputs;
}

std::vector<Tensor> random_inputs(const ir::Function& f, int64_t size, double lo, double hi) {
  std::vector<Tensor> list;
  unsigned seed = 100;
  for (const Value* v : f.inputs) {
    Shape shape;
    for (const ir::Dim& d : v->dims())
      shape.push_back(d.eval([&](std::string_view) { return std::optional(size); }).value());
    list.push_back(random_tensor(v->dtype(), shape, seed++, lo, hi));
  }
  return list;
}

void expect_same(const ir::Function& before, const ir::Function& after, double tolerance, int64_t size, double lo,
                 double hi) {
  const std::vector<Tensor> inputs = random_inputs(before, size, lo, hi);
  std::vector<Tensor> other;
  for (size_t i = 0; i < inputs.size(); ++i) other.push_back(converted(inputs[i], after.inputs[i]->dtype()));
  const auto a = evaluate(before, inputs), b = evaluate(after, other);
  ASSERT_TRUE(a) << render(a.error());
  ASSERT_TRUE(b) << render(b.error());
  ASSERT_EQ(a->size(), b->size());
  for (size_t k = 0; k < a->size(); ++k) {
    const TensorView x = (*a)[k].view(), y = (*b)[k].view();
    ASSERT_EQ(x.shape, y.shape) << "output " << k;
    double largest = 1;
    for (int64_t i = 0; i < x.count(); ++i) {
      if (std::isfinite(element_as_double(x, i))) largest = std::max(largest, std::fabs(element_as_double(x, i)));
    }
    for (int64_t i = 0; i < x.count(); ++i) {
      const double p = element_as_double(x, i), q = element_as_double(y, i);
      if (std::isnan(p) && std::isnan(q)) continue;
      ASSERT_TRUE(p == q || std::fabs(p - q) <= tolerance * largest)
          << "output " << k << " element " << i << ": " << p << " became " << q;
    }
  }
}

std::string ops_of(const ir::Block& block) {
  std::string s;
  for (const auto& op : block.ops) {
    s += (s.empty() ? "" : " ") + std::string(op->type());
    for (const auto& b : op->blocks) s += " [" + ops_of(*b) + "]";
  }
  return s;
}
std::string ops_of(const ir::Function& f) { return ops_of(f.body); }

int count(const ir::Function& f, std::string_view op) {
  int n = 0;
  ir::visit_ops(f.body, [&](ir::Op& o) { n += o.type() == op; });
  return n;
}

void expect_sound(const ir::Function& f) {
  const Status ok = ir::verify(f);
  EXPECT_TRUE(ok) << (ok ? "" : render(ok.error()));
}

}  // namespace graft::passes

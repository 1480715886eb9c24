// Every row that a candidate may serve, in every element type that it takes, over the shapes and arguments of
// samples.cc: the engine as it runs against the reference kernels, as near as the row's domain says.
#include <cstring>
#include <map>
#include <set>

#include "base/format.h"
#include "engine/step.h"
#include "engine_support.h"
#include "samples.h"

namespace graft::engine_test {
namespace {

using ir::Kind;

constexpr DType kTypes[] = {DType::f32, DType::f16, DType::f64, DType::bf16, DType::i8,  DType::i16,    DType::i32,
                            DType::i64, DType::u8,  DType::u16, DType::u32,  DType::u64, DType::boolean};

// In the order in which they are asked.
const std::map<Kind, std::vector<const engine::Candidate*>>& candidates() {
  static const auto by_kind = [] {
    std::map<Kind, std::vector<const engine::Candidate*>> list;
    for (const engine::Provider& p : engine::providers()) {
      if (!p.wanted({})) continue;
      for (const engine::Candidate& c : p.candidates) list[c.kind].push_back(&c);
    }
    return list;
  }();
  return by_kind;
}

std::vector<const ir::OpRow*> rows_of(Kind kind) {
  std::vector<const ir::OpRow*> rows;
  for (const auto& row : ops::table().rows()) {
    if (row->def->kind == kind) rows.push_back(row.get());
  }
  return rows;
}

bool takes(const ir::OpRow& row, std::string_view param, DType t) {
  const ir::Param* p = row.newest().find(param);
  return p->kind == ir::Param::Kind::tuple || p->dtypes.has(t) || row.def->host.has(t);
}

// Candidates of these kinds compute in floats only; those of the others in whatever a row takes.
bool in_floats(const ir::OpRow& row) {
  return ir::is_product(row.def->kind) || row.def->pointwise.by_channel != nullptr ||
         std::set{Kind::max_pool,      Kind::average_pool, Kind::softmax,   Kind::layer_norm,
                  Kind::instance_norm, Kind::resize,       Kind::recurrent, Kind::resample}
             .contains(row.def->kind);
}

struct Made {
  std::shared_ptr<const ir::Program> program;
  std::vector<Tensor> inputs;
  std::vector<Shape> shapes;
  bool empty = false;  // a tensor has no elements
};

Made make(const ir::OpRow& row, const Sample& sample, DType dtype) {
  const ir::Domain& domain = row.def->domain;
  const double scale = is_float(dtype) || dtype == DType::boolean ? 1 : 4;
  const double lowest = info(dtype).kind == DTypeKind::unsigned_int ? 0 : scale * domain.lo;
  Made made;
  Net net;
  std::vector<std::pair<std::string_view, ir::Values>> given;
  uint32_t seed = 1;
  for (const Operand& o : sample.operands) {
    ir::Value* v = nullptr;
    const double lo = o.lo == 0 && o.hi == 0 ? lowest : o.lo, hi = o.lo == 0 && o.hi == 0 ? scale * domain.hi : o.hi;
    made.empty |= o.shape.product() == 0;
    if (o.is == Operand::Is::nibbles) {
      const Shape blocks{o.shape[0], o.shape[1] / 32};
      const auto part = [&](DType t, const Shape& shape, double least, double most) {
        return random_constant(net, t, shape, ++seed, least, most)->constant;
      };
      const ir::ConstantPtr bytes = part(DType::u8, {o.shape[0], o.shape[1] / 2}, 0, 255);
      const ir::ConstantPtr zeros = part(DType::u8, {o.shape[0], (blocks[1] + 1) / 2 * 2}, 0, 255);
      v = net.b->constant(ir::Constant::stored(
          dtype, o.shape,
          ir::form::Blockwise{ir::Constant::borrow({DType::u4, o.shape, bytes->view().data}, bytes),
                              part(dtype, blocks, 0.01, 0.02),
                              ir::Constant::borrow({DType::u4, blocks, zeros->view().data}, zeros), nullptr}));
    } else if (o.is == Operand::Is::literal) {
      v = net.b->constant(ir::Constant::reshape(ir::Constant::ints(DType::i32, o.elements), o.shape));
    } else if (o.is == Operand::Is::constant) {
      v = random_constant(net, o.dtype == DType::invalid ? dtype : o.dtype, o.shape, ++seed, lo, hi);
    } else {
      const bool index = o.is == Operand::Is::index;
      const DType t = o.param == "cond"                             ? DType::boolean
                      : !index                                      ? dtype
                      : is_int(dtype) && takes(row, o.param, dtype) ? dtype
                                                                    : DType::i32;
      const bool negative = info(t).kind != DTypeKind::unsigned_int;
      const auto limit = static_cast<double>(o.limit);
      made.inputs.push_back(index ? random_tensor(t, o.shape, ++seed, negative ? -limit : 0, limit)
                                  : random_tensor(t, o.shape, ++seed, lo, hi));
      made.shapes.push_back(o.shape);
      v = net.input(format("x{}", made.inputs.size()), t, ir::Dims(o.shape.begin(), o.shape.end()));
      if (sample.blocked && given.empty()) {
        const Shape w{o.shape[1], o.shape[1], 1, 1};
        v = net.b->emit("conv", {{"x", v}, {"weight", random_constant(net, dtype, w, ++seed, -0.3, 0.3)}});
      }
    }
    if (given.empty() || given.back().first != o.param) given.emplace_back(o.param, ir::Values{});
    given.back().second.push_back(v);
  }
  std::vector<ir::Arg> args = sample.args;
  for (auto& [param, values] : given) args.emplace_back(param, std::move(values));
  const ir::Values results = net.b->emit_all(row.name(), args);
  for (const ir::Value* r : results) made.empty |= r->type.is_static() && r->type.shape().product() == 0;
  made.program = net.finish(results);
  return made;
}

double tolerance(const ir::Domain& domain, DType made) {
  if (made == DType::bf16) return 1e-2;
  if (made == DType::f16) return domain.tolerance_f16;
  return is_float(made) ? domain.tolerance_f32 : 0;
}

class Sweep : public testing::TestWithParam<Kind> {};

TEST_P(Sweep, CandidatesAgreeWithTheReference) {
  const std::vector<const engine::Candidate*>& list = candidates().at(GetParam());
  std::set<size_t> chosen;
  const auto check = [&](const ir::OpRow& row, const Sample& sample, DType dtype) {
    const Made made = make(row, sample, dtype);
    if (testing::Test::HasFailure()) return;
    const auto fast = load(made.program, {}, 2), slow = load(made.program, {.reference = true});
    const auto got = run(*fast, made.inputs), want = run(*slow, made.inputs);
    ASSERT_TRUE(got) << render(got.error());
    ASSERT_TRUE(want) << render(want.error());
    const auto alone = run(*load(made.program), made.inputs);
    ASSERT_TRUE(alone) << render(alone.error());
    for (size_t i = 0; i < want->size(); ++i) {
      const TensorView one = (*alone)[i].view(), two = (*got)[i].view();
      EXPECT_EQ(std::memcmp(one.data, two.data, one.bytes()), 0) << "one thread gives other bits, result " << i;
      EXPECT_LE(difference((*got)[i], (*want)[i]), tolerance(row.def->domain, (*want)[i].dtype())) << "result " << i;
    }
    const auto report = fast->explain(made.shapes);
    ASSERT_TRUE(report) << render(report.error());
    for (const engine::OperatorReport& p : *report) {
      if (p.op != row.name()) continue;
      if (p.provider != "reference" && p.provider != "folded") chosen.insert(p.declined.size());
      const bool may_decline =
          made.empty || sample.declined || (in_floats(row) && dtype != DType::f32 && dtype != DType::f16);
      EXPECT_TRUE(p.provider != "reference" || may_decline) << testing::PrintToString(p.declined);
    }
  };
  const std::vector<const ir::OpRow*> rows = rows_of(GetParam());
  EXPECT_FALSE(rows.empty()) << "a candidate of a kind that no row has";
  for (const ir::OpRow* row : rows) {
    for (const DType dtype : kTypes) {
      const std::vector<Sample> samples = samples_of(*row, dtype);
      ASSERT_FALSE(samples.empty()) << row->name() << " has no samples: describe it in samples.cc";
      const auto data = std::find_if(samples[0].operands.begin(), samples[0].operands.end(), [](const Operand& o) {
        return o.is == Operand::Is::run_time && o.param != "cond";
      });
      if (!takes(*row, data->param, dtype)) continue;
      for (size_t i = 0; i < samples.size(); ++i) {
        if (samples[i].blocked && dtype != DType::f32 && dtype != DType::f16) continue;
        SCOPED_TRACE(
            format("{} {}, sample {} of {}", row->name(), name(dtype), i, to_string(samples[i].operands[0].shape)));
        check(*row, samples[i], dtype);
        if (HasFailure()) return;
      }
    }
  }
  for (size_t i = 0; i < list.size(); ++i) EXPECT_TRUE(chosen.contains(i)) << "nothing reaches candidate " << i;
}

std::vector<Kind> kinds() {
  std::vector<Kind> all;
  for (const auto& [kind, list] : candidates()) all.push_back(kind);
  return all;
}

INSTANTIATE_TEST_SUITE_P(Kinds, Sweep, testing::ValuesIn(kinds()), [](const auto& tested) {
  const std::vector<const ir::OpRow*> rows = rows_of(tested.param);
  return rows.empty() ? format("kind_{}", static_cast<int>(tested.param)) : std::string(rows[0]->name());
});

}  // namespace
}  // namespace graft::engine_test

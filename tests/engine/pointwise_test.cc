// Every row whose kind is pointwise, in every element type that it takes: the engine's own executors against the
// reference kernel.
#include "base/format.h"
#include "engine_support.h"

namespace graft::engine_test {
namespace {

constexpr DType kTypes[] = {DType::f32, DType::f16, DType::f64, DType::bf16, DType::i8,  DType::i16,    DType::i32,
                            DType::i64, DType::u8,  DType::u16, DType::u32,  DType::u64, DType::boolean};

bool known_type(const ir::OpRow& row, DType t) {
  const ir::Param* p =
      row.newest().find(row.def->pointwise.operands[0] == "cond" ? "a" : row.def->pointwise.operands[0]);
  return p->dtypes.has(t) || row.def->host.has(t);
}

struct Shapes {
  Shape of[3];
};

// The row on operands of these shapes; what else it needs are constants.
void check(const ir::OpRow& row, DType dtype, const Shapes& shapes, std::string_view cast_to) {
  SCOPED_TRACE(
      format("{} {} {} {} {}", row.name(), name(dtype), to_string(shapes.of[0]), to_string(shapes.of[1]), cast_to));
  const ir::Pointwise& f = row.def->pointwise;
  const ir::Domain& domain = row.def->domain;
  // Integers of some size, the fp16 facts of powers aside.
  const double scale = is_float(dtype) ? 1 : 4;
  const double lo = info(dtype).kind == DTypeKind::unsigned_int ? 0 : scale * domain.lo;
  Net net;
  std::vector<ir::Arg> args;
  std::vector<Tensor> inputs;
  std::vector<Shape> input_shapes;
  uint32_t seed = 1;
  double number = 0.25;
  for (const ir::Param& p : row.params()) {
    const auto at = std::find(f.operands.begin(), f.operands.end(), p.name);
    if (at != f.operands.end()) {
      const Shape& shape = shapes.of[at - f.operands.begin()];
      inputs.push_back(random_tensor(p.name == "cond" ? DType::boolean : dtype, shape, ++seed, lo, scale * domain.hi));
      input_shapes.push_back(shape);
      args.emplace_back(p.name,
                        net.input(std::string(p.name), inputs.back().dtype(), ir::Dims(shape.begin(), shape.end())));
    } else if (p.optional) {
      continue;
    } else if (p.name == "dtype") {
      args.emplace_back(p.name, cast_to);
    } else if (f.by_channel != nullptr) {
      args.emplace_back(p.name, random_constant(net, dtype, {shapes.of[0][1]}, ++seed, 0.25, 2));
    } else {
      args.emplace_back(p.name, net.b->constant(ir::Constant::scalar(dtype, is_float(dtype) ? number : 2)));
      number += 0.5;  // alpha below beta
    }
  }
  ir::Value* y = net.b->emit_all(row.name(), args)[0];
  const DType made = y->dtype();
  const auto program = net.finish({y});
  const double tolerance = made == DType::bf16  ? 1e-2
                           : made == DType::f16 ? domain.tolerance_f16
                           : is_float(made)     ? domain.tolerance_f32
                                                : 0;
  expect_like_reference(program, inputs, tolerance, 2);
  EXPECT_EQ(provider_of(*load(program), input_shapes, row.name()), "native");
}

TEST(Pointwise, EveryRowInEveryType) {
  int rows = 0;
  for (const auto& row : ops::table().rows()) {
    if (row->def->kind != ir::Kind::pointwise) continue;
    ++rows;
    const ir::Pointwise& f = row->def->pointwise;
    const bool two = !f.operands[1].empty();
    for (const DType dtype : kTypes) {
      if (!known_type(*row, dtype)) continue;
      if (f.by_channel != nullptr && dtype != DType::f32 && dtype != DType::f16) continue;
      const bool casts = f.function == ir::Scalar::cast;
      for (const char* to :
           casts ? std::vector<const char*>{"fp16", "fp32", "fp64", "bf16", "int8", "int32", "int64", "uint8", "bool"}
                 : std::vector<const char*>{""}) {
        check(*row, dtype, {{{2, 7, 150}, {2, 7, 150}, {2, 7, 150}}}, to);
        if (two) check(*row, dtype, {{{2, 7, 150}, {7, 1}, {150}}}, to);
        if (two) check(*row, dtype, {{{1, 40, 1}, {30, 1, 20}, {}}}, to);
      }
    }
  }
  EXPECT_GT(rows, 60);
}

}  // namespace
}  // namespace graft::engine_test

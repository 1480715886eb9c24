// Expected values were computed with numpy.
#include <gtest/gtest.h>

#include "ops/op_call.h"

namespace graft::ops::test {
namespace {

using ir::Dim;

OpCall matmul(Tensor x, Tensor y, bool transpose_x = false, bool transpose_y = false) {
  return OpCall("matmul")
      .run_time("x", std::move(x))
      .run_time("y", std::move(y))
      .flag("transpose_x", transpose_x)
      .flag("transpose_y", transpose_y);
}
OpCall symbolic_matmul(ir::Dims x, ir::Dims y) {
  return OpCall("matmul").typed("x", DType::f32, std::move(x)).typed("y", DType::f32, std::move(y));
}

const Tensor& a() {
  static const Tensor t = iota(DType::f32, {2, 3}, -2);
  return t;
}
const Tensor& b() {
  static const Tensor t = iota(DType::f32, {3, 4}, 0, 0.5);
  return t;
}

TEST(Matmul, TwoDims) {
  expect_result(matmul(a(), b()), {2, 4}, {-2, -3.5, -5, -6.5, 16, 19, 22, 25});
  expect_result(matmul(a(), a(), true), {3, 3}, {5, 4, 3, 4, 5, 6, 3, 6, 9});
  expect_result(matmul(a(), a(), false, true), {2, 2}, {5, -4, -4, 14});
}

TEST(Matmul, BatchesBroadcast) {
  expect_result(
      matmul(iota(DType::f32, {2, 1, 2, 3}), iota(DType::f32, {3, 3, 2}, -4)), {2, 3, 2, 2},
      {-2, 1, -20, -8, 16, 19, 52, 64, 34, 37, 124, 136, -38, -17, -56, -26, 88, 109, 124, 154, 214, 235, 304, 334});
}

TEST(Matmul, Vectors) {
  expect_result(matmul(f32({3}, {1, 2, 3}), b()), {4}, {16, 19, 22, 25});
  expect_result(matmul(b(), f32({3}, {1, -1, 2}), true), {4}, {6, 7, 8, 9});
  expect_result(matmul(f32({3}, {1, 2, 3}), f32({3}, {4, 5, 6})), {}, {32});
  expect_refused(matmul(f32({3}, {1, 2, 3}), b(), true), Code::rank_mismatch, "transpose of a vector");
}

TEST(Matmul, LargerThanATile) {
  // x is all ones and y[k][n] = k, so that each result is the sum of 0 .. 69.
  Tensor y(DType::f32, {70, 130});
  for (int64_t i = 0; i < y.count(); ++i) y.span<float>()[static_cast<size_t>(i)] = static_cast<float>(i / 130);
  const OpCall op = matmul(iota(DType::f32, {37, 70}, 1, 0), y);
  expect_result(op, {37, 130}, std::vector<double>(37 * 130, 70 * 69 / 2));
}

TEST(Matmul, IntegersWrap) {
  expect_result(matmul(tensor(DType::i32, {1, 2}, {65536, -1}), tensor(DType::i32, {2, 1}, {65536, 5})), {1, 1}, {-5});
  expect_result(matmul(tensor(DType::i64, {1, 2}, {65536, -1}), tensor(DType::i64, {2, 1}, {65536, 5})), {1, 1},
                {4294967291.0});
  expect_result(matmul(tensor(DType::u8, {1, 1}, {200}), tensor(DType::u8, {1, 1}, {2})), {1, 1}, {144});
}

TEST(Matmul, ZeroSizes) {
  expect_result(matmul(Tensor(DType::f32, {2, 0}), Tensor(DType::f32, {0, 3})), {2, 3}, {0, 0, 0, 0, 0, 0});
  expect_result(matmul(Tensor(DType::f32, {0, 2}), Tensor(DType::f32, {2, 3})), {0, 3}, {});
}

TEST(Matmul, MixedTypesWithAConstant) {
  const OpCall op = OpCall("matmul").in("x", b()).run_time("y", tensor(DType::f16, {4, 1}, {1, 2, 3, 4}));
  expect_type(op, "tensor<fp16, [3, 1]>");
  expect_result(op, {3, 1}, {10, 30, 50});
  EXPECT_EQ(op.oldest().value(), ir::Opset::ios17);
  expect_illegal(matmul(b(), tensor(DType::f16, {4, 1}, {1, 2, 3, 4})), ir::Opset::ios18, Code::unsupported_dtype,
                 "only when one side is a constant");
  // The result has the type of the operand that is not a constant; it is truncated once.
  const OpCall whole =
      OpCall("matmul").run_time("x", tensor(DType::i32, {1, 2}, {3, 5})).in("y", f32({2, 1}, {0.5, 0.25}));
  expect_type(whole, "tensor<int32, [1, 1]>");
  expect_result(whole, {1, 1}, {2});
}

TEST(Matmul, ShapesDoNotFit) {
  expect_refused(matmul(a(), a()), Code::shape_mismatch, "got x of [2, 3] and y of [2, 3]: 3 columns by 2 rows");
  expect_refused(matmul(iota(DType::f32, {2, 1, 3}), iota(DType::f32, {3, 3, 2})), Code::shape_mismatch, "broadcast");
  expect_refused(matmul(f32({}, {1}), a()), Code::rank_mismatch, "scalar");
}

TEST(Matmul, SymbolicDims) {
  const Dim n = Dim::symbol("batch"), t = Dim::symbol("tokens");
  expect_type(symbolic_matmul({n, 8, t, 64}, {n, 8, 64, t}), "tensor<fp32, [batch, 8, tokens, tokens]>");
  expect_type(symbolic_matmul({n, t, 64}, {64, 10}), "tensor<fp32, [batch, tokens, 10]>");
}

TEST(Linear, WithAndWithoutBias) {
  const Tensor w = f32({2, 3}, {1, 2, 3, 0, -1, 0.5});
  const OpCall op = OpCall("linear").run_time("x", a()).in("weight", w).in("bias", f32({2}, {0.25, -0.25}));
  expect_result(op, {2, 2}, {-3.75, 0.75, 14.25, -0.75});
  EXPECT_EQ(op.oldest().value(), ir::Opset::ios15);
  expect_result(OpCall("linear").run_time("x", iota(DType::f32, {3}, 1)).in("weight", w), {2}, {14, -0.5});
  expect_result(OpCall("linear").run_time("x", iota(DType::f16, {1, 1, 3}, 1)).in("weight", w), {1, 1, 2}, {14, -0.5});
  expect_illegal(OpCall("linear").run_time("x", a()).run_time("weight", w), ir::Opset::ios18, Code::needs_constant,
                 "weight");
}

TEST(Linear, ShapesDoNotFit) {
  expect_refused(OpCall("linear").run_time("x", b()).in("weight", f32({1, 3}, {1, 2, 3})), Code::shape_mismatch,
                 "got x with 4 features, weight [1, 3] takes 3");
  expect_refused(OpCall("linear").run_time("x", a()).in("weight", f32({3}, {1, 2, 3})), Code::rank_mismatch,
                 "got weight of rank 1");
  expect_refused(OpCall("linear").run_time("x", a()).in("weight", f32({1, 3}, {1, 2, 3})).in("bias", f32({2}, {1, 2})),
                 Code::shape_mismatch, "got bias of shape [2], takes [1]");
  expect_type(OpCall("linear").typed("x", DType::f32, {Dim::symbol("n"), 3}).in("weight", f32({1, 3}, {1, 2, 3})),
              "tensor<fp32, [n, 1]>");
}

OpCall einsum(std::string equation, Tensor x, Tensor y) {
  return OpCall("einsum").in("values", {std::move(x), std::move(y)}).text("equation", std::move(equation));
}

TEST(Einsum, TheFormsThatCoreMLHas) {
  const std::vector<double> want{-8, -11, 13, 14.5, 28, 34, 67, 77.5};
  const OpCall four =
      einsum("nchw,nwhu->nchu", iota(DType::f32, {1, 2, 2, 3}, -3), iota(DType::f32, {1, 3, 2, 2}, 0, 0.5));
  expect_result(four, {1, 2, 2, 2}, want);
  EXPECT_EQ(four.oldest().value(), ir::Opset::ios15);
  const OpCall three = einsum("abc,cbx->abx", iota(DType::f32, {2, 2, 3}, -3), iota(DType::f32, {3, 2, 2}, 0, 0.5));
  expect_result(three, {2, 2, 2}, want);
  EXPECT_EQ(three.oldest().value(), ir::Opset::ios15);
}

TEST(Einsum, SizesOfOneRepeat) {
  expect_result(einsum("chw,whr->chr", f32({1, 2, 1}, {2, 3}), f32({2, 2, 1}, {1, 10, 100, 1000})), {1, 2, 1},
                {202, 3030});
}

TEST(Einsum, OthersRunOnTheHost) {
  const OpCall op = einsum("ab,cb->ca", a(), f32({2, 3}, {1, 2, 3, 0, -1, 0.5}));
  expect_result(op, {2, 2}, {-4, 14, 1, -0.5});
  expect_illegal(op, ir::Opset::ios18, Code::unsupported_attribute, "nchw,nwhu->nchu");
  expect_illegal(einsum("abc,bcx->abx", iota(DType::f32, {2, 2, 3}), iota(DType::f32, {2, 3, 2})), ir::Opset::ios18,
                 Code::unsupported_attribute, "nchw,nwhu->nchu");
  for (const char* equation : {"ab,bc", "aab,bc->ac", "ab,bc->ad", "Ab,bc->Ac", "...b,bc->...c", "", "->,"})
    expect_refused(einsum(equation, a(), b()), Code::invalid_attribute, "takes two operands");
  expect_refused(einsum("abd,bc->adc", a(), b()), Code::rank_mismatch, "takes 3 and 2");
  expect_refused(einsum("ab,bc->ac", a(), a()), Code::shape_mismatch, "'b' is 3 and 2");
}

}  // namespace
}  // namespace graft::ops::test

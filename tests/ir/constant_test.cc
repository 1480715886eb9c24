#include "ir/constant.h"

#include <gtest/gtest.h>

#include "ir/program.h"

namespace graft::ir {
namespace {

// Most weights in real files are not aligned to their elements. They are copied when a kernel asks, and only then.
TEST(Constant, IsAlignedForThoseWhoAsk) {
  alignas(16) char storage[4 * sizeof(float) + 1] = {};
  const float values[] = {1, -2, 3.5f, 1e-30f};
  std::memcpy(storage + 1, values, sizeof values);
  const ConstantPtr c = Constant::borrow({DType::f32, Shape{4}, storage + 1}, nullptr);
  Function f("main");
  const Operand o = operand_of(*f.new_constant(c));
  EXPECT_TRUE(o.known());
  EXPECT_EQ(o.value.data, nullptr);  // nobody has read it yet
  EXPECT_EQ(o.elements().data, storage + 1);
  const TensorView v = c->aligned_view();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(v.data) % alignof(float), 0u);
  EXPECT_EQ(std::memcmp(v.data, values, sizeof values), 0);
  const ConstantPtr aligned = Constant::borrow({DType::f32, Shape{3}, storage + 4}, nullptr);
  EXPECT_EQ(aligned->aligned_view().data, storage + 4);  // not copied without need
}

TEST(Constant, CastsOfUint64) {
  const uint64_t values[] = {UINT64_MAX, uint64_t{1} << 63, 5};
  const ConstantPtr c = Constant::of(Tensor::of<uint64_t>(DType::u64, Shape{3}, values));
  const ConstantPtr f = Constant::cast(c, DType::f32), i = Constant::cast(c, DType::i32);
  EXPECT_EQ(element_as_double(f->view(), 0), 18446744073709551616.0);
  EXPECT_EQ(element_as_double(f->view(), 1), 9223372036854775808.0);
  EXPECT_EQ(element_as_int(i->view(), 0), -1);  // the low bits
  EXPECT_EQ(element_as_int(i->view(), 2), 5);
}

}  // namespace
}  // namespace graft::ir

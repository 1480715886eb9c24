#include <gtest/gtest.h>

#include "ops/table.h"

namespace graft::ops::test {
namespace {

using ir::Dim;
using ir::Type;

struct StateCase {
  Type state = Type::state(Type::tensor(DType::f16, ir::Dims{Dim(2), Dim(3)}));
  Type data;

  Result<ir::Types> infer(std::string_view op) const {
    ir::Call c(*table().find(op));
    ir::Operand s, d;
    s.type = &state;
    d.type = &data;
    c.set(0, {s});
    if (op == "write_state") c.set(1, {d});
    if (Status ok = ir::check_arguments(c, c.row().newest(), false); !ok) return fail(std::move(ok).error());
    ir::Types types;
    if (Status ok = ir::infer(c, types); !ok) return fail(std::move(ok).error());
    return types;
  }
};

TEST(State, ReadGivesTheWrappedType) {
  const auto types = StateCase().infer("read_state");
  ASSERT_TRUE(types) << types.error().message;
  EXPECT_EQ((*types)[0].to_string(), "tensor<fp16, [2, 3]>");
}

TEST(State, WriteChecksTheData) {
  StateCase c;
  c.data = Type::tensor(DType::f16, ir::Dims{Dim(2), Dim(3)});
  const auto fits = c.infer("write_state");
  ASSERT_TRUE(fits) << fits.error().message;
  EXPECT_TRUE(fits->empty());
  c.data = Type::tensor(DType::f16, ir::Dims{Dim(2), Dim(4)});
  EXPECT_EQ(c.infer("write_state").error().message,
            "data is tensor<fp16, [2, 4]>, the state holds tensor<fp16, [2, 3]>");
  c.state = c.data;
  EXPECT_EQ(c.infer("write_state").error().message, "argument 'input': got tensor<fp16, [2, 4]>, takes a state");
}

TEST(State, EffectsAreStated) {
  EXPECT_EQ(table().find("read_state")->def->effects, ir::Effects::reads_state);
  EXPECT_EQ(table().find("write_state")->def->effects, ir::Effects::writes_state);
}

}  // namespace
}  // namespace graft::ops::test

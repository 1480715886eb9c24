// Passes as people see them: a program before and after, in MIL text. What a pass computes is tested beside it, here is
// what it turns into what.
#include <algorithm>

#include "ir/text.h"
#include "ir/verify.h"
#include "passes/dead_code.h"
#include "passes/pipeline.h"
#include "passes/support.h"

namespace graft::passes {
namespace {

struct Case {
  const char *pass, *inputs, *before, *after;  // statements; `y` is the output
};

std::shared_ptr<ir::Program> parsed(const Case& c, const char* statements) {
  const std::string text =
      std::string("program(1.3)\n{\n  func main<ios18>(") + c.inputs + ") {\n" + statements + "  } -> (y);\n}\n";
  Result<std::shared_ptr<ir::Program>> p = ir::parse_text(text, ops::table());
  EXPECT_TRUE(p) << (p ? "" : render(p.error())) << "\n" << text;
  return p ? *p : nullptr;
}

class PassText : public testing::TestWithParam<Case> {};

TEST_P(PassText, TurnsBeforeIntoAfter) {
  const Case& c = GetParam();
  const auto before = parsed(c, c.before), after = parsed(c, c.after);
  ASSERT_TRUE(before && after);
  const auto step =
      std::find_if(rewrites().begin(), rewrites().end(), [&](const PassRow& s) { return s.name == c.pass; });
  ASSERT_NE(step, rewrites().end());
  PassContext context;
  context.target = ir::Target::newest();
  ir::Function& f = *before->main();
  const Result<int> made = step->pass(f, context);
  ASSERT_TRUE(made) << render(made.error());
  EXPECT_GT(*made, 0);
  ASSERT_TRUE(dead_code(f, context));
  const Status sound = ir::verify(f);
  EXPECT_TRUE(sound) << (sound ? "" : render(sound.error()));
  EXPECT_EQ(ir::to_text(f), ir::to_text(*after->main()));
}

constexpr Case kCases[] = {
    {"dead_code", "tensor<fp32, [2]> x", R"(
    tensor<fp32, [2]> unused = exp(x = x)[name = string("unused")];
    tensor<fp32, [2]> y = relu(x = x)[name = string("y")];
)",
     R"(
    tensor<fp32, [2]> y = relu(x = x)[name = string("y")];
)"},
    {"common_subexpressions", "tensor<fp32, [2]> x", R"(
    tensor<fp32, [2]> a = exp(x = x)[name = string("a")];
    tensor<fp32, [2]> b = exp(x = x)[name = string("b")];
    tensor<fp32, [2]> y = mul(x = a, y = b)[name = string("y")];
)",
     R"(
    tensor<fp32, [2]> a = exp(x = x)[name = string("a")];
    tensor<fp32, [2]> y = mul(x = a, y = a)[name = string("y")];
)"},
    {"join_casts", "tensor<int32, [2]> x", R"(
    string wide = const()[name = string("wide"), val = string("fp32")];
    string half = const()[name = string("half"), val = string("fp16")];
    tensor<fp32, [2]> a = cast(dtype = wide, x = x)[name = string("a")];
    tensor<fp32, [2]> b = cast(dtype = wide, x = a)[name = string("b")];
    tensor<fp32, [2]> y = relu(x = b)[name = string("y")];
)",
     R"(
    string wide = const()[name = string("wide"), val = string("fp32")];
    tensor<fp32, [2]> a = cast(dtype = wide, x = x)[name = string("a")];
    tensor<fp32, [2]> y = relu(x = a)[name = string("y")];
)"},
    {"merge_transposes", "tensor<fp32, [2, 3, 4]> x", R"(
    tensor<int32, [3]> turn = const()[name = string("turn"), val = tensor<int32, [3]>([1, 2, 0])];
    tensor<fp32, [3, 4, 2]> a = transpose(perm = turn, x = x)[name = string("a")];
    tensor<fp32, [4, 2, 3]> b = transpose(perm = turn, x = a)[name = string("b")];
    tensor<fp32, [4, 2, 3]> y = relu(x = b)[name = string("y")];
)",
     R"(
    tensor<int32, [3]> b_perm_0 = const()[name = string("b_perm_0"), val = tensor<int32, [3]>([2, 0, 1])];
    tensor<fp32, [4, 2, 3]> b = transpose(perm = b_perm_0, x = x)[name = string("b")];
    tensor<fp32, [4, 2, 3]> y = relu(x = b)[name = string("y")];
)"},
    {"merge_reshapes", "tensor<fp32, [2, 3, 4]> x", R"(
    tensor<int32, [2]> flat = const()[name = string("flat"), val = tensor<int32, [2]>([6, 4])];
    tensor<int32, [1]> front = const()[name = string("front"), val = tensor<int32, [1]>([0])];
    tensor<fp32, [6, 4]> a = reshape(shape = flat, x = x)[name = string("a")];
    tensor<fp32, [1, 6, 4]> b = expand_dims(axes = front, x = a)[name = string("b")];
    tensor<fp32, [1, 6, 4]> y = relu(x = b)[name = string("y")];
)",
     R"(
    tensor<int32, [3]> b_shape_0 = const()[name = string("b_shape_0"), val = tensor<int32, [3]>([1, 6, 4])];
    tensor<fp32, [1, 6, 4]> b = reshape(shape = b_shape_0, x = x)[name = string("b")];
    tensor<fp32, [1, 6, 4]> y = relu(x = b)[name = string("y")];
)"},
    {"transpose_into_matmul", "tensor<fp32, [2, 3]> x, tensor<fp32, [4, 3]> w", R"(
    tensor<int32, [2]> perm = const()[name = string("perm"), val = tensor<int32, [2]>([1, 0])];
    tensor<fp32, [3, 4]> t = transpose(perm = perm, x = w)[name = string("t")];
    tensor<fp32, [2, 4]> y = matmul(x = x, y = t)[name = string("y")];
)",
     R"(
    bool y_transpose_x_0 = const()[name = string("y_transpose_x_0"), val = bool(false)];
    bool y_transpose_y_0 = const()[name = string("y_transpose_y_0"), val = bool(true)];
    tensor<fp32, [2, 4]> y = matmul(transpose_x = y_transpose_x_0, transpose_y = y_transpose_y_0, x = x, y = w)[name = string("y")];
)"},
    {"recognise_activations", "tensor<fp32, [2]> x", R"(
    tensor<fp32, [2]> s = sigmoid(x = x)[name = string("s")];
    tensor<fp32, [2]> y = mul(x = x, y = s)[name = string("y")];
)",
     R"(
    tensor<fp32, [2]> y = silu(x = x)[name = string("y")];
)"},
    {"pad_into_window", "tensor<fp32, [1, 1, 4]> x", R"(
    tensor<int32, [6]> pads = const()[name = string("pads"), val = tensor<int32, [6]>([0, 0, 0, 0, 1, 2])];
    tensor<fp32, [1, 1, 3]> w = const()[name = string("w"), val = tensor<fp32, [1, 1, 3]>([0x1p+0, 0x1p+1, 0x1p+2])];
    tensor<fp32, [1, 1, 7]> p = pad(pad = pads, x = x)[name = string("p")];
    tensor<fp32, [1, 1, 5]> y = conv(weight = w, x = p)[name = string("y")];
)",
     R"(
    tensor<fp32, [1, 1, 3]> w = const()[name = string("w"), val = tensor<fp32, [1, 1, 3]>([0x1p+0, 0x1p+1, 0x1p+2])];
    string y_pad_type_0 = const()[name = string("y_pad_type_0"), val = string("custom")];
    tensor<int32, [2]> y_pad_0 = const()[name = string("y_pad_0"), val = tensor<int32, [2]>([1, 2])];
    tensor<fp32, [1, 1, 5]> y = conv(pad = y_pad_0, pad_type = y_pad_type_0, weight = w, x = x)[name = string("y")];
)"},
};

INSTANTIATE_TEST_SUITE_P(Passes, PassText, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.pass); });

}  // namespace
}  // namespace graft::passes

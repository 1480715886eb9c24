#include "ir/text.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ir/builder.h"
#include "ir/verify.h"

namespace graft::ir {
namespace {

// A table of its own: this folder's tests do not reach the operators.
Status unary(const Call& call, Types& out) {
  out.push_back(*call.in("x").type);
  return {};
}
Status first_of_two(const Call& call, Types& out) {
  out.push_back(*call.in("x").type);
  return {};
}
Status unknown_length(const Call& call, Types& out) {
  out.push_back(Type::tensor(call.in("x").dtype(), Dims{call.fresh({0, 100})}));
  return {};
}
Status join(const Call& call, Types& out) {
  Dim n = 0;
  for (const Operand& o : call.all("values")) n = n + o.dims()[0];
  out.push_back(Type::tensor(call.all("values")[0].dtype(), Dims{n}));
  return {};
}
Status two(const Call& call, Types& out) {
  out = {*call.in("x").type, *call.in("x").type};
  return {};
}

constexpr Variant kUnary[] = {{Opset::ios15, "x:T", "T={fp16,fp32,int32,bool}"}};
constexpr Variant kBinary[] = {{Opset::ios15, "x:any; y:any", ""}};
constexpr Variant kJoin[] = {{Opset::ios15, "values:tuple; axis:const int32", ""}};
constexpr Variant kCond[] = {{Opset::ios15, "pred:bool; _true_fn:block; _false_fn:block", ""}};
constexpr Variant kLoop[] = {{Opset::ios15, "_cond:block; _body:block; loop_vars:tuple", ""}};
constexpr Variant kConst[] = {{Opset::ios15, "val:const internal", ""}};
constexpr OpDef row(std::string_view name, std::span<const Variant> variants, Status (*infer)(const Call&, Types&),
                    Kind kind = Kind::kernel) {
  OpDef def{};
  def.kind = kind;
  def.name = name;
  def.variants = variants;
  def.infer = infer;
  return def;
}
constexpr OpDef kNeg = row("neg", kUnary, unary);
constexpr OpDef kUse = row("use", kBinary, first_of_two);
constexpr OpDef kFilter = row("filter", kUnary, unknown_length);
constexpr OpDef kConcat = row("concat", kJoin, join);
constexpr OpDef kTwice = row("twice", kUnary, two);
constexpr OpDef kCondOp = row("cond", kCond, nullptr, Kind::cond);
constexpr OpDef kLoopOp = row("while_loop", kLoop, nullptr, Kind::loop);
constexpr OpDef kConstOp = row("const", kConst, nullptr, Kind::constant);

const OpTable& table() {
  static const OpDef* const rows[] = {&kNeg, &kUse, &kFilter, &kConcat, &kTwice, &kCondOp, &kLoopOp, &kConstOp};
  static const OpTable kTable{rows};
  return kTable;
}

// print -> parse -> print gives the same text; returns the parsed program.
std::shared_ptr<Program> round_trip(const std::string& text) {
  Result<std::shared_ptr<Program>> p = parse_text(text, table());
  EXPECT_TRUE(p) << render(p.error()) << "\n" << text;
  if (!p) return nullptr;
  EXPECT_EQ(to_text(**p), text);
  const Status s = verify(**p);
  EXPECT_TRUE(s) << render(s.error());
  return *p;
}

std::unique_ptr<Program> program_with(Function*& f) {
  auto p = std::make_unique<Program>();
  p->functions.push_back(std::make_unique<Function>("main"));
  f = p->functions[0].get();
  return p;
}

TEST(Text, PrintsWhatItSays) {
  Function* f = nullptr;
  auto p = program_with(f);
  Builder b(*f, table(), {});
  Value* x = f->add_input(Type::tensor(DType::f32, Dims{Dim(1), Dim::symbol("n", {1, 64})}), "input.1");
  f->default_dims["n"] = 8;
  f->body.outputs = {b.emit("neg", {{"x", x}})};
  f->output_names = {"y"};
  EXPECT_EQ(to_text(*p),
            "program(1.3)\n"
            "{\n"
            "  func main<ios18>(tensor<fp32, [1, n: 1..64 = 8]> input_1 = \"input.1\") {\n"
            "    tensor<fp32, [1, n]> neg = neg(x = input_1)[name = string(\"neg\")];\n"
            "  } -> (neg = \"y\");\n"
            "}\n");
}

TEST(Text, EveryElementTypeComesBack) {
  for (int t = 1; t < static_cast<int>(DType::count_); ++t) {
    const DType dtype = static_cast<DType>(t);
    if (dtype == DType::list) continue;  // no file holds one
    Function* f = nullptr;
    auto p = program_with(f);
    Builder b(*f, table(), {});
    Tensor values(dtype, Shape{2, 3});
    if (dtype == DType::string) {
      for (int i = 0; i < 6; ++i) values.mutable_view().as<std::string>()[i] = "a\"\\\n" + std::to_string(i);
    } else {
      auto* bytes = values.mutable_view().as<uint8_t>();
      for (size_t i = 0; i < values.view().bytes(); ++i)
        bytes[i] = static_cast<uint8_t>(dtype == DType::boolean ? i % 2 : i * 37 + 11);
    }
    const ConstantPtr c = Constant::of(values);
    Value* x = f->add_input(Type::tensor(DType::f32, Shape{2}), "x");
    f->body.outputs = {b.emit("use", {{"x", x}, {"y", b.constant(c, "c")}})};
    f->output_names = {"y"};
    ASSERT_TRUE(b.ok()) << render(*b.failure());
    const auto again = round_trip(to_text(*p));
    ASSERT_NE(again, nullptr);
    const Value* read = again->main()->body.ops[0]->arg("y");
    EXPECT_TRUE(read->constant->same_as(*c)) << name(dtype);
  }
}

TEST(Text, SpecialNumbers) {
  Function* f = nullptr;
  auto p = program_with(f);
  Builder b(*f, table(), {});
  const float values[] = {INFINITY, -INFINITY, -0.0f, 1e-45f, 3.4028235e38f, -1.0f / 3};
  const ConstantPtr c = Constant::of(Tensor::of<float>(DType::f32, Shape{6}, values));
  Value* x = f->add_input(Type::tensor(DType::f32, Shape{2}), "x");
  f->body.outputs = {b.emit("use", {{"x", x}, {"y", b.constant(c)}}),
                     b.emit("use", {{"x", x}, {"y", b.scalar(DType::f16, NAN)}})};
  f->output_names = {"y", "z"};
  const auto again = round_trip(to_text(*p));
  ASSERT_NE(again, nullptr);
  EXPECT_TRUE(again->main()->body.ops[0]->arg("y")->constant->same_as(*c));
  EXPECT_TRUE(std::isnan(element_as_double(again->main()->body.ops[1]->arg("y")->constant->view(), 0)));
}

TEST(Text, SymbolsTuplesBlocksAndNames) {
  Function* f = nullptr;
  auto p = program_with(f);
  p->metadata = {{"author", "a \"quoted\" name"}};
  Builder b(*f, table(), {});
  const Dim n = Dim::symbol("n", {1, 64}), odd = Dim::symbol("batch size", {0, INT64_MAX});
  Value* x = f->add_input(Type::tensor(DType::f32, Dims{n}), "x");
  Value* z = f->add_input(Type::tensor(DType::f32, Dims{odd}), "string");
  Value* s = f->add_input(Type::state(Type::tensor(DType::f16, Shape{2, 3})), "state.0");
  Value* flag = f->add_input(Type::tensor(DType::boolean, Shape{}), "flag");
  Value* all = b.emit("concat", {{"values", Values{x, x, z}}, {"axis", 0}});
  EXPECT_EQ(all->dim(0), n * Dim(2) + odd);
  const Values pair = b.emit_all("twice", {{"x", b.emit("filter", {{"x", x}})}});
  std::vector<std::unique_ptr<Block>> branches;
  for (int i = 0; i < 2; ++i) {
    branches.push_back(std::make_unique<Block>());
    branches.back()->function = f;
    const Builder::BlockScope here(b, *branches.back());
    branches.back()->outputs = {i == 0 ? b.emit("neg", {{"x", all}}) : all, b.scalar(DType::i32, i)};
  }
  const Values chosen =
      b.emit_blocks("cond", {{"pred", flag}}, std::move(branches), {all->type, Type::tensor(DType::i32, Shape{})});
  f->body.outputs = {pair[0], pair[1], chosen[0], x};
  f->output_names = {"a", "b", "c.d", "x2"};
  (void)s;
  ASSERT_TRUE(b.ok()) << render(*b.failure());
  const auto again = round_trip(to_text(*p));
  ASSERT_NE(again, nullptr);
  EXPECT_EQ(again->metadata, p->metadata);
  const Function& g = *again->main();
  EXPECT_EQ(g.inputs[0]->type, x->type);
  EXPECT_EQ(g.inputs[0]->dim(0).range(), (IntRange{1, 64}));
  EXPECT_EQ(g.inputs[1]->name, "string");
  EXPECT_EQ(g.inputs[1]->type, z->type);
  EXPECT_EQ(g.inputs[2]->type, s->type);
  EXPECT_EQ(g.output_names, f->output_names);
  EXPECT_EQ(g.body.outputs[2]->type, chosen[0]->type);
  EXPECT_EQ(g.body.ops[0]->result()->dim(0), n * Dim(2) + odd);
}

TEST(Text, WhileLoop) {
  const auto p = round_trip(
      "program(1.3)\n"
      "{\n"
      "  func main<ios18>(tensor<fp32, [3]> x, bool go) {\n"
      "    tensor<fp32, [3]> y, bool last = while_loop(loop_vars = (x, go))[name = string(\"y\")] {\n"
      "      (tensor<fp32, [3]> a, bool b) {\n"
      "      } -> (b);\n"
      "      (tensor<fp32, [3]> c, bool d) {\n"
      "        tensor<fp32, [3]> e = neg(x = c)[name = string(\"e\")];\n"
      "        bool stop = const()[name = string(\"stop\"), val = bool(false)];\n"
      "      } -> (e, stop);\n"
      "    };\n"
      "  } -> (y);\n"
      "}\n");
  ASSERT_NE(p, nullptr);
  EXPECT_EQ(p->main()->body.ops[0]->blocks.size(), 2u);
}

TEST(Text, ReadsApplesDialects) {
  const std::string text =
      "program(1.0)\n"
      "[buildInfo = dict<tensor<string, []>, tensor<string, []>>({{\"a\", \"b\"}})]\n";
  EXPECT_FALSE(parse_text(text, table()));  // cut off
  TextSource source;
  source.blob = [](std::string_view path, uint64_t offset, const Type& type) -> Result<ConstantPtr> {
    EXPECT_EQ(path, "@model_path/weights/weight.bin");
    EXPECT_EQ(offset, 64u);
    return Constant::of(Tensor(type.dtype, type.shape()));
  };
  const auto p = parse_text(
      "program(1.0)\n"
      "[buildInfo = dict<tensor<string, []>, tensor<string, []>>({{\"coremlc-version\", \"1\"}, {\"b\", \"2\"}})]\n"
      "{\n"
      "  func main<ios15>(tensor<fp32, [1, ?]> x) {\n"
      "    tensor<int32, []> axis = const()[name = tensor<string, []>(\"axis\"), val = tensor<int32, []>(1)];\n"
      "    tensor<fp32, [20]> w = const()[name = tensor<string, []>(\"w\"), val = tensor<fp32, [20]>(BLOBFILE(path = "
      "tensor<string, []>(\"@model_path/weights/weight.bin\"), offset = tensor<uint64, []>(64)))];\n"
      "    tensor<fp32, [1, ?]> y = use(x = x, y = w)[name = tensor<string, []>(\"y\")];\n"
      "    tensor<fp32, [1, ?]> z = use(x = y, y = axis)[name = tensor<string, []>(\"z\")];\n"
      "  } -> (z);\n"
      "}\n",
      table(), source);
  ASSERT_TRUE(p) << render(p.error());
  EXPECT_FALSE((*p)->main()->inputs[0]->dim(1).known());
  EXPECT_EQ((*p)->main()->body.ops.size(), 2u);
}

TEST(Text, ErrorsSayWhere) {
  const auto error = [](std::string_view body) {
    const auto p = parse_text(
        "program(1.3)\n{\n  func main<ios18>(fp32 x) {\n    " + std::string(body) + "\n  } -> (y);\n}\n", table());
    return p ? std::string("none") : render(p.error());
  };
  EXPECT_EQ(error("fp32 y = neg(x = x);"), "none");
  EXPECT_NE(error("fp32 y = neg(x = );").find("line 4, column 22"), std::string::npos);
  EXPECT_NE(error("fp32 y = neg(x = q);").find("'q' is used"), std::string::npos);
  EXPECT_NE(error("fp32 y = what(x = x);").find("unsupported operator 'what'"), std::string::npos);
  EXPECT_NE(error("fp16 y = neg(x = x);").find("declared as"), std::string::npos);
  EXPECT_NE(error("fp32 x = neg(x = x);").find("defined twice"), std::string::npos);
  EXPECT_NE(error("int8 y = const()[val = int8(200)];").find("expected a int8"), std::string::npos);
  EXPECT_NE(error("fp32 y = neg(x = \"").find("line 4"), std::string::npos);
  std::string deep = "tensor<fp32, [";
  deep.append(10000, '(');
  EXPECT_NE(error(deep).find("nests too deeply"), std::string::npos);
}

TEST(Text, LongConstantsAreElidedOnRequest) {
  Function* f = nullptr;
  auto p = program_with(f);
  Builder b(*f, table(), {});
  Value* x = f->add_input(Type::tensor(DType::f32, Shape{2}), "x");
  f->body.outputs = {b.emit("use", {{"x", x}, {"y", b.constant(Constant::of(Tensor(DType::u8, Shape{100})))}})};
  f->output_names = {"y"};
  const std::string text = to_text(*p, {.max_elements = 10});
  EXPECT_NE(text.find("ELIDED(hash = \""), std::string::npos);
  EXPECT_FALSE(parse_text(text, table()));
}

TEST(Verify, FindsBreaches) {
  const auto breach = [](const std::function<void(Function&)>& damage) {
    Function* f = nullptr;
    auto p = program_with(f);
    Builder b(*f, table(), {});
    Value* x = f->add_input(Type::tensor(DType::f32, Shape{2}), "x");
    f->body.outputs = {b.emit("neg", {{"x", b.emit("neg", {{"x", x}})}})};
    f->output_names = {"y"};
    EXPECT_TRUE(verify(*p));
    damage(*f);
    const Status s = verify(*p);
    return s ? std::string("none") : s.error().message;
  };
  EXPECT_NE(breach([](Function& f) { std::swap(f.body.ops[0], f.body.ops[1]); }).find("not defined"),
            std::string::npos);
  EXPECT_NE(breach([](Function& f) { f.output_names.clear(); }).find("output names"), std::string::npos);
  EXPECT_NE(breach([](Function& f) { f.body.ops[0]->args.clear(); }).find("arguments"), std::string::npos);
  EXPECT_NE(breach([](Function& f) { f.body.ops[0]->args[0].clear(); }).find("missing"), std::string::npos);
  EXPECT_NE(breach([](Function& f) { f.body.ops[1]->results[0]->type.dims = {3}; }).find("inferred"),
            std::string::npos);
  EXPECT_NE(breach([](Function& f) { f.body.ops[1]->results[0]->producer = nullptr; }).find("point back"),
            std::string::npos);
  EXPECT_NE(breach([](Function& f) { f.body.outputs[0] = f.poison(); }).find("refused"), std::string::npos);
  EXPECT_EQ(breach([](Function& f) { f.body.ops[1]->results[0]->type.dims = {Dim::symbol("n")}; }), "none");
}

}  // namespace
}  // namespace graft::ir

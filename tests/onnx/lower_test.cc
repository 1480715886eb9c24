#include "onnx/lower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "onnx/nodes.h"

namespace graft::onnx {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

Initializer ints(const std::string& name, std::vector<int64_t> v) { return {name, ir::Constant::ints(DType::i64, v)}; }

HostProgram lowered(std::shared_ptr<const Model> m) {
  Result<HostProgram> host = lower_for_host(std::move(m), {});
  EXPECT_TRUE(host) << (host ? "" : render(host.error()));
  for (const Diag& d : host->problems) ADD_FAILURE() << render(d);
  return std::move(*host);
}

std::vector<std::string_view> ops_of(const ir::Function& f) {
  std::vector<std::string_view> names;
  for (const auto& op : f.body.ops) names.push_back(op->type());
  return names;
}

// The refusal of the only node for Core ML; empty when it is taken.
std::string refusal(const HostProgram& host, ir::Opset newest = ir::Opset::ios18) {
  const Result<ir::Opset> r =
      SubgraphLowerer(host, ir::Target::mlprogram(newest)).attempt(host.model->graph.nodes.back());
  return r ? "" : render(r.error());
}

TEST(LoweringTable, RowsAreUniqueAndTheirVersionsAscend) {
  const Lowering* before = nullptr;
  for (const Lowering* row : all_lowerings()) {
    ASSERT_FALSE(row->versions.empty());
    EXPECT_TRUE(std::is_sorted(row->versions.begin(), row->versions.end())) << row->op_type;
    EXPECT_NE(row->lower, nullptr);
    if (before != nullptr) {
      EXPECT_LT(std::pair(before->domain, before->op_type), std::pair(row->domain, row->op_type));
    }
    EXPECT_EQ(find_lowering(row->domain, row->op_type), row);
    before = row;
  }
  EXPECT_EQ(find_lowering("", "NoSuchOperator"), nullptr);
}

// Quantized weights stay small: a constant's DequantizeLinear is a constant in that form, on the host and for Core ML.
TEST(Lowering, DequantizedConstantsKeepTheirForm) {
  const auto initializer = [](const std::string& name, DType t, const Shape& shape, std::vector<int64_t> v) {
    const ir::ConstantPtr list = ir::Constant::ints(DType::i64, v);
    Tensor packed(t, shape);
    auto* bytes = static_cast<uint8_t*>(packed.mutable_view().data);
    std::fill_n(bytes, packed.view().bytes(), uint8_t{0});
    for (size_t i = 0; i < v.size() && bits(t) == 4; ++i)
      bytes[i / 2] = static_cast<uint8_t>(bytes[i / 2] | (v[i] & 15) << i % 2 * 4);
    return Initializer{
        name, bits(t) == 4 ? ir::Constant::of(packed) : ir::Constant::reshape(ir::Constant::cast(list, t), shape)};
  };
  struct Case {
    std::vector<Initializer> arguments;
    std::vector<Attribute> attributes;
    bool blocks;
    std::vector<double> wanted;
  };
  const std::vector<Case> cases = {
      {{initializer("w", DType::i8, {2, 4}, {-128, -1, 0, 1, 2, 3, 4, 127}), initializer("s", DType::f32, {2}, {2, 3}),
        initializer("z", DType::i8, {2}, {1, -1})},
       {int_attribute("axis", 0)},
       false,
       {-258, -4, -2, 0, 9, 12, 15, 384}},
      {{initializer("w", DType::u8, {2, 4}, {0, 1, 2, 3, 4, 5, 6, 255}), initializer("s", DType::f32, {1}, {2})},
       {},
       false,
       {0, 2, 4, 6, 8, 10, 12, 510}},
      {{initializer("w", DType::i8, {2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}),
        initializer("s", DType::f32, {2, 2}, {1, 2, 3, 4})},
       {int_attribute("axis", 1), int_attribute("block_size", 2)},
       true,
       {1, 2, 6, 8, 15, 18, 28, 32}},
      {{initializer("w", DType::i4, {2, 4}, {-8, 7, 1, 0, -1, 2, 3, 4}),
        initializer("s", DType::f32, {4}, {1, 2, 3, 4}), initializer("z", DType::i4, {4}, {0, 1, 0, -1})},
       {},
       true,
       {-8, 12, 3, 4, -1, 2, 9, 20}},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    SCOPED_TRACE(i);
    Graph g;
    g.inputs = {tensor("x", DType::f32, {dim(2), dim(4)})};
    g.outputs = {{"y", {}}};
    g.initializers = cases[i].arguments;
    Names names;
    for (const Initializer& a : cases[i].arguments) names.push_back(a.name);
    g.nodes = {node("DequantizeLinear", names, {"d"}, cases[i].attributes), node("Add", {"x", "d"}, {"y"})};
    const HostProgram host = lowered(prepared(std::move(g), 21));
    const ir::Function& f = *host.program->main();
    ASSERT_THAT(ops_of(f), ElementsAre("add"));
    const ir::Constant& c = *f.body.ops[0]->arg("y")->constant;
    EXPECT_EQ(c.as<ir::form::Blockwise>() != nullptr, cases[i].blocks);
    EXPECT_EQ(c.as<ir::form::Affine>() != nullptr, !cases[i].blocks);
    for (int64_t k = 0; k < 8; ++k)
      EXPECT_EQ(element_as_double(c.view(), k), cases[i].wanted[static_cast<size_t>(k)]) << k;
    EXPECT_EQ(SubgraphLowerer(host, ir::Target::mlprogram(ir::Opset::ios15))
                  .attempt(host.model->graph.nodes[0])
                  .value_or(ir::Opset::host),
              ir::Opset::ios15);
  }
}

// The way exporters write "flatten all but the batch": every shape operator folds into the one reshape.
TEST(Lowering, ShapeArithmeticFoldsIntoReshape) {
  Graph g;
  g.inputs = {tensor("x", DType::f32, {dim("batch"), dim(3), dim(4)})};
  g.outputs = {{"y", {}}};
  g.initializers = {ints("zero", {0}), ints("rest", {-1})};
  g.nodes = {node("Shape", {"x"}, {"s"}), node("Gather", {"s", "zero"}, {"n"}),
             node("Concat", {"n", "rest"}, {"to"}, {int_attribute("axis", 0)}), node("Reshape", {"x", "to"}, {"y"})};
  const HostProgram host = lowered(prepared(std::move(g)));
  const ir::Value* y = host.values.at("y");
  EXPECT_EQ(y->type.to_string(), "tensor<fp32, [batch, 12]>");
  const ir::Value* shape = y->producer->arg("shape");
  ASSERT_TRUE(shape->is_constant());
  EXPECT_EQ(element_as_int(shape->constant->view(), 0), -1);
  EXPECT_EQ(element_as_int(shape->constant->view(), 1), 12);
}

TEST(Lowering, ReshapeWithTwoOpenDimsTakesThemFromItsInput) {
  Graph g;
  g.inputs = {tensor("x", DType::f32, {dim("n"), dim("t"), dim(8)})};
  g.outputs = {{"y", {}}};
  g.initializers = {ints("to", {0, 0, 2, -1})};
  g.nodes = {node("Reshape", {"x", "to"}, {"y"})};
  const HostProgram host = lowered(prepared(std::move(g)));
  EXPECT_EQ(host.values.at("y")->type.to_string(), "tensor<fp32, [n, t, 2, 4]>");
  EXPECT_THAT(refusal(host), IsEmpty());
}

TEST(Lowering, SliceEndsBeyondInt32AreTakenByCoreML) {
  Graph g;
  g.inputs = {tensor("x", DType::f32, {dim("n"), dim(8)})};
  g.outputs = {{"y", {}}};
  g.initializers = {ints("from", {1}), ints("to", {INT64_MAX}), ints("axes", {0})};
  g.nodes = {node("Slice", {"x", "from", "to", "axes"}, {"y"})};
  const HostProgram host = lowered(prepared(std::move(g)));
  EXPECT_THAT(ops_of(host.main()), ElementsAre("slice_by_index"));
  EXPECT_THAT(refusal(host), IsEmpty());
}

TEST(Lowering, IndicesNotProvenPositiveAreWrappedForCoreML) {
  Graph g;
  g.inputs = {tensor("x", DType::f32, {dim(5), dim(2)}), tensor("i", DType::i64, {dim(3)})};
  g.outputs = {{"y", {}}};
  g.nodes = {node("Gather", {"x", "i"}, {"y"})};
  const HostProgram host = lowered(prepared(std::move(g)));
  EXPECT_THAT(ops_of(host.main()), ElementsAre("gather"));  // its kernel counts negative indices from the end
  const Node* gather = &host.model->graph.nodes[0];
  const std::string outputs[] = {"y"};
  const auto partition =
      SubgraphLowerer(host, ir::Target::mlprogram(ir::Opset::ios18)).build("main", {&gather, 1}, outputs);
  ASSERT_TRUE(partition) << render(partition.error().front());
  EXPECT_THAT(ops_of(*partition->function), ElementsAre("less", "add", "select", "gather"));
}

TEST(Lowering, FloatToInt64IsRefusedForCoreML) {
  Graph g;
  g.inputs = {tensor("x", DType::f32, {dim(5)})};
  g.outputs = {{"y", {}}};
  g.nodes = {node("Cast", {"x"}, {"y"}, {int_attribute("to", 7)})};
  EXPECT_THAT(refusal(lowered(prepared(std::move(g)))), HasSubstr("int64_range"));
}

Graph branch(const std::string& op, const std::string& input) {
  Graph g;
  g.name = op;
  g.outputs = {{op + "_out", {}}};
  g.nodes = {node(op, {input}, {op + "_out"})};
  return g;
}

Graph conditional(Graph yes, Graph no, bool constant) {
  Graph g;
  g.inputs = {tensor("x", DType::f32, {dim(2), dim(3)})};
  if (constant)
    g.initializers = {{"c", ir::Constant::int_scalar(DType::boolean, 1)}};
  else
    g.inputs.push_back(tensor("c", DType::boolean, {}));
  g.outputs = {{"y", {}}};
  g.nodes = {node("If", {"c"}, {"y"},
                  {graph_attribute("then_branch", std::move(yes)), graph_attribute("else_branch", std::move(no))})};
  return g;
}

TEST(LoweringIf, ConstantConditionInlinesItsBranch) {
  const HostProgram host = lowered(prepared(conditional(branch("Relu", "x"), branch("Exp", "x"), true)));
  EXPECT_THAT(ops_of(host.main()), ElementsAre("relu"));
}

TEST(LoweringIf, BranchesReturnResultsOfTheirOwn) {
  const HostProgram host = lowered(prepared(conditional(branch("Relu", "x"), branch("Identity", "x"), false)));
  ASSERT_THAT(ops_of(host.main()), ElementsAre("cond"));
  const ir::Op& cond = *host.main().body.ops[0];
  ASSERT_THAT(cond.blocks, SizeIs(2));
  ASSERT_THAT(cond.blocks[1]->ops, SizeIs(1));
  EXPECT_EQ(cond.blocks[1]->ops[0]->type(), "identity");
  EXPECT_THAT(refusal(host), IsEmpty());
}

TEST(LoweringIf, BranchesOfDifferentSizesGiveOpenOnes) {
  const HostProgram host = lowered(prepared(conditional(branch("Relu", "x"), branch("Transpose", "x"), false)));
  EXPECT_EQ(host.values.at("y")->rank(), 2);
  EXPECT_THAT(refusal(host), IsEmpty());
}

TEST(LoweringIf, RefusalsOfBothBranchesAreTold) {
  const Result<HostProgram> host =
      lower_for_host(prepared(conditional(branch("NoSuch", "x"), branch("NorThis", "x"), false)), {});
  ASSERT_TRUE(host);
  ASSERT_THAT(host->problems, SizeIs(1));
  const std::string told = render(host->problems[0]);
  EXPECT_THAT(told, HasSubstr("unsupported operator NoSuch"));
  EXPECT_THAT(told, HasSubstr("unsupported operator NorThis"));
}

// What a lowering reads as a number (here with saturation) is not asked for as a value first.
TEST(LoweringIf, EndsBeyondInt32AreFineInBodies) {
  Graph yes;
  yes.name = "yes";
  yes.outputs = {{"s", {}}};
  yes.initializers = {ints("starts", {1}), ints("ends", {INT64_MAX}), ints("axes", {1})};
  yes.nodes = {node("Slice", {"x", "starts", "ends", "axes"}, {"s0"}),
               node("Slice", {"s0", "starts", "ends", "axes"}, {"s"})};
  Graph no = yes;
  no.name = "no";
  EXPECT_THAT(refusal(lowered(prepared(conditional(std::move(yes), std::move(no), false)))), IsEmpty());
}

// What stands behind a refused node is not blamed for it.
TEST(LoweringIf, BodiesOfUnknownValuesAreNotBlamed) {
  Graph g = conditional(branch("Identity", "z"), branch("Exp", "x"), false);
  g.nodes.insert(g.nodes.begin(), node("NoSuch", {"x"}, {"z"}));
  const Result<HostProgram> host = lower_for_host(prepared(std::move(g)), {});
  ASSERT_TRUE(host);
  ASSERT_THAT(host->problems, SizeIs(1));
  EXPECT_EQ(host->problems[0].op, "NoSuch");
}

TEST(Lowering, HostOperatorsAreRefusedAsSuch) {
  Graph g;
  g.inputs = {tensor("x", DType::f32, {dim(5)})};
  g.outputs = {{"y", {}}};
  g.nodes = {node("Unique", {"x"}, {"y"})};
  const HostProgram host = lowered(prepared(std::move(g)));
  EXPECT_THAT(ops_of(host.main()), ElementsAre("host_unique"));
  EXPECT_THAT(refusal(host), HasSubstr("host_only"));
}

Result<HostProgram> einsum(const std::string& equation, const std::vector<std::vector<DimInfo>>& shapes) {
  Graph g;
  g.outputs = {{"y", {}}};
  Names names;
  for (const std::vector<DimInfo>& shape : shapes) {
    names.push_back("x" + std::to_string(names.size()));
    g.inputs.push_back(tensor(names.back(), DType::f32, shape));
  }
  g.nodes = {node("Einsum", names, {"y"}, {text_attribute("equation", equation)})};
  return lower_for_host(prepared(std::move(g)), {});
}

TEST(Lowering, EinsumEmitsWhatItsEquationNeeds) {
  const auto ops = [](const std::string& equation, const std::vector<std::vector<DimInfo>>& shapes) {
    const Result<HostProgram> host = einsum(equation, shapes);
    return ops_of(host->main());
  };
  EXPECT_THAT(ops("ij,jk->ik", {{dim(2), dim(3)}, {dim(3), dim("n")}}), ElementsAre("matmul"));
  EXPECT_THAT(ops("ij,j->i", {{dim(2), dim(3)}, {dim(3)}}), ElementsAre("reshape", "matmul", "reshape"));
  EXPECT_THAT(ops("...,...", {{dim(2), dim("n")}, {dim("n")}}), ElementsAre("mul"));
  // A dim of one under a larger one's label repeats.
  EXPECT_THAT(ops("ij,jk->ik", {{dim(2), dim(1)}, {dim(3), dim(4)}}),
              ElementsAre("squeeze", "reduce_sum", "expand_dims", "mul"));
}

TEST(Lowering, EinsumsThatMeanNothingAreRefused) {
  const auto why = [](const std::string& equation, const std::vector<std::vector<DimInfo>>& shapes) {
    const Result<HostProgram> host = einsum(equation, shapes);
    return host->problems.size() == 1 ? host->problems[0].message : "not refused";
  };
  const std::vector<DimInfo> m = {dim(2), dim(3)};
  EXPECT_THAT(why("ij", {m, m}), HasSubstr("equation 'ij': takes 2 terms, one an input"));
  EXPECT_THAT(why("ij,jk,kl", {m, m}), HasSubstr("takes 2 terms"));
  EXPECT_THAT(why("ijk", {m}), HasSubstr("term 1 is not one of tensor<fp32, [2, 3]>"));
  for (const char* bad : {"i1", "i.j", "i...j...", "...ijk", "i"})
    EXPECT_THAT(why(bad, {m}), HasSubstr("term 1")) << bad;
  EXPECT_THAT(why("ij->ik", {m}), HasSubstr("a label 'k' that no term has"));
  EXPECT_THAT(why("ij->ii", {m}), HasSubstr("or has it twice"));
  EXPECT_THAT(why("ij->i->j", {m}), HasSubstr("the result is not a term"));
  EXPECT_THAT(why("ij,jk", {m, m}), HasSubstr("other sizes under one label"));
  EXPECT_THAT(why("ii", {m}), HasSubstr("dims 0 and 1 of tensor<fp32, [2, 3]> have one label"));
  EXPECT_THAT(why("abcde,fghij->abcdefghij", {{5, dim(1)}, {5, dim(1)}}), HasSubstr("a product of rank 10"));
}

TEST(Lowering, OlderVersionsThanTheFirstAreRefused) {
  Graph g;
  g.inputs = {tensor("x", DType::f32, {dim(5), dim(2)})};
  g.outputs = {{"y", {}}};
  g.nodes = {node("LayerNormalization", {"x", "x"}, {"y"})};
  const Result<HostProgram> host = lower_for_host(prepared(std::move(g), 16), {});
  ASSERT_TRUE(host);
  ASSERT_THAT(host->problems, SizeIs(1));
  EXPECT_THAT(host->problems[0].message, HasSubstr("older than 17"));
}

}  // namespace
}  // namespace graft::onnx

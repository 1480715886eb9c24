#include "partition/partition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "onnx/nodes.h"
#include "partition/partitions.h"

namespace graft::partition {
namespace {

using onnx::node;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

onnx::ValueInfo tensor(const std::string& name, std::vector<int64_t> dims, DType dtype = DType::f32) {
  onnx::ValueInfo v;
  v.name = name;
  v.type.kind = onnx::ValueType::Kind::tensor;
  v.type.dtype = dtype;
  v.type.has_shape = true;
  for (int64_t d : dims) v.type.dims.push_back({d, {}});
  return v;
}

std::shared_ptr<const onnx::HostProgram> lowered(onnx::Graph graph) {
  auto m = std::make_shared<onnx::Model>();
  m->ir_version = 8;
  m->opsets[""] = 17;
  m->graph = std::move(graph);
  const Status s = onnx::prepare(*m);
  EXPECT_TRUE(s) << (s ? "" : render(s.error()));
  Result<onnx::HostProgram> host = onnx::lower_for_host(m, {});
  EXPECT_TRUE(host) << (host ? "" : render(host.error()));
  return std::make_shared<const onnx::HostProgram>(std::move(*host));
}

Partitioning cut(std::shared_ptr<const onnx::HostProgram> host, const Options& options = {}) {
  Result<Partitioning> p = partition(std::move(host), options);
  EXPECT_TRUE(p) << (p ? "" : render(p.error()));
  return std::move(*p);
}

// In ONNX's numbers.
enum : int64_t { to_f32 = 1, to_i16 = 5, to_f64 = 11 };
onnx::Node cast(const std::string& from, const std::string& to, int64_t dtype) {
  return node("Cast", {from}, {to}, {onnx::int_attribute("to", dtype)});
}

// A node that Core ML takes and one that it does not, `n` times in turn.
std::shared_ptr<const onnx::HostProgram> in_turn(int n) {
  onnx::Graph g;
  g.inputs = {tensor("x", {8})};
  std::string last = "x";
  for (int i = 0; i < n; ++i) {
    const std::string a = "a" + std::to_string(i), b = "b" + std::to_string(i);
    g.nodes.push_back(node(i % 2 == 0 ? "Relu" : "Tanh", {last}, {a}));
    g.nodes.push_back(node("Unique", {a}, {b}));
    last = b;
  }
  g.outputs = {tensor(last, {})};
  g.outputs[0].type.has_shape = false;
  return lowered(std::move(g));
}

// What every partition gains is made of its arithmetic only.
Options free_crossings() {
  Options o;
  o.cost.crossing_us = 0;
  o.cost.bytes_per_us = 1e30;
  return o;
}

TEST(Partitioning, WorkIsInProportionToTheModel) {
  constexpr int kTurns = 1000;
  for (const Options& options : {Options{}, free_crossings()}) {
    const Partitioning one = cut(in_turn(kTurns), options), two = cut(in_turn(2 * kTurns), options);
    EXPECT_LE(two.lowered, 2 * one.lowered);
    EXPECT_LE(one.lowered, 6 * kTurns);  // each node: an attempt, its partition, the host's run
  }
}

TEST(Partitioning, TenThousandPartitionsThatDoNotPay) {
  constexpr int kTurns = 10'000;
  const Partitioning p = cut(in_turn(kTurns));
  EXPECT_EQ(p.partitions, 0);
  EXPECT_EQ(p.target, std::nullopt);
  EXPECT_EQ(p.count(Where::host), 2 * kTurns);
  EXPECT_THAT(p.subgraphs, SizeIs(1));
  for (const NodePlan& n : p.nodes) {
    ASSERT_TRUE(n.refusal);
    EXPECT_EQ(n.refusal->code, n.node->op_type == "Unique" ? Code::host_only : Code::not_worth_it);
  }
}

TEST(Partitioning, TenThousandPartitionsThatPay) {
  constexpr int kTurns = 10'000;
  const Partitioning p = cut(in_turn(kTurns), free_crossings());
  EXPECT_EQ(p.partitions, kTurns);
  EXPECT_THAT(p.subgraphs, SizeIs(2 * kTurns));
  EXPECT_EQ(p.count(Where::coreml), kTurns);
}

TEST(Partitioning, DroppingOnePartitionWritesTheOthersForAnEarlierTarget) {
  onnx::Graph g;
  g.inputs = {tensor("x", {512, 512})};
  g.nodes = {node("MatMul", {"x", "x"}, {"a"}),
             cast("a", "b", to_f64),  // host
             cast("b", "c", to_f32),
             node("ReduceMax", {"c"}, {"d"}, {onnx::int_attribute("keepdims", 0)}),
             cast("d", "e", to_i16),  // iOS17
             cast("e", "f", to_f32),
             cast("f", "g", to_f64)};
  g.outputs = {tensor("g", {}, DType::f64)};
  const auto host = lowered(std::move(g));
  Options keep;
  keep.drop_unprofitable = false;
  const Partitioning all = cut(host, keep);
  ASSERT_EQ(all.partitions, 2);
  EXPECT_EQ(all.target, ir::Opset::ios17);
  const Partitioning some = cut(host);
  ASSERT_EQ(some.partitions, 1);
  EXPECT_EQ(some.target, ir::Opset::ios15);
  EXPECT_EQ(some.subgraphs[0].target, ir::Target::oldest());
}

TEST(Partitioning, RemediesAreLookedForWhenAsked) {
  onnx::Graph g;
  g.inputs = {tensor("x", {2, 4, 3})};
  g.initializers = {
      {"i", ir::Constant::reshape(ir::Constant::ints(DType::i64, std::vector<int64_t>{1, 2}), Shape{2, 1})}};
  g.nodes = {node("GatherND", {"x", "i"}, {"y"}, {onnx::int_attribute("batch_dims", 1)})};
  g.outputs = {tensor("y", {2, 3})};
  Options options;
  options.target = ir::Opset::ios15;
  Partitioning p = cut(lowered(std::move(g)), options);
  ASSERT_TRUE(p.nodes[0].refusal);
  EXPECT_THAT(p.nodes[0].refusal->remedies, IsEmpty());
  find_remedies(*p.host, options, {}, p.nodes);
  EXPECT_THAT(p.nodes[0].refusal->remedies, ElementsAre("--target iOS16"));
}

TEST(Blamed, IsWhoTheOriginNamesNotWhoHasTheName) {
  onnx::Node a = node("Relu", {"x"}, {"y"}), b = a, c = a;
  a.name = b.name = c.name = "the same";
  a.id = 3, b.id = 4, c.id = 5;
  Diag about_b, about_all;
  about_b.message = "no";
  about_b.node = "the same";
  about_b.origin = {4, 17};  // 17: a node of a body
  const auto one = blamed({&a, &b, &c}, {about_b});
  ASSERT_THAT(one, SizeIs(1));
  EXPECT_EQ(one[0].first, &b);
  ASSERT_THAT(one[0].second, SizeIs(1));
  EXPECT_EQ(one[0].second[0].message, "no");
  about_all.node = "the same";
  EXPECT_THAT(blamed({&a, &b, &c}, {about_all}), SizeIs(3));
  EXPECT_THAT(blamed({&a, &b, &c}, {about_b, about_all}), SizeIs(1));
}

}  // namespace
}  // namespace graft::partition

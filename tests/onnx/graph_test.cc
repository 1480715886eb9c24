#include "onnx/graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "onnx/nodes.h"
#include "onnx/reader.h"
#include "support/allocations.h"

namespace graft::onnx {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

// Models are filled here as a front door other than the reader would.

Node in_domain(const std::string& domain, Node n) {
  n.domain = domain;
  return n;
}

Attribute ref_attribute(const std::string& name, const std::string& ref) {
  Attribute a = int_attribute(name, 0);
  a.ref_attr_name = ref;
  return a;
}

Node with(Node n, std::vector<Attribute> attributes) {
  n.attributes = std::move(attributes);
  return n;
}

Graph graph(Names inputs, std::vector<Node> nodes, Names outputs, Names initializers = {}) {
  Graph g;
  for (auto& s : inputs) g.inputs.push_back({s, {}});
  for (auto& s : outputs) g.outputs.push_back({s, {}});
  for (auto& s : initializers) g.initializers.push_back({s, ir::Constant::scalar(DType::f32, 1)});
  g.nodes = std::move(nodes);
  return g;
}

Model model(Graph g, std::vector<Function> functions = {}) {
  Model m;
  m.ir_version = 8;
  m.opsets = {{"", 17}, {"f", 1}};
  m.graph = std::move(g);
  m.functions = std::move(functions);
  return m;
}

Function function(const std::string& name, Names inputs, std::vector<Node> nodes, Names outputs) {
  Function f;
  f.domain = "f";
  f.name = name;
  f.inputs = std::move(inputs);
  f.outputs = std::move(outputs);
  f.nodes = std::move(nodes);
  return f;
}

Names ops(const Graph& g) {
  Names all;
  for (const Node& n : g.nodes) all.push_back(n.op_type);
  return all;
}

Diag error_of(Model m, const Limits& limits = {}) {
  auto s = prepare(m, limits);
  if (s) ADD_FAILURE() << "prepared without an error";
  return s ? Diag{} : s.error();
}

void expect_ok(Model& m) {
  auto s = prepare(m);
  ASSERT_TRUE(s) << render(s.error());
}

// Order, names, numbers

TEST(Prepare, SortsStably) {
  Model m = model(graph({"x"},
                        {node("D", {"c", "b"}, {"d"}), node("B", {"a"}, {"b"}), node("C", {"a"}, {"c"}),
                         node("A", {"x"}, {"a"}), node("E", {"x"}, {"e"})},
                        {"d", "e"}));
  expect_ok(m);
  EXPECT_THAT(ops(m.graph), ElementsAre("A", "B", "C", "D", "E"));
  EXPECT_EQ(m.graph.nodes[0].id, 3);  // numbers keep the order of the file
  Model sorted = model(graph({"x"}, {node("B", {"x"}, {"b"}), node("A", {"x"}, {"a"})}, {"a", "b"}));
  expect_ok(sorted);
  EXPECT_THAT(ops(sorted.graph), ElementsAre("B", "A"));
}

TEST(Prepare, SortsByWhatBodiesRead) {
  Model m = model(graph(
      {"x"},
      {with(node("If", {"x"}, {"y"}), {graph_attribute("then_branch", graph({}, {node("Neg", {"a"}, {"n"})}, {"n"}))}),
       node("A", {"x"}, {"a"})},
      {"y"}));
  expect_ok(m);
  EXPECT_THAT(ops(m.graph), ElementsAre("A", "If"));
  EXPECT_THAT(m.graph.nodes[1].bodies().at(0)->captures, ElementsAre("a"));
  EXPECT_TRUE(m.graph.captures.empty());
}

TEST(Prepare, FindsCycles) {
  EXPECT_EQ(error_of(model(graph({}, {node("A", {"b"}, {"a"}), node("B", {"a"}, {"b"})}, {"a"}))).code,
            Code::invalid_model);
  EXPECT_THAT(error_of(model(graph({}, {node("A", {"a"}, {"a"})}, {"a"}))).message, HasSubstr("cycle"));
  Model own =
      model(graph({"x"}, {with(node("If", {"x"}, {"y"}), {graph_attribute("b", graph({}, {}, {"y"}))})}, {"y"}));
  EXPECT_THAT(error_of(std::move(own)).message, HasSubstr("cycle"));
}

TEST(Prepare, NumbersAndNames) {
  Node named = node("Conv", {"x"}, {"a"});
  named.name = "mine";
  Model m = model(
      graph({"x"},
            {named,
             with(node("If", {"a"}, {"b"}), {graph_attribute("t", graph({}, {node("Neg", {"a"}, {"n"})}, {"n"})),
                                             graph_attribute("e", graph({}, {node("Abs", {"a"}, {"n"})}, {"n"}))}),
             node("Relu", {"b"}, {"y"})},
            {"y"}));
  m.opsets = {{"ai.onnx", 13}};
  m.graph.nodes[2].domain = "ai.onnx";
  expect_ok(m);
  EXPECT_EQ(m.graph.nodes[0].name, "mine");
  EXPECT_EQ(m.graph.nodes[1].name, "If_1");
  EXPECT_EQ(m.graph.nodes[1].bodies()[1]->nodes[0].name, "Abs_3");
  EXPECT_EQ(m.graph.nodes[2].name, "Relu_4");
  EXPECT_EQ(m.graph.nodes[2].domain, "");
  EXPECT_EQ(m.graph.nodes[2].version, 13);
  EXPECT_EQ(m.next_id, 5);
}

// Names

TEST(Prepare, EveryNameIsDefinedOnce) {
  EXPECT_EQ(error_of(model(graph({"x", "x"}, {}, {"x"}))).tensor, "x");
  EXPECT_EQ(error_of(model(graph({}, {}, {"w"}, {"w", "w"}))).tensor, "w");
  const Diag d = error_of(model(graph({"x"}, {node("A", {"x"}, {"a"}), node("B", {"x"}, {"a"})}, {"a"})));
  EXPECT_EQ(d.code, Code::invalid_model);
  EXPECT_EQ(d.node, "B_1");
  EXPECT_EQ(d.tensor, "a");
  EXPECT_EQ(error_of(model(graph({"x"}, {node("A", {"x"}, {"x"})}, {"x"}))).node, "A_0");
  EXPECT_EQ(error_of(model(graph({"x"}, {node("A", {"x"}, {"w"})}, {"x"}, {"w"}))).node, "A_0");
  EXPECT_EQ(error_of(model(graph({"x"}, {}, {"x", "x"}))).tensor, "x");
  EXPECT_EQ(error_of(model(graph({""}, {}, {}))).code, Code::invalid_model);
}

TEST(Prepare, EveryReadNameIsDefined) {
  const Diag d = error_of(model(graph({"x"}, {node("A", {"x", "", "gone"}, {"a"})}, {"a"})));
  EXPECT_EQ(d.code, Code::invalid_model);
  EXPECT_EQ(d.node, "A_0");
  EXPECT_EQ(d.tensor, "gone");
  EXPECT_EQ(error_of(model(graph({"x"}, {}, {"gone"}))).tensor, "gone");
  const Diag inner = error_of(model(graph(
      {"x"}, {with(node("If", {"x"}, {"y"}), {graph_attribute("t", graph({}, {node("Neg", {"gone"}, {"n"})}, {"n"}))})},
      {"y"})));
  EXPECT_EQ(inner.node, "Neg_1");
  EXPECT_EQ(inner.tensor, "gone");
}

TEST(Prepare, BodiesMayShadowAndSiblingsMayShareNames) {
  const auto branch = [] { return graph({}, {node("Neg", {"x"}, {"t"}), node("Abs", {"t"}, {"y"})}, {"y"}); };
  Model m = model(
      graph({"x"}, {with(node("If", {"x"}, {"y"}), {graph_attribute("a", branch()), graph_attribute("b", branch())})},
            {"y"}));
  expect_ok(m);
}

TEST(Prepare, InitializersAreNotInputs) {
  const auto make = [](int ir) {
    Model m = model(graph({"b", "x", "a"}, {node("Add", {"x", "a"}, {"y"})}, {"y"}, {"a", "b", "c"}));
    m.ir_version = ir;
    return m;
  };
  Model three = make(3), four = make(4);
  expect_ok(three);
  expect_ok(four);
  for (const Model* m : {&three, &four}) {
    ASSERT_THAT(m->graph.inputs, SizeIs(1));
    EXPECT_EQ(m->graph.inputs[0].name, "x");
    ASSERT_NE(m->graph.find_initializer("c"), nullptr);
    EXPECT_EQ(m->graph.find_initializer("c")->name, "c");
    EXPECT_EQ(m->graph.find_initializer("x"), nullptr);
  }
  EXPECT_TRUE(three.overridable.empty());
  EXPECT_THAT(four.overridable, ElementsAre("b", "a"));
  const Model copy = four;  // the index belongs to the copy
  four = Model{};
  EXPECT_EQ(copy.graph.find_initializer("a")->name, "a");
}

TEST(Prepare, AttributeNamesAreUnique) {
  const Diag d = error_of(
      model(graph({"x"}, {with(node("A", {"x"}, {"y"}), {int_attribute("k", 1), int_attribute("k", 2)})}, {"y"})));
  EXPECT_EQ(d.code, Code::invalid_attribute);
  EXPECT_EQ(d.node, "A_0");
}

// Functions

// x -> A -> a -> B -> b -> C -> c, and D reads the initializer w and x.
std::shared_ptr<const Model> chain() {
  auto m = std::make_shared<Model>(model(graph(
      {"x", "z"},
      {node("A", {"x"}, {"a"}), node("B", {"a"}, {"b"}), node("C", {"b", "z"}, {"c"}), node("D", {"w", "x"}, {"d"})},
      {"c", "d"}, {"w"})));
  m->opsets[""] = 17;
  expect_ok(*m);
  return m;
}
Names names(const std::vector<ValueInfo>& list) {
  Names all;
  for (const ValueInfo& v : list) all.push_back(v.name);
  return all;
}

TEST(UpTo, LeavesOutWhatOnlyTheRestNeeds) {
  const auto whole = chain();
  const auto cut = up_to(whole, {"b"});
  ASSERT_TRUE(cut) << render(cut.error());
  EXPECT_THAT(ops((*cut)->graph), ElementsAre("A", "B"));
  EXPECT_THAT(names((*cut)->graph.inputs), ElementsAre("x"));
  EXPECT_THAT(names((*cut)->graph.outputs), ElementsAre("b"));
  EXPECT_THAT((*cut)->graph.initializers, SizeIs(0));
  const auto both = up_to(whole, {"d", "a"});
  ASSERT_TRUE(both) << render(both.error());
  EXPECT_THAT(ops((*both)->graph), ElementsAre("A", "D"));
  EXPECT_THAT(names((*both)->graph.outputs), ElementsAre("d", "a"));
  EXPECT_NE((*both)->graph.find_initializer("w"), nullptr);
  EXPECT_EQ(*up_to(whole, {}), whole);
  EXPECT_THAT(ops((*up_to(whole, {"x", "w"}))->graph), SizeIs(0));
  EXPECT_THAT(ops(whole->graph), SizeIs(4));
}

TEST(UpTo, NamesOneThatIsNoValue) {
  for (const Names& bad : {Names{"q"}, Names{""}, Names{"b", "q"}, Names{"b", "b"}}) {
    const auto cut = up_to(chain(), bad);
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().code, Code::invalid_option);
    EXPECT_THAT(cut.error().message, HasSubstr("'" + bad.back() + "'"));
  }
}

TEST(Functions, AreInlinedWithTheirOwnOpsets) {
  Function f = function("Twice", {"a"}, {node("Add", {"a", "a"}, {"t"}), node("Relu", {"t"}, {"b"})}, {"b"});
  f.opsets = {{"", 11}};
  Model m = model(graph({"x"},
                        {in_domain("f", node("Twice", {"x"}, {"t"})), in_domain("f", node("Twice", {"t"}, {"y"})),
                         node("Neg", {"y"}, {"z"})},
                        {"z"}),
                  {f});
  expect_ok(m);
  EXPECT_TRUE(m.functions.empty());
  ASSERT_THAT(ops(m.graph), ElementsAre("Add", "Relu", "Add", "Relu", "Neg"));
  EXPECT_EQ(m.graph.nodes[0].version, 11);
  EXPECT_EQ(m.graph.nodes[4].version, 17);
  EXPECT_EQ(m.graph.nodes[0].name, "Twice_0/Add_1");
  EXPECT_THAT(m.graph.nodes[0].outputs, ElementsAre("Twice_0/t"));
  EXPECT_THAT(m.graph.nodes[1].outputs, ElementsAre("t"));  // the caller's t, not the function's
  EXPECT_THAT(m.graph.nodes[2].inputs, ElementsAre("t", "t"));
  EXPECT_THAT(m.graph.nodes[3].outputs, ElementsAre("y"));
}

TEST(Functions, InnerNamesNeverMeetOthers) {
  Node call = in_domain("f", node("F", {"x"}, {"y"})), again = in_domain("f", node("F", {"y"}, {"z"}));
  call.name = again.name = "c";  // names of nodes need not be unique
  Model m = model(graph({"x", "c/t"}, {call, again, node("Add", {"z", "c/t"}, {"out"})}, {"out"}),
                  {function("F", {"a"}, {node("Neg", {"a"}, {"t"}), node("Abs", {"t"}, {"b"})}, {"b"})});
  expect_ok(m);
  EXPECT_THAT(m.graph.nodes[0].outputs, ElementsAre("c/t_1"));
  EXPECT_THAT(m.graph.nodes[2].outputs, ElementsAre("c/t_2"));
}

TEST(Functions, AttributesAreHandedOn) {
  Function f = function("F", {"a"},
                        {with(node("Op", {"a"}, {"b"}), {ref_attribute("given", "p"), ref_attribute("preset", "q"),
                                                         ref_attribute("absent", "r")})},
                        {"b"});
  f.attributes = {"p", "r"};
  f.defaults = {int_attribute("q", 5)};
  Function outer =
      function("G", {"a"}, {with(in_domain("f", node("F", {"a"}, {"b"})), {ref_attribute("p", "pp")})}, {"b"});
  Model m =
      model(graph({"x"}, {with(in_domain("f", node("G", {"x"}, {"y"})), {int_attribute("pp", 3)})}, {"y"}), {f, outer});
  expect_ok(m);
  const Node& n = m.graph.nodes.at(0);
  EXPECT_EQ(n.name, "G_0/F_1/Op_2");
  EXPECT_EQ(n.find("given")->i, 3);
  EXPECT_EQ(n.find("preset")->i, 5);
  EXPECT_EQ(n.find("absent"), nullptr);
  EXPECT_THAT(n.attributes, SizeIs(2));
}

TEST(Functions, BodiesInsideAreRenamedAndInlined) {
  const Graph body = graph({}, {in_domain("f", node("H", {"a"}, {"u"})), node("Add", {"u", "t"}, {"v"})}, {"v"}, {"w"});
  Function f = function(
      "F", {"a"}, {node("Neg", {"a"}, {"t"}), with(node("If", {"a"}, {"b"}), {graph_attribute("then_branch", body)})},
      {"b"});
  Function h = function("H", {"i"}, {node("Abs", {"i"}, {"o"})}, {"o"});
  Model m = model(
      graph({"x"}, {in_domain("f", node("F", {"x"}, {"y"})), in_domain("f", node("F", {"y"}, {"z"}))}, {"z"}), {f, h});
  expect_ok(m);
  ASSERT_THAT(ops(m.graph), ElementsAre("Neg", "If", "Neg", "If"));
  const Graph& first = *m.graph.nodes[1].bodies().at(0);
  EXPECT_THAT(ops(first), ElementsAre("Abs", "Add"));
  EXPECT_THAT(first.captures, ElementsAre("F_0/t", "x"));
  EXPECT_THAT(first.nodes[0].inputs, ElementsAre("x"));
  EXPECT_THAT(first.nodes[0].outputs, ElementsAre("F_0/u"));
  EXPECT_THAT(m.graph.nodes[3].bodies().at(0)->nodes[0].inputs, ElementsAre("y"));
  EXPECT_NE(m.graph.nodes[1].bodies()[0], m.graph.nodes[3].bodies()[0]);
}

TEST(Functions, AGraphGivenByTheCallerKeepsItsScope) {
  Attribute hole = ref_attribute("then_branch", "g");
  hole.type = Attribute::Type::graph;
  Function f = function("F", {"c"}, {node("Neg", {"c"}, {"t"}), with(node("If", {"c"}, {"b"}), {hole})}, {"b"});
  f.opsets = {{"", 11}};
  f.attributes = {"g"};
  Model m = model(graph({"x", "t"},
                        {with(in_domain("f", node("F", {"x"}, {"y"})),
                              {graph_attribute("g", graph({}, {node("Abs", {"t"}, {"u"})}, {"u"}))})},
                        {"y"}),
                  {f});
  expect_ok(m);
  const Graph& body = *m.graph.nodes.at(1).bodies().at(0);
  EXPECT_THAT(body.captures, ElementsAre("t"));  // the caller's t
  EXPECT_EQ(body.nodes[0].version, 17);
  EXPECT_EQ(m.graph.nodes[1].version, 11);
}

TEST(Functions, OptionalInputsAndOutputs) {
  Function f = function("F", {"a", "b"}, {node("Op", {"a", "b"}, {"p", "q"})}, {"p", "q"});
  Model m = model(
      graph({"x"}, {in_domain("f", node("F", {"x"}, {"", "y"})), in_domain("f", node("F", {"x", "y"}, {"z"}))}, {"z"}),
      {f});
  expect_ok(m);
  EXPECT_THAT(m.graph.nodes[0].inputs, ElementsAre("x", ""));
  EXPECT_THAT(m.graph.nodes[0].outputs, ElementsAre("F_0/p", "y"));
  EXPECT_THAT(m.graph.nodes[1].outputs, ElementsAre("z", "F_2/q"));
}

TEST(Functions, OutputsThatAreInputsGetANode) {
  Function f = function("F", {"a"}, {node("Neg", {"a"}, {"n"})}, {"a", "n", "n"});
  Model m = model(graph({"x"}, {in_domain("f", node("F", {"x"}, {"p", "q", "r"}))}, {"p", "q", "r"}), {f});
  expect_ok(m);
  ASSERT_THAT(ops(m.graph), ElementsAre("Neg", "Identity", "Identity"));
  EXPECT_THAT(m.graph.nodes[1].inputs, ElementsAre("x"));
  EXPECT_THAT(m.graph.nodes[1].outputs, ElementsAre("p"));
  EXPECT_THAT(m.graph.nodes[2].inputs, ElementsAre("q"));
  EXPECT_EQ(m.graph.nodes[2].version, 17);
}

TEST(Functions, OverloadsAreTold) {
  Function one = function("F", {"a"}, {node("Neg", {"a"}, {"b"})}, {"b"}),
           two = function("F", {"a"}, {node("Abs", {"a"}, {"b"})}, {"b"});
  two.overload = "2";
  Node call = in_domain("f", node("F", {"x"}, {"y"}));
  call.overload = "2";
  Model m = model(graph({"x"}, {call}, {"y"}), {one, two});
  expect_ok(m);
  EXPECT_THAT(ops(m.graph), ElementsAre("Abs"));
  EXPECT_EQ(error_of(model(graph({"x"}, {}, {"x"}), {one, one})).code, Code::invalid_model);
}

TEST(Functions, Errors) {
  const Graph main = graph({"x"}, {in_domain("f", node("F", {"x"}, {"y"}))}, {"y"});
  const auto with_function = [&](Function f) { return error_of(model(main, {std::move(f)})); };
  EXPECT_THAT(with_function(function("F", {"a"}, {in_domain("f", node("F", {"a"}, {"b"}))}, {"b"})).message,
              HasSubstr("calls itself"));
  EXPECT_THAT(with_function(function("F", {}, {}, {"b"})).message, HasSubstr("takes 0 inputs"));
  EXPECT_THAT(with_function(function("F", {"a"}, {}, {})).message, HasSubstr("gives 0 outputs"));
  EXPECT_EQ(with_function(function("F", {"a", "a"}, {}, {"a"})).code, Code::invalid_model);
  EXPECT_THAT(with_function(function("F", {"a"}, {node("Neg", {"a"}, {"a"})}, {"a"})).message,
              HasSubstr("its own input"));
  EXPECT_EQ(with_function(function("F", {"a"}, {}, {"b"})).code, Code::invalid_model);  // nothing makes b
  EXPECT_THAT(with_function(function("F", {"a"}, {node("Neg", {"outer"}, {"b"})}, {"b"})).tensor, "F_0/outer");
  Attribute wrong = ref_attribute("k", "p");
  wrong.type = Attribute::Type::float_;
  Function typed = function("F", {"a"}, {with(node("Op", {"a"}, {"b"}), {wrong})}, {"b"});
  typed.defaults = {int_attribute("p", 1)};
  EXPECT_EQ(with_function(typed).code, Code::invalid_attribute);
}

// f0 calls f1 twice, f1 calls f2 twice, ...: 2^levels leaves, which may even be nothing at all.
Model doubling(int levels, bool empty_leaf) {
  std::vector<Function> all;
  for (int i = 0; i < levels; ++i) {
    const std::string next = "F" + std::to_string(i + 1);
    all.push_back(function("F" + std::to_string(i), {"a"},
                           {in_domain("f", node(next, {"a"}, {"t"})), in_domain("f", node(next, {"t"}, {"b"}))},
                           {"b"}));
  }
  all.push_back(function("F" + std::to_string(levels), {"a"},
                         empty_leaf ? std::vector<Node>{} : std::vector{node("Neg", {"a"}, {"b"})},
                         {empty_leaf ? "a" : "b"}));
  return model(graph({"x"}, {in_domain("f", node("F0", {"x"}, {"y"}))}, {"y"}), std::move(all));
}

TEST(Functions, ExpansionIsBounded) {
  Model small = doubling(8, false);
  expect_ok(small);
  EXPECT_THAT(small.graph.nodes, SizeIs(256));
  Limits limits;
  limits.memory = size_t{16} << 20;
  for (bool empty : {false, true}) {
    test::watch_allocations();
    EXPECT_EQ(error_of(doubling(40, empty), limits).code, Code::limit_exceeded);
    EXPECT_LT(test::peak_allocated(), size_t{40} << 20);
  }
  limits = {};
  limits.nodes = 1000;
  EXPECT_THAT(error_of(doubling(40, false), limits).message, HasSubstr("1000 nodes"));
  std::vector<Function> chain;
  for (int i = 0; i < 100; ++i) {
    chain.push_back(function("C" + std::to_string(i), {"a"},
                             {in_domain("f", node("C" + std::to_string(i + 1), {"a"}, {"b"}))}, {"b"}));
  }
  EXPECT_EQ(error_of(model(graph({"x"}, {in_domain("f", node("C0", {"x"}, {"y"}))}, {"y"}), chain)).code,
            Code::limit_exceeded);
}

TEST(Functions, InARealFile) {
  auto m = read_file(GRAFT_SOURCE_DIR "/models/small/local_function.onnx");
  ASSERT_TRUE(m) << render(m.error());
  for (const Node& n : (*m)->graph.nodes) {
    EXPECT_EQ(n.domain, "");
    for (const Attribute& a : n.attributes) EXPECT_TRUE(a.ref_attr_name.empty());
  }
}

}  // namespace
}  // namespace graft::onnx

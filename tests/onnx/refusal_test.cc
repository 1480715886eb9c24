// Lowerings read straight: whatever is refused, before they start or half way through, they go on with what stands for
// it, crash on nothing, and the first refusal is the one that is told.
#include <gtest/gtest.h>

#include <set>

#include "onnx/lowerer.h"
#include "onnx/nodes.h"
#include "onnx/signature.h"

namespace graft::onnx {
namespace {

constexpr int kMostInputs = 9;

// What a node may read, by the letter its names begin with: data, a list of one integer, a number, something refused.
Value* make(OpBuilder& b, const std::string& name) {
  switch (name[0]) {
    case 'd': return b.function().add_input(ir::Type::tensor(DType::f32, Shape{2, 3, 4, 4}), name);
    case 'b': return b.function().add_input(ir::Type::tensor(DType::boolean, Shape{2, 3, 4, 4}), name);
    case 'i': return b.ints(std::vector<int64_t>{1}, DType::i64);
    case 'n': return b.scalar(DType::f32, 0.5);
    default: return b.refuse(Code::unknown_type, "refused before");
  }
}

// Every attribute that the operator must have and cannot be guessed, where it has it in this version.
void add_attributes(std::string_view signature, Node& n) {
  std::string equation;
  for (size_t i = 0; i < n.inputs.size(); ++i) equation += i == 0 ? "a..." : ",a...";
  for (const Attribute& a : {int_attribute("to", 1), int_attribute("blocksize", 2), int_attribute("num_groups", 1),
                             ints_attribute("kernel_shape", {2, 2}), ints_attribute("axes", {1}),
                             ints_attribute("pads", {0, 0, 1, 1, 0, 0, 1, 1}), int_attribute("k", 1),
                             int_attribute("size", 3), int_attribute("num_heads", 1), int_attribute("kv_num_heads", 1),
                             text_attribute("direction", "LEFT"), text_attribute("equation", equation)}) {
    n.attributes.push_back(a);
    if (!check_signature(signature, n)) n.attributes.pop_back();
  }
}

// Lowers one node; the operators that it emitted in `emitted`.
Result<Values> lower(const Node& n, ir::Target target, const ir::OpTable& table, std::set<std::string>* emitted) {
  ir::Function f("main");
  OpBuilder b(f, target, {}, table);
  Lowerer lowerer(b, [&](const std::string& name) { return make(b, name); });
  Result<Values> out = lowerer.lower(n);
  if (out) {
    for (const Value* v : *out) EXPECT_NE(v, nullptr) << n.op_type;
  }
  if (emitted != nullptr) ir::visit_ops(f.body, [&](ir::Op& op) { emitted->emplace(op.type()); });
  return out;
}

// Calls f with every node of the row that has these letters for its inputs and one output, or two.
template <class F>
void each_node(const Lowering& row, const std::string& letters, const F& f) {
  for (const int version : row.versions) {
    for (int outputs = 1; outputs <= 2; ++outputs) {
      Names in;
      for (size_t i = 0; i < letters.size(); ++i) in.push_back(letters[i] + std::to_string(i));
      Node n = node(std::string(row.op_type), in, outputs == 1 ? Names{"y"} : Names{"y", "z"});
      n.domain = row.domain;
      n.version = version;
      add_attributes(row.signature, n);
      if (check_signature(row.signature, n)) f(n);
    }
  }
}

TEST(Refusals, AnInputThatIsRefusedIsTheReasonForItsNode) {
  int nodes = 0;
  for (const Lowering* row : all_lowerings()) {
    for (size_t count = 1; count <= kMostInputs; ++count) {
      for (size_t bad = 0; bad < count; ++bad) {
        for (const char letter : {'d', 'b', 'i', 'n', 'x'}) {
          std::string letters(count, letter);
          letters[bad] = 'x';
          each_node(*row, letters, [&](const Node& n) {
            SCOPED_TRACE(n.op_type + " " + std::to_string(n.version) + " of " + letters);
            for (const ir::Target target : {ir::Target(), ir::Target::newest()}) {
              const Result<Values> out = lower(n, target, ops::table(), nullptr);
              // An input that plays no part is not read; what is read before it may be refused first.
              const Code told = out ? Code::unknown_type : out.error().code;
              EXPECT_NE(told, Code::internal) << render(out.error());
              if (letter == 'x') {
                EXPECT_FALSE(out);
                EXPECT_EQ(told, Code::unknown_type) << render(out.error());
              }
              ++nodes;
            }
          });
        }
      }
    }
  }
  EXPECT_GT(nodes, 5000);
}

TEST(Refusals, AnOperatorThatIsRefusedHalfWayIsToo) {
  std::vector<const ir::OpDef*> all;
  for (const auto& row : ops::table().rows()) all.push_back(row->def);
  const auto without = [&](const std::string& name) {
    std::vector<const ir::OpDef*> rows;
    std::copy_if(all.begin(), all.end(), std::back_inserter(rows), [&](const ir::OpDef* d) { return d->name != name; });
    return rows;
  };
  int nodes = 0;
  for (const Lowering* row : all_lowerings()) {
    for (const char* letters : {"d", "b", "dd", "bb", "di", "bi", "dn", "did", "ddd", "bdd", "dii", "bib", "dddd",
                                "diin", "diii", "ddddd", "bbb"}) {
      each_node(*row, letters, [&](const Node& n) {
        std::set<std::string> emitted;
        if (!lower(n, ir::Target(), ops::table(), &emitted)) return;
        for (const std::string& name : emitted) {
          SCOPED_TRACE(n.op_type + " " + std::to_string(n.version) + " of " + letters + " without " + name);
          const Result<Values> out = lower(n, ir::Target(), ir::OpTable(without(name)), nullptr);
          ASSERT_FALSE(out);
          EXPECT_NE(out.error().message.find(name), std::string::npos) << render(out.error());
          ++nodes;
        }
      });
    }
  }
  EXPECT_GT(nodes, 300);
}

}  // namespace
}  // namespace graft::onnx

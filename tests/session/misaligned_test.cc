// Initializers at every address: files align nothing, so that raw data may lie at any offset to its element's size.
// Models are written with a weight at each of the offsets 0 to 7, mapped, and run on the host and as Core ML programs
// on the engine. What a wrong load does here is undefined: the sanitizers' builds see it, the others still check
// results.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "base/format.h"
#include "base/half.h"
#include "onnx/messages.h"
#include "session/session.h"

namespace graft::session {
namespace {

using test::Names;

// Small whole numbers, which every dtype holds.
Tensor numbers(DType dtype, const Shape& shape, int64_t first, int64_t most) {
  Tensor t(dtype, shape);
  for (int64_t i = 0; i < t.count(); ++i) {
    const int64_t v = (first + i) % most;
    const auto at = static_cast<size_t>(i);
    switch (dtype) {
      case DType::f16: t.span<Half>()[at] = Half(v); break;
      case DType::bf16: t.span<BFloat16>()[at] = BFloat16(v); break;
      case DType::f32: t.span<float>()[at] = static_cast<float>(v); break;
      case DType::f64: t.span<double>()[at] = static_cast<double>(v); break;
      case DType::boolean: t.span<bool>()[at] = v != 0; break;
      case DType::i8:
      case DType::u8: t.span<uint8_t>()[at] = static_cast<uint8_t>(v); break;
      case DType::i16:
      case DType::u16: t.span<uint16_t>()[at] = static_cast<uint16_t>(v); break;
      case DType::i32:
      case DType::u32: t.span<uint32_t>()[at] = static_cast<uint32_t>(v); break;
      default: t.span<uint64_t>()[at] = static_cast<uint64_t>(v); break;
    }
  }
  return t;
}
std::string raw(const std::string& name, int type, const Tensor& t) {
  return test::raw_tensor(name, type, {t.shape().begin(), t.shape().end()},
                          {static_cast<const char*>(t.view().data), t.view().bytes()});
}
std::string ints(const std::string& name, const std::vector<int64_t>& v) {
  return raw(name, 7, Tensor::of<int64_t>(DType::i64, Shape{static_cast<int64_t>(v.size())}, v));
}

struct Net {
  Names nodes, initializers, inputs, outputs;
};

// The offsets to 8 at which the first initializer was met.
std::set<size_t> seen;

// The model with `padding` bytes more in front of its weights, as a session.
Result<std::shared_ptr<const Session>> open(const Net& net, size_t padding, const std::string& device) {
  const std::string graph = test::graph({net.nodes, net.initializers, net.inputs, net.outputs});
  const std::string bytes = test::message([&](test::Writer& w) {
    w.add_int64(1, 8);
    w.add_message(8, test::opset("", 18));
    w.add_string(2, std::string(padding + 1, 'p'));
    w.add_message(7, graph);
  });
  const std::string& first = net.initializers[0];
  seen.insert((bytes.find(first) + first.size()) % 8);  // raw data is what a tensor ends with
  const std::string path = (std::filesystem::path(testing::TempDir()) / "misaligned.onnx").string();
  std::ofstream(path, std::ios::binary) << bytes;
  const std::vector<NamedOption> named{{"device", device}, {"cost_model", "0"}, {"precision", "float32"}};
  GRAFT_TRY(const Options options, parse_options(named));
  return Session::open(path, std::make_shared<Env>(1), options);
}

std::vector<Tensor> run(const Session& s, const std::vector<Tensor>& inputs) {
  std::vector<TensorView> views;
  for (const Tensor& t : inputs) views.push_back(t.view());
  std::vector<engine::OutputSlot> slots(s.outputs().size());
  const Status ok = s.run(views, slots);
  EXPECT_TRUE(ok) << (ok ? "" : render(ok.error()));
  std::vector<Tensor> out;
  for (engine::OutputSlot& o : slots) out.push_back(std::move(o.owned));
  return out;
}

// What `want` says of each output, on both devices, with the weights at every offset.
void expect_everywhere(const Net& net, const std::vector<Tensor>& inputs,
                       const std::vector<std::vector<double>>& want) {
  seen.clear();
  for (size_t padding = 0; padding < 8; ++padding) {
    for (const char* device : {"cpu", "coreml"}) {
      SCOPED_TRACE(format("{} bytes of padding, {}", padding, device));
      const auto s = open(net, padding, device);
      ASSERT_TRUE(s) << render(s.error());
      const std::vector<Tensor> got = run(**s, inputs);
      ASSERT_EQ(got.size(), want.size());
      for (size_t o = 0; o < want.size(); ++o) {
        ASSERT_EQ(got[o].count(), static_cast<int64_t>(want[o].size())) << "output " << o;
        for (size_t i = 0; i < want[o].size(); ++i) {
          ASSERT_NEAR(element_as_double(got[o].view(), static_cast<int64_t>(i)), want[o][i], 1e-3)
              << "output " << o << " element " << i;
        }
      }
    }
  }
  EXPECT_EQ(seen.size(), 8u);
}

// One model a dtype: a table that is folded while planning (it is far larger than what it is made of), weights that
// kernels read where they lie, and lists of integers that are parameters and indices.
class Elements : public testing::TestWithParam<DType> {};

TEST_P(Elements, AreReadAtEveryOffset) {
  const DType dtype = GetParam();
  const int type = info(dtype).onnx_code;
  const bool boolean = dtype == DType::boolean;
  const int64_t most = boolean ? 2 : 3;
  constexpr int64_t kSide = 300;
  const Tensor column = numbers(dtype, {kSide, 1}, 1, most), row = numbers(dtype, {1, kSide}, 2, most);
  const Tensor v = numbers(dtype, {4}, 1, most), x = numbers(dtype, {4}, 0, most);
  const std::string op = boolean ? "Or" : "Add";
  Net net;
  net.initializers = {raw("column", type, column), raw("row", type, row), raw("v", type, v),
                      ints("from", {1}),           ints("to", {5}),       ints("axis", {1}),
                      ints("rows", {2, 299})};
  net.nodes = {test::node(op, {"column", "row"}, {"table"}),
               test::node("Gather", {"table", "i"}, {"some"}),
               test::node("Slice", {"some", "from", "to", "axis"}, {"part"}),
               test::node(op, {"part", "x"}, {"sum"}),
               test::node("Concat", {"v", "x"}, {"list"}, {test::int_attribute("axis", 0)}),
               test::node("Gather", {"table", "rows"}, {"fixed"}),
               test::node("Where", {"c", "v", "x"}, {"chosen"})};
  net.inputs = {test::value("x", {4}, type), test::value("i", {2}, 7), test::value("c", {4}, 9)};
  for (const char* o : {"sum", "list", "fixed", "chosen"}) net.outputs.push_back(test::value(o, {}, type));
  net.outputs = {test::value("sum", {2, 4}, type), test::value("list", {8}, type),
                 test::value("fixed", {2, kSide}, type), test::value("chosen", {4}, type)};

  const auto at = [&](int64_t first, int64_t i) { return static_cast<double>((first + i) % most); };
  const auto both = [&](double a, double b) { return boolean ? (a + b != 0 ? 1.0 : 0.0) : a + b; };
  const auto cell = [&](int64_t r, int64_t c) { return both(at(1, r), at(2, c)); };
  const std::vector<int64_t> picked{7, 131};
  std::vector<std::vector<double>> want(4);
  for (int64_t r : picked) {
    for (int64_t c = 1; c < 5; ++c) want[0].push_back(both(cell(r, c), at(0, c - 1)));
  }
  for (int64_t k = 0; k < 8; ++k) want[1].push_back(k < 4 ? at(1, k) : at(0, k - 4));
  for (int64_t r : {2, 299}) {
    for (int64_t c = 0; c < kSide; ++c) want[2].push_back(cell(r, c));
  }
  for (int64_t k = 0; k < 4; ++k) want[3].push_back(k % 2 == 0 ? at(1, k) : at(0, k));
  Tensor c(DType::boolean, {4});
  for (size_t k = 0; k < 4; ++k) c.span<bool>()[k] = k % 2 == 0;
  expect_everywhere(net, {x, Tensor::of<int64_t>(DType::i64, {2}, picked), c}, want);
}

INSTANTIATE_TEST_SUITE_P(Dtypes, Elements,
                         testing::Values(DType::f16, DType::bf16, DType::f32, DType::f64, DType::i8, DType::i16,
                                         DType::i32, DType::i64, DType::u8, DType::u16, DType::u32, DType::u64,
                                         DType::boolean),
                         [](const auto& test) { return std::string(name(test.param)); });

// Weights that are packed, or folded into their neighbours.
class Weights : public testing::TestWithParam<DType> {};

TEST_P(Weights, AreReadAtEveryOffset) {
  const DType dtype = GetParam();
  const int type = info(dtype).onnx_code;
  Net net;
  const auto weight = [&](const std::string& name, const Shape& shape) {
    net.initializers.push_back(raw(name, type, numbers(dtype, shape, 1, 1 << 20)));
  };
  weight("w", {2, 1, 2});   // 1 2, 3 4
  weight("b", {2});         // 1 2
  weight("scale", {2});     // 1 2
  weight("shift", {2});     // 1 2
  weight("mean", {2});      // 1 2
  weight("variance", {2});  // 1 2
  weight("slope", {2, 1});  // 1 2
  weight("m", {2, 3});      // 1 2 3, 4 5 6
  weight("g", {3});         // 1 2 3
  net.nodes = {test::node("Conv", {"x", "w", "b"}, {"conv"}),
               test::node("BatchNormalization", {"conv", "scale", "shift", "mean", "variance"}, {"norm"}),
               test::node("PRelu", {"norm", "slope"}, {"act"}), test::node("MatMul", {"act", "m"}, {"product"}),
               test::node("LayerNormalization", {"product", "g", "g"}, {"y"})};
  net.inputs = {test::value("x", {1, 1, 3}, type)};
  net.outputs = {test::value("norm", {1, 2, 2}, type), test::value("product", {1, 2, 3}, type),
                 test::value("y", {1, 2, 3}, type)};
  // x is 0 1 2: conv is 3 6, 6 13; the means and deviations are 1 2 and 1 sqrt(2).
  const double r = std::sqrt(2.0), t = std::sqrt(1.5);
  const std::vector<double> norm{3, 6, 2 + 4 * 2 / r, 2 + 11 * 2 / r};
  std::vector<double> product, y;
  for (size_t i = 0; i < 2; ++i) {
    for (size_t j = 0; j < 3; ++j)
      product.push_back(norm[2 * i] * static_cast<double>(1 + j) + norm[2 * i + 1] * static_cast<double>(4 + j));
    y.insert(y.end(), {1 - t, 2, 3 + 3 * t});  // three numbers at equal distances
  }
  expect_everywhere(net, {numbers(dtype, {1, 1, 3}, 0, 1 << 20)}, {norm, product, y});
}

INSTANTIATE_TEST_SUITE_P(Dtypes, Weights, testing::Values(DType::f32, DType::f64),
                         [](const auto& test) { return std::string(name(test.param)); });

}  // namespace
}  // namespace graft::session

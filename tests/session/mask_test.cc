// Masks made from a convolution's result, through sessions and packages: y[c] = (c + 1) * x, so that what follows is
// known without computing it in another way.
#include "base/format.h"
#include "support.h"

namespace graft::session_test {
namespace {

constexpr int kFloat = 1, kBool = 9;
constexpr int64_t kSize = 4, kSpace = kSize * kSize;

std::string floats(const std::string& name, const std::vector<int64_t>& dims, const std::vector<float>& values) {
  return test::raw_tensor(name, kFloat, dims,
                          std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)));
}

// x -> Conv or ConvTranspose -> `then`, which makes y of y's type from "conv".
std::string after(const std::string& op, int64_t channels, const test::Names& then, int y_type,
                  bool mask_input = false) {
  std::vector<float> weight;
  for (int64_t c = 1; c <= channels; ++c) weight.push_back(static_cast<float>(c));
  const bool transposed = op == "ConvTranspose";
  test::GraphParts g;
  g.nodes = {test::node(op, {"x", "w"}, {"conv"})};
  g.nodes.insert(g.nodes.end(), then.begin(), then.end());
  g.initializers = {floats("w", {transposed ? 1 : channels, transposed ? channels : 1, 1, 1}, weight),
                    floats("bound", {}, {20}), floats("zero", {}, {0})};
  g.inputs = {test::value("x", {1, 1, kSize, kSize})};
  if (mask_input) g.inputs.push_back(test::value("c", {1, channels, kSize, kSize}, kBool));
  g.outputs = {test::value("y", {1, channels, kSize, kSize}, y_type)};
  return test::model(test::graph(g));
}

Tensor counting() {
  Tensor x(DType::f32, Shape{1, 1, kSize, kSize});
  for (int64_t i = 0; i < kSpace; ++i) x.span<float>()[static_cast<size_t>(i)] = static_cast<float>(i);
  return x;
}

// On the host, as a Core ML program in both precisions, and as the package of it.
template <class Check>
void everywhere(const std::string& model, const std::vector<Tensor>& inputs, const Check& check) {
  const auto expect = [&](const Opened& s) {
    ASSERT_TRUE(s) << render(s.error());
    const auto out = run(**s, inputs);
    ASSERT_TRUE(out) << render(out.error());
    check((*out)[0]);
  };
  expect(open_model(model, {{"device", "cpu"}}));
  for (const char* precision : {"float16", "float32"}) {
    SCOPED_TRACE(precision);
    const Opened coreml =
        open_model(model, {{"device", "coreml"}, {"precision", precision}, {"require_full_delegation", "1"}});
    expect(coreml);
    if (coreml) expect(through_package(**coreml));
  }
}

TEST(Mask, AComparisonBehindAConvolution) {
  for (const int64_t channels : {8, 16, 64, 80, 5}) {
    for (const char* op : {"Conv", "ConvTranspose"}) {
      SCOPED_TRACE(format("{} {}", op, channels));
      const std::string model = after(op, channels, {test::node("Greater", {"conv", "bound"}, {"y"})}, kBool);
      everywhere(model, {counting()}, [&](const Tensor& y) {
        ASSERT_EQ(y.count(), channels * kSpace);
        for (int64_t c = 0; c < channels; ++c) {
          for (int64_t i = 0; i < kSpace; ++i)
            ASSERT_EQ(element_as_int(y.view(), c * kSpace + i), (c + 1) * i > 20 ? 1 : 0) << c << " " << i;
        }
      });
    }
  }
}

TEST(Mask, WhereByABoolInputBehindAConvolution) {
  for (const int64_t channels : {8, 80, 5}) {
    SCOPED_TRACE(channels);
    const std::string model =
        after("Conv", channels, {test::node("Where", {"c", "conv", "zero"}, {"y"})}, kFloat, true);
    Tensor mask(DType::boolean, Shape{1, channels, kSize, kSize});
    for (int64_t i = 0; i < mask.count(); ++i) mask.span<uint8_t>()[static_cast<size_t>(i)] = i % 3 == 0 ? 1 : 0;
    everywhere(model, {counting(), mask}, [&](const Tensor& y) {
      ASSERT_EQ(y.count(), channels * kSpace);
      for (int64_t k = 0; k < y.count(); ++k) {
        const double want = k % 3 == 0 ? static_cast<double>((k / kSpace + 1) * (k % kSpace)) : 0;
        ASSERT_EQ(element_as_double(y.view(), k), want) << k;
      }
    });
  }
}

}  // namespace
}  // namespace graft::session_test

// Sessions from end to end on the models that the project made itself: the host, Core ML programs on the engine,
// written packages, and what happens when something does not fit.
#include <cmath>
#include <random>
#include <thread>

#include "support.h"

namespace graft::session_test {
namespace {

std::string model(const std::string& name) { return std::string(GRAFT_SOURCE_DIR) + "/models/" + name; }

// Inputs of the session with open dims set to `size`: floats in -1..1, integers 0 or 1.
std::vector<Tensor> random_inputs(const Session& s, int64_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<Tensor> list;
  for (const engine::Port& p : s.inputs()) {
    Shape shape;
    for (const ir::Dim& d : p.type.dims) shape.push_back(d.known() ? d.value() : size);
    Tensor t(p.type.dtype, shape);
    for (int64_t i = 0; i < t.count(); ++i) {
      const size_t k = static_cast<size_t>(i);
      const double v = static_cast<double>(random() % 2000) / 1000 - 1;
      switch (p.type.dtype) {
        case DType::f32: t.span<float>()[k] = static_cast<float>(v); break;
        case DType::i64: t.span<int64_t>()[k] = static_cast<int64_t>(random() % 2); break;
        case DType::i32: t.span<int32_t>()[k] = static_cast<int32_t>(random() % 2); break;
        case DType::boolean: t.span<bool>()[k] = random() % 2 != 0; break;
        default: ADD_FAILURE() << "no generator for " << name(p.type.dtype);
      }
    }
    list.push_back(std::move(t));
  }
  return list;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.dtype(), b.dtype());
  EXPECT_EQ(to_string(a.shape()), to_string(b.shape()));
  if (a.dtype() != b.dtype() || !(a.shape() == b.shape())) return INFINITY;
  double worst = 0;
  for (int64_t i = 0; i < a.count(); ++i)
    worst = std::max(worst, std::abs(element_as_double(a.view(), i) - element_as_double(b.view(), i)));
  return worst;
}

void expect_same(const std::vector<Tensor>& a, const std::vector<Tensor>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) EXPECT_LE(largest_difference(a[i], b[i]), tolerance) << "output " << i;
}

struct Case {
  std::string file;
  double tolerance16;  // absolute, outputs are of size about 1
};
void PrintTo(const Case& c, std::ostream* os) { *os << c.file; }

class WholeModel : public testing::TestWithParam<Case> {};

// The ONNX program on the host, the Core ML program on the engine in both precisions, and the package that is written
// from it, read back.
TEST_P(WholeModel, HostCoreMlAndPackageAgree) {
  const std::string path = model(GetParam().file);
  auto host = open(path, {{"device", "cpu"}});
  ASSERT_TRUE(host) << render(host.error());
  for (const auto& [precision, tolerance] :
       {std::pair<std::string, double>{"float32", 1e-5}, {"float16", GetParam().tolerance16}}) {
    auto coreml = open(path, {{"device", "coreml"}, {"precision", precision}, {"require_full_delegation", "1"}});
    ASSERT_TRUE(coreml) << render(coreml.error());
    const Opened back = through_package(**coreml);
    ASSERT_TRUE(back) << render(back.error());
    const std::vector<Tensor> inputs = random_inputs(**host, 3, 11);
    const auto a = run(**host, inputs), b = run(**coreml, inputs), c = run(**back, inputs);
    ASSERT_TRUE(a) << render(a.error());
    ASSERT_TRUE(b) << render(b.error());
    ASSERT_TRUE(c) << render(c.error());
    expect_same(*a, *b, tolerance);
    expect_same(*b, *c, 0);  // the same program: the same bits
  }
}

INSTANTIATE_TEST_SUITE_P(Models, WholeModel,
                         testing::Values(Case{"digits.onnx", 2e-2}, Case{"small/mlp.onnx", 2e-2},
                                         Case{"small/conv_relu_pool.onnx", 2e-2}, Case{"small/residual.onnx", 2e-2},
                                         Case{"small/external_data.onnx", 2e-2},
                                         Case{"small/local_function.onnx", 2e-2}));

TEST(Session, UnsupportedOperatorsAreAllNamed) {
  const auto s = open(model("small/unsupported_op.onnx"), {{"device", "cpu"}});
  ASSERT_FALSE(s);
  const std::string text = render(s.error());
  EXPECT_NE(text.find("unsupported operator com.example.Frobnicate"), std::string::npos) << text;
  EXPECT_NE(text.find("unsupported_op.onnx"), std::string::npos) << text;
}

TEST(Session, HostOnlyOperatorsStayOnTheHostWithTheReason) {
  const auto s = open(model("small/unique.onnx"), {{"device", "coreml"}, {"cost_model", "0"}});
  ASSERT_TRUE(s) << render(s.error());
  const auto refusals = partition::refusals((*s)->partitioning()->nodes);
  ASSERT_FALSE(refusals.empty());
  EXPECT_TRUE(std::any_of(refusals.begin(), refusals.end(),
                          [](const Diag& d) { return d.code == Code::host_only && d.op == "Unique"; }));
  const auto full = open(model("small/unique.onnx"), {{"device", "coreml"}, {"require_full_delegation", "1"}});
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Code::not_delegated);
  EXPECT_FALSE(full.error().inner.empty());
}

TEST(Session, RequiredDeviceIsAnErrorWithoutCoreMl) {
  const auto s = open(model("digits.onnx"), {{"device", "coreml-ane"}, {"require_device", "1"}});
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code, Code::device_unavailable);
}

TEST(Session, OverridableInitializersAreAFinding) {
  const auto s = open(model("small/overridable_ir8.onnx"), {{"device", "cpu"}});
  ASSERT_TRUE(s) << render(s.error());
  const auto findings = (*s)->findings();
  ASSERT_FALSE(findings.empty());
  EXPECT_EQ(findings[0].code, Code::overridable_initializer);
}

// y = relu(x * scale + bias), scale an initializer that is listed as an input too.
TEST(Session, OverridableInitializersCanBeFed) {
  for (const char* device : {"cpu", "coreml"}) {
    const auto s = open(model("small/overridable_ir8.onnx"), {{"device", device}});
    ASSERT_TRUE(s) << render(s.error());
    ASSERT_EQ((*s)->inputs().size(), 1U);
    ASSERT_EQ((*s)->all_inputs().size(), 2U);
    const std::vector<Tensor> x = random_inputs(**s, 2, 1);
    const auto baked = run(**s, x);
    ASSERT_TRUE(baked) << render(baked.error());
    Tensor zero(DType::f32, (*s)->all_inputs()[1].type.shape());
    std::fill_n(zero.span<float>().data(), zero.count(), 0.0F);
    const auto fed = run(**s, {x[0], zero});
    ASSERT_TRUE(fed) << render(fed.error());
    EXPECT_GT(largest_difference((*baked)[0], (*fed)[0]), 0);
    const auto again = run(**s, {x[0], Tensor()});
    ASSERT_TRUE(again) << render(again.error());
    EXPECT_EQ(largest_difference((*baked)[0], (*again)[0]), 0);
  }
}

TEST(Session, WrongInputsAreExplained) {
  const auto s = open(model("digits.onnx"), {{"device", "cpu"}});
  ASSERT_TRUE(s);
  Tensor wrong_shape(DType::f32, Shape{1, 1, 31, 32}), wrong_dtype(DType::i32, Shape{1, 1, 32, 32});
  const auto shape = run(**s, {wrong_shape}), dtype = run(**s, {wrong_dtype}), count = run(**s, {});
  ASSERT_FALSE(shape);
  EXPECT_EQ(shape.error().code, Code::invalid_argument) << render(shape.error());
  EXPECT_NE(render(shape.error()).find("image"), std::string::npos) << render(shape.error());
  ASSERT_FALSE(dtype);
  EXPECT_EQ(dtype.error().code, Code::invalid_argument);
  ASSERT_FALSE(count);
}

TEST(Session, EightThreadsOnOneSessionGetEqualResults) {
  for (const char* device : {"cpu", "coreml"}) {
    const auto s = open(model("digits.onnx"), {{"device", device}});
    ASSERT_TRUE(s) << render(s.error());
    const std::vector<Tensor> inputs = random_inputs(**s, 1, 5);
    const auto want = run(**s, inputs);
    ASSERT_TRUE(want) << render(want.error());
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20; ++i) {
          const auto got = run(**s, inputs);
          if (!got || std::memcmp((*got)[0].view().data, (*want)[0].view().data, (*want)[0].view().bytes()) != 0)
            ++wrong;
        }
      });
    }
    for (std::thread& t : threads) t.join();
    EXPECT_EQ(wrong, 0);
  }
}

TEST(Session, CancelledRunsSaySo) {
  const auto s = open(model("digits.onnx"), {{"device", "cpu"}});
  ASSERT_TRUE(s);
  const std::vector<Tensor> inputs = random_inputs(**s, 1, 5);
  CancelToken token;
  token.cancel();
  engine::RunOptions options;
  options.cancel = &token;
  const TensorView view = inputs[0].view();
  engine::OutputSlot slot;
  const Status ran = (*s)->run(std::span(&view, 1), std::span(&slot, 1), options);
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().code, Code::cancelled);
}

}  // namespace
}  // namespace graft::session_test

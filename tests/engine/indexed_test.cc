// Kernels that go by indices or by order, where the sweep does not go: bad indices, updates in place, NaN, ties.
#include <cstring>

#include "engine_support.h"

namespace graft::engine_test {
namespace {

Tensor indices(const Shape& shape, int64_t limit, std::initializer_list<std::pair<size_t, int32_t>> bad) {
  Tensor t = random_tensor(DType::i32, shape, 1, -static_cast<double>(limit), static_cast<double>(limit));
  for (const auto& [at, value] : bad) t.span<int32_t>()[at] = value;
  return t;
}

std::string error_of(const std::shared_ptr<const ir::Program>& program, const std::vector<Tensor>& inputs,
                     const Options& options, int threads) {
  const auto got = run(*load(program, options, threads), inputs);
  return got ? "none" : render(got.error());
}

// Whatever the threads come to first.
TEST(Indexed, TheFirstBadIndexIsReported) {
  struct Case {
    const char* op;
    Shape data, indices;
    std::vector<ir::Arg> args;
  };
  const Case cases[] = {{"gather", {2, 50, 3}, {70000}, {{"axis", 1}}},
                        {"gather_along_axis", {300, 50}, {300, 200}, {{"axis", 1}}},
                        {"gather_along_axis", {50, 300}, {200, 300}, {{"axis", 0}}},
                        {"gather_nd", {50, 50}, {30000, 2}, {}},
                        {"scatter_nd", {50, 50}, {30000, 2}, {{"mode", "add"}}},
                        {"scatter_along_axis", {300, 50}, {300, 200}, {{"axis", 1}, {"mode", "max"}}},
                        {"scatter_along_axis", {50, 300}, {200, 300}, {{"axis", 0}}}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.op);
    const bool scatters = std::string_view(c.op).starts_with("scatter");
    Net net;
    std::vector<ir::Arg> args = c.args;
    const auto input = [&](const char* name, DType t, const Shape& s) {
      ir::Value* v = net.input(name, t, ir::Dims(s.begin(), s.end()));
      args.emplace_back(name, v);
    };
    const Shape updates = c.indices.back() == 2 ? Shape{c.indices[0]} : c.indices;
    std::vector<Tensor> inputs = {random_tensor(DType::f32, c.data, 1)};
    input(scatters ? "data" : "x", DType::f32, c.data);
    input("indices", DType::i32, c.indices);
    inputs.push_back(indices(c.indices, 50, {{59999, 50}, {40001, -51}, {40000, 77}, {50000, 1 << 30}}));
    if (scatters) {
      input("updates", DType::f32, updates);
      inputs.push_back(random_tensor(DType::f32, updates, 2));
    }
    const auto program = net.finish(net.b->emit_all(c.op, args));
    const std::string want = error_of(program, inputs, {.reference = true}, 1);
    EXPECT_NE(want.find("is outside a dim of 50"), std::string::npos) << want;
    EXPECT_EQ(error_of(program, inputs, {}, 1), want);
    EXPECT_EQ(error_of(program, inputs, {}, 2), want);
  }
}

TEST(Indexed, UpdatesGoIntoWhatNobodyElseReads) {
  for (const bool read_later : {false, true}) {
    Net net;
    auto& b = *net.b;
    ir::Value* x = net.input("x", DType::f32, {ir::Dim(40), ir::Dim(30)});
    ir::Value* i = net.input("i", DType::i32, {ir::Dim(9)});
    ir::Value* data = b.unary("exp", x);
    ir::Value* updates = b.gather(x, i, 0);
    ir::Value* y = b.emit("scatter", {{"data", data}, {"indices", i}, {"updates", updates}, {"mode", "add"}});
    const auto program = net.finish(read_later ? ir::Values{y, b.unary("relu", data)} : ir::Values{b.unary("relu", y)});
    expect_like_reference(program, {random_tensor(DType::f32, {40, 30}, 1), indices({9}, 40, {{3, 5}, {4, 5}})}, 1e-6);
  }
}

// Few different values, NaN, infinities and both zeros among them: the same places in the same order.
TEST(Ordered, NanAndTies) {
  const double values[] = {1, 0, -0.0, NAN, -INFINITY, INFINITY, -3, 1, 2.5};
  for (const DType dtype : {DType::f32, DType::f16, DType::f64, DType::bf16}) {
    for (const Shape& shape : {Shape{5, 1300}, Shape{3, 40, 130}, Shape{1, 7, 3}}) {
      for (const int axis : {0, 1}) {
        if (shape[axis] < 2) continue;
        for (const bool ascending : {false, true}) {
          Net net;
          auto& b = *net.b;
          ir::Value* x = net.input("x", dtype, ir::Dims(shape.begin(), shape.end()));
          ir::Values y;
          for (const int64_t k : {2, 5, 40}) {  // few stay in order while they are looked for
            if (k > shape[axis]) continue;
            for (ir::Value* v : b.emit_all("topk", {{"x", x}, {"k", k}, {"axis", axis}, {"ascending", ascending}}))
              y.push_back(v);
          }
          y.push_back(b.emit("argsort", {{"x", x}, {"axis", axis}, {"ascending", ascending}}));
          y.push_back(b.emit("reduce_argmax", {{"x", x}, {"axis", axis}}));
          y.push_back(b.emit("reduce_argmin", {{"x", x}, {"axis", axis}}));
          const auto program = net.finish(y);
          Tensor t = random_tensor(dtype, shape, 3, 0, 8.9);
          for (int64_t k = 0; k < t.count(); ++k)
            ops::store(t.mutable_view(), k, 1, 1, &values[static_cast<size_t>(element_as_double(t.view(), k))]);
          expect_like_reference(program, {t}, 0, 2);
          for (const char* op : {"topk", "argsort", "reduce_argmax", "reduce_argmin"})
            EXPECT_EQ(provider_of(*load(program), {shape}, op), "native");
        }
      }
    }
  }
}

}  // namespace
}  // namespace graft::engine_test

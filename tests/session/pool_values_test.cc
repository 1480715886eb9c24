// ceil_mode: the window that starts behind the input and the padding before it is left out (expected values:
// onnxruntime and ONNX's reference).
#include "node_run.h"

namespace graft::session_test {
namespace {

Attributes window(std::vector<int64_t> kernel, std::vector<int64_t> strides, Attributes more = {}) {
  more.push_back(ints_attribute("kernel_shape", std::move(kernel)));
  more.push_back(ints_attribute("strides", std::move(strides)));
  more.push_back(int_attribute("ceil_mode", 1));
  return more;
}
Attributes counting_padding(std::vector<int64_t> kernel, std::vector<int64_t> strides, Attributes more = {}) {
  more.push_back(int_attribute("count_include_pad", 1));
  return window(std::move(kernel), std::move(strides), std::move(more));
}
Attributes pads(std::vector<int64_t> p) { return {ints_attribute("pads", std::move(p))}; }

// Known and open sizes alike.
void expect_pool(const std::string& op, int opset, const Attributes& a, const Tensor& x, const Shape& shape,
                 const std::vector<double>& values, Place at = Place::here()) {
  expect_everywhere(Case(op, opset, a).fed(Tensor::copy_of(x.view())), shape, values, at);
  expect_everywhere(Case(op, opset, a).open(Tensor::copy_of(x.view())), shape, values, at);
}

TEST(PoolCeilMode, StrideAboveTheWindow) {
  expect_pool("AveragePool", 22, counting_padding({1}, {2}), f32({1, 1, 2}, {1, 2}), {1, 1, 1}, {1});
  expect_pool("AveragePool", 22, window({1}, {2}), f32({1, 1, 2}, {1, 2}), {1, 1, 1}, {1});
  expect_pool("MaxPool", 22, window({1}, {2}), f32({1, 1, 2}, {1, 2}), {1, 1, 1}, {1});
  expect_pool("MaxPool", 12, window({1, 3}, {5, 4}), counting({1, 1, 9, 3}), {1, 1, 2, 1}, {2, 17});
  expect_pool("MaxPool", 12, window({1, 1, 2}, {3, 1, 3}), counting({1, 1, 2, 1, 4}), {1, 1, 1, 1, 2}, {1, 3});
}

TEST(PoolCeilMode, InputsSmallerThanTheWindow) {
  expect_pool("MaxPool", 12, window({3}, {3}), f32({1, 1, 2}, {-4, -2}), {1, 1, 1}, {-2});
  expect_pool("AveragePool", 22, counting_padding({3}, {3}), f32({1, 1, 2}, {2, 4}), {1, 1, 1}, {3});
}

// The padding counts, what lies behind it does not.
TEST(PoolCeilMode, CountedPadding) {
  expect_pool("AveragePool", 22, counting_padding({3}, {2}, pads({1, 0})), f32({1, 1, 4}, {1, 2, 3, 4}), {1, 1, 2},
              {1, 3});
  expect_pool("AveragePool", 22, counting_padding({3}, {3}, pads({1, 1})), f32({1, 1, 6}, {1, 2, 3, 4, 5, 6}),
              {1, 1, 3}, {1, 4, 3});
  expect_pool("AveragePool", 22, counting_padding({2, 3}, {2, 3}, pads({0, 1, 0, 1})), counting({1, 1, 3, 6}),
              {1, 1, 2, 3}, {7.0 / 3, 6, 16.0 / 4, 25.0 / 3, 15, 34.0 / 4});
}

TEST(PoolCeilMode, DilatedWindows) {
  const Attributes dilated = {ints_attribute("dilations", {2})};
  expect_pool("MaxPool", 12, window({2}, {4}, dilated), counting({1, 1, 8}), {1, 1, 2}, {2, 6});
  expect_pool("MaxPool", 12, window({2}, {4}, dilated), counting({1, 1, 4}), {1, 1, 1}, {2});
  expect_pool("AveragePool", 22, counting_padding({2}, {3}, dilated), counting({1, 1, 5}), {1, 1, 2}, {1, 3});
  expect_pool("AveragePool", 22, window({2}, {3}, dilated), counting({1, 1, 5}), {1, 1, 2}, {1, 3});
}

}  // namespace
}  // namespace graft::session_test

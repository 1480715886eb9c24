// Slice's clamping: starts to 0..size forwards and 0..size-1 backwards, ends to 0..size and -1..size-1 (ONNX's text;
// onnxruntime gives the expected values, ONNX's reference follows numpy where a backward slice starts before the
// start).
#include "node_run.h"

namespace graft::session_test {
namespace {

bool small(int64_t v) { return v > -100 && v < 100; }

// Of 0, 1, 2: starts and ends as constants and as run-time values, the size known and open.
void expect_slice(int64_t start, int64_t end, int64_t step, const std::vector<double>& values,
                  Place at = Place::here()) {
  const testing::ScopedTrace trace(at.file, at.line, "here");
  const std::string want = shown({static_cast<int64_t>(values.size())}, values);
  for (const bool open : {false, true}) {
    const auto x = [&] {
      Case c("Slice", 13);
      return open ? std::move(c).open(counting({3})) : std::move(c).fed(counting({3}));
    };
    const Case numbers = x().constant(i64({start})).constant(i64({end})).constant(i64({0})).constant(i64({step}));
    const Case lists = x().fed(i64({start})).fed(i64({end})).constant(i64({0})).constant(i64({step}));
    EXPECT_EQ(numbers.on_host(), want);
    EXPECT_EQ(lists.on_host(), want);
    if (values.empty()) continue;  // Core ML has no empty tensors
    EXPECT_EQ(numbers.in_coreml(), want);
    if (small(start) && small(end)) {
      EXPECT_EQ(lists.in_coreml(), want);
    }
  }
}

TEST(SliceBounds, BackwardsFromBeforeTheStart) {
  expect_slice(-4, kLowest, -1, {0});
  expect_slice(-9, -9, -1, {0});
  expect_slice(kLowest + 1, kLowest, -1, {0});
  expect_slice(INT32_MIN, kLowest, -2, {0});
  expect_slice(-4, 0, -1, {});
  expect_slice(-4, -3, -1, {});
}

TEST(SliceBounds, Backwards) {
  expect_slice(-1, kLowest, -1, {2, 1, 0});
  expect_slice(kHighest, kLowest, -1, {2, 1, 0});
  expect_slice(-2, -4, -1, {1, 0});
  expect_slice(-3, -5, -1, {0});
  expect_slice(5, 0, -2, {2});
  expect_slice(2, kHighest, -1, {});
  expect_slice(kHighest, 0, kLowest + 1, {2});
}

TEST(SliceBounds, Forwards) {
  expect_slice(kLowest, kHighest, 1, {0, 1, 2});
  expect_slice(-2, kHighest, 1, {1, 2});
  expect_slice(1, INT32_MAX, kHighest, {1});
  expect_slice(-9, -2, 1, {0});
  expect_slice(kHighest, kHighest, 1, {});
  expect_slice(0, kLowest, 1, {});
  expect_slice(int64_t{1} << 32, kHighest, 1, {});
}

TEST(SliceBounds, SeveralAxes) {
  const Attributes old = {ints_attribute("starts", {-9, kHighest}), ints_attribute("ends", {kHighest, kHighest}),
                          ints_attribute("axes", {0, 1})};
  EXPECT_EQ(Case("Slice", 9, old).fed(counting({2, 3})).on_host(), shown({2, 0}, {}));
  const Case both = Case("Slice", 13)
                        .open(counting({2, 3}))
                        .constant(i64({-9, -9}))
                        .constant(i64({-9, kHighest}))
                        .constant(i64({-2, 1}))
                        .constant(i64({-1, 2}));
  expect_everywhere(both, {1, 2}, {0, 2});
  EXPECT_EQ(Case("Slice", 13)
                .fed(f32({2, 0}, {}))
                .constant(i64({-9, -9}))
                .constant(i64({-9, -9}))
                .constant(i64({0, 1}))
                .constant(i64({-1, -1}))
                .on_host(),
            shown({1, 0}, {}));
}

}  // namespace
}  // namespace graft::session_test

// int64 on the host is int64: indices, counts, axes and attributes beyond int32 are outside, never some smaller number.
// Expected values and refusals: onnxruntime.
#include "node_run.h"

namespace graft::session_test {
namespace {

using testing::HasSubstr;
constexpr int64_t kWrap = int64_t{1} << 32;

Case one_hot(Tensor indices, Tensor depth, Tensor values, Attributes a = {}) {
  return Case("OneHot", 11, std::move(a))
      .fed(std::move(indices))
      .constant(std::move(depth))
      .constant(std::move(values));
}

TEST(Int64, OneHotIndicesOutsideAreOff) {
  const std::string off = shown({3, 2}, {0, 0, 0, 0, 0, 0});
  for (const std::vector<int64_t>& v :
       {std::vector<int64_t>{kWrap, kWrap + 1, -kWrap}, {-3, -4, 2}, {kLowest, kLowest + 2, kHighest}}) {
    EXPECT_EQ(one_hot(i64(v), i64(Shape{}, {2}), f32({0, 1})).on_host(), off);
    EXPECT_EQ(Case("OneHot", 11).constant(i64(v)).constant(i64(Shape{}, {2})).constant(f32({0, 1})).on_host(), off);
  }
  expect_everywhere(one_hot(i64({-1, 0, -2}), i64(Shape{}, {2}), f32({0, 1})), {3, 2}, {0, 1, 1, 0, 1, 0});
  expect_everywhere(one_hot(f32({1.9F, -1, 1e19F}), i64(Shape{}, {2}), f32({0, 1})), {3, 2}, {0, 1, 0, 1, 0, 0});
  EXPECT_EQ(one_hot(Tensor::of<uint64_t>(DType::u64, {2}, std::vector<uint64_t>{UINT64_MAX, 1}), i64(Shape{}, {2}),
                    f32({0, 1}))
                .on_host(),
            shown({2, 2}, {0, 0, 0, 1}));
  EXPECT_THAT(one_hot(i64({0}), i64(Shape{}, {2}), f32({0, 1}), {int_attribute("axis", kWrap)}).on_host(),
              HasSubstr("axis 4294967296"));
}

TEST(Int64, OneHotValuesAreExact) {
  const int64_t odd = (int64_t{1} << 53) + 1;
  const Case equal = one_hot(i64({0}), i64(Shape{}, {2}), i64({kHighest, odd}));
  EXPECT_EQ(equal.on_host(), shown(i64({1, 2}, {odd, kHighest})));
  EXPECT_THAT(equal.on_host(), HasSubstr("9007199254740993 9223372036854775807"));
}

TEST(Int64, CountsBeyondInt32) {
  const auto topk = [](int opset, Attributes a = {}) {
    return Case("TopK", opset, std::move(a)).of_outputs(2).fed(counting({3}));
  };
  for (const int64_t k : {kWrap + 1, kWrap, kHighest, kLowest, int64_t{-1}, int64_t{4}}) {
    EXPECT_THAT(topk(11).constant(i64({k})).on_host(), HasSubstr("[value_out_of_range]"));
    if (k == -1) continue;  // MIL's "all of them"
    EXPECT_THAT(topk(11).fed(i64({k})).on_host(), HasSubstr("[value_out_of_range]"));
  }
  EXPECT_THAT(topk(9, {int_attribute("k", kWrap + 1)}).on_host(), HasSubstr("[value_out_of_range]"));
  for (const int64_t v : {kWrap, -kWrap, kHighest, kLowest}) {
    EXPECT_THAT(Case("Pad", 13).fed(counting({3})).constant(i64({v, 0})).on_host(), HasSubstr("[value_out_of_range]"));
    EXPECT_THAT(Case("CumSum", 14).fed(counting({3})).constant(i64(Shape{}, {v})).on_host(), HasSubstr("axis"));
  }
}

// Places along a dim are int32 inside: a limit of ours, not a smaller number.
TEST(Int64, PlacesBeyondInt32) {
  const Shape wide{kWrap, 0};
  EXPECT_EQ(Case("Shape", 13).fed(f32(wide, {})).on_host(), shown(i64({kWrap, 0})));
  EXPECT_THAT(Case("NonZero", 13).fed(f32(wide, {})).on_host(), HasSubstr("[limit_exceeded]"));
  EXPECT_EQ(Case("ArgMax", 13).fed(f32(wide, {})).on_host(), "[1, 0]:");  // none of them
}

TEST(Int64, TriangleDiagonals) {
  const auto trilu = [](int64_t k, int64_t upper) {
    return Case("Trilu", 14, {int_attribute("upper", upper)}).fed(counting({2, 2})).constant(i64(Shape{}, {k}));
  };
  for (const int64_t far : {kHighest, kHighest - 1, kWrap}) {
    expect_everywhere(trilu(far, 1), {2, 2}, {0, 0, 0, 0});
    expect_everywhere(trilu(far, 0), {2, 2}, {0, 1, 2, 3});
    expect_everywhere(trilu(-far, 1), {2, 2}, {0, 1, 2, 3});
    expect_everywhere(trilu(-far, 0), {2, 2}, {0, 0, 0, 0});
  }
  expect_everywhere(trilu(kLowest, 0), {2, 2}, {0, 0, 0, 0});
}

// Adding the size to an index in -2n..-n-1 makes one that counts from the end.
TEST(Int64, IndicesBeforeTheStartAreErrors) {
  for (const int64_t at : {int64_t{-4}, int64_t{-6}, int64_t{3}, kWrap, 1 - kWrap, kHighest, kLowest}) {
    const std::string why = format("index {} is outside a dim of 3", at);
    for (const bool constant : {false, true}) {
      const auto with = [&](Case c, Tensor indices) {
        return constant ? std::move(c).constant(std::move(indices)) : std::move(c).fed(std::move(indices));
      };
      const auto x = [](const char* op) { return Case(op, 16).fed(counting({3})); };
      EXPECT_THAT(with(x("Gather"), i64({at})).on_host(), HasSubstr(why));
      EXPECT_THAT(with(x("GatherElements"), i64({at})).on_host(), HasSubstr(why));
      EXPECT_THAT(with(x("GatherND"), i64({1, 1}, {at})).on_host(), HasSubstr(why));
      EXPECT_THAT(with(x("ScatterElements"), i64({at})).fed(f32({9})).on_host(), HasSubstr(why));
      EXPECT_THAT(with(x("ScatterND"), i64({1, 1}, {at})).fed(f32({9})).on_host(), HasSubstr(why));
    }
  }
  expect_everywhere(Case("Gather", 16).fed(counting({3})).fed(i64({-3, -1, 2})), {3}, {0, 2, 2});
  expect_everywhere(Case("GatherND", 16).open(counting({2, 3})).fed(i64({1, 2}, {-2, -1})), {1}, {2});
}

TEST(Int64, AttributesBeyondInt32) {
  const auto refused = [](const char* op, const char* attribute, int64_t v) {
    return Case(op, 13, {int_attribute(attribute, v)}).fed(counting({1, 4, 2, 2})).on_host();
  };
  for (const int64_t v : {kWrap + 2, kWrap, kHighest, kLowest}) {
    EXPECT_THAT(refused("DepthToSpace", "blocksize", v), HasSubstr("[value_out_of_range]"));
    EXPECT_THAT(refused("SpaceToDepth", "blocksize", v), HasSubstr("[value_out_of_range]"));
    EXPECT_THAT(refused("Softmax", "axis", v), HasSubstr("[value_out_of_range]"));
    EXPECT_THAT(Case("Conv", 11, {int_attribute("group", v)})
                    .fed(counting({1, 2, 1, 1}))
                    .constant(counting({2, 2, 1, 1}))
                    .on_host(),
                HasSubstr("group"));
  }
}

// The lowest integer has no magnitude.
TEST(Int64, RemaindersOfTheLowest) {
  const Attributes fmod = {int_attribute("fmod", 1)};
  EXPECT_EQ(
      Case("Mod", 13, fmod).fed(i64({kLowest, kLowest, -7, 7, 6, 5})).fed(i64({3, -1, 3, -3, 3, kLowest})).on_host(),
      shown({6}, {-2, 0, -1, 1, 0, 5}));
  EXPECT_EQ(Case("Mod", 13, fmod).fed(f32({-7, 7})).fed(f32({3, -3})).on_host(), shown({2}, {-1, 1}));
}

}  // namespace
}  // namespace graft::session_test

#include "ir/dim.h"

#include <gtest/gtest.h>

#include <random>

#include "ir/text.h"

namespace graft::ir {
namespace {

// The dim that the text form reads in this place, with the same symbols known.
std::optional<Dim> parsed(const std::string& dim) {
  static const OpTable kNoRows{std::span<const OpDef* const>()};
  const std::string text =
      "program(1.3)\n{\n  func main<ios18>(tensor<fp32, [h: 1..100, \"w\": 1..100, n: 0..1000000, \"a b\": 0..7]> x, "
      "tensor<fp32, [" +
      dim + "]> y) {\n  } -> (x);\n}\n";
  const auto p = parse_text(text, kNoRows);
  EXPECT_TRUE(p) << dim << ": " << render(p.error());
  return p ? std::optional<Dim>((*p)->main()->inputs[1]->dim(0)) : std::nullopt;
}

std::string text_of(const Dim& d) {
  return d.to_string([](std::string_view s) { return s == "a b" ? "\"a b\"" : std::string(s); });
}

const Dim kH = Dim::symbol("h", {1, 100}), kW = Dim::symbol("w", {1, 100});

TEST(Dim, IsWrittenWithBracketsWhereTheyMatter) {
  EXPECT_EQ((kH * Dim(2) - Dim(1)).to_string(), "2*h - 1");
  EXPECT_EQ(floor_div(kH, Dim(2)).to_string(), "(h floordiv 2)");
  EXPECT_EQ(floor_div(kH + Dim(1), Dim(2)).to_string(), "((h + 1) floordiv 2)");
  EXPECT_EQ(floor_div(floor_div(kH + Dim(1), Dim(2)) + Dim(1), Dim(2)).to_string(),
            "((((h + 1) floordiv 2) + 1) floordiv 2)");
}

TEST(Dim, ReadsBackAsWritten) {
  std::mt19937 random(7);
  const Dim symbols[] = {kH, kW, Dim::symbol("n", {0, 1000000}), Dim::symbol("a b", {0, 7})};
  for (int round = 0; round < 3000; ++round) {
    std::vector<Dim> made(std::begin(symbols), std::end(symbols));
    const auto any = [&] { return made[random() % made.size()]; };
    for (size_t step = 1 + random() % 8; step > 0; --step) {
      const Dim a = any(), b = any();
      const Dim k(static_cast<int64_t>(random() % 9) - 4);
      switch (random() % 8) {
        case 0: made.push_back(a + b); break;
        case 1: made.push_back(a - b); break;
        case 2: made.push_back(a * b); break;
        case 3: made.push_back(a * k); break;
        case 4: made.push_back(a + k); break;
        case 5: made.push_back(dim_min(a, b)); break;
        case 6: made.push_back(dim_max(a, b)); break;
        default:
          made.push_back(floor_div(a, b == Dim(0) ? Dim(3) : random() % 2 == 0 ? b : Dim(1 + std::abs(k.value()))));
      }
    }
    const Dim d = made.back();
    const std::string text = text_of(d);
    if (d.known() || text.find('?') != std::string::npos) continue;  // maybe no size, or too large to be written
    const std::optional<Dim> again = parsed(text);
    ASSERT_TRUE(again);
    ASSERT_EQ(*again, d) << text << " came back as " << text_of(*again);
  }
}

TEST(Dim, ExtremeNumbers) {
  const Dim least(INT64_MIN), most(INT64_MAX);
  EXPECT_EQ((kH + least).to_string(), "h - 9223372036854775808");
  EXPECT_EQ((kH * least).to_string(), "-9223372036854775808*h");
  EXPECT_EQ(floor_div(kH * least, Dim(-1)).range().hi, INT64_MAX);
  EXPECT_EQ(floor_div(least, Dim(-1)), most);
  EXPECT_EQ(floor_div(kH * most + most, Dim(-1)).range().hi, INT64_MIN);
}

// An expression made of itself again and again doubles each time: it must not take the machine with it.
TEST(Dim, SizeIsBounded) {
  Dim squared = kH + kW, both = kH, chain = kH;
  for (int i = 0; i < 40; ++i) {
    squared = squared * squared;
    both = dim_max(floor_div(both, kW) + kH, both * kW);
    chain = floor_div(chain + Dim(1), Dim(2)) + kW;
  }
  for (const Dim& d : {squared, both, chain}) EXPECT_LT(d.to_string().size(), 20000u);
  Dim again = kH + kW;
  for (int i = 0; i < 40; ++i) again = again * again;
  EXPECT_EQ(squared, again);  // built the same way: the same size
  EXPECT_NE(squared, both);
  // A few window operators after one another stay exact.
  Dim pooled = kH;
  for (int i = 0; i < 20; ++i) pooled = floor_div(pooled + Dim(1), Dim(2));
  EXPECT_EQ(pooled.to_string().find('?'), std::string::npos);
}

}  // namespace
}  // namespace graft::ir

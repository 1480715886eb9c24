#include "onnx/signature.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "onnx/lower.h"
#include "onnx/nodes.h"

namespace graft::onnx {
namespace {

using testing::HasSubstr;

Node at(int version, Node n) {
  n.version = version;
  return n;
}

// The refusal by the operator's own row; empty when the node is as it should be.
std::string refusal(const Node& n) {
  const Status s = check_signature(find_lowering("", n.op_type)->signature, n);
  return s ? "" : render(s.error());
}

TEST(Signature, CountsInputsAndOutputs) {
  EXPECT_EQ(refusal(at(13, node("Sign", {"x"}, {"y"}))), "");
  EXPECT_THAT(refusal(at(13, node("Sign", {"x"}, {"y", "z"}))), HasSubstr("2 outputs given, takes 1 [invalid_model]"));
  EXPECT_THAT(refusal(at(13, node("Sign", {"x", "x"}, {"y"}))), HasSubstr("2 inputs given, takes 1 [invalid_model]"));
  EXPECT_THAT(refusal(at(13, node("Sign", {}, {"y"}))), HasSubstr("0 inputs given, takes 1 [invalid_model]"));
  EXPECT_THAT(refusal(at(13, node("Sign", {"x"}, {}))), HasSubstr("0 outputs given, takes 1 [invalid_model]"));
  EXPECT_THAT(refusal(at(13, node("Sign", {""}, {"y"}))), HasSubstr("input 0 ('input') is left out [invalid_model]"));
  EXPECT_THAT(refusal(at(13, node("Sign", {"x"}, {""}))), HasSubstr("output 0 ('output') is left out [invalid_model]"));
  EXPECT_THAT(refusal(at(13, node("Concat", {}, {"y"}))), HasSubstr("0 inputs given, takes 1 or more [invalid_model]"));
  EXPECT_THAT(refusal(at(13, node("Constant", {"x"}, {"y"}))), HasSubstr("1 input given, takes none"));
}

TEST(Signature, KnowsWhatMayBeLeftOut) {
  EXPECT_EQ(refusal(at(13, node("Conv", {"x", "w"}, {"y"}))), "");
  EXPECT_EQ(refusal(at(13, node("Conv", {"x", "w", ""}, {"y"}))), "");
  EXPECT_THAT(refusal(at(13, node("Conv", {"x"}, {"y"}))), HasSubstr("1 input given, takes 2 to 3"));
  EXPECT_THAT(refusal(at(13, node("Conv", {"x", "", "b"}, {"y"}))), HasSubstr("input 1 ('W') is left out"));
  EXPECT_EQ(refusal(at(13, node("Clip", {"x", "", "hi"}, {"y"}))), "");
  EXPECT_EQ(refusal(at(11, node("TopK", {"x", "k"}, {"values", "places"}))), "");
  EXPECT_THAT(refusal(at(11, node("TopK", {"x", "k"}, {"", "places"}))), HasSubstr("output 0 ('Values') is left out"));
  EXPECT_THAT(refusal(at(11, node("TopK", {"x", "k"}, {"values"}))), HasSubstr("1 output given, takes 2"));
}

TEST(Signature, FollowsTheVersion) {
  EXPECT_EQ(refusal(at(13, node("Squeeze", {"x", "axes"}, {"y"}))), "");
  EXPECT_THAT(refusal(at(11, node("Squeeze", {"x", "axes"}, {"y"}))), HasSubstr("2 inputs given, takes 1"));
  Attribute axes;
  axes.name = "axes";
  axes.type = Attribute::Type::ints;
  axes.ints = {0};
  EXPECT_EQ(refusal(at(11, node("Squeeze", {"x"}, {"y"}, {axes}))), "");
  EXPECT_THAT(refusal(at(13, node("Squeeze", {"x"}, {"y"}, {axes}))),
              HasSubstr("attribute 'axes' does not exist in version 13; it has none [invalid_attribute]"));
  EXPECT_THAT(refusal(at(18, node("ReduceMean", {"x"}, {"y"}, {axes}))), HasSubstr("it has keepdims, noop_with"));
  EXPECT_EQ(refusal(at(10, node("Resize", {"x", "s"}, {"y"}))), "");
  EXPECT_THAT(refusal(at(11, node("Resize", {"x", "s"}, {"y"}))), HasSubstr("2 inputs given, takes 3 to 4"));
  EXPECT_EQ(refusal(at(13, node("Resize", {"x", "", "s"}, {"y"}))), "");
  EXPECT_EQ(refusal(at(13, node("Sign", {"x"}, {"y"}, {int_attribute("__private", 1)}))), "");
}

}  // namespace
}  // namespace graft::onnx

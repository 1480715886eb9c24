// Operators whose results are as long as the data says. MIL has none: they are host operators.
#include "onnx/lower_families.h"

namespace graft::onnx {
namespace {

Values unique(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  std::vector<ir::Arg> args{{"x", x}, {"sorted", n.flag("sorted", true)}};
  if (n.has_attr("axis")) args.emplace_back("axis", n.axis("axis", 0, x->rank()));
  return b.emit_all("host_unique", args);
}

Values non_max_suppression(NodeView& n, OpBuilder& b) {
  return {b.emit("host_non_max_suppression", {{"boxes", n.in(0)},
                                              {"scores", n.in(1)},
                                              {"max_output_boxes_per_class", n.has(2) ? n.in_saturated(2) : nullptr},
                                              {"iou_threshold", n.optional_in(3)},
                                              {"score_threshold", n.optional_in(4)},
                                              {"center_point_box", n.i("center_point_box", 0)}})};
}

constexpr Lowering kRows[] = {
    {"", "Unique", kSince<11>, "X -> Y indices? inverse_indices? counts?; axis sorted", unique, "on the host only"},
    {"", "NonMaxSuppression", kSince<10, 11>,
     "boxes scores max_output_boxes_per_class? iou_threshold? score_threshold? -> selected_indices; center_point_box",
     non_max_suppression, "on the host only"},
};

}  // namespace

LoweringRows detection_lowerings() { return kRows; }

}  // namespace graft::onnx

// Operators whose results are as long as the data says.
#include "base/format.h"
#include "onnx/lower_families.h"

namespace graft::onnx {
namespace {

Values unique(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  std::vector<ir::Arg> args{{"x", x}, {"sorted", n.flag("sorted", true)}};
  if (n.has_attr("axis")) args.emplace_back("axis", n.axis("axis", 0, x->rank()));
  return b.emit_all("host_unique", args);
}

// A known number; what stands for one that is left out.
std::optional<double> known_number(NodeView& n, int i, double fallback) {
  Value* v = n.optional_in(i);
  if (v == nullptr) return fallback;
  if (!v->is_constant() || v->constant->count() != 1) return {};
  return element_as_double(v->constant->view(), 0);
}

// MIL suppresses among the boxes of an image, and gives so many of them: each class becomes an image of its own. Boxes
// with low scores suppress none with higher ones, so they may be left out afterwards, together with the padding.
Value* suppress_by_rows(NodeView& n, OpBuilder& b, Value* boxes, Value* scores, int64_t most, double iou,
                        std::optional<double> least) {
  const Dim images = scores->dim(0), classes = scores->dim(1), count = scores->dim(2), rows = images * classes;
  Value* hints[] = {scores, boxes};
  Value* all = b.expand_dims(b.transpose(boxes, {0, 2, 1}), {1});
  if (!(classes == Dim(1))) all = b.emit("tile", {{"x", all}, {"reps", Ints{1, classes.value(), 1, 1}}});
  const Values found =
      b.emit_all("non_maximum_suppression", {{"boxes", b.reshape(all, {rows, Dim(4), count}, hints)},
                                             {"scores", b.reshape(scores, {rows, Dim(1), count}, hints)},
                                             {"iou_threshold", iou},
                                             {"max_boxes", most}});
  if (!b.ok() || found.size() != 3) return n.refused();
  Value* indices = found[2];
  Value* kept = b.binary("greater_equal", indices, b.like(indices, 0));
  if (least) {
    Value* best = b.squeeze(found[1], {1});
    kept = b.binary("logical_and", kept, b.binary("greater", best, b.like(best, *least)));
  }
  Value* places = b.unary("non_zero", b.cast(kept, DType::i32));
  Value* row = b.emit("slice_by_size", {{"x", places}, {"begin", Ints{0, 0}}, {"size", Ints{-1, 1}}});
  Value* box = b.expand_dims(b.emit("gather_nd", {{"x", indices}, {"indices", places}}), {1});
  Value* image = b.binary("floor_div", row, b.like(row, static_cast<double>(classes.value())));
  Value* of_class = b.sub(row, b.scale(image, static_cast<double>(classes.value())));
  return b.cast(b.concat({image, of_class, box}, 1), n.inside(DType::i64));
}

Value* by_centres(NodeView& n, OpBuilder& b) {
  constexpr int64_t kMost = 1 << 20;
  Value *boxes = n.in(0), *scores = n.in(1);
  if (boxes->rank() != 3 || scores->rank() != 3)
    return n.refuse(Code::rank_mismatch, format("takes boxes and scores of rank 3, got {} and {}",
                                                boxes->type.to_string(), scores->type.to_string()));
  if (n.i("center_point_box", 0) != 1)
    return n.refuse(Code::unsupported_attribute,
                    "boxes given by two corners: MIL's are given by their centres and sizes, and what lies at the "
                    "threshold would be decided by other digits");
  const std::optional<double> given = known_number(n, 2, 0), iou = known_number(n, 3, 0), least = known_number(n, 4, 0);
  if (!given || !iou || !least)
    return n.refuse(Code::needs_constant, "the number of boxes and the thresholds must be constants");
  if (!scores->dim(1).known()) return n.refuse(Code::dynamic_shape, "the number of classes must be known");
  const double most = std::min(*given, static_cast<double>(scores->dim(2).range().hi));
  if (!(most >= 1) || most > static_cast<double>(kMost))
    return n.refuse(Code::unsupported_attribute, format("{} boxes a class, takes 1 to {}", most, kMost));
  return suppress_by_rows(n, b, boxes, scores, static_cast<int64_t>(most), *iou,
                          n.has(4) ? std::optional(*least) : std::nullopt);
}

Values non_max_suppression(NodeView& n, OpBuilder& b) {
  const auto on_host = [&] {
    return b.emit("host_non_max_suppression", {{"boxes", n.in(0)},
                                               {"scores", n.in(1)},
                                               {"max_output_boxes_per_class", n.has(2) ? n.in_saturated(2) : nullptr},
                                               {"iou_threshold", n.optional_in(3)},
                                               {"score_threshold", n.optional_in(4)},
                                               {"center_point_box", n.i("center_point_box", 0)}});
  };
  return {b.first_of(on_host, [&] { return by_centres(n, b); })};
}

constexpr Lowering kRows[] = {
    {"", "Unique", kSince<11>, "X -> Y indices? inverse_indices? counts?; axis sorted", unique, "on the host only"},
    {"", "NonMaxSuppression", kSince<10, 11>,
     "boxes scores max_output_boxes_per_class? iou_threshold? score_threshold? -> selected_indices; center_point_box",
     non_max_suppression, "in Core ML boxes by their centres"},
};

}  // namespace

LoweringRows detection_lowerings() { return kRows; }

}  // namespace graft::onnx

// non_maximum_suppression, of MIL's tensor_operation family: of boxes that overlap only the best stay. A box counts by
// the best of its scores. What stays is padded to max_boxes; where no score is above the threshold, the best box stays
// all the same. The form up to iOS16 has the boxes in the middle dim, the later one in the last.
#include "ops/boxes.h"
#include "ops/moving.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

bool boxes_last(const Call& call) { return !call.has("score_threshold"); }

Status nms_type(const Call& call, Types& out) {
  const Operand &boxes = call.in("boxes"), &scores = call.in("scores");
  const bool last = boxes_last(call);
  const size_t box = last ? 2 : 1, entry = last ? 1 : 2;
  const bool fits = boxes.rank() == 3 && scores.rank() == 3 && !ir::never_equal(boxes.dims()[entry], Dim(4)) &&
                    !ir::never_equal(boxes.dims()[0], scores.dims()[0]) &&
                    !ir::never_equal(boxes.dims()[box], scores.dims()[box]);
  if (!fits) {
    return fail(Code::shape_mismatch,
                format("takes boxes {} and scores {}, got {} and {}", last ? "[n, 4, boxes]" : "[n, boxes, 4]",
                       last ? "[n, classes, boxes]" : "[n, boxes, classes]", boxes.type->to_string(),
                       scores.type->to_string()));
  }
  const int64_t most = call.i("max_boxes");
  if (most < 1) return fail(Code::value_out_of_range, format("max_boxes is {}, takes 1 and more", most));
  const Dim &n = scores.dims()[0], &classes = scores.dims()[entry];
  const auto laid = [&](const Dim& entries) {
    return last ? Dims{n, entries, Dim(most)} : Dims{n, Dim(most), entries};
  };
  out.push_back(Type::tensor(boxes.dtype(), laid(Dim(4))));
  out.push_back(Type::tensor(scores.dtype(), laid(classes)));
  out.push_back(Type::tensor(DType::i32, Dims{n, Dim(most)}));
  if (!last) out.push_back(Type::tensor(DType::i32, Dims{n}));
  return {};
}

// How the entries of a box lie in a tensor [n, boxes, entries] or [n, entries, boxes].
struct Layout {
  int64_t box, entry, each;  // steps, and elements of an image
  Layout(const Shape& s, bool last) : box(last ? 1 : s[2]), entry(last ? s[2] : 1), each(s[1] * s[2]) {}
  int64_t at(int64_t image, int64_t b, int64_t e) const { return image * each + b * box + e * entry; }
};

Status nms_reference(const Call& call, Outputs& out) {
  GRAFT_CHECK(allocate_outputs(call, out));
  const TensorView boxes = call.in("boxes").value, scores = call.in("scores").value;
  const bool last = boxes_last(call), by_class = call.flag("per_class_suppression");
  const auto iou = static_cast<float>(call.f("iou_threshold")), least = static_cast<float>(call.f("score_threshold"));
  const int64_t most = call.i("max_boxes");
  if (call.error()) return fail(*call.error());
  const int box_dim = last ? 2 : 1;
  const int64_t n = scores.shape[0], count = scores.shape[box_dim], classes = scores.shape[3 - box_dim];
  if (boxes.shape[0] != n || boxes.shape[box_dim] != count || boxes.shape[3 - box_dim] != 4 || classes < 1)
    return fail(Code::shape_mismatch,
                format("boxes {} and scores {}", to_string(boxes.shape), to_string(scores.shape)));
  const auto laid = [&](int64_t entries) { return last ? Shape{n, entries, most} : Shape{n, most, entries}; };
  GRAFT_CHECK(check_output(call, out[0], laid(4)));
  GRAFT_CHECK(check_output(call, out[1], laid(classes)));
  GRAFT_CHECK(check_output(call, out[2], {n, most}));
  const Layout box_in(boxes.shape, last), score_in(scores.shape, last), box_out(out[0].shape, last),
      score_out(out[1].shape, last);
  for (int k = 0; k < 2; ++k) std::memset(out[k].data, 0, out[k].bytes());
  std::fill_n(out[2].as<int32_t>(), n * most, -1);

  struct Found {
    float score;
    int64_t box, best_class;
  };
  std::vector<Found> order;
  std::vector<std::pair<Box, int64_t>> kept;  // with their classes
  Pace pace = call.pace();
  for (int64_t image = 0; image < n && pace.go_on(count * (classes + 4)); ++image) {
    order.clear();
    kept.clear();
    for (int64_t b = 0; b < count; ++b) {
      Found f{-INFINITY, b, 0};
      for (int64_t c = 0; c < classes; ++c) {
        const auto s = static_cast<float>(element_as_double(scores, score_in.at(image, b, c)));
        if (s > f.score || std::isnan(s)) f = {s, b, c};
        if (std::isnan(s)) break;
      }
      order.push_back(f);
    }
    // NaN comes last, and counts as below any threshold.
    sort_by(order, pace, [](const Found& a, const Found& b) {
      if (std::isnan(a.score) || std::isnan(b.score))
        return std::isnan(a.score) == std::isnan(b.score) ? a.box < b.box : std::isnan(b.score);
      return a.score != b.score ? a.score > b.score : a.box < b.box;
    });
    int64_t filled = 0;
    const auto keep = [&](int64_t b) {
      for (int64_t e = 0; e < 4; ++e)
        copy_elements(boxes.dtype, boxes.data, box_in.at(image, b, e), out[0].data, box_out.at(image, filled, e), 1,
                      pace);
      for (int64_t c = 0; c < classes; ++c)
        copy_elements(scores.dtype, scores.data, score_in.at(image, b, c), out[1].data, score_out.at(image, filled, c),
                      1, pace);
      out[2].as<int32_t>()[image * most + filled++] = static_cast<int32_t>(b);
    };
    for (const Found& f : order) {
      if (filled >= most || !pace.go_on(static_cast<int64_t>(kept.size()) + 1)) break;
      if (std::isnan(f.score) || (!last && !(f.score > least))) break;
      const auto entry = [&](int64_t e) {
        return static_cast<float>(element_as_double(boxes, box_in.at(image, f.box, e)));
      };
      const Box box = box_around(entry(0), entry(1), entry(2), entry(3));
      if (std::any_of(kept.begin(), kept.end(), [&](const auto& k) {
            return (!by_class || k.second == f.best_class) && overlaps(k.first, box, iou);
          }))
        continue;
      kept.emplace_back(box, f.best_class);
      keep(f.box);
    }
    if (filled == 0 && !order.empty()) keep(order[0].box);
    if (!last) out[3].as<int32_t>()[image] = static_cast<int32_t>(filled);
  }
  return {};
}

constexpr Variant kVariants[] = {
    {Opset::ios15,
     "boxes:T; scores:T; iou_threshold:const T; score_threshold:const T; max_boxes:const int32; "
     "per_class_suppression?:const bool=false",
     "T={fp16,fp32}"},
    {Opset::ios17,
     "boxes:T; scores:T; iou_threshold:const T; max_boxes:const int32; per_class_suppression?:const bool=false",
     "T={fp16,fp32}"}};
constexpr OpDef non_maximum_suppression = {
    .name = "non_maximum_suppression",
    .family = "tensor_operation",
    .doc =
        "of boxes (x, y, width, height about their centres) that overlap the best: boxes, scores, indices (and how "
        "many, where there is a score_threshold), padded to max_boxes",
    .variants = kVariants,
    .infer = nms_type,
    .reference = nms_reference,
    .defined = [](const Call& call) -> Status {
      if (boxes_last(call) && call.f("iou_threshold") > 0) return {};
      return fail(Code::unsupported_attribute,
                  format("iou_threshold is {}, Core ML's own tests hold above 0", call.f("iou_threshold")));
    },
    .fp16 = {.places = true},
};

constexpr const OpDef* kRows[] = {&non_maximum_suppression};

}  // namespace

Rows non_maximum_suppression_rows() { return kRows; }

}  // namespace graft::ops

// host_non_max_suppression: ONNX's NonMaxSuppression, which works class by class and gives triples of indices. The
// kernel allocates: the number of boxes that stay hangs on the data.
#include <algorithm>
#include <array>

#include "ops/blocks.h"
#include "ops/boxes.h"
#include "ops/host_rows.h"
#include "ops/moving.h"

namespace graft::ops {
namespace {

Status nms_type(const Call& call, Types& out) {
  const Operand &boxes = call.in("boxes"), &scores = call.in("scores");
  const bool fits = boxes.rank() == 3 && scores.rank() == 3 && !ir::never_equal(boxes.dims()[2], Dim(4)) &&
                    !ir::never_equal(boxes.dims()[0], scores.dims()[0]) &&
                    !ir::never_equal(boxes.dims()[1], scores.dims()[2]);
  if (!fits) {
    return fail(Code::shape_mismatch, format("takes boxes [n, boxes, 4] and scores [n, classes, boxes], got {} and {}",
                                             boxes.type->to_string(), scores.type->to_string()));
  }
  if (call.i("center_point_box") != 0 && call.i("center_point_box") != 1)
    return fail(Code::invalid_attribute, format("center_point_box is {}, takes 0 or 1", call.i("center_point_box")));
  out.push_back(Type::tensor(DType::i64, Dims{call.fresh({0, ir::product(scores.dims()).range().hi}), Dim(3)}));
  return {};
}

// The boxes of an image. Of corners any two opposite ones are given.
void read_boxes(const TensorView& boxes, int64_t image, bool center, std::vector<Box>& to) {
  static_assert(kBlock % 4 == 0);
  std::array<double, kBlock> given;
  const auto numbers = 4 * static_cast<int64_t>(to.size());
  for (int64_t first = 0; first < numbers; first += kBlock) {
    const int64_t n = std::min(kBlock, numbers - first);
    load(boxes, image * numbers + first, 1, n, given.data());
    for (int64_t i = 0; i < n; i += 4) {
      float v[4];
      std::transform(&given[static_cast<size_t>(i)], &given[static_cast<size_t>(i)] + 4, v,
                     [](double d) { return static_cast<float>(d); });
      to[static_cast<size_t>((first + i) / 4)] =
          center ? box_around(v[0], v[1], v[2], v[3])
                 : Box{std::min(v[0], v[2]), std::min(v[1], v[3]), std::max(v[0], v[2]), std::max(v[1], v[3])};
    }
  }
}

struct Candidate {
  float score;
  int64_t box;
  bool operator<(const Candidate& o) const { return score != o.score ? score < o.score : box > o.box; }
};

Status nms_reference(const Call& call, Outputs& out) {
  const TensorView boxes = call.in("boxes").value, scores = call.in("scores").value;
  const bool center = call.i("center_point_box") == 1, any_score = !call.has("score_threshold");
  const auto least = static_cast<float>(call.f("score_threshold")), iou = static_cast<float>(call.f("iou_threshold"));
  const int64_t most = call.i("max_output_boxes_per_class");
  if (call.error()) return fail(*call.error());
  const int64_t n = scores.shape[0], classes = scores.shape[1], count = scores.shape[2];
  if (boxes.shape[0] != n || boxes.shape[1] != count || boxes.shape[2] != 4)
    return fail(Code::shape_mismatch,
                format("boxes {} and scores {}", to_string(boxes.shape), to_string(scores.shape)));
  std::vector<Box> all(static_cast<size_t>(count)), kept;
  std::vector<Candidate> left(all.size());  // a heap: few of many candidates are ever looked at
  std::vector<int64_t> found;
  std::array<double, kBlock> some;
  Pace pace = call.pace();
  for (int64_t row = 0; row < n * classes && pace.go_on(count); ++row) {
    if (row % classes == 0) read_boxes(boxes, row / classes, center, all);
    kept.clear();
    auto end = left.begin();
    for (int64_t b = 0; b < count; ++b) {
      if (b % kBlock == 0) load(scores, row * count + b, 1, std::min(kBlock, count - b), some.data());
      const auto score = static_cast<float>(some[static_cast<size_t>(b % kBlock)]);
      *end = {score, b};
      end += any_score ? score == score : score > least;  // no branch, which would be guessed wrongly
    }
    std::make_heap(left.begin(), end);
    while (end != left.begin() && static_cast<int64_t>(kept.size()) < most &&
           pace.go_on(static_cast<int64_t>(kept.size()) + 1)) {
      std::pop_heap(left.begin(), end);
      const int64_t b = (--end)->box;
      const Box& box = all[static_cast<size_t>(b)];
      if (std::any_of(kept.begin(), kept.end(), [&](const Box& k) { return overlaps(k, box, iou); })) continue;
      kept.push_back(box);
      found.insert(found.end(), {row / classes, row % classes, b});
    }
  }
  const Shape shape{static_cast<int64_t>(found.size() / 3), 3};
  GRAFT_CHECK(out[0].dtype == DType::invalid ? out.allocate(0, DType::i64, shape) : check_output(call, out[0], shape));
  std::copy(found.begin(), found.end(), out[0].as<int64_t>());
  return {};
}

IntRange nms_range(const Call& call) {
  int64_t hi = 0;
  for (const Dim& d : call.in("scores").dims()) hi = std::max(hi, d.range().hi - 1);
  return {0, hi};
}

constexpr Variant kVariants[] = {
    {Opset::host,
     "boxes:T; scores:T; max_output_boxes_per_class?:int64=0; iou_threshold?:fp32=0.0; score_threshold?:fp32=none; "
     "center_point_box?:const int64=0",
     "T={fp16,fp32,fp64,bf16}"}};
constexpr OpDef host_non_max_suppression = {
    .name = "host_non_max_suppression",
    .family = "host",
    .doc = "ONNX NonMaxSuppression: (batch, class, box) of each box kept, class by class, best first",
    .variants = kVariants,
    .host = kNumbers,
    .infer = nms_type,
    .reference = nms_reference,
    .range = nms_range,
    .kernel_sized = true};

}  // namespace

const OpDef& host_non_max_suppression_row() { return host_non_max_suppression; }

}  // namespace graft::ops

// Operators whose results are as long as the data says.
#include <algorithm>
#include <array>
#include <limits>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

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

// (image, class, box) of each index that is kept, of rows of indices; a row is a class of an image.
Value* triples(NodeView& n, OpBuilder& b, Value* indices, Value* kept, int64_t classes) {
  Value* places = b.unary("non_zero", b.cast(kept, DType::i32));
  Value* row = b.emit("slice_by_size", {{"x", places}, {"begin", Ints{0, 0}}, {"size", Ints{-1, 1}}});
  Value* box = b.expand_dims(b.emit("gather_nd", {{"x", indices}, {"indices", places}}), {1});
  Value* image = b.binary("floor_div", row, b.like(row, static_cast<double>(classes)));
  Value* of_class = b.sub(row, b.scale(image, static_cast<double>(classes)));
  return b.cast(b.concat({image, of_class, box}, 1), n.inside(DType::i64));
}

// Boxes of each row: those of its image.
Value* for_each_class(OpBuilder& b, Value* boxes, int64_t classes) {
  Value* all = b.expand_dims(b.transpose(boxes, {0, 2, 1}), {1});
  return classes == 1 ? all : b.emit("tile", {{"x", all}, {"reps", Ints{1, classes, 1, 1}}});
}

// MIL suppresses among the boxes of an image, and gives so many of them: each class becomes an image of its own. Boxes
// with low scores suppress none with higher ones, so they may be left out afterwards, together with the padding.
Value* suppress_by_rows(NodeView& n, OpBuilder& b, Value* boxes, Value* scores, int64_t most, double iou,
                        std::optional<double> least) {
  const Dim images = scores->dim(0), classes = scores->dim(1), count = scores->dim(2), rows = images * classes;
  Value* hints[] = {scores, boxes};
  Value* all = for_each_class(b, boxes, classes.value());
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
  return triples(n, b, indices, kept, classes.value());
}

// The same written out, which decides at the threshold as ONNX does (ops/boxes.h): in each turn of a loop every row
// keeps the best box that it has left and loses those that this one covers.
class Suppression {
 public:
  Suppression(NodeView& n, OpBuilder& b, int64_t most) : n_(n), b_(b), most_(most) {}

  Value* operator()(Value* boxes, Value* scores) {
    const Dim classes = scores->dim(1), rows = scores->dim(0) * classes, count = scores->dim(2);
    Value* hints[] = {scores, boxes};
    Value* all = b_.reshape(for_each_class(b_, boxes, classes.value()), {rows, Dim(4), count}, hints);
    corners_ = corners(all);
    threshold_ = n_.has(3) ? scalar_of(b_, n_.in(3)) : b_.scalar(DType::f32, 0);
    limit_ = scalar_of(b_, b_.cast(n_.in_saturated(2), DType::i32));
    Value* left = candidates(b_.reshape(scores, {rows, count}, hints));
    places_ = places_along(b_, left, 1);
    Value* shape = b_.dims_value({rows, Dim(most_)}, hints);
    Value* nothing =
        b_.emit("fill", {{"shape", shape}, {"value", b_.constant(ir::Constant::int_scalar(DType::i32, -1))}});
    const Values initial{b_.constant(ir::Constant::int_scalar(DType::i32, 0)), left, nothing};
    const Values out = loop(initial);
    if (!b_.ok() || out.size() != 3) return n_.refused();
    Value* kept = b_.binary("greater_equal", out[2], b_.like(out[2], 0));
    Value* found = b_.maximum(out[2], b_.like(out[2], 0));
    return triples(n_, b_, found, kept, classes.value());
  }

 private:
  Value* none(const Value* like) { return b_.like(like, -std::numeric_limits<double>::infinity()); }
  Value* both(Value* x, Value* y) { return b_.binary("logical_and", x, y); }
  Value* positive(Value* x) { return b_.binary("greater", x, b_.like(x, 0)); }

  // Two opposite ones: the smaller y and x, the larger y and x.
  std::array<Value*, 4> corners(Value* boxes) {
    std::array<Value*, 4> given{}, out{};
    for (size_t i = 0; i < 4; ++i) given[i] = number(boxes, static_cast<int64_t>(i));
    for (size_t i = 0; i < 2; ++i) {
      if (n_.i("center_point_box", 0) == 1) {  // x, y, width, height
        Value* half = b_.scale(given[3 - i], 0.5);
        out[i] = b_.sub(given[1 - i], half);
        out[i + 2] = b_.add(given[1 - i], half);
      } else {
        out[i] = b_.minimum(given[i], given[i + 2]);
        out[i + 2] = b_.maximum(given[i], given[i + 2]);
      }
    }
    return out;
  }
  Value* number(Value* boxes, int64_t side) {
    return b_.emit("slice_by_index", {{"x", boxes},
                                      {"begin", std::vector<int64_t>{0, side, 0}},
                                      {"end", std::vector<int64_t>{0, side + 1, 0}},
                                      {"begin_mask", std::vector<bool>{true, false, true}},
                                      {"end_mask", std::vector<bool>{true, false, true}},
                                      {"squeeze_mask", std::vector<bool>{false, true, false}}});
  }

  // Minus infinity for those that are none.
  Value* candidates(Value* scores) {
    Value* least = n_.has(4) ? scalar_of(b_, n_.in(4)) : nullptr;
    Value* taken = least == nullptr ? b_.binary("equal", scores, scores) : b_.binary("greater", scores, least);
    return b_.select(taken, scores, none(scores));
  }

  Values loop(const Values& initial) {
    ir::Function& fn = b_.function();
    const auto inputs = [&] {
      Values list;
      for (const Value* v : initial) list.push_back(fn.new_value(v->type));
      return list;
    };
    std::vector<std::unique_ptr<ir::Block>> blocks;
    const Values asked = inputs(), turned = inputs();
    blocks.push_back(n_.block_of(asked, [&]() -> Values {
      Value* best = b_.reduce("reduce_max", asked[1], {0, 1}, false);
      Value* turns = b_.minimum(limit_, b_.like(limit_, static_cast<double>(most_)));
      return {both(b_.binary("less", asked[0], turns), b_.binary("greater", best, none(best)))};
    }));
    blocks.push_back(n_.block_of(turned, [&] { return turn(turned[0], turned[1], turned[2]); }));
    if (!b_.ok()) return {};
    ir::Types results;
    for (const Value* v : initial) results.push_back(v->type);
    return b_.emit_blocks("while_loop", {{"loop_vars", initial}}, std::move(blocks), std::move(results));
  }

  Values turn(Value* number, Value* left, Value* chosen) {
    Value* best = b_.emit("reduce_argmax", {{"x", left}, {"axis", 1}, {"keep_dims", true}});
    best = b_.maximum(best, b_.like(best, 0));
    Value* score = b_.reduce("reduce_max", left, {1}, true);
    std::array<Value*, 4> of_best{};
    for (size_t i = 0; i < 4; ++i)
      of_best[i] = b_.emit("gather_along_axis", {{"x", corners_[i]}, {"indices", best}, {"axis", 1}});
    Value* height = extent(corners_, of_best, 0);
    Value* width = extent(corners_, of_best, 1);
    Value *own = area(corners_), *other = area(of_best);
    Value* shared = b_.mul(height, width);
    Value* covered = b_.div(shared, b_.sub(b_.add(other, own), shared));
    Value* sides = both(positive(height), positive(width));
    Value* areas = both(positive(own), positive(other));
    Value* over = both(both(sides, areas), b_.binary("greater", covered, threshold_));
    Value* gone = b_.binary("logical_or", over, b_.binary("equal", places_, best));
    Value* here = b_.binary("equal", b_.ints(counted()), number);
    Value* found = b_.cast(b_.binary("greater", score, none(score)), DType::i32);
    Value* entry = b_.mul(b_.add(best, b_.like(best, 1)), found);  // -1 is there already
    Value* written = b_.add(chosen, b_.mul(entry, b_.cast(here, DType::i32)));
    return {b_.add(number, b_.like(number, 1)), b_.select(gone, none(left), left), written};
  }

  // What two boxes share in one direction.
  Value* extent(const std::array<Value*, 4>& x, const std::array<Value*, 4>& y, size_t side) {
    Value* end = b_.minimum(x[side + 2], y[side + 2]);
    return b_.sub(end, b_.maximum(x[side], y[side]));
  }
  Value* area(const std::array<Value*, 4>& x) {
    Value* height = b_.sub(x[2], x[0]);
    return b_.mul(height, b_.sub(x[3], x[1]));
  }
  std::vector<int64_t> counted() const {
    std::vector<int64_t> numbers(static_cast<size_t>(most_));
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int64_t>(i);
    return numbers;
  }

  NodeView& n_;
  OpBuilder& b_;
  int64_t most_;
  std::array<Value*, 4> corners_{};
  Value *threshold_ = nullptr, *limit_ = nullptr, *places_ = nullptr;
};

Value* in_turns(NodeView& n, OpBuilder& b) {
  constexpr int64_t kMost = 1 << 14;
  Value *boxes = n.in(0), *scores = n.in(1), *given = n.has(2) ? n.in_saturated(2) : nullptr;
  if (!scores->dim(1).known()) return n.refuse(Code::dynamic_shape, "the number of classes must be known");
  const int64_t most = given == nullptr ? 0 : std::min(given->range.hi, scores->dim(2).range().hi);
  if (most < 1 || (given->is_constant() && element_as_int(given->constant->view(), 0) < 1))
    return n.refuse(Code::unsupported_attribute, "no boxes are asked for");
  if (most > kMost)
    return n.refuse(Code::dynamic_shape, format("up to {} boxes a class, takes at most {}", most, kMost));
  return Suppression(n, b, most)(boxes, scores);
}

Value* by_centres(NodeView& n, OpBuilder& b) {
  constexpr int64_t kMost = 1 << 20;
  Value *boxes = n.in(0), *scores = n.in(1);
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
  Value *boxes = n.in(0), *scores = n.in(1);
  if (boxes->rank() != 3 || scores->rank() != 3)
    return {n.refuse(Code::rank_mismatch, format("takes boxes and scores of rank 3, got {} and {}",
                                                 boxes->type.to_string(), scores->type.to_string()))};
  const auto on_host = [&] {
    return b.emit("host_non_max_suppression", {{"boxes", boxes},
                                               {"scores", scores},
                                               {"max_output_boxes_per_class", n.has(2) ? n.in_saturated(2) : nullptr},
                                               {"iou_threshold", n.optional_in(3)},
                                               {"score_threshold", n.optional_in(4)},
                                               {"center_point_box", n.i("center_point_box", 0)}});
  };
  return {b.first_of(
      on_host, [&] { return by_centres(n, b); }, [&] { return in_turns(n, b); })};
}

constexpr Lowering kRows[] = {
    {"", "Unique", kSince<11>, "X -> Y indices? inverse_indices? counts?; axis sorted", unique, "on the host only"},
    {"", "NonMaxSuppression", kSince<10, 11>,
     "boxes scores max_output_boxes_per_class? iou_threshold? score_threshold? -> selected_indices; center_point_box",
     non_max_suppression, "in Core ML boxes given by corners in a loop"},
};

}  // namespace

LoweringRows detection_lowerings() { return kRows; }

}  // namespace graft::onnx

// Random numbers, and Dropout. Where the node has no seed its own number is one, so that two nodes differ; the numbers
// go on from run to run of a session, and are the same in each session.
#include <bit>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

int64_t seed_of(NodeView& n) {
  if (!n.has_attr("seed")) return n.node().id;
  // Dropout's is an integer.
  if (n.attr("seed")->type == Attribute::Type::int_) return static_cast<int32_t>(n.i("seed", 0));
  return std::bit_cast<int32_t>(static_cast<float>(n.f("seed", 0)));
}

Value* shape_of(OpBuilder& b, Value* x) {
  Value* hints[] = {x};
  return b.dims_value(x->dims(), hints);
}

// Numbers between 0 and 1 for the elements of x: in fp32, or fp64 where x is.
Value* uniform_like(NodeView& n, OpBuilder& b, Value* x) {
  const DType t = x->dtype() == DType::f64 ? DType::f64 : DType::f32;
  Value* shape = shape_of(b, x);
  Value *low = b.scalar(t, 0), *high = b.scalar(t, 1);
  return b.emit("random_uniform", {{"shape", shape}, {"low", low}, {"high", high}, {"seed", seed_of(n)}});
}

// The distribution of two parameters, in the dtype asked for or, of `like`, its own.
Values distributed(NodeView& n, OpBuilder& b, std::string_view op, std::array<std::string_view, 2> names,
                   std::array<double, 2> numbers, Value* like) {
  DType to = like != nullptr ? like->dtype() : DType::f32;
  if (n.has_attr("dtype")) to = n.dtype("dtype");
  if (!is_float(to) && b.ok())
    return {n.refuse(Code::unsupported_dtype, format("random numbers of {}, takes floats", name(to)))};
  Value* shape = nullptr;
  if (like != nullptr) {
    shape = shape_of(b, like);
  } else {
    const std::vector<int64_t> sizes = n.ints("shape");
    for (int64_t v : sizes) {
      if (v < 0 || v > INT32_MAX) return {n.refuse(Code::invalid_attribute, format("shape has a size {}", v))};
    }
    if (sizes.size() > static_cast<size_t>(kMaxRank))
      return {n.refuse(Code::unsupported_rank, format("{} sizes, takes up to {}", sizes.size(), kMaxRank))};
    shape = b.ints(sizes);
  }
  const DType in = to == DType::f64 ? DType::f64 : DType::f32;
  Value *first = b.scalar(in, numbers[0]), *second = b.scalar(in, numbers[1]);
  return {b.cast(b.emit(op, {{"shape", shape}, {names[0], first}, {names[1], second}, {"seed", seed_of(n)}}), to)};
}
template <bool like>
Values random_normal(NodeView& n, OpBuilder& b) {
  Value* x = like ? n.in(0) : nullptr;
  return distributed(n, b, "random_normal", {"mean", "stddev"}, {n.f("mean", 0), n.f("scale", 1)}, x);
}
template <bool like>
Values random_uniform(NodeView& n, OpBuilder& b) {
  Value* x = like ? n.in(0) : nullptr;
  return distributed(n, b, "random_uniform", {"low", "high"}, {n.f("low", 0), n.f("high", 1)}, x);
}

// 1 with probability x, as ONNX says; onnxruntime's kernel draws 1 with probability 1 - x.
Values bernoulli(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const DType to = n.has_attr("dtype") ? n.dtype("dtype") : x->dtype();
  Value* drawn = uniform_like(n, b, x);
  return {b.cast(b.binary("less", drawn, b.cast(x, drawn->dtype())), to)};
}

Values multinomial(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  if (x->rank() != 2) return {n.refuse(Code::rank_mismatch, format("got {}, takes a matrix", x->type.to_string()))};
  const int64_t size = n.i("sample_size", 1);
  if (size < 1 || size > INT32_MAX)
    return {n.refuse(Code::invalid_attribute, format("sample_size is {}, takes 1 or more", size))};
  const DType to = n.has_attr("dtype") ? n.dtype("dtype") : DType::i32;
  if (to != DType::i32 && to != n.inside(DType::i64) && b.ok())
    return {n.refuse(Code::unsupported_dtype, format("classes as {}, takes int32 and int64", name(to)))};
  // Classes are told as x's numbers, which have to hold them.
  Value* weights = x->dtype() == DType::f64 ? x : b.cast(x, DType::f32);
  return {b.cast(
      b.emit("random_categorical", {{"x", weights}, {"mode", "logits"}, {"size", size}, {"seed", seed_of(n)}}), to)};
}

// What is kept is scaled up for what is dropped.
Values dropout_training(NodeView& n, OpBuilder& b, Value* x, Value* training) {
  Value* drawn = uniform_like(n, b, x);
  const DType in = drawn->dtype();
  Value* ratio = n.has(1) ? b.cast(n.in(1), in) : b.scalar(in, 0.5);
  if (ratio->rank() != 0) ratio = b.reshape(ratio, Dims{});
  Value* kept = b.binary("greater_equal", drawn, ratio);
  Value* share = b.sub(b.like(ratio, 1), ratio);
  Value* scaled = b.div(b.cast(x, in), share);
  Value* y = b.cast(b.select(kept, scaled, b.like(scaled, 0)), x->dtype());
  if (training == nullptr) return {y, kept};
  if (training->rank() != 0) training = b.reshape(training, Dims{});
  return {b.select(training, y, x), b.binary("logical_or", kept, b.unary("logical_not", training))};
}

// In inference the ratio plays no part, the mask (if wanted) is all true.
Values dropout(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  if (n.version() >= 12 && n.has(2)) {
    Value* training = n.in(2);
    const ir::ConstantPtr& known = training->constant;
    if (known == nullptr) return dropout_training(n, b, x, training);
    if (known->count() == 1 && element_as_int(known->view(), 0) != 0) return dropout_training(n, b, x, nullptr);
  }
  if (!n.wants(1)) return {x};
  Value* mask = n.version() < 10 ? b.emit("fill_like", {{"ref_tensor", x}, {"value", b.like(x, 1)}})
                                 : b.emit("fill_like", {{"ref_tensor", x}, {"value", true}});
  return {x, mask};
}

constexpr Lowering kRows[] = {
    {"", "RandomNormal", kSince<1, 22>, "-> output; dtype mean scale seed shape", random_normal<false>},
    {"", "RandomNormalLike", kSince<1, 22>, "input -> output; dtype mean scale seed", random_normal<true>},
    {"", "RandomUniform", kSince<1, 22>, "-> output; dtype high low seed shape", random_uniform<false>},
    {"", "RandomUniformLike", kSince<1, 22>, "input -> output; dtype high low seed", random_uniform<true>},
    {"", "Bernoulli", kSince<15, 22>, "input -> output; dtype seed", bernoulli,
     "draws 1 with probability p, as ONNX says (onnxruntime: 1 - p)"},
    {"", "Multinomial", kSince<7, 22>, "input -> output; dtype sample_size seed", multinomial},
    {"", "Dropout", kSince<1, 6, 7, 10, 12, 13, 22>,
     "data ratio?@12 training_mode?@12 -> output mask?; is_test<7 ratio<12 seed@12", dropout},
};

}  // namespace

LoweringRows random_lowerings() { return kRows; }

}  // namespace graft::onnx

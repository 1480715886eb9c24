// Fourier transforms, windows, mel filters. MIL has no transform: in Core ML one of a known and not too large length is
// a product with a constant matrix.
#include <cmath>
#include <numbers>

#include "base/format.h"
#include "onnx/lower_families.h"
#include "onnx/patterns.h"

namespace graft::onnx {
namespace {

struct Dft {
  Value* length = nullptr;  // null: that of x
  int axis = 0;
  bool inverse = false, onesided = false;
};

// Row: an element that is read, and its part; column: one that is made, and its part.
ir::ConstantPtr dft_matrix(int64_t n, int64_t read, int64_t parts, int64_t made, const Dft& f) {
  const int64_t made_parts = f.inverse && f.onesided ? 1 : 2;
  Tensor t(DType::f32, Shape{read * parts, made * made_parts});
  float* to = t.span<float>().data();
  for (int64_t i = 0; i < read; ++i) {
    // Half a spectrum stands for its mirror image too.
    const bool twice = f.inverse && f.onesided && i > 0 && 2 * i != n;
    const double scale = (twice ? 2.0 : 1.0) / (f.inverse ? static_cast<double>(n) : 1.0);
    for (int64_t part = 0; part < parts; ++part) {
      for (int64_t k = 0; k < made; ++k) {
        const double turn = 2 * std::numbers::pi * static_cast<double>(i * k % n) / static_cast<double>(n);
        const double re = std::cos(turn) * scale, im = (f.inverse ? 1 : -1) * std::sin(turn) * scale;
        *to++ = static_cast<float>(part == 0 ? re : -im);
        if (made_parts == 2) *to++ = static_cast<float>(part == 0 ? im : re);
      }
    }
  }
  return ir::Constant::of(std::move(t));
}

Value* dft_by_product(NodeView& n, OpBuilder& b, Value* x, const Dft& f) {
  constexpr int64_t kMaxMatrix = 1 << 22;
  const Dim given = x->dim(f.axis), parts = x->dim(x->rank() - 1);
  const std::optional<Dims> asked = f.length != nullptr && f.length->is_constant()
                                        ? std::optional(Dims{Dim(element_as_int(f.length->constant->view(), 0))})
                                        : std::nullopt;
  if (!given.known() || !parts.known() || (f.length != nullptr && !asked))
    return n.refuse(Code::dynamic_shape, "a transform of a length that only a run knows");
  const bool half_in = f.inverse && f.onesided;
  const int64_t length = asked ? (*asked)[0].value() : half_in ? 2 * (given.value() - 1) : given.value();
  const int64_t made = f.onesided && !f.inverse ? length / 2 + 1 : length, made_parts = half_in ? 1 : 2;
  const int64_t read = std::min(given.value(), half_in ? length / 2 + 1 : length);
  if (length < 1 || length > kMaxMatrix || read * parts.value() > kMaxMatrix / (made * made_parts))
    return n.refuse(Code::unsupported_attribute, format("a transform of length {}", length));
  // The axis next to the parts, cut to what is read; both are one dim of the product.
  Ints perm, back;
  for (int d = 0; d < x->rank(); ++d) {
    if (d != f.axis) perm.push_back(d);
    if (d == x->rank() - 2) perm.push_back(f.axis);
  }
  if (f.axis == x->rank() - 2) {
    perm.clear();
    for (int d = 0; d < x->rank(); ++d) perm.push_back(d);
  }
  for (int d = 0; d < x->rank(); ++d) {
    for (int k = 0; k < perm.size(); ++k) {
      if (perm[k] == d) back.push_back(k);
    }
  }
  Value* v = b.transpose(x, perm);
  const int axis = v->rank() - 2;
  if (read < given.value()) {
    std::vector<int64_t> begin(static_cast<size_t>(v->rank()), 0), size(static_cast<size_t>(v->rank()), -1);
    size[static_cast<size_t>(axis)] = read;
    v = b.emit("slice_by_size", {{"x", v}, {"begin", begin}, {"size", size}});
  }
  if (!b.ok()) return n.refused();
  Dims flat(v->dims().begin(), v->dims().end() - 2), spread = flat;
  flat.push_back(Dim(read * parts.value()));
  spread.push_back(Dim(made));
  spread.push_back(Dim(made_parts));
  Value* matrix = b.cast(b.constant(dft_matrix(length, read, parts.value(), made, f)), x->dtype());
  Value* flattened = b.reshape(v, flat);
  Value* product = b.matmul(flattened, matrix);
  return b.transpose(b.reshape(product, spread), back);
}

Value* dft_of(NodeView& n, OpBuilder& b, Value* x, const Dft& f) {
  return b.first_of(
      [&] {
        return b.emit(
            "host_dft",
            {{"x", x}, {"dft_length", f.length}, {"axis", f.axis}, {"inverse", f.inverse}, {"onesided", f.onesided}});
      },
      [&] { return dft_by_product(n, b, x, f); });
}

Values dft(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *length = n.optional_in(1);
  if (n.version() >= 20 && n.has(2) && !n.in(2)->is_constant()) {
    return {b.emit("host_dft", {{"x", x},
                                {"dft_length", length},
                                {"axis", n.in(2)},
                                {"inverse", n.flag("inverse")},
                                {"onesided", n.flag("onesided")}})};
  }
  const int64_t axis = n.version() < 20 ? n.i("axis", 1) : n.has(2) ? n.const_int(2, "axis").value_or(0) : int64_t{-2};
  const int at = normal_axis(n, axis, x->rank());
  if (!b.ok()) return {n.refused()};
  if (at == x->rank() - 1)
    return {n.refuse(Code::value_out_of_range, "the last dim holds real and imaginary parts: no axis to transform")};
  return {dft_of(n, b, x, {length, at, n.flag("inverse"), n.flag("onesided")})};
}

Value* number_of(OpBuilder& b, Value* v) { return v->rank() == 0 ? v : b.reshape(v, Dims{}); }

// Windows along dim 1 whose size or step only a run tells.
Value* frames_of(OpBuilder& b, Value* x, Value* step, Value* length) {
  Value* places = b.sub(size_along(b, x, 1), length);
  Value* last = b.binary("floor_div", places, step);
  Value* frames = b.add(last, b.like(last, 1));
  Value* starts = b.mul(b.emit("range_1d", {{"start", 0}, {"end", frames}, {"step", 1}}), step);
  Value* within = b.emit("range_1d", {{"start", 0}, {"end", length}, {"step", 1}});
  Value* rows = b.expand_dims(starts, {1});
  return b.gather(x, b.add(rows, b.expand_dims(within, {0})), 1);
}

// Frames, each times the window, transformed.
Values stft(NodeView& n, OpBuilder& b) {
  Value *x = n.in(0), *step = n.in(1), *window = n.optional_in(2), *length = n.optional_in(3);
  if (window == nullptr && length == nullptr)
    return {n.refuse(Code::invalid_model, "takes a frame_length or a window")};
  if (x->rank() == 2) x = b.expand_dims(x, {2});
  if (x->rank() != 3 || (window != nullptr && window->rank() != 1))
    return {n.refuse(Code::shape_mismatch,
                     format("takes signals [n, length, 1 or 2] and a list as window, got {}", x->type.to_string()))};
  const bool sized = length != nullptr ? length->is_constant() : window->dim(0).known();
  Value* frames = nullptr;
  if (sized && step->is_constant()) {
    const int64_t size = length != nullptr ? n.const_int(3, "frame_length").value_or(0) : window->dim(0).value();
    if (window != nullptr && ir::never_equal(window->dim(0), Dim(size)))
      return {n.refuse(Code::shape_mismatch, format("a window {} for frames of {}", window->type.to_string(), size))};
    frames = b.emit("sliding_windows",
                    {{"x", x}, {"axis", 1}, {"size", size}, {"stride", n.const_int(1, "frame_step").value_or(0)}});
  } else {
    Value* apart = b.cast(number_of(b, step), DType::i32);
    Value* size = length != nullptr ? b.cast(number_of(b, length), DType::i32) : size_along(b, window, 0);
    frames = frames_of(b, x, apart, size);
  }
  if (window != nullptr) frames = b.mul(frames, b.expand_dims(window, {1}));
  return {dft_of(n, b, frames, {nullptr, 2, false, n.flag("onesided", true)})};
}

// ---- windows, filters ---------------------------------------------------------------------------------------------

// a0 - a1 cos(t) + a2 cos(2 t), t a turn over the window's elements, or from the first to the last.
Values cosine_window(NodeView& n, OpBuilder& b, double a0, double a1, double a2) {
  Value* count = b.cast(number_of(b, n.in_saturated(0)), DType::i32);
  const DType to = n.has_attr("output_datatype") ? n.dtype("output_datatype") : DType::f32;
  const DType in = to == DType::f64 ? DType::f64 : DType::f32;
  Value* at = b.cast(b.emit("range_1d", {{"start", 0}, {"end", count}, {"step", 1}}), in);
  Value* last = b.cast(count, in);
  if (!n.flag("periodic", true)) last = b.maximum(b.sub(last, b.like(last, 1)), b.like(last, 1));
  Value* turn = b.div(b.like(last, 2 * std::numbers::pi), last);
  Value* t = b.mul(at, turn);
  Value* y = b.sub(b.like(t, a0), b.scale(b.unary("cos", t), a1));
  if (a2 != 0) y = b.add(y, b.scale(b.unary("cos", b.scale(t, 2)), a2));
  return {b.cast(y, to)};
}
Values hann(NodeView& n, OpBuilder& b) { return cosine_window(n, b, 0.5, 0.5, 0); }
Values hamming(NodeView& n, OpBuilder& b) { return cosine_window(n, b, 25.0 / 46, 21.0 / 46, 0); }
Values blackman(NodeView& n, OpBuilder& b) { return cosine_window(n, b, 0.42, 0.5, 0.08); }

Values mel_weight_matrix(NodeView& n, OpBuilder& b) {
  Value *bins = n.in(0), *length = n.in(1), *rate = n.in(2), *lower = n.in(3), *upper = n.in(4);
  const DType to = n.has_attr("output_datatype") ? n.dtype("output_datatype") : DType::f32;
  return {b.cast(b.emit("host_mel_weight_matrix", {{"num_mel_bins", bins},
                                                   {"dft_length", length},
                                                   {"sample_rate", rate},
                                                   {"lower_edge_hertz", lower},
                                                   {"upper_edge_hertz", upper}}),
                 to)};
}

constexpr Lowering kRows[] = {
    {"", "DFT", kSince<17, 20>, "input dft_length? axis?@20 -> output; axis<20 inverse onesided", dft,
     "in Core ML of known axis and length"},
    {"", "STFT", kSince<17>, "signal frame_step window? frame_length? -> output; onesided", stft,
     "in Core ML of known frame_step and frame_length"},
    {"", "HannWindow", kSince<17>, "size -> output; output_datatype periodic", hann},
    {"", "HammingWindow", kSince<17>, "size -> output; output_datatype periodic", hamming},
    {"", "BlackmanWindow", kSince<17>, "size -> output; output_datatype periodic", blackman},
    {"", "MelWeightMatrix", kSince<17>,
     "num_mel_bins dft_length sample_rate lower_edge_hertz upper_edge_hertz -> output; output_datatype",
     mel_weight_matrix, "in Core ML of constants"},
};

}  // namespace

LoweringRows signal_lowerings() { return kRows; }

}  // namespace graft::onnx

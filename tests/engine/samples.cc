#include "samples.h"

#include <functional>
#include <map>

namespace graft::engine_test {
namespace {

using List = std::vector<int64_t>;
using Samples = std::vector<Sample>;
using Is = Operand::Is;

Operand constant(std::string_view param, Shape shape, double lo = 0, double hi = 0) {
  return {param, shape, Is::constant, 0, {}, lo, hi};
}
Operand index(std::string_view param, Shape shape, int64_t limit) { return {param, shape, Is::index, limit}; }
Operand literal(std::string_view param, Shape shape, List elements) {
  return {param, shape, Is::literal, 0, std::move(elements)};
}

// x [steps, batch, inputs]: around what the kernel does at once, in every direction and activation.
Samples recurrent_samples(std::string_view cell) {
  const bool lstm = cell == "lstm";
  const int64_t gates = lstm ? 4 : cell == "gru" ? 3 : 1;
  Samples list;
  for (const auto& [x, hidden] : {std::pair{Shape{5, 1, 7}, 3},
                                  {Shape{4, 7, 33}, 20},
                                  {Shape{1, 2, 1}, 1},
                                  {Shape{40, 13, 5}, 70},
                                  {Shape{0, 2, 3}, 4},
                                  {Shape{3, 0, 2}, 4}}) {
    for (const char* direction : {"forward", "reverse", "bidirectional"}) {
      if (!lstm && direction == std::string_view("bidirectional")) continue;
      const bool two = direction == std::string_view("bidirectional");
      const Shape state{x[1], two ? 2 * hidden : hidden}, rows{gates * hidden};
      const double w = 0.3;
      Sample s{{{"x", x}, {"initial_h", state}}, {{"direction", direction}, {"output_sequence", hidden != 3}}};
      if (lstm) s.operands.push_back({"initial_c", state});
      for (const auto& [ih, hh, bias, peephole] :
           {std::array{"weight_ih", "weight_hh", "bias", "peephole"},
            std::array{"weight_ih_back", "weight_hh_back", "bias_back", "peephole_back"}}) {
        s.operands.push_back(constant(ih, {rows[0], x[2]}, -w, w));
        s.operands.push_back(constant(hh, {rows[0], hidden}, -w, w));
        if (hidden != 20) s.operands.push_back(constant(bias, rows, -w, w));
        if (lstm && hidden == 70) s.operands.push_back(constant(peephole, {3 * hidden}, -w, w));
        if (!two) break;
      }
      list.push_back(s);
      if (hidden != 20) continue;
      for (const char* f : {"relu", "hard_sigmoid", "linear", "sigmoid"}) {
        list.push_back(s);
        list.back().args.push_back({"activation", f});
      }
    }
  }
  return list;
}

Samples host_recurrent_samples() {
  Samples list;
  const std::tuple<const char*, const char*, int64_t> cells[] = {
      {"lstm", "sigmoid,tanh,softsign", 4}, {"gru", "sigmoid,tanh", 3}, {"rnn", "elu", 1}};
  for (const auto& [cell, names, gates] : cells) {
    for (const bool fixed : {true, false}) {
      for (const int64_t steps : {6, 1, 0}) {
        const int64_t hidden = 19, batch = 5, inputs = 6;
        const auto weights = [&, fixed = fixed](std::string_view param, Shape shape) {
          return fixed ? constant(param, shape, -0.3, 0.3) : Operand{param, shape};
        };
        const auto count = static_cast<int64_t>(std::count(names, names + std::string_view(names).size(), ',')) + 1;
        Operand numbers = constant("numbers", {2 * count}, 1, 1);
        numbers.dtype = DType::f32;
        Sample s{{{"x", {steps, batch, inputs}},
                  weights("w", {1, gates * hidden, inputs}),
                  weights("r", {1, gates * hidden, hidden}),
                  weights("b", {1, 2 * gates * hidden}),
                  {"initial_h", {1, batch, hidden}},
                  numbers},
                 {{"cell", cell}, {"activations", names}, {"direction", fixed ? "reverse" : "forward"}}};
        list.push_back(s);
        s.args.push_back({"clip", 0.4});
        s.args.push_back({"linear_before_reset", true});
        s.args.push_back({"input_forget", true});
        if (steps == 6) s.operands.push_back(literal("sequence_lens", {5}, {6, 0, 2, 1, 5}));
        list.push_back(s);
      }
    }
  }
  return list;
}

// One sample of x for each set of arguments.
Samples on_x(const Shape& x, std::vector<std::vector<ir::Arg>> arguments) {
  Samples list;
  for (auto& args : arguments) list.push_back({{{"x", x}}, std::move(args)});
  return list;
}
Samples all(std::initializer_list<Samples> lists) {
  Samples joined;
  for (const Samples& l : lists) joined.insert(joined.end(), l.begin(), l.end());
  return joined;
}
Samples declined(Samples list) {
  for (Sample& s : list) s.declined = true;
  return list;
}
// The same behind a convolution too.
Samples and_blocked(Samples list) {
  for (size_t i = 0, n = list.size(); i < n; ++i) {
    list.push_back(list[i]);
    list.back().blocked = true;
  }
  return list;
}

// ---- pointwise, reductions ----

Samples pointwise_samples(const ir::OpRow& row, DType dtype) {
  const ir::Pointwise& f = row.def->pointwise;
  std::vector<std::array<Shape, 3>> shapes = {{{{2, 7, 150}, {2, 7, 150}, {2, 7, 150}}},
                                              {{{1531}, {1531}, {1531}}},
                                              {{{40001}, {40001}, {40001}}},
                                              {{{3, 0, 5}, {3, 0, 5}, {3, 0, 5}}}};
  if (f.by_channel == nullptr) shapes.push_back({{{}, {}, {}}});
  if (f.by_channel != nullptr) std::erase_if(shapes, [](const auto& s) { return s[0].size() != 3; });
  if (!f.operands[1].empty()) {
    shapes.push_back({{{2, 7, 150}, {7, 1}, {150}}});
    shapes.push_back({{{1, 40, 1}, {30, 1, 20}, {}}});
    shapes.push_back({{{2, 8, 4, 5}, {2, 8, 1, 1}, {5}}});
    shapes.push_back({{{1}, {2, 600}, {2, 1}}});
  }
  std::vector<std::vector<ir::Arg>> variants = {{}};
  if (f.function == ir::Scalar::cast) {
    variants.clear();
    for (const char* to : {"fp16", "fp32", "fp64", "bf16", "int8", "int32", "int64", "uint8", "bool"})
      variants.push_back({{"dtype", to}});
  } else if (row.param_index("mode") >= 0) {
    for (const char* mode : {"EXACT", "TANH_APPROXIMATION", "SIGMOID_APPROXIMATION"})
      variants.push_back({{"mode", mode}});
  }
  Samples list;
  for (const auto& shape : shapes) {
    for (const auto& variant : variants) {
      Sample s{{}, variant};
      double number = is_float(dtype) ? 0.25 : 2;
      for (const ir::Param& p : row.params()) {
        const auto at = std::find(f.operands.begin(), f.operands.end(), p.name);
        if (at != f.operands.end()) {
          s.operands.push_back({p.name, shape[static_cast<size_t>(at - f.operands.begin())]});
        } else if (p.optional || p.name == "dtype") {
          continue;
        } else if (f.by_channel != nullptr) {
          s.operands.push_back(constant(p.name, {shape[0][1]}, 0.25, 2));
        } else {
          s.operands.push_back(constant(p.name, {}, number, number));
          number += is_float(dtype) ? 0.5 : 0;  // alpha below beta
        }
      }
      list.push_back(std::move(s));
    }
  }
  return list;
}

Samples reduction_samples() {
  Samples list;
  const std::pair<Shape, Ints> cases[] = {{{3, 700}, {-1}},        {{3, 5, 7}, {1}},
                                          {{2, 3, 5, 7}, {2, 3}},  {{4, 9}, {0}},
                                          {{2, 3, 4}, {0, 2}},     {{6}, {0}},
                                          {{2, 3, 4}, {0, 1, 2}},  {{2, 3, 2, 5, 3}, {1, 2}},
                                          {{1, 1030, 3}, {1}},     {{2, 3, 2, 5, 3}, {0, 3}},
                                          {{3, 4, 70, 9}, {0, 1}}, {{3, 4, 5, 200}, {0, 2}},
                                          {{2, 0, 3}, {1}},        {{2, 0, 3}, {0}},
                                          {{2, 1, 1, 5}, {1, -2}}};
  for (const auto& [x, axes] : cases) {
    for (const bool keep : {false, true}) list.push_back({{{"x", x}}, {{"axes", axes}, {"keep_dims", keep}}});
  }
  list.push_back({{{"x", {2, 16, 5, 7}}}, {{"axes", Ints{2, 3}}}, true});
  list.push_back({{{"x", {5, 31}}}, {}});
  list.push_back({{{"x", {}}}, {}});
  return list;
}

// ---- products ----

struct Filter {
  Shape x;
  int64_t out;
  List kernel, strides, dilations, pad;
  int64_t groups = 1;
  std::string_view pad_type = "custom";
  List output = {};
};

Samples filtered(std::initializer_list<Filter> filters, bool transposed) {
  Samples list;
  for (const Filter& f : filters) {
    for (const bool bias : {false, true}) {
      Shape w{transposed ? f.x[1] : f.out, (transposed ? f.out : f.x[1]) / f.groups};
      for (const int64_t k : f.kernel) w.push_back(k);
      Sample s{{{"x", f.x}, constant("weight", w)},
               {{"strides", f.strides},
                {"dilations", f.dilations},
                {"pad_type", f.pad_type},
                {"pad", f.pad},
                {"groups", f.groups}}};
      if (bias) s.operands.push_back(constant("bias", {f.out}));
      if (!f.output.empty()) s.args.emplace_back("output_shape", f.output);
      list.push_back(std::move(s));
    }
  }
  return list;
}

Samples conv_samples() {
  return filtered(
      {
          {{1, 3, 17, 19}, 16, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}},
          {{2, 16, 9, 9}, 24, {1, 1}, {1, 1}, {1, 1}, {0, 0, 0, 0}},
          {{1, 16, 11, 10}, 16, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 16},
          {{1, 12, 8, 8}, 6, {3, 3}, {1, 1}, {2, 2}, {2, 2, 2, 2}, 3},
          {{1, 5, 7, 7}, 7, {3, 2}, {1, 2}, {1, 1}, {0, 1, 2, 0}},
          {{1, 8, 14, 15}, 8, {5, 5}, {2, 2}, {1, 1}, {0, 0, 0, 0}, 8, "same"},
          {{1, 8, 14, 15}, 8, {4, 4}, {3, 3}, {1, 1}, {0, 0, 0, 0}, 1, "same_lower"},
          {{2, 4, 30}, 8, {5}, {2}, {1}, {2, 1}},
          {{1, 3, 5, 6, 7}, 8, {3, 3, 3}, {1, 2, 1}, {1, 1, 1}, {1, 1, 0, 1, 1, 0}},
          {{1, 1, 12, 12}, 8, {5, 5}, {1, 1}, {1, 1}, {2, 2, 2, 2}},
          {{1, 6, 30, 33}, 12, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}, 6},
          {{1, 3, 75, 70}, 3, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 3},
          {{1, 5, 40, 37}, 19, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},
          {{0, 3, 5, 5}, 4, {3, 3}, {1, 1}, {1, 1}, {1, 1, 1, 1}},
      },
      false);
}

Samples conv_transpose_samples() {
  return filtered(
      {
          {{1, 8, 5, 6}, 4, {2, 2}, {2, 2}, {1, 1}, {0, 0, 0, 0}, 1, "valid"},
          {{2, 6, 5, 6}, 4, {3, 3}, {2, 1}, {1, 1}, {1, 1, 1, 0}, 2, "custom"},
          {{1, 4, 5, 5}, 4, {3, 3}, {2, 2}, {1, 1}, {1, 1, 1, 1}, 1, "custom", {1, 4, 10, 10}},
          {{1, 4, 7}, 8, {4}, {2}, {1}, {0, 0}, 1, "same"},
      },
      true);
}

Samples matmul_samples(DType dtype) {
  struct Case {
    Shape x, y;
    bool tx, ty;
  };
  Samples list;
  for (const Case& c : std::initializer_list<Case>{{{4, 5}, {5, 6}, false, false},
                                                   {{5, 4}, {6, 5}, true, true},
                                                   {{2, 3, 4, 5}, {2, 3, 5, 6}, false, false},
                                                   {{2, 3, 4, 5}, {2, 3, 6, 5}, false, true},
                                                   {{3, 4, 5}, {5, 6}, false, false},
                                                   {{3, 1, 4, 5}, {2, 5, 7}, false, false},
                                                   {{5}, {5, 3}, false, false},
                                                   {{3, 4, 5}, {5}, false, false},
                                                   {{2, 5, 4}, {5, 3}, true, false},
                                                   {{1, 150}, {150, 1}, false, false},
                                                   {{3, 0}, {0, 4}, false, false}}) {
    list.push_back({{{"x", c.x}, {"y", c.y}}, {{"transpose_x", c.tx}, {"transpose_y", c.ty}}});
    list.back().declined = c.x.size() == 1 || c.y.size() == 1;
    if (is_float(dtype)) {
      list.push_back(list.back());
      list.back().operands[1].is = Is::constant;
    }
  }
  return list;
}

Samples linear_samples() {
  Samples list;
  for (const Shape& x : {Shape{3, 150}, Shape{2, 7, 24}, Shape{1, 1}, Shape{5, 1}, Shape{0, 3}}) {
    const int64_t in = x.back();
    list.push_back({{{"x", x}, constant("weight", {17, in})}, {}});
    list.push_back({{{"x", x}, constant("weight", {201, in}), constant("bias", {201})}, {}});
  }
  for (const Shape& x : {Shape{1, 64}, Shape{2, 3, 96}}) {
    list.push_back({{{"x", x}, {"weight", {17, x.back()}, Is::nibbles}}, {}});
    list.push_back({{{"x", x}, {"weight", {17, x.back()}, Is::nibbles}, constant("bias", {17})}, {}});
  }
  return list;
}

// ---- windows and rows ----

Samples pool_samples(bool average) {
  Samples list;
  for (const int64_t channels : {16, 5}) {
    for (const bool ceil : {false, true})
      list.push_back({{{"x", {1, channels, 12, 13}}},
                      {{"kernel_sizes", List{3, 2}},
                       {"strides", List{2, 2}},
                       {"pad_type", "custom"},
                       {"pad", List{1, 1, 1, 1}},
                       {"ceil_mode", ceil}},
                      false,
                      average && ceil});
  }
  list = and_blocked(std::move(list));
  list.push_back({{{"x", {2, 3, 31}}}, {{"kernel_sizes", List{4}}, {"strides", List{3}}, {"pad_type", "valid"}}});
  list.push_back({{{"x", {1, 2, 5, 6, 7}}}, {{"kernel_sizes", List{2, 3, 2}}, {"pad_type", "same"}}});
  list.push_back({{{"x", {0, 2, 5, 6}}}, {{"kernel_sizes", List{2, 3}}, {"pad_type", "valid"}}});
  if (!average) return list;
  list.push_back({{{"x", {1, 4, 9, 9}}},
                  {{"kernel_sizes", List{3, 3}},
                   {"strides", List{2, 2}},
                   {"pad_type", "same"},
                   {"exclude_padding_from_average", true}}});
  return list;
}

Samples softmax_samples() {
  return all({on_x({3, 7}, {{{"axis", -1}}}), on_x({2, 4, 100}, {{{"axis", 2}}}), on_x({5, 1}, {{{"axis", 1}}}),
              on_x({1, 1000}, {{{"axis", -1}}}), on_x({9}, {{{"axis", 0}}}), on_x({0, 7}, {{{"axis", -1}}}),
              on_x({3, 7}, {{{"axis", 0}}}), on_x({2, 5, 700}, {{{"axis", 1}}}), on_x({2, 0}, {{{"axis", 0}}})});
}

Samples layer_norm_samples() {
  Samples list;
  for (const Shape& x : {Shape{3, 7}, Shape{2, 4, 100}, Shape{5, 1}, Shape{1, 1000}, Shape{0, 3}, Shape{31}}) {
    list.push_back({{{"x", x}, constant("gamma", {x.back()}), constant("beta", {x.back()})},
                    {{"axes", List{-1}}, {"epsilon", 1e-3}}});
    list.push_back({{{"x", x}}, {{"epsilon", 1e-3}}});
  }
  list.push_back({{{"x", {2, 3, 5}}, constant("gamma", {3, 5})}, {{"axes", List{1, 2}}, {"epsilon", 1e-3}}});
  list.push_back({{{"x", {4, 9}}}, {{"axes", List{0}}, {"epsilon", 1e-3}}, false, true});
  return list;
}

Samples resized(std::vector<std::vector<ir::Arg>> arguments) { return and_blocked(on_x({1, 16, 7, 9}, arguments)); }

Samples resize_bilinear_samples() {
  std::vector<std::vector<ir::Arg>> arguments;
  for (const char* grid : {"STRICT_ALIGN_CORNERS", "ALIGN_CORNERS", "DEFAULT", "OFFSET_CORNERS", "UNALIGN_CORNERS"}) {
    for (const auto& [h, w] : {std::pair{14, 20}, {5, 4}, {1, 1}, {7, 31}})
      arguments.push_back({{"target_size_height", h}, {"target_size_width", w}, {"sampling_mode", grid}});
  }
  return resized(std::move(arguments));
}

Samples resample_samples() {
  Samples list;
  const auto add = [&](const Shape& x, const Shape& points, const char* sampling, const char* padding,
                       const char* coordinates, bool align) {
    list.push_back({{{"x", x}, {"coordinates", points}},
                    {{"sampling_mode", sampling},
                     {"padding_mode", padding},
                     {"padding_value", 0.5},
                     {"coordinates_mode", coordinates},
                     {"align_corners", align}}});
  };
  for (const char* padding : {"constant", "border", "reflection", "symmetric"}) {
    for (const char* coordinates : {"unnormalized", "normalized_minus_one_to_one", "normalized_zero_to_one"}) {
      for (const bool align : {false, true}) add({2, 3, 7, 9}, {2, 4, 5, 2}, "bilinear", padding, coordinates, align);
    }
  }
  add({1, 70, 20, 30}, {1, 17, 33, 2}, "bilinear", "constant", "normalized_minus_one_to_one", false);
  add({1, 2, 1, 1}, {1, 3, 3, 2}, "bilinear", "reflection", "normalized_minus_one_to_one", true);
  add({2, 0, 7, 9}, {2, 4, 5, 2}, "bilinear", "border", "unnormalized", true);
  add({2, 3, 7, 9}, {2, 4, 5, 2}, "nearest", "border", "unnormalized", true);
  list.back().declined = true;
  return list;
}

// ---- moves ----

Samples concat_samples() {
  Samples list;
  for (const Shape& x : {Shape{3, 5, 40}, Shape{7}, Shape{1, 1}, Shape{2, 0, 3}}) {
    for (int axis = 0; axis < x.size(); ++axis) {
      Shape wide = x;
      wide[axis] += 2;
      list.push_back({{{"values", x}, {"values", wide}, {"values", x}}, {{"axis", axis}}});
    }
    list.push_back({{{"values", x}, {"values", x}}, {{"axis", -1}, {"interleave", true}}});
  }
  list.push_back({{{"values", {1, 16, 4, 5}}, {"values", {1, 16, 4, 5}}}, {{"axis", 1}}, true});
  return list;
}

// ---- indices, orders ----

Samples along_axis_samples(bool scatters) {
  const std::tuple<Shape, Shape, int> cases[] = {
      {{5, 30, 8}, {5, 11, 8}, 1}, {{6, 70}, {6, 300}, 1}, {{6, 700}, {20, 700}, 0},   {{9}, {4}, 0},
      {{4, 5, 6}, {3, 7, 2}, 1},   {{4, 1}, {4, 1}, 1},    {{3, 2, 9}, {2, 2, 40}, 2}, {{3, 4}, {3, 0}, 1}};
  Samples list;
  for (const auto& [data, indices, axis] : cases) {
    list.push_back({{{scatters ? "data" : "x", data}, index("indices", indices, data[axis])}, {{"axis", axis}}});
    if (scatters) list.back().operands.push_back({"updates", indices});
  }
  return list;
}
Samples in_modes(const Samples& some, DType dtype) {
  Samples list;
  for (const char* mode : {"update", "add", "sub", "mul", "div", "max", "min"}) {
    if (dtype == DType::boolean && mode != std::string_view("update")) break;
    for (const Sample& s : some) {
      list.push_back(s);
      list.back().args.emplace_back("mode", mode);
    }
  }
  return list;
}

// Each axis of some shapes.
Samples lines(std::vector<std::vector<ir::Arg>> arguments) {
  Samples list;
  for (const Shape& x : {Shape{3, 700}, Shape{4, 9, 130}, Shape{2, 5, 3}, Shape{600}, Shape{1, 1}, Shape{3, 0}}) {
    for (int axis = 0; axis < x.size(); ++axis) {
      for (auto args : arguments) {
        args.emplace_back("axis", axis);
        list.push_back({{{"x", x}}, std::move(args)});
      }
    }
  }
  return list;
}
Samples sorted(std::vector<std::vector<ir::Arg>> arguments) {
  std::vector<std::vector<ir::Arg>> both;
  for (const auto& args : arguments) {
    for (const bool ascending : {false, true}) {
      both.push_back(args);
      both.back().emplace_back("ascending", ascending);
    }
  }
  Samples list = lines(both);
  std::erase_if(list, [](const Sample& s) {  // k is more than there is
    for (const ir::Arg& a : s.args) {
      if (a.name != "k") continue;
      for (const ir::Arg& axis : s.args) {
        if (axis.name == "axis" &&
            s.operands[0].shape[static_cast<int>(std::get<int64_t>(axis.value))] < std::get<int64_t>(a.value))
          return true;
      }
    }
    return false;
  });
  return list;
}
Samples arg_samples() {
  Samples list = lines({{}, {{"keep_dims", true}, {"output_dtype", "uint16"}}});
  std::erase_if(list, [](const Sample& s) { return s.operands[0].shape.product() == 0; });
  return list;
}
// The other side of the operator in both types that it takes, with and without a zero point.
Samples quantized(bool quantizes) {
  Samples list;
  for (const Shape& x : {Shape{2, 3, 70}, Shape{3, 1000}, Shape{}, Shape{5, 0}}) {
    for (const DType other : quantizes ? std::array{DType::i8, DType::u8} : std::array{DType::f16, DType::f32}) {
      for (const bool by_channel : {false, true}) {
        if (by_channel && x.size() < 2) continue;
        const Shape channels = by_channel ? Shape{x[1]} : Shape{};
        Sample s{{{"input", x}, constant("scale", channels, 0.01, 0.1)}};
        if (!quantizes) s.operands[1].dtype = other;
        if (quantizes) s.args.emplace_back("output_dtype", name(other));
        if (by_channel) s.args.emplace_back("axis", 1);
        list.push_back(s);
        s.operands.push_back(constant("zero_point", channels, 1, 9));
        if (quantizes) s.operands.back().dtype = other;
        list.push_back(s);
      }
    }
  }
  return list;
}

// Of `input` in the type that is tried: those that no candidate takes are declined.
Samples host_quantized(DType dtype) {
  Samples list;
  const bool taken = dtype == DType::f32 || dtype == DType::f16;
  for (const DType to : {DType::i8, DType::u8, DType::i16, DType::u16, DType::i4}) {
    for (const bool by_channel : {false, true}) {
      const Shape channels = by_channel ? Shape{3} : Shape{};
      Sample s{{{"input", {2, 3, 70}}, constant("scale", channels, 0.01, 0.1)},
               {{"axis", 1}, {"output_dtype", name(to)}}};
      s.operands[1].dtype = is_float(dtype) ? dtype : DType::f32;
      s.declined = !taken || to == DType::i4;
      list.push_back(s);
      if (to == DType::i4) continue;
      s.operands.push_back(constant("zero_point", channels, 1, 9));
      s.operands.back().dtype = to;
      list.push_back(s);
    }
  }
  Sample blocks{{{"input", {2, 5, 7}}, constant("scale", {2, 3, 7}, 0.01, 0.1)},
                {{"axis", 1}, {"block_size", 2}, {"output_dtype", "int8"}}};
  blocks.operands[1].dtype = is_float(dtype) ? dtype : DType::f32;
  blocks.declined = true;
  list.push_back(blocks);
  return list;
}
Samples host_dequantized(DType dtype) {
  Samples list;
  for (const bool blocks : {false, true}) {
    const Shape scales = blocks ? Shape{2, 3, 7} : Shape{5};
    Sample s{{{"input", {2, 5, 7}}, constant("scale", scales, 0.01, 0.1), constant("zero_point", scales, 1, 9)},
             {{"axis", 1}, {"block_size", blocks ? 2 : 0}}};
    s.operands[1].dtype = DType::f32;
    s.declined = blocks || (dtype != DType::i8 && dtype != DType::u8);
    list.push_back(s);
  }
  return list;
}
Samples requantized() {
  Samples list;
  for (const DType to : {DType::i8, DType::u8}) {
    for (const Shape& scales : {Shape{}, Shape{5}}) {
      Sample s{{{"input", {3, 5, 70}, Is::run_time, 0, {}, -30000, 30000}, constant("scale", scales, 0.001, 0.01)},
               {{"axis", 1}, {"output_dtype", name(to)}}};
      s.operands[1].dtype = DType::f32;
      list.push_back(s);
      s.operands.push_back(constant("zero_point", {}, 1, 9));
      s.operands.back().dtype = to;
      list.push_back(s);
    }
  }
  return list;
}

// ---- products of codes ----

Operand codes(std::string_view param, Shape shape, DType t, bool is_constant) {
  const bool is_signed = t == DType::i8;
  return {param,
          shape,
          is_constant ? Is::constant : Is::run_time,
          0,
          {},
          is_signed ? -128.0 : 0.0,
          is_signed ? 127.0 : 255.0,
          t};
}
Samples integer_matmul_samples(DType dtype) {
  Samples list;
  const auto add = [&](Shape x, Shape y, bool fixed, DType other, Shape zeros) {
    Sample s{{codes("x", x, dtype, false), codes("y", y, other, fixed)}};
    list.push_back(s);
    s.operands.push_back(codes("x_zero_point", {}, dtype, true));
    s.operands.push_back(codes("y_zero_point", zeros, other, true));
    list.push_back(s);
  };
  for (const DType other : {DType::i8, DType::u8}) {
    add({37, 131}, {131, 70}, true, other, {70});
    add({1, 64}, {64, 33}, true, other, {});
    add({2, 3, 5, 9}, {9, 4}, true, other, {});
  }
  add({9, 40}, {40, 35}, false, dtype, {});
  add({3, 9, 40}, {3, 40, 35}, false, dtype, {});
  list.push_back({{codes("x", {3, 4, 9}, dtype, false), codes("y", {1, 3, 9, 4}, dtype, false)}});
  list.push_back({{codes("x", {4, 0}, dtype, false), codes("y", {0, 4}, dtype, false)}});
  return list;
}
Samples integer_conv_samples(DType dtype) {
  Samples list;
  for (const DType other : {DType::i8, DType::u8}) {
    for (Sample s : conv_samples()) {
      for (Operand& o : s.operands) {
        if (o.param == "x") o = codes("x", o.shape, dtype, false);
        if (o.param == "weight") o = codes("weight", o.shape, other, true);
        if (o.param == "bias") {
          o = {"bias", o.shape, Is::constant, 0, {}, -9000, 9000};
          o.dtype = DType::i32;
        }
      }
      s.blocked = false;
      list.push_back(s);
      s.operands.push_back(codes("x_zero_point", {}, dtype, true));
      s.operands.push_back(codes("weight_zero_point", {}, other, true));
      list.push_back(s);
    }
  }
  return list;
}

const std::map<std::string_view, std::function<Samples(DType)>>& table() {
  static const auto grid = [](List v) { return literal("", {2, 2}, std::move(v)); };
  static const auto batches = [](std::string_view pairs, Shape x, List v) {
    Operand o = grid(std::move(v));
    o.param = pairs;
    return Samples{{{{"x", x}, o}, {{"block_shape", List{2, 3}}}}};
  };
  static const std::map<std::string_view, std::function<Samples(DType)>> all_of_them = {
      {"conv", [](DType) { return conv_samples(); }},
      {"conv_transpose", [](DType) { return conv_transpose_samples(); }},
      {"matmul", matmul_samples},
      {"linear", [](DType) { return linear_samples(); }},
      {"max_pool", [](DType) { return pool_samples(false); }},
      {"avg_pool", [](DType) { return pool_samples(true); }},
      {"softmax", [](DType) { return softmax_samples(); }},
      {"layer_norm", [](DType) { return layer_norm_samples(); }},
      {"resize_bilinear", [](DType) { return resize_bilinear_samples(); }},
      {"resize_nearest_neighbor",
       [](DType) {
         return resized({{{"target_size_height", 11}, {"target_size_width", 4}},
                         {{"target_size_height", 7}, {"target_size_width", 30}}});
       }},
      {"upsample_bilinear",
       [](DType) {
         return resized({{{"scale_factor_height", 2}, {"scale_factor_width", 3}, {"align_corners", false}},
                         {{"scale_factor_height", 3}, {"scale_factor_width", 1}, {"align_corners", true}}});
       }},
      {"upsample_nearest_neighbor",
       [](DType) {
         return resized({{{"scale_factor_height", 2}, {"scale_factor_width", 3}}});
       }},
      {"resize",
       [](DType) {
         Samples list =
             resized({{{"resized_dims", 2}}, {{"resized_dims", 2}, {"interpolation_mode", "NEAREST_NEIGHBOR"}}});
         for (Sample& s : list) s.operands.push_back(literal("shape", {2}, {10, 5}));
         return list;
       }},
      {"resample", [](DType) { return resample_samples(); }},
      {"concat", [](DType) { return concat_samples(); }},
      {"stack",
       [](DType) {
         Samples list;
         for (const Shape& x : {Shape{3, 5, 40}, Shape{1}, Shape{}, Shape{0, 2}})
           list.push_back({{{"values", x}, {"values", x}, {"values", x}}, {{"axis", x.size() / 2}}});
         return list;
       }},
      {"transpose",
       [](DType) {
         return all({on_x({3, 40}, {{{"perm", List{1, 0}}}}), on_x({2, 3, 4, 5, 6}, {{{"perm", List{4, 2, 0, 3, 1}}}}),
                     on_x({2, 33, 17, 19}, {{{"perm", List{0, 2, 3, 1}}}, {{"perm", List{0, 3, 1, 2}}}}),
                     on_x({4, 1, 5}, {{{"perm", List{1, 2, 0}}}}), on_x({5}, {{{"perm", List{0}}}}),
                     on_x({3, 0, 2}, {{{"perm", List{2, 0, 1}}}})});
       }},
      {"slice_by_index",
       [](DType) {
         return all(
             {on_x({7, 60},
                   {{{"begin", List{1, 50}}, {"end", List{6, 3}}, {"stride", List{2, -3}}},
                    {{"begin", List{-1, 2}}, {"end", List{0, 50}}, {"squeeze_mask", std::vector<bool>{true, false}}}}),
              on_x({40000}, {{{"begin", List{3}}, {"end", List{39999}}}}),
              on_x({5, 1}, {{{"begin", List{2, 0}}, {"end", List{2, 1}}}})});
       }},
      {"slice_by_size",
       [](DType) {
         return on_x({5, 6, 7}, {{{"begin", List{1, 2, 3}}, {"size", List{3, -1, 2}}}});
       }},
      {"slice_update",
       [](DType) {
         return Samples{{{{"x", {3, 5, 40}}, {"update", {2, 5, 20}}},
                         {{"begin", List{0, 0, 1}}, {"end", List{2, 5, 40}}, {"stride", List{1, 1, 2}}}}};
       }},
      {"reverse",
       [](DType) {
         return all({on_x({3, 4, 50}, {{{"axes", List{0, 2}}}, {}}), on_x({1, 0}, {{}})});
       }},
      {"tile",
       [](DType) {
         return all({on_x({3, 1, 20}, {{{"reps", List{2, 5, 3}}}}), on_x({1, 300}, {{{"reps", List{70, 1}}}}),
                     on_x({4, 1}, {{{"reps", List{1, 300}}}, {{"reps", List{0, 2}}}})});
       }},
      {"split",
       [](DType) {
         return on_x({3, 9, 4}, {{{"num_splits", 3}, {"axis", 1}}, {{"split_sizes", List{1, 6, 2}}, {"axis", 1}}});
       }},
      {"sliding_windows",
       [](DType) {
         return on_x({3, 20, 4}, {{{"axis", 1}, {"size", 6}, {"stride", 3}}});
       }},
      {"pad",
       [](DType) {
         return all({on_x({3, 20, 4}, {{{"pad", List{1, 2, 0, 3}}}}),
                     on_x({2, 3, 5, 6}, {{{"pad", List{2, 1, 0, 3}}, {"constant_val", 1}}}),
                     declined(on_x({2, 3, 5, 6}, {{{"pad", List{2, 1, 0, 3}}, {"mode", "reflect"}}}))});
       }},
      {"depth_to_space",
       [](DType) {
         return on_x({2, 12, 5, 7}, {{{"block_size", 2}}});
       }},
      {"space_to_depth",
       [](DType) {
         return on_x({2, 3, 6, 8}, {{{"block_size", 2}}});
       }},
      {"pixel_shuffle",
       [](DType) {
         return on_x({2, 12, 5, 7}, {{{"upscale_factor", 2}}});
       }},
      {"pixel_unshuffle",
       [](DType) {
         return on_x({2, 3, 6, 8}, {{{"downscale_factor", 2}}});
       }},
      {"crop",
       [](DType) {
         return on_x({2, 3, 6, 8}, {{{"crop_height", List{1, 2}}, {"crop_width", List{3, 0}}}});
       }},
      {"space_to_batch",
       [](DType) {
         return batches("paddings", {2, 3, 5, 6}, {1, 0, 2, 1});
       }},
      {"batch_to_space",
       [](DType) {
         return batches("crops", {12, 3, 3, 3}, {0, 1, 1, 2});
       }},
      {"fill",
       [](DType) {
         return Samples{{{{"value", {}}}, {{"shape", List{70, 999}}}}};
       }},
      {"fill_like",
       [](DType) {
         return Samples{{{{"ref_tensor", {70, 1000}}, {"value", {}}}, {}}, {{{"ref_tensor", {3, 0}}}, {}}};
       }},
      {"gather",
       [](DType) {
         Samples list;
         for (const List& at : {List{2, 5, 8, 11}, List{-1, 0, 7, 7, 3}, List{}})
           list.push_back(
               {{{"x", {5, 30, 8}}, literal("indices", {static_cast<int64_t>(at.size())}, at)}, {{"axis", 1}}});
         list.push_back({{{"x", {5, 30, 8}}, literal("indices", {}, {4})}, {{"axis", 0}}});
         const std::tuple<Shape, Shape, int, int> run_time[] = {
             {{5, 30, 8}, {3, 2}, 1, 0},  {{40, 384}, {1, 70}, 0, 0},   {{7, 9}, {}, 1, 0},
             {{4, 6, 5}, {4, 11}, 1, 1},  {{4, 3, 6}, {4, 3, 2}, 2, 2}, {{2, 20000}, {3}, 0, 0},
             {{3, 5, 2000}, {999}, 2, 0}, {{2, 3, 9}, {2, 2}, 2, 1},    {{0, 3}, {2}, 1, 0},
             {{3, 0}, {2, 0}, 0, 0}};
         for (const auto& [x, indices, axis, batch] : run_time)
           list.push_back({{{"x", x}, index("indices", indices, x[axis])}, {{"axis", axis}, {"batch_dims", batch}}});
         return list;
       }},
      {"gather_along_axis", [](DType) { return along_axis_samples(false); }},
      {"scatter_along_axis", [](DType dtype) { return in_modes(along_axis_samples(true), dtype); }},
      {"gather_nd",
       [](DType) {
         const std::tuple<Shape, Shape, int64_t, int> cases[] = {{{6, 5, 40}, {7, 1}, 6, 0},
                                                                 {{6, 6, 40}, {3, 3, 2}, 6, 0},
                                                                 {{6, 6, 6}, {600, 3}, 6, 0},
                                                                 {{4, 7, 3}, {4, 5, 1}, 7, 1},
                                                                 {{5}, {1}, 5, 0},
                                                                 {{4, 3}, {2, 0}, 1, 0}};
         Samples list;
         for (const auto& [x, indices, limit, batch] : cases)
           list.push_back({{{"x", x}, index("indices", indices, limit)}, {{"batch_dims", batch}}});
         return list;
       }},
      {"scatter",
       [](DType dtype) {
         const std::tuple<Shape, Shape, Shape, int> cases[] = {
             {{9, 5}, {14}, {14, 5}, 0}, {{3, 40, 7}, {5, 2}, {3, 5, 2, 7}, 1}, {{70, 300}, {500}, {70, 500}, 1},
             {{6}, {}, {}, 0},           {{3, 20000}, {7}, {7, 20000}, 0},      {{3, 4}, {0}, {0, 4}, 0}};
         Samples list;
         for (const auto& [data, indices, updates, axis] : cases)
           list.push_back(
               {{{"data", data}, index("indices", indices, data[axis]), {"updates", updates}}, {{"axis", axis}}});
         return in_modes(list, dtype);
       }},
      {"scatter_nd",
       [](DType dtype) {
         const std::tuple<Shape, Shape, Shape, int64_t> cases[] = {{{6, 5, 40}, {9, 1}, {9, 5, 40}, 6},
                                                                   {{6, 6, 4}, {3, 30, 2}, {3, 30, 4}, 6},
                                                                   {{6, 6, 6}, {600, 3}, {600}, 6},
                                                                   {{4, 3}, {2, 0}, {2, 4, 3}, 1}};
         Samples list;
         for (const auto& [data, indices, updates, limit] : cases)
           list.push_back({{{"data", data}, index("indices", indices, limit), {"updates", updates}}, {}});
         return in_modes(list, dtype);
       }},
      {"argsort", [](DType) { return sorted({{}}); }},
      {"topk",
       [](DType) {
         return sorted({{{"k", 1}},
                        {{"k", 3}},
                        {{"k", -1}},
                        {{"k", 2}, {"output_indices_dtype", "uint16"}},
                        {{"k", 2}, {"return_indices", false}},
                        {{"k", 0}}});
       }},
      {"reduce_argmax", [](DType) { return arg_samples(); }},
      {"reduce_argmin", [](DType) { return arg_samples(); }},
      {"cumsum",
       [](DType) {
         Samples list;
         for (const Samples& some : {lines({{}, {{"exclusive", true}}}), lines({{{"reverse", true}}}),
                                     lines({{{"reverse", true}, {"exclusive", true}}})})
           list = all({list, some});
         return list;
       }},
      {"instance_norm",
       [](DType) {
         Samples list;
         for (const Shape& x :
              {Shape{2, 3, 5, 7}, Shape{1, 5, 1}, Shape{2, 3, 1000}, Shape{1, 2, 70, 90}, Shape{1, 2, 0}}) {
           list.push_back({{{"x", x}}, {{"epsilon", 1e-3}}});
           list.push_back({{{"x", x}, constant("gamma", {x[1]}), constant("beta", {x[1]})}, {{"epsilon", 1e-3}}});
         }
         return list;
       }},
      {"lstm", [](DType) { return recurrent_samples("lstm"); }},
      {"gru", [](DType) { return recurrent_samples("gru"); }},
      {"rnn", [](DType) { return recurrent_samples("rnn"); }},
      {"host_recurrent", [](DType) { return host_recurrent_samples(); }},
      {"quantize", [](DType) { return quantized(true); }},
      {"dequantize", [](DType) { return quantized(false); }},
      {"host_quantize", host_quantized},
      {"host_dequantize", host_dequantized},
      {"host_requantize", [](DType) { return requantized(); }},
      {"host_integer_matmul", integer_matmul_samples},
      {"host_integer_conv", integer_conv_samples},
  };
  return all_of_them;
}

}  // namespace

std::vector<Sample> samples_of(const ir::OpRow& row, DType dtype) {
  if (row.def->kind == ir::Kind::pointwise) return pointwise_samples(row, dtype);
  if (row.def->kind == ir::Kind::reduction) return reduction_samples();
  const auto at = table().find(row.name());
  return at == table().end() ? Samples{} : at->second(dtype);
}

}  // namespace graft::engine_test

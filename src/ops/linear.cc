// Matrix products: matmul, linear, einsum. Sums are kept in double; integers wrap. Longer than most files: one family.
#include "ops/attention.h"
#include "ops/blocks.h"
#include "ops/host_rows.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr ir::Domain kDot{.lo = -1, .hi = 1, .tolerance_f32 = 2e-5, .tolerance_f16 = 5e-3};
constexpr DTypes kHost = kNumbers;

// What counts as zero in each row of the left matrix, or each column of the right one: from element `offset` on, or one
// for all. Nothing: 0.
struct ZeroPoints {
  TensorView t;
  int64_t offset = 0;
  uint64_t at(int64_t i) const { return t.data == nullptr ? 0 : element_as_bits(t, t.count() == 1 ? 0 : offset + i); }
};

// A matrix inside a tensor: where it starts and how far apart its rows and columns are.
struct Matrix {
  TensorView t;
  int64_t offset, row_step, col_step;
  ZeroPoints zeros = {};
};

// y[m, n] = x[m, k] * w[k, n] (+ bias[n]), y dense from `to` on.
template <class W>
void multiply(const Matrix& x, const Matrix& w, const TensorView* bias, const MutableTensorView& y, int64_t to,
              int64_t rows, int64_t inner, int64_t cols, Pace& pace) {
  using T = Tile<W>;
  T tile;
  for (int64_t n = 0; n < cols; n += T::kCols) {
    const int64_t width = std::min<int64_t>(T::kCols, cols - n);
    for (int64_t m = 0; m < rows && pace.go_on(); m += T::kRows) {
      const int height = static_cast<int>(std::min<int64_t>(T::kRows, rows - m));
      tile.clear();
      for (int64_t k = 0; k < inner && pace.go_on(T::kCols); ++k) {
        load(x.t, x.offset + m * x.row_step + k * x.col_step, x.row_step, height, tile.a.data());
        load(w.t, w.offset + k * w.row_step + n * w.col_step, w.col_step, width, tile.row.data());
        if constexpr (std::is_same_v<W, uint64_t>) {
          if (x.zeros.t.data != nullptr)
            for (int r = 0; r < height; ++r) tile.a[static_cast<size_t>(r)] -= x.zeros.at(m + r);
          if (w.zeros.t.data != nullptr)
            for (int64_t c = 0; c < width; ++c) tile.row[static_cast<size_t>(c)] -= w.zeros.at(n + c);
        }
        tile.add_product(height);
      }
      if (bias != nullptr) {  // as one more term: 1 * bias[n]
        load(*bias, n, 1, width, tile.row.data());
        tile.a.fill(W{1});
        tile.add_product(height);
      }
      for (int r = 0; r < height; ++r)
        store(y, to + (m + r) * cols + n, 1, width, tile.acc[static_cast<size_t>(r)].data());
    }
  }
}

// In double when an operand is real: an integer result of an integer and a real operand is truncated once, at the end.
void multiply(const Matrix& x, const Matrix& w, const TensorView* bias, const MutableTensorView& y, int64_t to,
              int64_t rows, int64_t inner, int64_t cols, Pace pace) {
  if (is_float(x.t.dtype) || is_float(w.t.dtype) || (bias != nullptr && is_float(bias->dtype)))
    multiply<double>(x, w, bias, y, to, rows, inner, cols, pace);
  else
    multiply<uint64_t>(x, w, bias, y, to, rows, inner, cols, pace);  // wrapping is the same for signed and unsigned
}

// ---- matmul -------------------------------------------------------------------------------------------------------

// numpy's promotion: a vector is a row on the left, a column on the right, and that dim is dropped from the result.
Result<Dims> product_dims(const Call& call, bool tx, bool ty) {
  Dims x = call.in("x").dims(), y = call.in("y").dims();
  if (x.empty() || y.empty()) return fail(Code::rank_mismatch, "got a scalar, takes rank 1 or more");
  if ((tx && x.size() == 1) || (ty && y.size() == 1))
    return fail(Code::rank_mismatch, "got a transpose of a vector, takes one of rank 2 or more");
  const bool x_vector = x.size() == 1, y_vector = y.size() == 1;
  if (x_vector) x.insert(x.begin(), Dim(1));
  if (y_vector) y.emplace_back(1);
  if (tx) std::swap(x[x.size() - 1], x[x.size() - 2]);
  if (ty) std::swap(y[y.size() - 1], y[y.size() - 2]);
  if (ir::never_equal(x.back(), y[y.size() - 2])) {
    return fail(Code::shape_mismatch,
                format("got x of {} and y of {}: {} columns by {} rows", ir::to_string(call.in("x").dims()),
                       ir::to_string(call.in("y").dims()), x.back().to_string(), y[y.size() - 2].to_string()));
  }
  GRAFT_TRY(Dims dims, broadcast(Dims(x.begin(), x.end() - 2), Dims(y.begin(), y.end() - 2)));
  if (!x_vector) dims.push_back(x[x.size() - 2]);
  if (!y_vector) dims.push_back(y.back());
  return dims;
}

Status matmul_type(const Call& call, Types& out) {
  GRAFT_TRY(Dims dims, product_dims(call, call.flag("transpose_x"), call.flag("transpose_y")));
  // Where types differ one operand is a constant; the other's type is the result's.
  const Operand& typed = call.in("x").constant && !call.in("y").constant ? call.in("y") : call.in("x");
  out.push_back(Type::tensor(typed.dtype(), std::move(dims)));
  return {};
}

// Zero points of the rows of one matrix of many, or of its columns; of all matrices where there are no more.
ZeroPoints zeros_of(const TensorView& t, int64_t matrix, int64_t each) {
  return {t, t.count() == each ? 0 : matrix * each};
}

Status product(const Call& call, const MutableTensorView& out, bool tx, bool ty, const TensorView& x_zeros,
               const TensorView& y_zeros) {
  const TensorView xv = call.in("x").value, yv = call.in("y").value;
  Shape x = xv.shape, y = yv.shape;
  if (x.size() == 1) x = Shape{1, x[0]};
  if (y.size() == 1) y = Shape{y[0], 1};
  const int64_t x_rows = x[x.size() - 2], x_cols = x.back(), y_rows = y[y.size() - 2], y_cols = y.back();
  const int64_t rows = tx ? x_cols : x_rows, inner = tx ? x_rows : x_cols, cols = ty ? y_rows : y_cols;
  x.resize(x.size() - 2);
  y.resize(y.size() - 2);
  const Shape batch = broadcast_shapes(x, y);
  Walk<2> walk(batch, {x, y});
  for (int64_t b = 0, n = batch.product(); b < n; ++b, walk.next()) {
    const Matrix left{xv, walk.offset(0) * x_rows * x_cols, tx ? 1 : x_cols, tx ? x_cols : 1,
                      zeros_of(x_zeros, walk.offset(0), rows)};
    const Matrix right{yv, walk.offset(1) * y_rows * y_cols, ty ? 1 : y_cols, ty ? y_cols : 1,
                       zeros_of(y_zeros, walk.offset(1), cols)};
    multiply(left, right, nullptr, out, b * rows * cols, rows, inner, cols, call.pace());
  }
  return {};
}

Status matmul_reference(const Call& call, Outputs& out) {
  return product(call, out[0], call.flag("transpose_x"), call.flag("transpose_y"), {}, {});
}

// From iOS17 on the types may differ when exactly one operand is a constant.
Status matmul_mixed(const Call& call) {
  const Operand &x = call.in("x"), &y = call.in("y");
  if (x.dtype() == y.dtype() || x.constant != y.constant) return {};
  return fail(Code::unsupported_dtype, format("matmul of {} and {}: types may differ only when one side is a constant",
                                              name(x.dtype()), name(y.dtype())));
}

constexpr Variant kMatmul[] = {
    {Opset::ios15, "x:T; y:T; transpose_x?:const bool=false; transpose_y?:const bool=false", "T={fp16,fp32,int32}"},
    {Opset::ios17, "x:T; y:U; transpose_x?:const bool=false; transpose_y?:const bool=false",
     "T={fp16,fp32,int32}; U={fp16,fp32,int32}", matmul_mixed},
};
double matmul_flops(const Call& call, const Type& result, const ir::SizeOf& size) {
  const Dims& x = call.in("x").dims();
  const bool transposed = call.known("transpose_x") && call.flag("transpose_x") && x.size() > 1;
  return 2 * size(result.dims) * size({x[x.size() - (transposed ? 2 : 1)]});
}

constexpr OpDef matmul = {.name = "matmul",
                          .family = "linear",
                          .doc =
                              "batched matrix product, the last two dims of either side transposed on demand; "
                              "vectors and batch dims as in numpy",
                          .variants = kMatmul,
                          .host = kHost,
                          .infer = matmul_type,
                          .reference = matmul_reference,
                          .domain = kDot,
                          .kind = ir::Kind::matmul,
                          .flops = matmul_flops};

// ---- integers -----------------------------------------------------------------------------------------------------

// One zero point; one for each row of x [M] or [batch..., M, 1]; one for each column of y [N] or [batch..., 1, N].
Status check_zeros(const Call& call, std::string_view param, const Dims& of, bool rows) {
  if (!call.has(param)) return {};
  const Dims& z = call.in(param).dims();
  Dims want = of;
  if (want.size() > 1) want[want.size() - (rows ? 1 : 2)] = Dim(1);
  const Dim each = of.size() < 2 ? Dim(1) : of[of.size() - (rows ? 2 : 1)];
  bool fits = z.empty() || z == Dims{Dim(1)} || (z.size() == 1 && !ir::never_equal(z[0], each));
  if (!fits && z.size() == want.size()) {
    fits = true;
    for (size_t d = 0; d < z.size(); ++d) fits &= !ir::never_equal(z[d], want[d]);
  }
  if (fits) return {};
  return fail(Code::shape_mismatch, format("{} is {}, takes one number, [{}] or {}", param,
                                           call.in(param).type->to_string(), each.to_string(), ir::to_string(want)));
}

Status integer_matmul_type(const Call& call, Types& out) {
  GRAFT_TRY(Dims dims, product_dims(call, false, false));
  GRAFT_CHECK(check_zeros(call, "x_zero_point", call.in("x").dims(), true));
  GRAFT_CHECK(check_zeros(call, "y_zero_point", call.in("y").dims(), false));
  out.push_back(Type::tensor(DType::i32, std::move(dims)));
  return {};
}

// Shapes that only a run knows are checked again: one, one for each row or column, or as many in each matrix.
Status integer_matmul_reference(const Call& call, Outputs& out) {
  const auto zeros = [&](std::string_view param, std::string_view of, int from_end) -> Result<TensorView> {
    if (!call.has(param)) return TensorView{};
    const TensorView z = call.in(param).value, t = call.in(of).value;
    const int64_t each = t.rank() < 2 ? 1 : t.shape[t.rank() - from_end];
    const int64_t matrices = t.rank() < 2 ? 1 : t.shape.product(0, t.rank() - 2);
    if (z.count() == 1 || z.count() == each || z.count() == each * matrices) return z;
    return fail(Code::shape_mismatch, format("{} is {}, {} is {}", param, to_string(z.shape), of, to_string(t.shape)));
  };
  GRAFT_TRY(const TensorView x, zeros("x_zero_point", "x", 2));
  GRAFT_TRY(const TensorView y, zeros("y_zero_point", "y", 1));
  return product(call, out[0], false, false, x, y);
}

double integer_matmul_flops(const Call& call, const Type& result, const ir::SizeOf& size) {
  const Dims& x = call.in("x").dims();
  return 2 * size(result.dims) * size({x[x.size() - 1]});
}

constexpr Variant kIntegerMatmul[] = {
    {Opset::host, "x:T; x_zero_point?:T=none; y:U; y_zero_point?:U=none", "T={int8,uint8}; U={int8,uint8}"}};
constexpr OpDef host_integer_matmul = {.name = "host_integer_matmul",
                                       .family = "host",
                                       .doc =
                                           "ONNX MatMulInteger: matmul of x - x_zero_point (one, or one a row) and "
                                           "y - y_zero_point (one, or one a column), in int32",
                                       .variants = kIntegerMatmul,
                                       .infer = integer_matmul_type,
                                       .reference = integer_matmul_reference,
                                       .kind = ir::Kind::integer_matmul,
                                       .flops = integer_matmul_flops};

// ---- linear -------------------------------------------------------------------------------------------------------

Status linear_type(const Call& call, Types& out) {
  const Operand &x = call.in("x"), &w = call.in("weight");
  if (x.rank() < 1) return fail(Code::rank_mismatch, "got a scalar x, takes rank 1 or more");
  if (w.rank() != 2) return fail(Code::rank_mismatch, format("got weight of rank {}, takes rank 2", w.rank()));
  if (ir::never_equal(x.dims().back(), w.dims()[1])) {
    return fail(Code::shape_mismatch, format("got x with {} features, weight {} takes {}", x.dims().back().to_string(),
                                             ir::to_string(w.dims()), w.dims()[1].to_string()));
  }
  if (call.has("bias")) {
    const Operand& bias = call.in("bias");
    if (bias.rank() != 1 || ir::never_equal(bias.dims()[0], w.dims()[0])) {
      return fail(Code::shape_mismatch,
                  format("got bias of shape {}, takes [{}]", ir::to_string(bias.dims()), w.dims()[0].to_string()));
    }
  }
  Dims dims = x.dims();
  dims.back() = w.dims()[0];
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}

Status linear_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value, w = call.in("weight").value, bias = call.in("bias").value;
  const int64_t inner = w.shape[1], cols = w.shape[0], rows = x.shape.product(0, x.rank() - 1);
  multiply({x, 0, inner, 1}, {w, 0, 1, inner}, call.has("bias") ? &bias : nullptr, out[0], 0, rows, inner, cols,
           call.pace());
  return {};
}

constexpr Variant kLinear[] = {
    {Opset::ios15, "x:T; weight:const T; bias?:const T=zeros", "T={fp16,fp32,int32}"},
    {Opset::ios17, "x:T; weight:const U; bias?:const U=zeros", "T={fp16,fp32,int32}; U={fp16,fp32,int32}"},
};
double linear_flops(const Call& call, const Type& result, const ir::SizeOf& size) {
  const Dims& w = call.in("weight").dims();
  return 2 * size(result.dims) * size(w) / std::max(1.0, size({w[0]}));
}

constexpr OpDef linear = {.name = "linear",
                          .family = "linear",
                          .doc = "x * transposed weight + bias over the last dim of x; weight [out, in], bias [out]",
                          .variants = kLinear,
                          .host = kHost,
                          .infer = linear_type,
                          .reference = linear_reference,
                          .domain = kDot,
                          .kind = ir::Kind::linear,
                          .flops = linear_flops};

// ---- einsum -------------------------------------------------------------------------------------------------------

// "ab,bc->ac": letters of the two operands and the result, without ellipses or a letter twice in one of them.
struct Equation {
  std::string_view x, y, out;
};

bool distinct_letters(std::string_view s) {
  for (size_t i = 0; i < s.size(); ++i) {
    if (s[i] < 'a' || s[i] > 'z' || s.find(s[i], i + 1) != std::string_view::npos) return false;
  }
  return true;
}

Result<Equation> read_equation(const Call& call) {
  const std::string_view s = call.str("equation");
  const size_t comma = s.find(','), arrow = s.find("->");
  if (comma != std::string_view::npos && arrow != std::string_view::npos && comma < arrow) {
    const Equation e{s.substr(0, comma), s.substr(comma + 1, arrow - comma - 1), s.substr(arrow + 2)};
    bool ok = distinct_letters(e.x) && distinct_letters(e.y) && distinct_letters(e.out);
    for (char c : e.out) ok = ok && (e.x.find(c) != std::string_view::npos || e.y.find(c) != std::string_view::npos);
    if (ok) return e;
  }
  return fail(Code::invalid_attribute,
              format("equation '{}', takes two operands of small letters, each once, as in 'nchw,nwhu->nchu'", s));
}

// The size that a letter has in an operand, if it is there.
const Dim* size_of(char letter, std::string_view letters, const Operand& o) {
  const size_t at = letters.find(letter);
  return at == std::string_view::npos ? nullptr : &o.dims()[at];
}

Status einsum_type(const Call& call, Types& out) {
  GRAFT_TRY(const Equation e, read_equation(call));
  const std::span<const Operand> v = call.all("values");
  if (v.size() != 2) return fail(Code::invalid_model, format("got {} values, takes 2", v.size()));
  if (v[0].dtype() != v[1].dtype() || !kNumbers.has(v[0].dtype())) {
    return fail(Code::dtype_mismatch, format("got values of {} and {}, takes two of the same number type",
                                             name(v[0].dtype()), name(v[1].dtype())));
  }
  if (v[0].rank() != static_cast<int>(e.x.size()) || v[1].rank() != static_cast<int>(e.y.size())) {
    return fail(Code::rank_mismatch, format("got values of rank {} and {}, equation '{}' takes {} and {}", v[0].rank(),
                                            v[1].rank(), call.str("equation"), e.x.size(), e.y.size()));
  }
  for (char c : e.x) {  // a size of 1 repeats
    const Dim *a = size_of(c, e.x, v[0]), *b = size_of(c, e.y, v[1]);
    if (b != nullptr && !broadcast({*a}, {*b}))
      return fail(Code::shape_mismatch, format("'{}' is {} and {}", c, a->to_string(), b->to_string()));
  }
  if (e.x.size() + e.y.size() > static_cast<size_t>(kMaxRank) + e.out.size())
    return fail(Code::limit_exceeded, format("equation '{}' sums over too many letters", call.str("equation")));
  Dims dims;
  for (char c : e.out) {
    const Dim *a = size_of(c, e.x, v[0]), *b = size_of(c, e.y, v[1]);
    GRAFT_TRY(const Dims size, broadcast({a == nullptr ? Dim(1) : *a}, {b == nullptr ? Dim(1) : *b}));
    dims.push_back(size[0]);
  }
  out.push_back(Type::tensor(v[0].dtype(), std::move(dims)));
  return {};
}

// How far a step of each letter moves in a tensor: not at all where it has no such dim, or one of size 1.
Shape steps(std::string_view letters, std::string_view tensor, const Shape& shape) {
  const Shape strides = strides_of(shape);
  Shape s;
  for (char c : letters) {
    const size_t at = tensor.find(c);
    const bool moves = at != std::string_view::npos && shape[static_cast<int>(at)] != 1;
    s.push_back(moves ? strides[static_cast<int>(at)] : 0);
  }
  return s;
}

Status einsum_reference(const Call& call, Outputs& out) {
  GRAFT_TRY(const Equation e, read_equation(call));
  const TensorView x = call.all("values")[0].value, y = call.all("values")[1].value;
  const auto offset = [](const Shape& at, const Shape& step) {
    int64_t o = 0;
    for (int i = 0; i < at.size(); ++i) o += at[i] * step[i];
    return o;
  };
  std::array<char, static_cast<size_t>(2 * kMaxRank)> room{};  // the letters that are summed over
  size_t used = 0;
  Shape summed_shape;
  const auto collect = [&](std::string_view letters, const Shape& shape) {
    for (size_t i = 0; i < letters.size(); ++i) {
      if (e.out.find(letters[i]) != std::string_view::npos) continue;
      const size_t have = std::string_view(room.data(), used).find(letters[i]);
      const int64_t size = shape[static_cast<int>(i)];
      if (have != std::string_view::npos) {
        if (summed_shape[static_cast<int>(have)] == 1) summed_shape[static_cast<int>(have)] = size;
        continue;
      }
      room[used++] = letters[i];
      summed_shape.push_back(size);
    }
  };
  collect(e.x, x.shape);
  collect(e.y, y.shape);
  const std::string_view summed(room.data(), used);
  const Shape x_out = steps(e.out, e.x, x.shape), y_out = steps(e.out, e.y, y.shape);
  const Shape x_sum = steps(summed, e.x, x.shape), y_sum = steps(summed, e.y, y.shape);
  const bool real = is_float(x.dtype);
  Pace pace = call.pace();
  Walk<1> o(out[0].shape, {out[0].shape});
  for (int64_t i = 0, n = out[0].count(); i < n && pace.go_on(); ++i, o.next()) {
    const int64_t x_base = offset(o.index(), x_out), y_base = offset(o.index(), y_out);
    double sum = 0;
    uint64_t wrapped = 0;
    Walk<1> s(summed_shape, {summed_shape});
    for (int64_t k = 0, m = summed_shape.product(); k < m && pace.go_on(); ++k, s.next()) {
      const int64_t xi = x_base + offset(s.index(), x_sum), yi = y_base + offset(s.index(), y_sum);
      if (real)
        sum += element_as_double(x, xi) * element_as_double(y, yi);
      else
        wrapped += element_as_bits(x, xi) * element_as_bits(y, yi);
    }
    if (real)
      store(out[0], i, 1, 1, &sum);
    else
      store(out[0], i, 1, 1, &wrapped);
  }
  return {};
}

// Core ML has the two forms nchw,nwhu->nchu and chw,whr->chr, whatever the letters.
Status einsum_limits(const Call& call) {
  GRAFT_TRY(const Equation e, read_equation(call));
  const auto same_form = [&](std::string_view x, std::string_view y, std::string_view out) {
    if (e.x.size() != x.size() || e.y.size() != y.size() || e.out.size() != out.size()) return false;
    // Letters correspond one to one: the same position in the pattern means the same letter in the equation.
    const auto letter = [&](char p) {
      const size_t at = x.find(p);
      return at != std::string_view::npos ? e.x[at] : e.y[y.find(p)];
    };
    for (size_t i = 0; i < x.size(); ++i) {
      for (size_t j = 0; j < y.size(); ++j) {
        if ((x[i] == y[j]) != (e.x[i] == e.y[j])) return false;
      }
    }
    for (size_t i = 0; i < out.size(); ++i) {
      if (letter(out[i]) != e.out[i]) return false;
    }
    return true;
  };
  if (same_form("nchw", "nwhu", "nchu") || same_form("chw", "whr", "chr")) return {};
  return fail(Code::unsupported_attribute,
              format("einsum '{}', Core ML takes nchw,nwhu->nchu and chw,whr->chr only", call.str("equation")));
}

constexpr Variant kEinsum[] = {{Opset::ios15, "values:tuple; equation:const string", "", einsum_limits}};
constexpr OpDef einsum = {.name = "einsum",
                          .family = "linear",
                          .doc =
                              "sum over letters that the result lacks of the product of two operands, in Einstein's "
                              "notation",
                          .variants = kEinsum,
                          .infer = einsum_type,
                          .reference = einsum_reference,
                          .domain = kDot};

}  // namespace

Rows linear_rows() {
  static const OpDef* const kRows[] = {&matmul, &linear, &einsum, &scaled_dot_product_attention_row()};
  return kRows;
}
const OpDef& host_integer_matmul_row() { return host_integer_matmul; }

}  // namespace graft::ops

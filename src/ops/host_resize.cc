// host_resize: ONNX's Resize with every mode, for those that MIL cannot express. Sums are in double.
//
// The kernel allocates one table of source elements and weights for each resized dim.
#include <algorithm>

#include "ops/host_rows.h"
#include "ops/moving.h"
#include "ops/resize_grid.h"
#include "ops/sampling.h"

namespace graft::ops {
namespace {

// ---- sizes --------------------------------------------------------------------------------------------------------

// The dims that sizes, scales and roi speak of.
Result<Ints> resize_axes(const Call& call) {
  const int rank = call.in("x").rank();
  Ints axes;
  if (!call.has("axes")) {
    for (int d = 0; d < rank; ++d) axes.push_back(d);
    return axes;
  }
  const Ints given = call.ints("axes");
  if (call.error()) return fail(*call.error());
  GRAFT_CHECK(normal_axes(given, rank));
  for (int64_t a : given) axes.push_back(a < 0 ? a + rank : a);
  return axes;
}

Status check_list(const Call& call, std::string_view param, int64_t length) {
  if (!call.has(param)) return {};
  const Operand& o = call.in(param);
  if (o.rank() == 1 && !ir::never_equal(o.dims()[0], Dim(length))) return {};
  return fail(Code::shape_mismatch, format("'{}' is {}, takes {} values", param, o.type->to_string(), length));
}

Status check_modes(const Call& call);

Status resize_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  GRAFT_CHECK(check_modes(call));
  GRAFT_TRY(const Ints axes, resize_axes(call));
  GRAFT_CHECK(check_list(call, "sizes", axes.size()));
  GRAFT_CHECK(check_list(call, "scales", axes.size()));
  GRAFT_CHECK(check_list(call, "roi", 2 * axes.size()));
  if (!call.has("sizes") && !call.has("scales")) return fail(Code::invalid_model, "needs sizes or scales");
  GRAFT_CHECK(check_index_list(call, "sizes"));
  const std::optional<Dims> sizes = call.dims("sizes");
  Dims dims = x.dims();
  for (int k = 0; k < axes.size(); ++k) {
    Dim& n = dims[static_cast<size_t>(axes[k])];
    if (sizes) {
      n = (*sizes)[static_cast<size_t>(k)];
      if (n.range().hi < 0) return fail(Code::value_out_of_range, format("size {} is negative", n.to_string()));
      continue;
    }
    if (call.has("sizes") || !call.known("scales")) {
      n = call.fresh({0, INT32_MAX});
      continue;
    }
    const auto scale = static_cast<float>(element_as_double(call.in("scales").elements(), k));
    if (!(scale > 0) || scale > 1e6f)
      return fail(Code::value_out_of_range, format("scale {} of dim {}", scale, axes[k]));
    if (n.known())
      n = Dim(static_cast<int64_t>(std::floor(static_cast<float>(n.value()) * scale)));
    else if (scale == std::floor(scale))
      n = n * Dim(static_cast<int64_t>(scale));
    else if (int exponent; std::frexp(scale, &exponent) == 0.5f)  // exact in fp32, unlike 41 times 1 / 41
      n = ir::floor_div(n, Dim(static_cast<int64_t>(1 / scale)));
    else
      n = call.fresh({0, INT32_MAX});
  }
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}

// ---- modes --------------------------------------------------------------------------------------------------------

template <class E, size_t n>
Result<E> one_of(const Call& call, std::string_view param, const std::pair<std::string_view, E> (&names)[n]) {
  const std::string_view given = call.str(param);
  if (const std::optional<E> value = named(names, given)) return *value;
  std::string list;
  for (const auto& known : names) list += format("{}{}", list.empty() ? "" : ", ", known.first);
  return fail(Code::invalid_attribute, format("{} '{}', takes {}", param, given, list));
}

Status check_modes(const Call& call) {
  GRAFT_CHECK(one_of(call, "mode", kInterpolations));
  GRAFT_TRY(const Coordinate c, one_of(call, "coordinate_transformation_mode", kCoordinates));
  GRAFT_CHECK(one_of(call, "nearest_mode", kNearest));
  if (c == Coordinate::tf_crop_and_resize && !call.has("roi"))
    return fail(Code::invalid_model, "tf_crop_and_resize needs roi");
  return {};
}

// ---- the kernel ---------------------------------------------------------------------------------------------------

struct Plan {
  ResizeFilter r;
  double extrapolation = 0;
  Ints axes;
  std::vector<ResizeTaps> tables;  // one an axis
};

Result<Plan> plan_of(const Call& call, const Shape& x, const Shape& y) {
  Plan p;
  GRAFT_TRY(p.r.mode, one_of(call, "mode", kInterpolations));
  GRAFT_TRY(p.r.coordinate, one_of(call, "coordinate_transformation_mode", kCoordinates));
  GRAFT_TRY(p.r.nearest, one_of(call, "nearest_mode", kNearest));
  p.r.cubic_a = call.f("cubic_coeff_a");
  p.extrapolation = call.f("extrapolation_value");
  p.r.exclude_outside = call.flag("exclude_outside");
  p.r.antialias = call.flag("antialias");
  GRAFT_TRY(p.axes, resize_axes(call));
  const TensorView scales = call.in("scales").value, roi = call.in("roi").value;
  const int64_t n = p.axes.size();
  if ((call.has("scales") && scales.count() != n) || (call.has("roi") && roi.count() != 2 * n))
    return fail(Code::shape_mismatch, "scales or roi do not fit the axes");
  if (x.size() != y.size()) return fail(Code::rank_mismatch, format("{} to {}", to_string(x), to_string(y)));
  Shape expect = x;
  for (int k = 0; k < p.axes.size(); ++k) {
    const int d = static_cast<int>(p.axes[k]);
    expect[d] = y[d];
    if (x[d] == 0 && y[d] != 0)
      return fail(Code::shape_mismatch, format("cannot resize {} to {}", to_string(x), to_string(y)));
    ResizeAxis a{x[d], y[d], x[d] == 0 ? 1.0f : static_cast<float>(y[d]) / static_cast<float>(x[d]), 0, 1};
    if (call.has("scales")) a.scale = static_cast<float>(element_as_double(scales, k));
    if (!(a.scale > 0) && y[d] > 0) return fail(Code::value_out_of_range, format("scale {} of dim {}", a.scale, d));
    if (call.has("roi")) {
      a.start = static_cast<float>(element_as_double(roi, k));
      a.end = static_cast<float>(element_as_double(roi, k + n));
    }
    GRAFT_TRY(ResizeTaps t, resize_taps(p.r, a));
    p.tables.push_back(std::move(t));
  }
  if (!(expect == y)) return fail(Code::shape_mismatch, format("cannot resize {} to {}", to_string(x), to_string(y)));
  return p;
}

// The weighted sum over the taps of axes k and on, from element `base`.
template <class T>
double sum_taps(const Plan& p, const TensorView& x, const Ints& strides, const Shape& index, int k, int64_t base) {
  if (k == p.axes.size()) return static_cast<double>(widen(x.as<T>()[base]));
  const int d = static_cast<int>(p.axes[k]);
  const ResizeTaps& t = p.tables[static_cast<size_t>(k)];
  const auto first = static_cast<size_t>(index[d] * t.width);
  double sum = 0;
  for (size_t j = 0; j < static_cast<size_t>(t.width); ++j) {
    const double w = t.weight[first + j];
    if (w != 0) sum += w * sum_taps<T>(p, x, strides, index, k + 1, base + t.source[first + j] * strides[d]);
  }
  return sum;
}

Status resize_reference(const Call& call, Outputs& out) {
  constexpr int64_t kWork = 16;  // of an element: the taps of two cubic axes
  GRAFT_CHECK(allocate_outputs(call, out));
  const TensorView x = call.in("x").value;
  const MutableTensorView y = out[0];
  GRAFT_TRY(const Plan p, plan_of(call, x.shape, y.shape));
  const Ints strides = row_strides(x.shape);
  Pace pace = call.pace();
  const bool ok = visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    Walk<1> walk(y.shape, {y.shape});
    for (int64_t i = 0, n = y.count(); i < n && pace.go_on(kWork); ++i, walk.next()) {
      int64_t base = 0;
      bool outside = false;
      for (int d = 0; d < x.rank(); ++d) base += walk.index()[d] * strides[d];
      for (int k = 0; k < p.axes.size(); ++k) {
        const int d = static_cast<int>(p.axes[k]);
        base -= walk.index()[d] * strides[d];  // the tables say where
        outside |= p.tables[static_cast<size_t>(k)].outside[static_cast<size_t>(walk.index()[d])] != 0;
      }
      if (outside) {
        y.as<T>()[i] = narrow<T>(p.extrapolation);
      } else if (p.r.mode == Interpolation::nearest) {
        for (int k = 0; k < p.axes.size(); ++k) {
          const int d = static_cast<int>(p.axes[k]);
          base += p.tables[static_cast<size_t>(k)].source[static_cast<size_t>(walk.index()[d])] * strides[d];
        }
        y.as<T>()[i] = x.as<T>()[base];
      } else {
        y.as<T>()[i] = narrow<T>(sum_taps<T>(p, x, strides, walk.index(), 0, base));
      }
    }
  });
  return ok ? Status{} : no_kernel(call, x.dtype);
}

constexpr Variant kVariants[] = {
    {Opset::host,
     "x:T; sizes?:int64; scales?:fp32; roi?:fp32; axes?:const int64=none; mode?:const string=\"nearest\"; "
     "coordinate_transformation_mode?:const string=\"half_pixel\"; nearest_mode?:const "
     "string=\"round_prefer_floor\"; cubic_coeff_a?:const fp32=-0.75; exclude_outside?:const bool=false; "
     "extrapolation_value?:const fp32=0.0; antialias?:const bool=false",
     "T={fp16,fp32,fp64,bf16,int8,int16,int32,int64,uint8,uint16,uint32,uint64,bool}"}};

}  // namespace

constexpr OpDef host_resize = {.name = "host_resize",
                               .family = "host",
                               .doc =
                                   "ONNX Resize, all modes; sizes give the result, scales the coordinates (either may "
                                   "be left out)",
                               .variants = kVariants,
                               .host = kNumbers,
                               .infer = resize_type,
                               .reference = resize_reference};
const OpDef& host_resize_row() { return host_resize; }

}  // namespace graft::ops

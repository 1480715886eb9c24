// Windows that tell or take places: ONNX's MaxPool with the places of what it found, and Col2Im.
#include "ops/host_rows.h"
#include "ops/moving.h"
#include "ops/window.h"

namespace graft::ops {
namespace {

// ---- host_max_pool_indices ----------------------------------------------------------------------------------------

Status max_pool_type(const Call& call, Types& out) {
  GRAFT_TRY(const Window window, pool_window(call));
  const Operand& x = call.in("x");
  Dims dims{x.dims()[0], x.dims()[1]};
  GRAFT_CHECK(append_window_dims(window, x.dims(), dims));
  out.push_back(Type::tensor(x.dtype(), dims));
  out.push_back(Type::tensor(DType::i64, std::move(dims)));
  return {};
}

Status max_pool_reference(const Call& call, Outputs& out) {
  GRAFT_CHECK(allocate_outputs(call, out));
  GRAFT_TRY(const Window w, pool_window(call));
  const TensorView x = call.in("x").value;
  const bool columns_first = call.flag("columns_first");
  const int lead = kMaxSpatial - w.spatial;
  // Missing spatial dims are in front, of size 1.
  std::array<int64_t, kMaxSpatial> in{1, 1, 1}, size{1, 1, 1}, step{}, place{};
  Shape expect{x.shape[0], x.shape[1]};
  for (int d = 0; d < w.spatial; ++d) {
    in[static_cast<size_t>(lead + d)] = x.shape[d + 2];
    size[static_cast<size_t>(lead + d)] = out[0].shape[d + 2];
    expect.push_back(out[0].shape[d + 2]);
  }
  GRAFT_CHECK(check_output(call, out[0], expect));
  GRAFT_CHECK(check_output(call, out[1], expect));
  step = {in[1] * in[2], in[2], 1};
  place = step;
  if (columns_first) place = {1, in[0], in[0] * in[1]};
  if (columns_first && lead > 0)
    place = lead == 2 ? std::array<int64_t, 3>{0, 0, 1} : std::array<int64_t, 3>{0, 1, in[1]};
  const int64_t plane = in[0] * in[1] * in[2], window = w.kernel.product(), places = expect.product(2, expect.size());
  Pace pace = call.pace();
  const bool ok = visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t i = 0, n = out[0].count(); i < n; ++i) {
      const T* from = x.as<T>() + i / places * plane;
      std::array<int64_t, kMaxSpatial> start{};
      for (int64_t d = kMaxSpatial - 1, rest = i % places; d >= lead; --d) {
        const auto k = static_cast<size_t>(d);
        const int s = static_cast<int>(d) - lead;
        start[k] = rest % size[k] * w.stride[s] - w.before(s, in[k]);
        rest /= size[k];
      }
      bool any = false;
      Wide<T> best{};
      int64_t at = 0;
      for (int64_t tap = 0; tap < window && pace.go_on(); ++tap) {
        int64_t element = 0, where = 0, rest = tap;
        bool inside = true;
        for (int64_t d = kMaxSpatial - 1; d >= lead; --d) {
          const auto k = static_cast<size_t>(d);
          const int s = static_cast<int>(d) - lead;
          const int64_t v = start[k] + rest % w.kernel[s] * w.dilation[s];
          rest /= w.kernel[s];
          inside &= v >= 0 && v < in[k];
          element += v * step[k];
          where += v * place[k];
        }
        if (!inside) continue;
        const Wide<T> v = widen(from[element]);
        if (any && !(v > best || is_nan(best))) continue;
        best = v;
        at = where;
        any = true;
      }
      if constexpr (is_float_type<T>) {
        if (!any) best = -INFINITY;  // padding alone
      }
      out[0].as<T>()[i] = narrow<T>(best);
      out[1].as<int64_t>()[i] = i / places * plane + at;
    }
  });
  return ok ? Status{} : no_kernel(call, x.dtype);
}

IntRange max_pool_range(const Call& call) {
  if (call.result == 0) return call.in("x").range;
  return {0, ir::product(call.in("x").dims()).range().hi};
}

constexpr Variant kMaxPool[] = {
    {Opset::host,
     "x:T; kernel_sizes:const int32; strides?:const int32=[1]*S; pad_type?:const string=\"valid\"; pad?:const "
     "int32=[0]*2S; dilations?:const int32=[1]*S; columns_first?:const bool=false",
     "T={fp16,fp32,fp64,bf16,int8,int16,int32,int64,uint8,uint16,uint32,uint64}"}};
constexpr OpDef host_max_pool_indices = {
    .name = "host_max_pool_indices",
    .family = "host",
    .doc = "ONNX MaxPool with Indices: the first largest element of each window, and its place in the whole tensor",
    .variants = kMaxPool,
    .infer = max_pool_type,
    .reference = max_pool_reference,
    .range = max_pool_range};

// ---- host_col2im --------------------------------------------------------------------------------------------------

struct Columns {
  Ints image, block, stride, dilation, before, count;
};

// Everything known, and the columns as many as the windows.
Result<Columns> columns_of(const Call& call, const Ints& image, const Ints& block) {
  Columns c{image, block, call.ints("strides"), call.ints("dilations"), {}, {}};
  const Ints pads = call.ints("pads");
  if (call.error()) return fail(*call.error());
  const int n = image.size();
  if (n < 1 || n > kMaxRank - 2 || block.size() != n || c.stride.size() != n || c.dilation.size() != n ||
      pads.size() != 2 * n)
    return fail(Code::shape_mismatch,
                format("image_shape {}, block_shape {}, strides {}, dilations {} and pads {}", to_string(image),
                       to_string(block), to_string(c.stride), to_string(c.dilation), to_string(pads)));
  for (int d = 0; d < n; ++d) {
    const auto good = [](int64_t v, int64_t least) { return v >= least && v <= INT32_MAX; };
    if (!good(image[d], 0) || !good(block[d], 1) || !good(c.stride[d], 1) || !good(c.dilation[d], 1) ||
        !good(pads[d], 0) || !good(pads[n + d], 0))
      return fail(Code::value_out_of_range,
                  format("an image of {} from blocks of {}", to_string(image), to_string(block)));
    c.before.push_back(pads[d]);
    const int64_t room = image[d] + pads[d] + pads[n + d] - ((block[d] - 1) * c.dilation[d] + 1);
    if (room < 0)
      return fail(Code::shape_mismatch,
                  format("a block of {} is larger than its padded image {}", to_string(block), to_string(image)));
    c.count.push_back(room / c.stride[d] + 1);
  }
  if (checked_count(Shape(block)) < 0 || checked_count(Shape(c.count)) < 0 || checked_count(Shape(image)) < 0)
    return fail(Code::limit_exceeded, format("an image of {} from blocks of {}", to_string(image), to_string(block)));
  return c;
}

std::optional<Ints> known_ints(const Call& call, std::string_view param) {
  const std::optional<Dims> dims = call.dims(param);
  if (!dims || !ir::all_known(*dims) || dims->size() > static_cast<size_t>(Ints::capacity)) return std::nullopt;
  Ints list;
  for (const Dim& d : *dims) list.push_back(d.value());
  return list;
}

Status col2im_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  GRAFT_CHECK(check_index_list(call, "image_shape"));
  GRAFT_CHECK(check_index_list(call, "block_shape"));
  if (x.rank() != 3)
    return fail(Code::rank_mismatch,
                format("takes columns [n, channels * block, windows], got {}", x.type->to_string()));
  const Dim& length = call.in("image_shape").dims()[0];
  if (!length.known() || length.value() < 1 || length.value() > kMaxRank - 2)
    return fail(Code::dynamic_shape, format("the image's rank is not known, or not 1 to {}", kMaxRank - 2));
  const std::optional<Ints> image = known_ints(call, "image_shape"), block = known_ints(call, "block_shape");
  Dim channels = call.fresh({0, INT32_MAX});
  if (block && block->size() != length.value())
    return fail(Code::shape_mismatch,
                format("image_shape of {} and block_shape {}", length.value(), to_string(*block)));
  if (block) {
    const Dim each(std::max<int64_t>(1, checked_count(Shape(*block))));
    channels = ir::floor_div(x.dims()[1], each);
    if (image) {
      GRAFT_TRY(const Columns c, columns_of(call, *image, *block));
      if ((x.dims()[1].known() && x.dims()[1].value() % each.value() != 0) ||
          ir::never_equal(x.dims()[2], Dim(c.count.product())))
        return fail(Code::shape_mismatch, format("{} columns of blocks {} of an image {}, got {}", c.count.product(),
                                                 to_string(*block), to_string(*image), x.type->to_string()));
    }
  }
  Dims dims{x.dims()[0], channels};
  for (int64_t d = 0; d < length.value(); ++d)
    dims.push_back(image ? Dim((*image)[static_cast<int>(d)]) : call.fresh({0, INT32_MAX}));
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  return {};
}

Status col2im_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  GRAFT_TRY(const Columns c, columns_of(call, call.ints("image_shape"), call.ints("block_shape")));
  GRAFT_CHECK(allocate_outputs(call, out));
  const int n = c.image.size();
  const int64_t each = c.block.product(), windows = c.count.product();
  Shape expect{x.shape[0], x.shape[1] / each};
  for (int64_t v : c.image) expect.push_back(v);
  GRAFT_CHECK(check_output(call, out[0], expect));
  if (x.shape[1] % each != 0 || x.shape[2] != windows)
    return fail(Code::shape_mismatch, format("{} columns of blocks {} of an image {}, got {}", windows,
                                             to_string(c.block), to_string(c.image), to_string(x.shape)));
  const int64_t plane = c.image.product();
  Pace pace = call.pace();
  bool ok = false;
  visit_dtype(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    if constexpr (!std::is_same_v<T, bool>) {
      ok = true;
      T* y = out[0].as<T>();
      // Each element of the image is the sum over the elements of a block that fall on it: no more than one window
      // each.
      Walk<1> walk(Shape(c.image), {Shape(c.image)});
      for (int64_t p = 0; p < plane; ++p, walk.next()) {
        for (int64_t image = 0; image < expect[0] * expect[1] && pace.go_on(each); ++image) {
          Wide<T> sum{};
          for (int64_t tap = 0; tap < each; ++tap) {
            int64_t window = 0, rest = tap, stride = 1;
            bool there = true;
            for (int d = n - 1; d >= 0 && there; --d) {
              const int64_t v = walk.index()[d] + c.before[d] - rest % c.block[d] * c.dilation[d];
              rest /= c.block[d];
              there = v >= 0 && v % c.stride[d] == 0 && v / c.stride[d] < c.count[d];
              window += v / c.stride[d] * stride;
              stride *= c.count[d];
            }
            if (there) sum = wrap_add(sum, widen(x.as<T>()[(image * each + tap) * windows + window]));
          }
          y[image * plane + p] = narrow<T>(sum);
        }
      }
    }
  });
  return ok ? Status{} : no_kernel(call, x.dtype);
}

constexpr Variant kCol2im[] = {
    {Opset::host, "x:T; image_shape:I; block_shape:I; strides:const int64; dilations:const int64; pads:const int64",
     "T={fp16,fp32,fp64,bf16,int8,int16,int32,int64,uint8,uint16,uint32,uint64}; I={int32,int64}"}};
constexpr OpDef host_col2im = {.name = "host_col2im",
                               .family = "host",
                               .doc = "ONNX Col2Im: blocks laid over an image, and added where they overlap",
                               .variants = kCol2im,
                               .host = kNumbers,
                               .infer = col2im_type,
                               .reference = col2im_reference};

constexpr const OpDef* kRows[] = {&host_max_pool_indices, &host_col2im};

}  // namespace

Rows host_windows_rows() { return kRows; }

}  // namespace graft::ops

// host_unique: ONNX's Unique. Sorts the places of the items, so memory is a few words an item; the sizes of the results
// hang on the data.
#include <algorithm>
#include <numeric>

#include "ops/host_rows.h"
#include "ops/moving.h"

namespace graft::ops {
namespace {

struct Items {
  int axis = -1;  // -1: each element is an item
  int64_t count, outer, inner;
};
Result<Items> items_of(const Call& call, const Shape& x) {
  Items t;
  if (!call.has("axis")) {
    t.count = x.product();
    t.outer = t.inner = 1;
    return t;
  }
  GRAFT_TRY(t.axis, normal_axis(call.i("axis"), x.size()));
  t.outer = x.product(0, t.axis);
  t.count = x[t.axis];
  t.inner = x.product(t.axis + 1, x.size());
  return t;
}

Status unique_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  const Dim found = call.fresh({0, call.has("axis") ? INT64_MAX : ir::product(x.dims()).range().hi});
  Dims dims{found};
  Dim items = ir::product(x.dims());
  if (call.has("axis")) {
    GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
    dims = x.dims();
    items = dims[static_cast<size_t>(axis)];
    dims[static_cast<size_t>(axis)] = found;
  }
  out.push_back(Type::tensor(x.dtype(), std::move(dims)));
  out.push_back(Type::tensor(DType::i64, Dims{found}));
  out.push_back(Type::tensor(DType::i64, Dims{items}));
  out.push_back(Type::tensor(DType::i64, Dims{found}));
  return {};
}

// -1, 0, 1 for two items of x; NaN sorts last and equals itself.
template <class T>
int compare_items(const T* x, const Items& t, int64_t a, int64_t b) {
  for (int64_t o = 0; o < t.outer; ++o) {
    for (int64_t i = 0; i < t.inner; ++i) {
      const T &p = x[(o * t.count + a) * t.inner + i], &q = x[(o * t.count + b) * t.inner + i];
      if constexpr (std::is_same_v<T, std::string>) {
        if (const int c = p.compare(q); c != 0) return c < 0 ? -1 : 1;
      } else {
        const auto u = widen(p), v = widen(q);
        if (u < v) return -1;
        if (u > v) return 1;
        const bool u_nan = u != u, v_nan = v != v;
        if (u_nan != v_nan) return u_nan ? 1 : -1;
      }
    }
  }
  return 0;
}

struct Groups {
  std::vector<int64_t> first, size;  // by group
  std::vector<int64_t> group_of;     // by item
};

template <class T>
Groups group_items(const T* x, const Items& t, bool sorted, Pace& pace) {
  std::vector<int64_t> order(static_cast<size_t>(t.count));
  std::iota(order.begin(), order.end(), int64_t{0});
  sort_by(order, pace, [&](int64_t a, int64_t b) {
    const int c = compare_items(x, t, a, b);
    return c != 0 ? c < 0 : a < b;
  });
  Groups g;
  g.group_of.resize(order.size());
  for (size_t k = 0; k < order.size() && pace.go_on(); ++k) {
    if (k == 0 || compare_items(x, t, order[k - 1], order[k]) != 0) {
      g.first.push_back(order[k]);
      g.size.push_back(0);
    }
    ++g.size.back();
    g.group_of[static_cast<size_t>(order[k])] = static_cast<int64_t>(g.first.size()) - 1;
  }
  if (sorted || g.first.empty()) return g;  // none: there are no items, or it has to stop
  // By first occurrence.
  std::vector<int64_t> by_first(g.first.size()), place(g.first.size());
  std::iota(by_first.begin(), by_first.end(), int64_t{0});
  sort_by(by_first, pace,
          [&](int64_t a, int64_t b) { return g.first[static_cast<size_t>(a)] < g.first[static_cast<size_t>(b)]; });
  Groups r;
  for (size_t k = 0; k < by_first.size(); ++k) {
    place[static_cast<size_t>(by_first[k])] = static_cast<int64_t>(k);
    r.first.push_back(g.first[static_cast<size_t>(by_first[k])]);
    r.size.push_back(g.size[static_cast<size_t>(by_first[k])]);
  }
  for (int64_t old : g.group_of) r.group_of.push_back(place[static_cast<size_t>(old)]);
  return r;
}

Status make(const Call& call, Outputs& out, int i, DType dtype, const Shape& shape) {
  return out[i].dtype == DType::invalid ? out.allocate(i, dtype, shape) : check_output(call, out[i], shape);
}

Status unique_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  GRAFT_TRY(const Items t, items_of(call, x.shape));
  const bool sorted = call.flag("sorted");
  Pace pace = call.pace();
  Groups g;
  if (x.dtype == DType::string) {
    g = group_items(x.as<std::string>(), t, sorted, pace);
  } else if (!visit_dtype(x.dtype, [&](auto tag) { g = group_items(x.as<decltype(tag)>(), t, sorted, pace); })) {
    return no_kernel(call, x.dtype);
  }
  const auto found = static_cast<int64_t>(g.first.size());
  Shape shape{found};
  if (t.axis >= 0) {
    shape = x.shape;
    shape[t.axis] = found;
  }
  GRAFT_CHECK(make(call, out, 0, x.dtype, shape));
  GRAFT_CHECK(make(call, out, 1, DType::i64, Shape{found}));
  GRAFT_CHECK(make(call, out, 2, DType::i64, Shape{t.count}));
  GRAFT_CHECK(make(call, out, 3, DType::i64, Shape{found}));
  for (int64_t k = 0; k < found && pace.go_on(); ++k) {
    for (int64_t o = 0; o < t.outer; ++o) {
      copy_elements(x.dtype, x.data, (o * t.count + g.first[static_cast<size_t>(k)]) * t.inner, out[0].data,
                    (o * found + k) * t.inner, t.inner, pace);
    }
  }
  std::copy(g.first.begin(), g.first.end(), out[1].as<int64_t>());
  std::copy(g.group_of.begin(), g.group_of.end(), out[2].as<int64_t>());
  std::copy(g.size.begin(), g.size.end(), out[3].as<int64_t>());
  return {};
}

constexpr Variant kVariants[] = {
    {Opset::host, "x:T; axis?:const int64=none; sorted?:const bool=true",
     "T={fp16,fp32,fp64,bf16,int8,int16,int32,int64,uint8,uint16,uint32,uint64,bool,string}"}};
constexpr OpDef host_unique = {.name = "host_unique",
                               .family = "host",
                               .doc =
                                   "ONNX Unique: the distinct elements (or slices along axis), their first places, "
                                   "each item's place among them, and how often each occurs",
                               .variants = kVariants,
                               .host = kInts,
                               .infer = unique_type,
                               .reference = unique_reference,
                               .kernel_sized = true};

}  // namespace

const OpDef& host_unique_row() { return host_unique; }

}  // namespace graft::ops

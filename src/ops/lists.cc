// MIL's lists, of the control_flow family: tensors of one type, at places 0 to length - 1. A value is a List
// (base/list.h).
#include "ops/lists.h"

#include "ops/table.h"

namespace graft::ops {

Status give_copies(const Call& call, Outputs& out, std::string_view param) {
  std::vector<Tensor> tensors;
  for (const Operand& o : call.all(param)) {
    GRAFT_TRY(Tensor t, Tensor::copy_of(o.value, out.limit()));
    tensors.push_back(std::move(t));
  }
  return give(out, List::of(std::move(tensors), out.limit()));
}

Result<DType> dtype_of_elements(const Call& call) {
  const DType dtype = dtype_from_name(call.str("dtype"));
  if (dtype == DType::invalid) return fail(Code::invalid_attribute, format("dtype '{}' is none", call.str("dtype")));
  return dtype;
}

Status check_place(const Call& call, std::string_view param) {
  GRAFT_CHECK(check_integers(call, param));
  return check_scalar(call, param);
}

Result<int64_t> place_of(const Call& call, std::string_view param, int64_t n, bool from_end) {
  const int64_t given = element_as_int(call.in(param).value, 0);
  const int64_t place = from_end && given < 0 ? given + n : given;
  if (place < 0 || place >= n)
    return fail(Code::value_out_of_range, format("{} {} is outside a list of {}", param, given, n));
  return place;
}

Status check_element(const Type& element, const Type& value) {
  bool fits = element.stored() == value.stored();
  if (fits && element.is_tensor() && value.is_tensor()) {
    fits = element.rank() == value.rank();
    for (size_t d = 0; fits && d < element.dims.size(); ++d) fits = !ir::never_equal(element.dims[d], value.dims[d]);
  }
  if (fits) return {};
  return fail(element.stored() != value.stored() ? Code::dtype_mismatch : Code::shape_mismatch,
              format("got {}, the list holds {}", value.to_string(), element.to_string()));
}

Status check_element(const Type& element, DType dtype, const Shape& shape) {
  if (element.is_list() && dtype == DType::list) return {};
  return check_element(element, Type::tensor(dtype, shape));
}

std::optional<Shape> shape_of_element(const List& list, const Type& element, int64_t place) {
  if (list[place].valid()) return list[place].shape();
  return element.is_static() ? std::optional(element.shape()) : std::nullopt;
}

Status copy_element(const Call& call, Outputs& out, const List& list, const Type& element, int64_t place) {
  const Tensor& from = list[place];
  const std::optional<Shape> shape = shape_of_element(list, element, place);
  if (!shape) return fail(Code::value_out_of_range, format("nothing was written to place {} of the list", place));
  const DType dtype = element.stored();
  if (from.valid()) GRAFT_CHECK(check_element(element, from.dtype(), from.shape()));
  if (out[0].dtype == DType::invalid) GRAFT_CHECK(out.allocate(0, dtype, *shape));
  GRAFT_CHECK(check_output(call, out[0], *shape));
  if (from.valid())
    copy_values(dtype, from.view().data, out[0].data, from.count());
  else if (!holds_objects(dtype) && out[0].bytes() != 0)
    std::memset(out[0].data, 0, out[0].bytes());
  return {};
}

namespace {

constexpr std::string_view kFamily = "control_flow";

// A list that may grow has a length that no type tells.
bool fixed(const Operand& ls) { return ls.type->length.known(); }

constexpr OpDef row(OpDef def) {
  def.host = kMovable;
  return def;
}

// ---- make_list ----------------------------------------------------------------------------------------------------

Status make_list_type(const Call& call, Types& out) {
  GRAFT_TRY(const DType dtype, dtype_of_elements(call));
  Dims dims;
  for (const Operand& o : call.all("elem_shape")) {
    if (!o.type->is_tensor() || !(o.dtype() == DType::string || is_int(o.dtype())))
      return fail(Code::dtype_mismatch, format("elem_shape has {}, takes sizes and names", o.type->to_string()));
    if (o.known() && is_int(o.dtype()) && o.elements().count() == 1)
      dims.push_back(element_as_int(o.elements(), 0));
    else
      dims.push_back(call.fresh({0, INT64_MAX}));  // a name: of a size that the elements bring
    if (dims.back().range().hi < 0) return fail(Code::value_out_of_range, "elem_shape has a negative size");
  }
  if (dims.size() > static_cast<size_t>(kMaxRank))
    return fail(Code::limit_exceeded, format("elements of rank {}, at most {} are supported", dims.size(), kMaxRank));
  Dim length = ir::unknown_length();
  if (!call.flag("dynamic_length") && call.known("init_length")) length = Dim(call.i("init_length"));
  if (length.range().hi < 0) return fail(Code::value_out_of_range, "init_length is negative");
  out.push_back(Type::list(Type::tensor(dtype, std::move(dims)), std::move(length)));
  return {};
}
Status make_list_reference(const Call& call, Outputs& out) {
  const int64_t n = call.i("init_length");
  if (n < 0) return fail(Code::value_out_of_range, format("init_length {} is negative", n));
  return give(out, List().resized(n, out.limit()));
}
constexpr Variant kMakeList[] = {
    {Opset::ios15,
     "init_length?:int32=1; dynamic_length?:const bool=true; elem_shape:tuple; dtype?:const string=\"fp32\"", ""}};
constexpr OpDef make_list = {.name = "make_list",
                             .family = kFamily,
                             .doc = "a list of equally shaped tensors, which may grow if its length is dynamic",
                             .variants = kMakeList,
                             .infer = make_list_type,
                             .reference = make_list_reference,
                             .defined = [](const Call& call) -> Status {
                               for (const Operand& o : call.all("elem_shape")) {
                                 if (!o.constant || !is_int(o.dtype()))
                                   return fail(Code::dynamic_shape, "elements have sizes that are not numbers");
                               }
                               return {};
                             }};

// ---- one element --------------------------------------------------------------------------------------------------

constexpr Variant kListRead[] = {{Opset::ios15, "ls:list; index:int32", ""}};
constexpr OpDef list_read = row({.name = "list_read",
                                 .family = kFamily,
                                 .doc = "the element at index",
                                 .variants = kListRead,
                                 .infer = [](const Call& call, Types& out) -> Status {
                                   GRAFT_CHECK(check_place(call, "index"));
                                   out.push_back(element_of(call, "ls"));
                                   return {};
                                 },
                                 .reference = [](const Call& call, Outputs& out) -> Status {
                                   const List& list = list_in(call, "ls");
                                   GRAFT_TRY(const int64_t at, place_of(call, "index", list.size(), false));
                                   return copy_element(call, out, list, element_of(call, "ls"), at);
                                 },
                                 .kernel_sized = true});

Status list_write_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_place(call, "index"));
  GRAFT_CHECK(check_element(element_of(call, "ls"), *call.in("value").type));
  out.push_back(*call.in("ls").type);
  return {};
}
// The list with value(k) at the place that the k-th index names, in turn; a list that may grow has them all.
template <class At>
Status write_places(const Call& call, Outputs& out, const TensorView& indices, At&& value) {
  const List& list = list_in(call, "ls");
  const int64_t n = indices.count();
  int64_t length = list.size();
  for (int64_t k = 0; k < n; ++k) {
    const int64_t at = element_as_int(indices, k);
    if (at < 0 || (at >= list.size() && fixed(call.in("ls"))) || at >= INT32_MAX)
      return fail(Code::value_out_of_range, format("index {} is outside a list of {}", at, list.size()));
    length = std::max(length, at + 1);
  }
  Pace pace = call.pace();
  if (n == 1 && element_as_int(indices, 0) == list.size()) {
    GRAFT_TRY(Tensor one, value(0));
    return give(out, list.appended(std::move(one), out.limit()));
  }
  GRAFT_TRY(List made, list.resized(length, out.limit()));
  for (int64_t k = 0; k < n && pace.go_on(); ++k) {
    GRAFT_TRY(Tensor one, value(k));
    made.replace(element_as_int(indices, k), std::move(one));
  }
  return give(out, std::move(made));
}
Status list_write_reference(const Call& call, Outputs& out) {
  const TensorView value = call.in("value").value;
  GRAFT_CHECK(check_element(element_of(call, "ls"), value.dtype, value.shape));
  return write_places(call, out, call.in("index").value, [&](int64_t) { return Tensor::copy_of(value, out.limit()); });
}
constexpr Variant kListWrite[] = {{Opset::ios15, "ls:list; index:int32; value:T", "T={fp16,fp32,bool,int32}"}};
constexpr OpDef list_write = row({.name = "list_write",
                                  .family = kFamily,
                                  .doc = "the list with another element at index; it grows if its length is dynamic",
                                  .variants = kListWrite,
                                  .infer = list_write_type,
                                  .reference = list_write_reference});

// ---- several ------------------------------------------------------------------------------------------------------

Status check_places(const Call& call) {
  GRAFT_CHECK(check_integers(call, "indices"));
  if (call.in("indices").rank() == 1) return {};
  return fail(Code::rank_mismatch, format("indices must be of rank 1, got {}", call.in("indices").type->to_string()));
}

Status list_gather_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_places(call));
  const Type& element = element_of(call, "ls");
  if (!element.is_tensor()) {
    out.push_back(Type::unranked(element.dtype));
    return {};
  }
  Dims dims{call.in("indices").dims()[0]};
  dims.insert(dims.end(), element.dims.begin(), element.dims.end());
  out.push_back(Type::tensor(element.dtype, std::move(dims)));
  return {};
}
Status list_gather_reference(const Call& call, Outputs& out) {
  const List& list = list_in(call, "ls");
  const Type& element = element_of(call, "ls");
  const TensorView indices = call.in("indices").value;
  // The first element that is there tells the shape; without one, sizes that nothing tells are 0.
  std::optional<Shape> one;
  if (!element.is_static()) {
    for (int64_t k = 0; k < indices.count() && !one; ++k) {
      const int64_t at = element_as_int(indices, k);
      if (at >= 0 && at < list.size()) one = shape_of_element(list, element, at);
    }
  }
  if (!one) {
    one.emplace();
    for (const Dim& d : element.dims) one->push_back(d.known() ? d.value() : 0);
  }
  if (one->size() == kMaxRank)
    return fail(Code::limit_exceeded, format("elements of rank {} have no room for one more dim", one->size()));
  Shape shape{indices.count()};
  for (int64_t d : *one) shape.push_back(d);
  if (out[0].dtype == DType::invalid) GRAFT_CHECK(out.allocate(0, element.dtype, shape));
  GRAFT_CHECK(check_output(call, out[0], shape));
  const int64_t count = one->product();
  Pace pace = call.pace();
  for (int64_t k = 0; k < indices.count() && pace.go_on(count); ++k) {
    const int64_t at = element_as_int(indices, k);
    if (at < 0 || at >= list.size())
      return fail(Code::value_out_of_range, format("index {} is outside a list of {}", at, list.size()));
    const Tensor& from = list[at];
    if (!from.valid()) {
      if (!holds_objects(element.dtype) && count != 0)
        std::memset(out[0].as<char>() + byte_size(element.dtype, k * count), 0, byte_size(element.dtype, count));
      continue;
    }
    if (from.dtype() != element.dtype || !(from.shape() == *one))
      return fail(
          Code::shape_mismatch,
          format("the elements at places {} and {} of the list are {} and {}, must be alike",
                 element_as_int(indices, 0), at, describe(element.dtype, *one), describe(from.dtype(), from.shape())));
    copy_elements(from.dtype(), from.view().data, 0, out[0].data, k * count, count, pace);
  }
  return {};
}
constexpr Variant kListGather[] = {{Opset::ios15, "ls:list; indices:int32", ""}};
constexpr OpDef list_gather = row({.name = "list_gather",
                                   .family = kFamily,
                                   .doc = "the elements at indices, stacked",
                                   .variants = kListGather,
                                   .infer = list_gather_type,
                                   .reference = list_gather_reference,
                                   .kernel_sized = true});

Status list_scatter_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_places(call));
  const Operand& value = call.in("value");
  if (value.rank() == 0) return fail(Code::rank_mismatch, "value must hold an element for each index, got a scalar");
  if (ir::never_equal(value.dims()[0], call.in("indices").dims()[0]))
    return fail(Code::shape_mismatch, format("{} indices for {} elements", call.in("indices").dims()[0].to_string(),
                                             value.dims()[0].to_string()));
  GRAFT_CHECK(check_element(element_of(call, "ls"),
                            Type::tensor(value.dtype(), Dims(value.dims().begin() + 1, value.dims().end()))));
  out.push_back(*call.in("ls").type);
  return {};
}
Status list_scatter_reference(const Call& call, Outputs& out) {
  const TensorView value = call.in("value").value;
  const TensorView indices = call.in("indices").value;
  const int64_t n = indices.count();
  if (value.rank() == 0 || value.shape[0] != n)
    return fail(Code::shape_mismatch, format("{} indices for {}", n, describe(value.dtype, value.shape)));
  Shape one;
  for (int d = 1; d < value.rank(); ++d) one.push_back(value.shape[d]);
  GRAFT_CHECK(check_element(element_of(call, "ls"), value.dtype, one));
  Pace pace = call.pace();
  return write_places(call, out, indices, [&](int64_t k) -> Result<Tensor> {
    GRAFT_TRY(Tensor t, Tensor::allocate(value.dtype, one, out.limit()));
    copy_elements(value.dtype, value.data, k * one.product(), t.mutable_view().data, 0, one.product(), pace);
    return t;
  });
}
constexpr Variant kListScatter[] = {{Opset::ios15, "ls:list; indices:int32; value:T", "T={fp16,fp32,bool,int32}"}};
constexpr OpDef list_scatter = row({.name = "list_scatter",
                                    .family = kFamily,
                                    .doc = "the list with the rows of value at indices",
                                    .variants = kListScatter,
                                    .infer = list_scatter_type,
                                    .reference = list_scatter_reference});

constexpr Variant kListLength[] = {{Opset::ios15, "ls:list", ""}};
constexpr OpDef list_length = {.name = "list_length",
                               .family = kFamily,
                               .doc = "the number of elements",
                               .variants = kListLength,
                               .infer = [](const Call&, Types& out) -> Status {
                                 out.push_back(Type::tensor(DType::i32, Dims{}));
                                 return {};
                               },
                               .reference = [](const Call& call, Outputs& out) -> Status {
                                 const int64_t n = list_in(call, "ls").size();
                                 GRAFT_CHECK(check_holds(DType::i32, n));
                                 *out[0].as<int32_t>() = static_cast<int32_t>(n);
                                 return {};
                               },
                               .symbolic = [](const Call& call, Dims& content) -> bool {
                                 content = {call.in("ls").type->length};
                                 return content[0].known();
                               },
                               .range =
                                   [](const Call&) {
                                     return IntRange{0, INT32_MAX};
                                   }};

constexpr const OpDef* kRows[] = {&make_list, &list_read, &list_write, &list_gather, &list_scatter, &list_length};

}  // namespace

Rows lists_rows() { return kRows; }

}  // namespace graft::ops

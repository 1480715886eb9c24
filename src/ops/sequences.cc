// Host rows for ONNX's sequences and optionals, which are lists (lists.cc): of tensors of one dtype and any shapes. An
// optional is a list of at most one, which may be a list itself.
#include "ops/lists.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr OpDef row(OpDef def) {
  def.host = kMovable;
  return def;
}

Result<Type> of_dtype(const Call& call) {
  GRAFT_TRY(const DType dtype, dtype_of_elements(call));
  return Type::unranked(dtype);
}

// The type of one element: a size that differs from element to element is a new one for each that is read.
Type opened(const Call& call, const Type& element) {
  return ir::with_new_sizes(element, [&](IntRange range) { return call.fresh(range); });
}

// ---- made of tensors ----------------------------------------------------------------------------------------------

Status sequence_type(const Call& call, Types& out) {
  const std::span<const Operand> values = call.all("values");
  Type element;
  for (const Operand& o : values) {
    if (!o.type->is_tensor() && o.type->kind != Type::Kind::unranked)
      return fail(Code::dtype_mismatch, format("got {}, sequences hold tensors", o.type->to_string()));
    element = element.kind == Type::Kind::none
                  ? *o.type
                  : ir::joined(element, *o.type, [&](IntRange r) { return call.fresh(r); });
    if (element.kind == Type::Kind::none)
      return fail(Code::dtype_mismatch,
                  format("got {} after {}, a sequence holds one type", name(o.dtype()), name(values[0].dtype())));
  }
  if (values.empty()) {
    GRAFT_TRY(element, of_dtype(call));
  } else if (call.has("dtype")) {
    GRAFT_TRY(const DType dtype, dtype_of_elements(call));
    if (element.stored() != dtype)
      return fail(Code::dtype_mismatch, format("got {}, the sequence holds {}", name(element.stored()), name(dtype)));
  }
  out.push_back(Type::list(std::move(element), Dim(static_cast<int64_t>(values.size()))));
  return {};
}
constexpr Variant kSequence[] = {{Opset::host, "values:tuple; dtype?:const string=\"fp32\"", ""}};
constexpr OpDef sequence =
    row({.name = "host_sequence",
         .family = "host",
         .doc = "ONNX SequenceConstruct and SequenceEmpty: a list of these tensors",
         .variants = kSequence,
         .infer = sequence_type,
         .reference = [](const Call& call, Outputs& out) -> Status { return give_copies(call, out, "values"); }});

// The parts have to be all of an axis: also where nobody reads them.
Status check_parts(const TensorView& parts, const Dim& size) {
  int64_t taken = 0;
  for (int64_t k = 0; k < parts.count(); ++k) {
    const int64_t n = element_as_int(parts, k);
    if (n < 0) return fail(Code::value_out_of_range, format("part {} of split is {}", k, n));
    if (size.known() && n > size.value() - taken)
      return fail(Code::shape_mismatch,
                  format("part {} of split is {}, {} are left of {}", k, n, size.value() - taken, size.value()));
    if (size.known()) taken += n;
  }
  if (!size.known() || taken == size.value()) return {};
  return fail(Code::shape_mismatch, format("split takes {} of {}", taken, size.value()));
}
Status split_type(const Call& call, Types& out) {
  const Operand& x = call.in("x");
  GRAFT_CHECK(check_integers(call, "split"));
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  Dims dims = x.dims();
  Dim& size = dims[static_cast<size_t>(axis)];
  Dim length = size;
  if (!call.has("split")) {
    if (call.flag("keepdims"))
      size = Dim(1);
    else
      dims.erase(dims.begin() + axis);
  } else if (call.in("split").rank() == 0) {
    const std::optional<Dims> each = call.dims("split");
    if (each && (*each)[0].known() && (*each)[0].value() <= 0)
      return fail(Code::value_out_of_range, format("split {} must be positive", (*each)[0].value()));
    length = each && (*each)[0].known() ? ir::ceil_div(size, (*each)[0]) : ir::unknown_length();
    size = each && size.known() && (*each)[0].known() && size.value() % (*each)[0].value() == 0
               ? (*each)[0]
               : call.fresh({0, INT64_MAX});
  } else if (call.in("split").rank() == 1) {
    if (call.known("split")) GRAFT_CHECK(check_parts(call.in("split").elements(), size));
    length = call.in("split").dims()[0];
    size = call.fresh({0, INT64_MAX});
  } else {
    return fail(Code::rank_mismatch,
                format("split must be a size or a list, got {}", call.in("split").type->to_string()));
  }
  if (!length.known()) length = ir::unknown_length();
  out.push_back(Type::list(Type::tensor(x.dtype(), std::move(dims)), std::move(length)));
  return {};
}
Status split_reference(const Call& call, Outputs& out) {
  const TensorView x = call.in("x").value;
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), x.rank()));
  const AxisView view(x.shape, axis);
  const TensorView split = call.has("split") ? call.in("split").value : TensorView{};
  const bool listed = split.rank() == 1;
  const int64_t each = split.dtype == DType::invalid ? 1 : listed ? 0 : element_as_int(split, 0);
  if (!listed && each <= 0) return fail(Code::value_out_of_range, format("split {} must be positive", each));
  std::vector<Tensor> tensors;
  Pace pace = call.pace();
  int64_t at = 0;
  for (int64_t k = 0; (listed ? k < split.count() : at < view.n) && pace.go_on(); ++k) {
    const int64_t n = listed ? element_as_int(split, k) : std::min(each, view.n - at);
    if (n < 0 || n > view.n - at)
      return fail(Code::shape_mismatch, format("part {} of split is {}, {} are left of {}", k, n, view.n - at, view.n));
    Shape shape;
    for (int d = 0; d < x.rank(); ++d) {
      if (d != axis)
        shape.push_back(x.shape[d]);
      else if (call.has("split") || call.flag("keepdims"))
        shape.push_back(n);
    }
    GRAFT_TRY(Tensor t, Tensor::allocate(x.dtype, shape, out.limit()));
    for (int64_t o = 0; o < view.outer; ++o) {
      copy_elements(x.dtype, x.data, (o * view.n + at) * view.inner, t.mutable_view().data, o * n * view.inner,
                    n * view.inner, pace);
    }
    tensors.push_back(std::move(t));
    at += n;
  }
  if (at != view.n && pace.go_on()) return fail(Code::shape_mismatch, format("split takes {} of {}", at, view.n));
  return give(out, List::of(std::move(tensors), out.limit()));
}
constexpr Variant kSplit[] = {
    {Opset::host, "x:T; split?:int64=none; axis?:const int64=0; keepdims?:const bool=true",
     "T={fp16,fp32,fp64,bf16,int8,int16,int32,int64,uint8,uint16,uint32,uint64,bool,string}"}};
constexpr OpDef split = row({.name = "host_sequence_split",
                             .family = "host",
                             .doc = "ONNX SplitToSequence: a list of the parts along axis",
                             .variants = kSplit,
                             .infer = split_type,
                             .reference = split_reference});

// ---- one element --------------------------------------------------------------------------------------------------

constexpr Variant kAt[] = {{Opset::host, "ls:list; index:int64", ""}};
constexpr OpDef at = row({.name = "host_sequence_at",
                          .family = "host",
                          .doc = "ONNX SequenceAt: the element at index, negative ones count from the end",
                          .variants = kAt,
                          .infer = [](const Call& call, Types& out) -> Status {
                            GRAFT_CHECK(check_place(call, "index"));
                            if (call.in("ls").type->length == Dim(0))
                              return fail(Code::value_out_of_range, "the sequence is empty");
                            out.push_back(opened(call, element_of(call, "ls")));
                            return {};
                          },
                          .reference = [](const Call& call, Outputs& out) -> Status {
                            const List& list = list_in(call, "ls");
                            GRAFT_TRY(const int64_t place, place_of(call, "index", list.size(), true));
                            return copy_element(call, out, list, element_of(call, "ls"), place);
                          },
                          .kernel_sized = true});

Status insert_type(const Call& call, Types& out) {
  const Operand &ls = call.in("ls"), &value = call.in("value");
  GRAFT_CHECK(check_place(call, "index"));
  Type element = ls.type->length == Dim(0) && value.type->stored() == element_of(call, "ls").stored()
                     ? *value.type
                     : ir::joined(element_of(call, "ls"), *value.type, [&](IntRange r) { return call.fresh(r); });
  if (element.kind == Type::Kind::none)
    return fail(Code::dtype_mismatch,
                format("got {}, the sequence holds {}", value.type->to_string(), element_of(call, "ls").to_string()));
  const Dim& length = ls.type->length;
  out.push_back(Type::list(std::move(element), length.known() ? length + Dim(1) : length));
  return {};
}
Status insert_reference(const Call& call, Outputs& out) {
  const List& list = list_in(call, "ls");
  GRAFT_TRY(Tensor one, Tensor::copy_of(call.in("value").value, out.limit()));
  int64_t place = list.size();
  if (call.has("index")) {
    const int64_t given = element_as_int(call.in("index").value, 0);
    place = given < 0 ? given + list.size() : given;
    if (place < 0 || place > list.size())
      return fail(Code::value_out_of_range,
                  format("index {} is no place in or after a list of {}", given, list.size()));
  }
  if (place == list.size()) return give(out, list.appended(std::move(one), out.limit()));
  GRAFT_TRY(List made, list.resized(list.size() + 1, out.limit()));
  for (int64_t k = list.size(); k > place; --k) made.replace(k, made[k - 1]);
  made.replace(place, std::move(one));
  return give(out, std::move(made));
}
constexpr Variant kInsert[] = {{Opset::host, "ls:list; value:any; index?:int64=none", ""}};
constexpr OpDef insert = row({.name = "host_sequence_insert",
                              .family = "host",
                              .doc = "ONNX SequenceInsert: the list with one more element before index, or at its end",
                              .variants = kInsert,
                              .infer = insert_type,
                              .reference = insert_reference});

Status erase_type(const Call& call, Types& out) {
  const Operand& ls = call.in("ls");
  GRAFT_CHECK(check_place(call, "index"));
  const Dim& length = ls.type->length;
  if (length == Dim(0)) return fail(Code::value_out_of_range, "the sequence is empty");
  out.push_back(Type::list(*ls.type->element, length.known() ? length - Dim(1) : length));
  return {};
}
Status erase_reference(const Call& call, Outputs& out) {
  const List& list = list_in(call, "ls");
  int64_t place = list.size() - 1;
  if (place < 0) return fail(Code::value_out_of_range, "the sequence is empty");
  if (call.has("index")) {
    GRAFT_TRY(place, place_of(call, "index", list.size(), true));
  }
  const std::span<const Tensor> all = list.tensors();
  std::vector<Tensor> left(all.begin(), all.begin() + place);
  left.insert(left.end(), all.begin() + place + 1, all.end());
  return give(out, List::of(std::move(left), out.limit()));
}
constexpr Variant kErase[] = {{Opset::host, "ls:list; index?:int64=none", ""}};
constexpr OpDef erase = row({.name = "host_sequence_erase",
                             .family = "host",
                             .doc = "ONNX SequenceErase: the list without the element at index, or its last one",
                             .variants = kErase,
                             .infer = erase_type,
                             .reference = erase_reference});

// ---- all of them --------------------------------------------------------------------------------------------------

Status concat_type(const Call& call, Types& out) {
  const Type element = opened(call, element_of(call, "ls"));
  const Dim& length = call.in("ls").type->length;
  if (length == Dim(0))
    return fail(Code::value_out_of_range, "the sequence is empty: nothing tells the result's shape");
  if (!element.is_tensor()) {
    out.push_back(Type::unranked(element.dtype));
    return {};
  }
  const bool stack = call.flag("new_axis");
  if (!stack && element.rank() == 0)
    return fail(Code::rank_mismatch, "scalars have no axis to be joined along; new_axis would stack them");
  Dims dims = element.dims;
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), element.rank() + (stack ? 1 : 0)));
  if (stack)
    dims.insert(dims.begin() + axis, length.known() ? length : call.fresh({0, INT64_MAX}));
  else if (Dim& size = dims[static_cast<size_t>(axis)]; true)
    size = size.known() && length.known() ? size * length : call.fresh({0, INT64_MAX});
  out.push_back(Type::tensor(element.dtype, std::move(dims)));
  return {};
}
Status concat_reference(const Call& call, Outputs& out) {
  const List& list = list_in(call, "ls");
  if (list.size() == 0)
    return fail(Code::value_out_of_range, "the sequence is empty: nothing tells the result's shape");
  const bool stack = call.flag("new_axis");
  const Shape& first = list[0].shape();
  if (first.size() + (stack ? 1 : 0) > kMaxRank)
    return fail(Code::limit_exceeded, format("elements of rank {} have no room for one more dim", first.size()));
  GRAFT_TRY(const int axis, normal_axis(call.i("axis"), first.size() + (stack ? 1 : 0)));
  int64_t joined = 0;
  for (const Tensor& t : list.tensors()) {
    const Shape& s = t.shape();
    bool alike = t.dtype() == list[0].dtype() && s.size() == first.size();
    for (int d = 0; alike && d < s.size(); ++d) alike = s[d] == first[d] || (!stack && d == axis);
    if (!alike)
      return fail(Code::shape_mismatch, format("{} and {} cannot be {} along axis {}", describe(list[0].dtype(), first),
                                               describe(t.dtype(), s), stack ? "stacked" : "joined", axis));
    joined += stack ? 1 : s[axis];
  }
  Shape shape;
  for (int d = 0; d < first.size() + (stack ? 1 : 0); ++d)
    shape.push_back(d == axis ? joined : first[stack && d > axis ? d - 1 : d]);
  if (out[0].dtype == DType::invalid) GRAFT_CHECK(out.allocate(0, list[0].dtype(), shape));
  GRAFT_CHECK(check_output(call, out[0], shape));
  const int64_t outer = shape.product(0, axis), inner = shape.product(axis + 1, shape.size());
  Pace pace = call.pace();
  int64_t at = 0;
  for (const Tensor& t : list.tensors()) {
    const int64_t n = (stack ? 1 : t.shape()[axis]) * inner;
    for (int64_t o = 0; o < outer && pace.go_on(); ++o)
      copy_elements(t.dtype(), t.view().data, o * n, out[0].data, (o * joined) * inner + at, n, pace);
    at += n;
  }
  return {};
}
constexpr Variant kConcat[] = {{Opset::host, "ls:list; axis:const int64; new_axis?:const bool=false", ""}};
constexpr OpDef concat =
    row({.name = "host_sequence_concat",
         .family = "host",
         .doc = "ONNX ConcatFromSequence: the elements joined along axis, or stacked along a new one",
         .variants = kConcat,
         .infer = concat_type,
         .reference = concat_reference,
         .kernel_sized = true});

// ---- optionals ----------------------------------------------------------------------------------------------------

Status optional_type(const Call& call, Types& out) {
  if (call.has("x")) {
    out.push_back(Type::optional(*call.in("x").type, Dim(1)));
    return {};
  }
  GRAFT_TRY(Type element, of_dtype(call));
  if (call.flag("sequence")) element = Type::list(std::move(element), Dim(0));
  out.push_back(Type::optional(std::move(element), Dim(0)));
  return {};
}
constexpr Variant kOptional[] = {{Opset::host, "x?:any; dtype?:const string=\"fp32\"; sequence?:const bool=false", ""}};
constexpr OpDef optional =
    row({.name = "host_optional",
         .family = "host",
         .doc = "ONNX Optional: an optional that holds x, or nothing of that type",
         .variants = kOptional,
         .infer = optional_type,
         .reference = [](const Call& call, Outputs& out) -> Status { return give_copies(call, out, "x"); }});

Status check_optional(const Call& call) {
  if (call.in("x").type->kind == Type::Kind::optional) return {};
  return fail(Code::dtype_mismatch, format("got {}, takes an optional", call.in("x").type->to_string()));
}
constexpr Variant kOptionalElement[] = {{Opset::host, "x:any", ""}};
constexpr OpDef optional_element = row({.name = "host_optional_element",
                                        .family = "host",
                                        .doc = "ONNX OptionalGetElement: what the optional holds, an error if nothing",
                                        .variants = kOptionalElement,
                                        .infer = [](const Call& call, Types& out) -> Status {
                                          GRAFT_CHECK(check_optional(call));
                                          out.push_back(element_of(call, "x"));
                                          return {};
                                        },
                                        .reference = [](const Call& call, Outputs& out) -> Status {
                                          const List& list = list_in(call, "x");
                                          if (list.size() == 0)
                                            return fail(Code::value_out_of_range, "the optional holds nothing");
                                          return copy_element(call, out, list, element_of(call, "x"), 0);
                                        },
                                        .kernel_sized = true});
constexpr OpDef optional_has = row({.name = "host_optional_has",
                                    .family = "host",
                                    .doc = "ONNX OptionalHasElement: whether the optional holds something",
                                    .variants = kOptionalElement,
                                    .infer = [](const Call& call, Types& out) -> Status {
                                      GRAFT_CHECK(check_optional(call));
                                      out.push_back(Type::tensor(DType::boolean, Dims{}));
                                      return {};
                                    },
                                    .reference = [](const Call& call, Outputs& out) -> Status {
                                      *out[0].as<bool>() = list_in(call, "x").size() != 0;
                                      return {};
                                    }});

// ---- nodes on tensors of unknown rank -----------------------------------------------------------------------------

constexpr Variant kDeferred[] = {{Opset::host, "inputs:tuple", ""}};
constexpr OpDef deferred = row({.name = "host_deferred",
                                .family = "host",
                                .doc = "a node that is lowered when the run knows the ranks of what it reads",
                                .variants = kDeferred});

constexpr const OpDef* kRows[] = {&deferred, &sequence,         &split,       &at, &insert, &erase, &concat,
                                  &optional, &optional_element, &optional_has};

}  // namespace

Rows sequences_rows() { return kRows; }

}  // namespace graft::ops

// The C ABI: arrays of inputs and outputs, checked against a session.
#include "api/run.h"

#include <algorithm>

#include "base/convert.h"
#include "base/format.h"
#include "base/list.h"

namespace graft::api {
namespace {

Result<Shape> shape_of(int32_t rank, const int64_t* dims, std::string_view what) {
  if (rank < 0 || rank > kMaxRank) return invalid(format("{}: rank {} is not between 0 and {}", what, rank, kMaxRank));
  if (rank > 0 && dims == nullptr) return invalid(format("{}: shape is null", what));
  Shape shape;
  for (int32_t d = 0; d < rank; ++d) shape.push_back(dims[d]);
  if (checked_count(shape) < 0) return invalid(format("{}: shape {} is not one", what, to_string(shape)));
  return shape;
}

// The place of a named port, as index_of knows it, or `position` for a null name.
template <class IndexOf>
Result<size_t> place_of(std::span<const ir::Port> ports, const IndexOf& index_of, const char* name, size_t position,
                        std::string_view what) {
  if (name == nullptr) {
    if (position < ports.size()) return position;
    return invalid(format("{} {} has no name, and the model has {} {}s", what, position, ports.size(), what));
  }
  if (const int at = index_of(name); at >= 0) return static_cast<size_t>(at);
  std::vector<std::string_view> names;
  for (const ir::Port& p : ports) names.push_back(p.name);
  return invalid(format("the model has no {} '{}'; it has {}", what, name, join(names, ", ")));
}

// With the sizes that open dims take: tensor<fp32, [batch 1..64, 3]>.
std::string in_words(const ir::Type& type) {
  if (!type.is_tensor()) return type.to_string();
  std::vector<std::string> dims;
  for (const ir::Dim& d : type.dims) {
    const IntRange r = d.range();
    dims.push_back(d.to_string() + (d.known() || r.hi >= INT32_MAX ? "" : format(" {}..{}", r.lo, r.hi)));
  }
  return format("tensor<{}, [{}]>", name(type.dtype), join(dims, ", "));
}

// What is wrong with a tensor of that name. Open dims take any size in their range.
Status check_type(std::string_view name, const ir::Type& type, DType dtype, const Shape& shape) {
  if (type.kind == ir::Type::Kind::unranked && dtype == type.dtype) return {};
  bool ok = type.is_tensor() && dtype == type.dtype && shape.size() == type.rank();
  for (int d = 0; ok && d < shape.size(); ++d) {
    const ir::Dim& dim = type.dims[static_cast<size_t>(d)];
    ok = dim.known() ? dim.value() == shape[d] : IntRange{shape[d], shape[d]}.inside(dim.range());
  }
  if (ok) return {};
  return invalid(format("input '{}' is {}, got {}", name, in_words(type), describe(dtype, shape)));
}

Status check_memory(std::string_view name, const void* data, size_t got, size_t want) {
  if (got != want) return invalid(format("'{}' needs {} bytes, {} are given", name, want, got));
  if (data == nullptr && want > 0) return invalid(format("'{}': data is null", name));
  return {};
}

size_t bytes_of(DType dtype, const Shape& shape) {
  const int64_t count = shape.product();
  return dtype == DType::string ? static_cast<size_t>(count) * sizeof(const char*) : byte_size(dtype, count);
}

// Type, shape and size of what an input or output says it has; `type`: what it must be, if that is known.
template <class T>
Result<TensorView> view_of(const T& in, std::string_view name, const ir::Type* type = nullptr) {
  GRAFT_TRY(const Shape shape, shape_of(in.rank, in.shape, name));
  const DType dtype = dtype_from_onnx(in.dtype);
  if (type != nullptr) GRAFT_CHECK(check_type(name, *type, dtype, shape));
  GRAFT_CHECK(check_memory(name, in.data, in.bytes, bytes_of(dtype, shape)));
  return TensorView{dtype, shape, in.data};
}

// Makes what the engine does not take where the caller has it.
struct Taken {
  std::string_view name;
  const std::shared_ptr<MemoryLimit>& limit;

  Result<Tensor> strings(const TensorView& pointers) const {
    GRAFT_TRY(Tensor t, Tensor::allocate(DType::string, pointers.shape, limit));
    const auto* from = static_cast<const char* const*>(pointers.data);
    for (std::string& s : t.span<std::string>()) {
      if (*from == nullptr) return invalid(format("input '{}': a string is null", name));
      s = *from++;
    }
    return t;
  }

  Result<Tensor> tensor(const ir::Type& type, const graft_input& in) const {
    GRAFT_TRY(const TensorView view, view_of(in, name, &type));
    if (view.dtype == DType::string) return strings(view);
    GRAFT_TRY(Tensor t, Tensor::allocate(view.dtype, view.shape, limit));
    copy_values(view.dtype, view.data, t.mutable_view().data, view.count());
    return t;
  }

  // Types end the recursion: none holds itself.
  Result<Tensor> list(const ir::Type& type, const graft_input& in) const {
    const ir::Type& element = *type.element;
    std::vector<Tensor> tensors;
    const auto one = [&](const graft_input& of) { return element.is_list() ? list(element, of) : tensor(element, of); };
    // An optional is given by what it holds.
    const bool held = type.kind == ir::Type::Kind::optional &&
                      (in.dtype != 0 || (element.is_list() && in.element_count > 0 && in.elements != nullptr &&
                                         in.elements[0].dtype != 0));
    if (held) {
      GRAFT_TRY(Tensor t, one(in));
      tensors.push_back(std::move(t));
    } else if (in.dtype != 0) {
      return invalid(format("input '{}' is {}, got a tensor", name, type.to_string()));
    }
    if (in.element_count > 0 && in.elements == nullptr) return invalid(format("input '{}': elements is null", name));
    for (size_t i = 0; !held && i < in.element_count; ++i) {
      GRAFT_TRY(const graft_input of, read_struct(in.elements + i, "an element"));
      GRAFT_TRY(Tensor t, one(of));
      tensors.push_back(std::move(t));
    }
    GRAFT_TRY(List made, List::of(std::move(tensors), limit));
    GRAFT_TRY(Tensor t, Tensor::allocate(DType::list, {}, limit));
    *t.mutable_view().as<List>() = std::move(made);
    return t;
  }
};

}  // namespace

Result<bool> convert(const graft_input& from, const graft_output& to) {
  GRAFT_TRY(const TensorView x, view_of(from, "from"));
  GRAFT_TRY(const TensorView y, view_of(to, "to"));
  const auto real = [](DType t) { return is_float(t) || is_int(t) || t == DType::boolean; };
  if (!real(x.dtype) || !real(y.dtype) || !(x.shape == y.shape))
    return invalid(format("{} does not become {}", describe(x.dtype, x.shape), describe(y.dtype, y.shape)));
  if (x.count() == 0) return true;
  if (!x.aligned() || !y.aligned()) return invalid("the data is not aligned to its elements");
  return convert_exactly(x, {y.dtype, y.shape, to.data});
}

std::unique_ptr<graft_tensor> tensor_handle(Tensor tensor) {
  auto t = std::make_unique<graft_tensor>();
  t->tensor = std::move(tensor);
  t->shape.assign(t->tensor.shape().begin(), t->tensor.shape().end());
  if (t->tensor.dtype() == DType::string) {
    for (const std::string& s : t->tensor.span<std::string>()) t->strings.push_back(s.c_str());
  } else if (t->tensor.dtype() == DType::list) {
    for (const Tensor& element : t->tensor.view().as<List>()->tensors()) {
      t->elements.push_back(tensor_handle(element));
      t->element_pointers.push_back(t->elements.back().get());
    }
  }
  return t;
}

namespace {

// Its values, with its keys.
std::unique_ptr<graft_tensor> dictionary_handle(const List& pair) {
  auto values = tensor_handle(pair[1]);
  values->keys = tensor_handle(pair[0]);
  return values;
}

}  // namespace

Run::Run(const session::Session& session)
    : session_(session),
      pool_(stack_.data(), stack_.size()),
      in_(session.all_inputs().size(), &pool_),
      given_(session.all_inputs().size(), 0, &pool_),
      out_(session.outputs().size(), &pool_),
      wanted_(session.outputs().size(), nullptr, &pool_) {}

Status Run::take_inputs(const graft_input* inputs, size_t count) {
  if (count > 0 && inputs == nullptr) return invalid("inputs is null");
  for (size_t i = 0; i < count; ++i) GRAFT_CHECK(take_input(inputs + i, i));
  return {};
}

Status Run::take_input(const graft_input* element, size_t position) {
  GRAFT_TRY(const graft_input in, read_struct(element, "an input"));
  const auto index_of = [&](const char* name) { return session_.input_index(name); };
  GRAFT_TRY(const size_t at, place_of(session_.all_inputs(), index_of, in.name, position, "input"));
  const ir::Port& port = session_.all_inputs()[at];
  if (given_[at] != 0) return invalid(format("input '{}' is given twice", port.name));
  given_[at] = 1;
  const Taken taken{port.name, session_.memory()};
  if (!port.type.is_list()) {
    if (in.element_count > 0)
      return invalid(format("input '{}' is {}, got a sequence", port.name, port.type.to_string()));
    GRAFT_TRY(in_[at], view_of(in, port.name, &port.type));
    if (in_[at].dtype != DType::string) return {};
  }
  GRAFT_TRY(Tensor t, port.type.is_list() ? taken.list(port.type, in) : taken.strings(in_[at]));
  in_[at] = t.view();
  owned_.push_back(std::move(t));
  return {};
}

Status Run::take_output(graft_output* element, size_t position) {
  GRAFT_TRY(const graft_output out, read_struct(element, "an output"));
  const auto index_of = [&](const char* name) { return session_.output_index(name); };
  GRAFT_TRY(const size_t at, place_of(session_.outputs(), index_of, out.name, position, "output"));
  const ir::Port& port = session_.outputs()[at];
  if (wanted_[at] != nullptr) return invalid(format("output '{}' is given twice", port.name));
  wanted_[at] = element;
  if (out.data == nullptr) return {};
  GRAFT_TRY(const Shape shape, shape_of(out.rank, out.shape, port.name));
  const DType dtype = dtype_from_onnx(out.dtype);
  if (holds_objects(port.type.stored()))
    return invalid(
        format("output '{}' is {}: it comes as a tensor, not into memory", port.name, port.type.to_string()));
  const bool ranked = port.type.kind != ir::Type::Kind::unranked;
  if (dtype != port.type.dtype || (ranked && shape.size() != port.type.rank()))
    return invalid(format("output '{}' is {}, the memory given is for {}", port.name, port.type.to_string(),
                          describe(dtype, shape)));
  out_[at].memory = {dtype, shape, out.data};
  return check_memory(port.name, out.data, out.bytes, out_[at].memory.bytes());
}

Status Run::complete() const {
  for (size_t i = 0; i < session_.inputs().size(); ++i) {
    if (given_[i] == 0) return invalid(format("input '{}' is missing", session_.inputs()[i].name));
  }
  return {};
}

std::span<const TensorView> Run::inputs() const {
  const size_t needed = session_.inputs().size();
  const bool more = std::find(given_.begin() + static_cast<std::ptrdiff_t>(needed), given_.end(), 1) != given_.end();
  return std::span(in_.data(), more ? in_.size() : needed);
}

Status Run::give() {
  // First all tensors, then the caller's pointers: an error on the way leaves none set.
  std::pmr::vector<std::unique_ptr<graft_tensor>> tensors(out_.size(), &pool_);
  for (size_t i = 0; i < out_.size(); ++i) {
    if (wanted_[i] == nullptr || out_[i].memory.data != nullptr) continue;
    const bool dictionary = session_.outputs()[i].type.kind == ir::Type::Kind::dictionary;
    tensors[i] =
        dictionary ? dictionary_handle(*out_[i].owned.view().as<List>()) : tensor_handle(std::move(out_[i].owned));
  }
  for (size_t i = 0; i < out_.size(); ++i) {
    if (wanted_[i] != nullptr) wanted_[i]->tensor = tensors[i].release();
  }
  return {};
}

}  // namespace graft::api

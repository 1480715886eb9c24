// The C ABI: arrays of inputs and outputs, checked against a session.
#include "api/run.h"

#include <algorithm>

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

// What is wrong with a tensor for a port. The port's open dims take any size in their range.
Status check_type(const ir::Port& port, DType dtype, const Shape& shape, std::string_view what) {
  bool ok = dtype == port.type.dtype && shape.size() == port.type.rank();
  for (int d = 0; ok && d < shape.size(); ++d) {
    const ir::Dim& dim = port.type.dims[static_cast<size_t>(d)];
    ok = dim.known() ? dim.value() == shape[d] : IntRange{shape[d], shape[d]}.inside(dim.range());
  }
  if (ok) return {};
  return invalid(format("{} '{}' is {}, got {}", what, port.name, port.type.to_string(), describe(dtype, shape)));
}

Status check_memory(std::string_view name, const void* data, size_t got, size_t want) {
  if (got != want) return invalid(format("'{}' needs {} bytes, {} are given", name, want, got));
  if (data == nullptr && want > 0) return invalid(format("'{}': data is null", name));
  return {};
}

}  // namespace

std::unique_ptr<graft_tensor> tensor_handle(Tensor tensor) {
  if (tensor.dtype() == DType::list) {  // a dictionary
    const List& pair = *tensor.view().as<List>();
    auto values = tensor_handle(pair[1]);
    values->keys = tensor_handle(pair[0]);
    return values;
  }
  auto t = std::make_unique<graft_tensor>();
  t->tensor = std::move(tensor);
  t->shape.assign(t->tensor.shape().begin(), t->tensor.shape().end());
  if (t->tensor.dtype() == DType::string) {
    for (const std::string& s : t->tensor.span<std::string>()) t->strings.push_back(s.c_str());
  }
  return t;
}

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
  GRAFT_TRY(const Shape shape, shape_of(in.rank, in.shape, port.name));
  const DType dtype = dtype_from_onnx(in.dtype);
  GRAFT_CHECK(check_type(port, dtype, shape, "input"));
  in_[at] = {dtype, shape, in.data};
  const size_t bytes =
      dtype == DType::string ? static_cast<size_t>(shape.product()) * sizeof(const char*) : in_[at].bytes();
  GRAFT_CHECK(check_memory(port.name, in.data, in.bytes, bytes));
  if (dtype == DType::string) return take_strings(at, shape, static_cast<const char* const*>(in.data));
  return {};
}

Status Run::take_strings(size_t at, const Shape& shape, const char* const* data) {
  GRAFT_TRY(Tensor t, Tensor::allocate(DType::string, shape, session_.memory()));
  size_t i = 0;
  for (std::string& s : t.span<std::string>()) {
    if (data[i] == nullptr) return invalid(format("input '{}': string {} is null", session_.all_inputs()[at].name, i));
    s = data[i++];
  }
  in_[at].data = t.view().data;
  strings_.push_back(std::move(t));
  return {};
}

Status Run::take_output(graft_output* element, size_t position) {
  GRAFT_TRY(const graft_output out, read_struct(element, "an output"));
  const auto index_of = [&](const char* name) { return session_.output_index(name); };
  GRAFT_TRY(const size_t at, place_of(session_.outputs(), index_of, out.name, position, "output"));
  const ir::Port& port = session_.outputs()[at];
  if (port.type.is_list())
    return fail(Code::not_available_yet, format("output '{}' is {}: only tensors leave through this interface, so far",
                                                port.name, port.type.to_string()));
  if (wanted_[at] != nullptr) return invalid(format("output '{}' is given twice", port.name));
  wanted_[at] = element;
  if (out.data == nullptr) return {};
  GRAFT_TRY(const Shape shape, shape_of(out.rank, out.shape, port.name));
  const DType dtype = dtype_from_onnx(out.dtype);
  if (dtype == DType::string || port.type.stored() == DType::list)
    return invalid(format("output '{}': strings and dictionaries come as tensors, not into memory", port.name));
  if (dtype != port.type.dtype || shape.size() != port.type.rank())
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
    tensors[i] = tensor_handle(std::move(out_[i].owned));
  }
  for (size_t i = 0; i < out_.size(); ++i) {
    if (wanted_[i] != nullptr) wanted_[i]->tensor = tensors[i].release();
  }
  return {};
}

}  // namespace graft::api

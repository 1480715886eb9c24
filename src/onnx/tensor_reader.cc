// Longer than most files: every way in which one tensor can be stored is here, because each must refuse the others.
#include "onnx/tensor_reader.h"

#include <charconv>
#include <optional>

#include "base/format.h"

namespace graft::onnx {
namespace {

constexpr size_t kMaxName = size_t{64} << 10;

// TensorProto's typed fields, by number.
enum Field : uint32_t {
  float_data = 4,
  int32_data = 5,
  string_data = 6,
  int64_data = 7,
  double_data = 10,
  uint64_data = 11
};

struct TypedData {
  uint32_t field = 0;  // 0: none seen
  size_t count = 0;    // numbers or strings in it
  Bytes packed;        // when all of them lie in one packed field
  int parts = 0;
  bool mixed = false;  // two different typed fields hold data
};

// One TensorProto as the wire has it.
struct TensorMessage {
  std::string name;
  int64_t data_type = 0, location = 0;
  std::vector<int64_t> dims;
  std::optional<Bytes> raw;
  TypedData typed;
  bool segment = false;
  std::optional<std::string> path, offset, length;  // of external data
};

std::string_view field_name(uint32_t field) {
  switch (field) {
    case float_data: return "float_data";
    case int32_data: return "int32_data";
    case string_data: return "string_data";
    case int64_data: return "int64_data";
    case double_data: return "double_data";
    case uint64_data: return "uint64_data";
    default: return "no field";
  }
}

// The typed field that ONNX gives to each element type.
uint32_t field_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::c64: return float_data;
    case DType::f64:
    case DType::c128: return double_data;
    case DType::i64: return int64_data;
    case DType::u32:
    case DType::u64: return uint64_data;
    case DType::string: return string_data;
    default: return int32_data;
  }
}

void note_typed(Wire& wire, TypedData& typed) {
  const uint32_t field = wire.field();
  size_t count = 1;
  Bytes packed;
  if (field == float_data) {
    count = wire.count_fixed<float>();
  } else if (field == double_data) {
    count = wire.count_fixed<double>();
  } else if (field != string_data) {
    count = wire.count_varints();
  }
  if (wire.kind() == Wire::Kind::bytes) packed = wire.bytes();
  if (count == 0) return;
  if (typed.field != 0 && typed.field != field) typed.mixed = true;
  typed.field = field;
  typed.count += count;
  typed.packed = packed;
  ++typed.parts;
}

Status read_external_entry(Wire wire, TensorMessage& t) {
  std::string key, value;
  while (wire.next()) {
    if (wire.field() == 1) key = wire.view();
    if (wire.field() == 2) value = wire.view();
  }
  if (key == "location") t.path = value;
  if (key == "offset") t.offset = value;
  if (key == "length") t.length = value;
  return wire.status();
}

Status read_message(Wire wire, TensorMessage& t, Source& source) {
  while (wire.next()) {
    switch (wire.field()) {
      case 1:
        GRAFT_CHECK(source.budget.take(wire.count_varints() * 2 * sizeof(int64_t)));
        wire.each_varint([&](uint64_t v) { t.dims.push_back(static_cast<int64_t>(v)); });
        break;
      case 2: t.data_type = wire.int64(); break;
      case 3: t.segment = true; break;
      case float_data:
      case int32_data:
      case string_data:
      case int64_data:
      case double_data:
      case uint64_data: note_typed(wire, t.typed); break;
      case 8: GRAFT_CHECK(read_name(wire, t.name, "a tensor", source.budget)); break;
      case 9: t.raw = wire.bytes(); break;
      case 13: GRAFT_CHECK(read_external_entry(wire.message(), t)); break;
      case 14: t.location = wire.int64(); break;
      default: break;
    }
  }
  return wire.status();
}

Result<Shape> shape_of(const TensorMessage& t) {
  if (t.dims.size() > static_cast<size_t>(kMaxRank)) {
    return fail(Code::limit_exceeded, format("rank {}; constants have at most rank {}", t.dims.size(), kMaxRank));
  }
  if (checked_count(t.dims) < 0) {
    return fail(Code::invalid_model, format("shape {} has a negative dim or too many elements", to_string(t.dims)));
  }
  return Shape(std::span<const int64_t>(t.dims));
}

// byte_size(), which a hostile element count can make overflow.
Result<size_t> bytes_of(DType dtype, const Shape& shape) {
  const int64_t count = shape.product();
  if (count > INT64_MAX / std::max(1, bits(dtype))) {
    return fail(Code::invalid_model, format("{} has too many elements", describe(dtype, shape)));
  }
  return byte_size(dtype, count);
}

// A bool's byte must be 0 or 1 in memory; the file may hold anything.
Result<ir::ConstantPtr> borrow(DType dtype, const Shape& shape, const std::byte* data,
                               std::shared_ptr<const void> owner, Source& source) {
  const TensorView view{dtype, shape, data};
  const auto is_odd = [](std::byte b) { return std::to_integer<int>(b) > 1; };
  if (dtype != DType::boolean || std::none_of(data, data + view.bytes(), is_odd)) {
    return ir::Constant::borrow(view, std::move(owner));
  }
  GRAFT_CHECK(source.budget.take(view.bytes()));
  GRAFT_TRY(Tensor tensor, Tensor::allocate(dtype, shape, source.memory));
  auto* out = tensor.mutable_view().as<uint8_t>();
  std::transform(data, data + view.bytes(), out,
                 [](std::byte b) { return b != std::byte{0} ? uint8_t{1} : uint8_t{0}; });
  return ir::Constant::of(std::move(tensor));
}

Result<uint64_t> number(const std::string& text, std::string_view what) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return fail(Code::invalid_model,
                format("the {} of external data is '{}', not a number of bytes", what, cleaned_text(text)));
  }
  return value;
}

Result<ir::ConstantPtr> external_constant(const TensorMessage& t, DType dtype, const Shape& shape, Source& source) {
  if (dtype == DType::string) return fail(Code::invalid_model, "strings can't be external data");
  GRAFT_TRY(const size_t need, bytes_of(dtype, shape));
  uint64_t offset = 0, length = need;
  if (t.offset) {
    GRAFT_TRY(offset, number(*t.offset, "offset"));
  }
  if (t.length) {
    GRAFT_TRY(length, number(*t.length, "length"));
  }
  if (length != need) {
    return fail(Code::invalid_model,
                format("{} takes {} bytes, its external data has {}", describe(dtype, shape), need, length));
  }
  GRAFT_TRY(auto file, source.external.open(t.path.value_or("")));
  if (offset > file->size() || need > file->size() - offset) {
    return fail(Code::malformed, format("external data file '{}' has {} bytes; bytes {} to {} are asked for",
                                        file->path(), file->size(), offset, offset + need));
  }
  GRAFT_TRY(const Bytes bytes, file->bytes(offset, need));
  return borrow(dtype, shape, bytes.data(), file, source);
}

// Fills memory element by element and never past its end.
struct Filler {
  std::byte* at;
  size_t unit;  // bytes an element
  size_t left;  // elements
  bool overflow = false;
  void put(const void* element) {
    if (left == 0) return void(overflow = true);
    --left;
    std::memcpy(at, element, unit);
    at += unit;
  }
};

// The second walk over the message: fills `tensor`, whose size the first walk has justified. The file may have changed
// in between, so the end is checked again. Integer fields give their low bytes.
Status decode_typed(Wire wire, uint32_t field, Tensor& tensor, size_t count) {
  const DType dtype = tensor.dtype();
  const size_t unit = tensor.view().bytes() / std::max<size_t>(count, 1);
  Filler out{static_cast<std::byte*>(tensor.mutable_view().data), unit, count};
  while (wire.next()) {
    if (wire.field() != field) continue;
    if (field == float_data) {
      wire.each_fixed<float>([&](float v) { out.put(&v); });
    } else if (field == double_data) {
      wire.each_fixed<double>([&](double v) { out.put(&v); });
    } else {
      wire.each_varint([&](uint64_t v) {
        if (dtype == DType::boolean) v = v != 0 ? 1 : 0;
        out.put(&v);
      });
    }
  }
  GRAFT_CHECK(wire.status());
  if (out.left != 0 || out.overflow) return fail(Code::malformed, "the file changed while it was read");
  return {};
}

Result<ir::ConstantPtr> decode_strings(Wire wire, const Shape& shape, size_t count, Source& source) {
  GRAFT_CHECK(source.budget.take(count * sizeof(std::string)));
  GRAFT_TRY(Tensor tensor, Tensor::allocate(DType::string, shape, source.memory));
  auto* out = tensor.mutable_view().as<std::string>();
  size_t done = 0;
  while (wire.next()) {
    if (wire.field() != string_data) continue;
    const std::string_view s = wire.view();
    GRAFT_CHECK(source.budget.take(s.size()));
    if (done++ < count) out[done - 1] = s;
  }
  GRAFT_CHECK(wire.status());
  if (done != count) return fail(Code::malformed, "the file changed while it was read");
  return ir::Constant::of(std::move(tensor));
}

// How many numbers the typed field must hold: complex types have two an element, types under a byte are packed as in
// raw_data and have one a byte.
size_t typed_count(DType dtype, size_t bytes, int64_t elements) {
  if (info(dtype).kind == DTypeKind::complex) return static_cast<size_t>(elements) * 2;
  if (dtype != DType::string && item_size(dtype) == 0) return bytes;
  return static_cast<size_t>(elements);
}

Result<ir::ConstantPtr> typed_constant(Wire message, const TensorMessage& t, DType dtype, const Shape& shape,
                                       Source& source) {
  GRAFT_TRY(const size_t bytes, bytes_of(dtype, shape));
  const size_t need = typed_count(dtype, bytes, shape.product());
  const uint32_t field = field_of(dtype);
  if (t.typed.mixed || (t.typed.field != 0 && t.typed.field != field)) {
    return fail(Code::invalid_model,
                format("{} data in {}; it belongs in {}", name(dtype),
                       t.typed.mixed ? "several fields" : field_name(t.typed.field), field_name(field)));
  }
  if (t.typed.count != need) {
    return fail(Code::invalid_model, format("{} needs {} values in {}, the file has {}", describe(dtype, shape), need,
                                            field_name(field), t.typed.count));
  }
  if (field == string_data) return decode_strings(message, shape, need, source);
  if ((field == float_data || field == double_data) && t.typed.parts == 1 && t.typed.packed.size() == bytes) {
    return borrow(dtype, shape, t.typed.packed.data(), source.owner, source);
  }
  GRAFT_CHECK(source.budget.take(bytes));
  GRAFT_TRY(Tensor tensor, Tensor::allocate(dtype, shape, source.memory));
  GRAFT_CHECK(decode_typed(message, field, tensor, need));
  return ir::Constant::of(std::move(tensor));
}

Result<ir::ConstantPtr> constant_of(Wire message, const TensorMessage& t, Source& source) {
  if (t.segment) return fail(Code::unsupported_format, "the tensor is split into segments, which no exporter writes");
  const bool known = t.data_type > 0 && t.data_type <= INT32_MAX;
  const DType dtype = known ? dtype_from_onnx(static_cast<int>(t.data_type)) : DType::invalid;
  if (dtype == DType::invalid) return fail(Code::unsupported_format, format("unknown element type {}", t.data_type));
  GRAFT_TRY(const Shape shape, shape_of(t));
  if (t.location == 1) return external_constant(t, dtype, shape, source);
  if (t.location != 0) return fail(Code::unsupported_format, format("unknown data location {}", t.location));
  if (!t.raw || (t.raw->empty() && t.typed.field != 0)) return typed_constant(message, t, dtype, shape, source);
  if (t.typed.field != 0)
    return fail(Code::invalid_model, format("data in raw_data and {}", field_name(t.typed.field)));
  if (dtype == DType::string && shape.product() != 0) return fail(Code::invalid_model, "strings in raw_data");
  if (dtype == DType::string) return decode_strings(message, shape, 0, source);
  GRAFT_TRY(const size_t bytes, bytes_of(dtype, shape));
  if (t.raw->size() != bytes) {
    return fail(Code::invalid_model,
                format("{} takes {} bytes, raw_data has {}", describe(dtype, shape), bytes, t.raw->size()));
  }
  return borrow(dtype, shape, t.raw->data(), source.owner, source);
}

// The place in the dense tensor that row i of `indices` names; -1 when it is outside.
int64_t dense_place(const TensorView& indices, int64_t i, const Shape& shape) {
  if (indices.rank() == 1) {
    const int64_t at = element_as_int(indices, i);
    return at >= 0 && at < shape.product() ? at : -1;
  }
  int64_t at = 0;
  for (int d = 0; d < shape.size(); ++d) {
    const int64_t k = element_as_int(indices, i * shape.size() + d);
    if (k < 0 || k >= shape[d]) return -1;
    at = at * shape[d] + k;
  }
  return at;
}

Result<ir::ConstantPtr> densify(const ir::Constant& values, const ir::Constant& indices, const Shape& shape,
                                Source& source) {
  const DType dtype = values.dtype();
  const size_t size = item_size(dtype);
  if (dtype == DType::string || size == 0) {
    return fail(Code::unsupported_format, format("a sparse tensor of {}", name(dtype)));
  }
  const int64_t stored = values.count();
  const bool fits = indices.rank() == 1
                        ? indices.shape()[0] == stored
                        : indices.rank() == 2 && indices.shape()[0] == stored && indices.shape()[1] == shape.size();
  if (values.rank() != 1 || indices.dtype() != DType::i64 || !fits) {
    return fail(Code::invalid_model,
                format("a sparse tensor with values {} and indices {} for shape {}", describe(dtype, values.shape()),
                       describe(indices.dtype(), indices.shape()), to_string(shape)));
  }
  GRAFT_TRY(const size_t bytes, bytes_of(dtype, shape));
  GRAFT_CHECK(source.budget.take(bytes));
  GRAFT_TRY(Tensor tensor, Tensor::allocate(dtype, shape, source.memory));
  auto* out = static_cast<std::byte*>(tensor.mutable_view().data);
  std::fill_n(out, bytes, std::byte{0});
  const auto* in = static_cast<const std::byte*>(values.view().data);
  for (int64_t i = 0, last = -1; i < stored; ++i) {
    const int64_t at = dense_place(indices.view(), i, shape);
    if (at <= last) return fail(Code::invalid_model, "a sparse tensor's indices are not ascending or leave its shape");
    std::memcpy(out + static_cast<size_t>(at) * size, in + static_cast<size_t>(i) * size, size);
    last = at;
  }
  return ir::Constant::of(std::move(tensor));
}

}  // namespace

Status Budget::take(size_t bytes) {
  GRAFT_CHECK(check(cancel_));
  if (bytes > left_)
    return fail(Code::limit_exceeded, "reading the model would take far more memory than its size explains");
  left_ -= bytes;
  return {};
}

Status read_name(Wire& wire, std::string& out, std::string_view what, Budget& budget) {
  const std::string_view text = wire.view();
  if (text.size() > kMaxName) {
    return fail(Code::limit_exceeded,
                format("the name of {} has {} bytes; the limit is {}", what, text.size(), kMaxName));
  }
  if (!is_plain_text(text)) {
    return fail(Code::malformed, format("the name of {} is not UTF-8 text without NULs: '{}' (byte {})", what,
                                        cleaned_text(text), wire.offset() - text.size()));
  }
  GRAFT_CHECK(budget.take(text.size() + sizeof(std::string)));
  out = text;
  return {};
}

Result<NamedTensor> read_tensor(Wire message, Source& source) {
  TensorMessage t;
  auto status = read_message(message, t, source);
  if (!status) return fail(std::move(status.error()).at_tensor(t.name));
  auto constant = constant_of(message, t, source);
  if (!constant) return fail(std::move(constant.error()).at_tensor(t.name));
  return NamedTensor{std::move(t.name), std::move(*constant)};
}

Result<NamedTensor> read_sparse_tensor(Wire message, Source& source) {
  NamedTensor values, indices;
  TensorMessage dense;
  while (message.next()) {
    if (message.field() == 1) {
      GRAFT_TRY(values, read_tensor(message.message(), source));
    } else if (message.field() == 2) {
      GRAFT_TRY(indices, read_tensor(message.message(), source));
    } else if (message.field() == 3) {
      GRAFT_CHECK(source.budget.take(message.count_varints() * 2 * sizeof(int64_t)));
      message.each_varint([&](uint64_t v) { dense.dims.push_back(static_cast<int64_t>(v)); });
    }
  }
  GRAFT_CHECK(message.status());
  if (!values.value || !indices.value) return fail(Code::invalid_model, "a sparse tensor without values or indices");
  auto shape = shape_of(dense);
  if (!shape) return fail(std::move(shape.error()).at_tensor(values.name));
  auto constant = densify(*values.value, *indices.value, *shape, source);
  if (!constant) return fail(std::move(constant.error()).at_tensor(values.name));
  return NamedTensor{std::move(values.name), std::move(*constant)};
}

}  // namespace graft::onnx

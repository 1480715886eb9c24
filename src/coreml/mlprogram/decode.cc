#include "coreml/mlprogram/decode.h"

#include <cstring>
#include <optional>

#include "base/format.h"

namespace graft::coreml {
namespace {

using proto::TensorValue;

constexpr int kMaxTypeDepth = 8;
constexpr int64_t kMaxElements = int64_t{1} << 40;

// Nothing for one that stands for any number of dims.
Result<std::optional<ir::Dim>> decode_dim(std::string_view message, const UnknownDim& unknown, int axis) {
  std::optional<ir::Dim> dim;
  bool variadic = false;
  for (Fields f(message); f.next();) {
    switch (f.tag<proto::Dimension>()) {
      case proto::Dimension::constant: {
        uint64_t size = 0;
        for (Fields c(f.bytes()); c.next();) {
          if (c.tag<proto::ConstantDimension>() == proto::ConstantDimension::size)
            size = c.varint();
          else
            c.skip();
        }
        if (size > static_cast<uint64_t>(kMaxElements))
          return fail(Code::limit_exceeded, format("a dim of {}, at most {} is supported", size, kMaxElements));
        dim = ir::Dim(static_cast<int64_t>(size));
        break;
      }
      case proto::Dimension::unknown: {
        for (Fields u(f.bytes()); u.next();) {
          if (u.tag<proto::UnknownDimension>() != proto::UnknownDimension::variadic)
            u.skip();
          else
            variadic = u.varint() != 0;
        }
        dim = unknown(axis);
        break;
      }
      default: f.skip();
    }
  }
  if (!dim) return fail(Code::malformed, "a dimension is neither constant nor unknown");
  return variadic ? std::nullopt : dim;
}

Result<ir::Type> decode_tensor_type(std::string_view message, const UnknownDim& unknown) {
  int64_t rank = 0;
  DType dtype = DType::invalid;
  ir::Dims dims;
  bool any_rank = false;
  for (Fields f(message); f.next();) {
    switch (f.tag<proto::TensorType>()) {
      case proto::TensorType::dataType: {
        const uint64_t code = f.varint();
        dtype = code <= INT32_MAX ? dtype_from_mil(static_cast<int>(code)) : DType::invalid;
        if (dtype == DType::invalid) return fail(Code::unsupported_format, format("unknown element type {}", code));
        break;
      }
      case proto::TensorType::rank: rank = f.integer(); break;
      case proto::TensorType::dimensions: {
        GRAFT_TRY(std::optional<ir::Dim> d, decode_dim(f.bytes(), unknown, static_cast<int>(dims.size())));
        if (dims.size() == kMaxRank)
          return fail(Code::limit_exceeded, format("a tensor of more than {} dims", kMaxRank));
        any_rank |= !d;
        dims.push_back(d ? std::move(*d) : ir::Dim(1));
        break;
      }
      default: f.skip();
    }
  }
  if (dtype == DType::invalid) return fail(Code::malformed, "a tensor type without element type");
  if (rank != static_cast<int64_t>(dims.size()))
    return fail(Code::malformed, format("a tensor type of rank {} with {} dimensions", rank, dims.size()));
  if (any_rank) return ir::Type::unranked(dtype);
  Shape known;
  for (const ir::Dim& d : dims) known.push_back(d.known() ? d.value() : 1);
  if (const int64_t n = checked_count(known); n < 0 || n > kMaxElements)
    return fail(Code::limit_exceeded, format("a tensor of more than {} elements: {}", kMaxElements, to_string(known)));
  return ir::Type::tensor(dtype, std::move(dims));
}

Result<ir::Type> decode_type(std::string_view message, const UnknownDim& unknown, int depth);

Result<ir::Type> decode_list_type(std::string_view message, const UnknownDim& unknown, int depth) {
  // The length that a file states is the one a list begins with: it may grow.
  ir::Type element;
  for (Fields f(message); f.next();) {
    switch (f.tag<proto::ListType>()) {
      case proto::ListType::type: {
        GRAFT_TRY(element, decode_type(f.bytes(), unknown, depth));
        break;
      }
      default: f.skip();
    }
  }
  return ir::Type::list(std::move(element), ir::unknown_length());
}

Result<ir::Type> decode_dictionary_type(std::string_view message, const UnknownDim& unknown, int depth) {
  ir::Type key, value;
  for (Fields f(message); f.next();) {
    switch (f.tag<proto::DictionaryType>()) {
      case proto::DictionaryType::keyType: {
        GRAFT_TRY(key, decode_type(f.bytes(), unknown, depth));
        break;
      }
      case proto::DictionaryType::valueType: {
        GRAFT_TRY(value, decode_type(f.bytes(), unknown, depth));
        break;
      }
      default: f.skip();
    }
  }
  return ir::Type::dictionary(std::move(key), std::move(value));
}

Result<ir::Type> decode_type(std::string_view message, const UnknownDim& unknown, int depth) {
  if (depth > kMaxTypeDepth) return fail(Code::limit_exceeded, format("types nest deeper than {}", kMaxTypeDepth));
  Result<ir::Type> type = fail(Code::malformed, "a value without type");
  for (Fields f(message); f.next();) {
    switch (f.tag<proto::ValueType>()) {
      case proto::ValueType::tensorType: type = decode_tensor_type(f.bytes(), unknown); break;
      case proto::ValueType::listType: type = decode_list_type(f.bytes(), unknown, depth + 1); break;
      case proto::ValueType::dictionaryType: type = decode_dictionary_type(f.bytes(), unknown, depth + 1); break;
      case proto::ValueType::stateType: {
        for (Fields s(f.bytes()); s.next();) {
          if (s.tag<proto::StateType>() != proto::StateType::wrappedType) {
            s.skip();
            continue;
          }
          GRAFT_TRY(ir::Type inner, decode_type(s.bytes(), unknown, depth + 1));
          type = ir::Type::state(std::move(inner));
        }
        break;
      }
      case proto::ValueType::tupleType: return fail(Code::unsupported_format, "tuple types are not supported");
      default: f.skip();
    }
    if (!type && type.error().code != Code::malformed) return type;
  }
  return type;
}

// Collects elements into a tensor whose size is known; too many or too few are an error at the end.
class Filler {
 public:
  explicit Filler(const MutableTensorView& out) : out_(out), count_(out.count()) {}
  template <class T>
  void put(T v) {
    if (at_ < count_) out_.as<T>()[at_] = v;
    ++at_;
  }
  void put(std::string_view v) {
    if (at_ < count_) out_.as<std::string>()[at_] = std::string(v);
    ++at_;
  }
  void all() { at_ = count_; }
  Status finish() const {
    if (at_ == count_) return {};
    return fail(Code::malformed,
                format("{} values for {}, which has {}", at_, describe(out_.dtype, out_.shape), count_));
  }

 private:
  MutableTensorView out_;
  int64_t count_, at_ = 0;
};

// The field that holds the elements of each type.
TensorValue field_of(DType t) {
  switch (t) {
    case DType::boolean: return TensorValue::bools;
    case DType::string: return TensorValue::strings;
    case DType::f32: return TensorValue::floats;
    case DType::f64: return TensorValue::doubles;
    case DType::i16:
    case DType::u16:
    case DType::i32: return TensorValue::ints;
    case DType::i64:
    case DType::u64: return TensorValue::longInts;
    default: return TensorValue::bytes;
  }
}

void put_integer(Filler& filler, DType dtype, uint64_t v) {
  switch (dtype) {
    case DType::boolean: return filler.put(static_cast<uint8_t>(v != 0));
    case DType::i16:
    case DType::u16: return filler.put(static_cast<uint16_t>(v));
    case DType::i32: return filler.put(static_cast<uint32_t>(v));
    default: return filler.put(v);
  }
}

Status fill(std::string_view message, TensorValue field, Filler& filler, const MutableTensorView& out) {
  for (Fields f(message); f.next();) {
    if (f.tag<proto::Repeated>() != proto::Repeated::values) {
      f.skip();
      continue;
    }
    switch (field) {
      case TensorValue::floats: f.floats([&](float v) { filler.put(v); }); break;
      case TensorValue::doubles: f.doubles([&](double v) { filler.put(v); }); break;
      case TensorValue::strings: filler.put(f.bytes()); break;
      case TensorValue::bytes: {
        const std::string_view raw = f.bytes();
        if (raw.size() != out.bytes())
          return fail(Code::malformed,
                      format("{} bytes for {}, which has {}", raw.size(), describe(out.dtype, out.shape), out.bytes()));
        if (!raw.empty()) std::memcpy(out.data, raw.data(), raw.size());
        filler.all();
        break;
      }
      default: f.integers([&](uint64_t v) { put_integer(filler, out.dtype, v); });
    }
  }
  return {};
}

// Upper bound of how many elements so many bytes can encode, so that a claimed shape allocates no more than that.
bool can_hold(size_t message_bytes, DType dtype, int64_t count) {
  const size_t per_byte = bits(dtype) != 0 && bits(dtype) < 8 ? 8 : 1;
  return static_cast<uint64_t>(count) <= static_cast<uint64_t>(message_bytes) * per_byte;
}

Result<ir::ConstantPtr> decode_tensor(std::string_view message, DType dtype, const Shape& shape) {
  if (!can_hold(message.size(), dtype, shape.product()))
    return fail(Code::malformed, format("{} bytes cannot hold {}", message.size(), describe(dtype, shape)));
  GRAFT_TRY(Tensor tensor, Tensor::allocate(dtype, shape));
  const MutableTensorView out = tensor.mutable_view();
  const TensorValue field = field_of(dtype);
  Filler filler(out);
  for (Fields f(message); f.next();) {
    if (f.tag<TensorValue>() == field) {
      GRAFT_CHECK(fill(f.bytes(), field, filler, out));
    } else {
      return fail(Code::malformed, format("an immediate {} in field {}", name(dtype), f.number()));
    }
  }
  GRAFT_CHECK(filler.finish());
  return ir::Constant::of(std::move(tensor));
}

struct ValueParts {
  std::optional<std::string_view> type, tensor, list, other, blob;
};

ValueParts split_value(std::string_view message) {
  ValueParts parts;
  for (Fields f(message); f.next();) {
    switch (f.tag<proto::Value>()) {
      case proto::Value::type: parts.type = f.bytes(); break;
      case proto::Value::blobFileValue: parts.blob = f.bytes(); break;
      case proto::Value::immediateValue:
        for (Fields i(f.bytes()); i.next();) {
          switch (i.tag<proto::ImmediateValue>()) {
            case proto::ImmediateValue::tensor: parts.tensor = i.bytes(); break;
            case proto::ImmediateValue::list: parts.list = i.bytes(); break;
            default: parts.other = i.bytes();
          }
        }
        break;
      default: f.skip();
    }
  }
  return parts;
}

// A list of single elements of one type, as a tensor of rank 1.
Result<ir::ConstantPtr> decode_list(std::string_view message, DType dtype) {
  std::vector<std::string_view> values;
  for (Fields f(message); f.next();) {
    if (f.tag<proto::ListValue>() == proto::ListValue::values)
      values.push_back(f.bytes());
    else
      f.skip();
  }
  if (item_size(dtype) == 0 && dtype != DType::string)
    return fail(Code::unsupported_operator, format("a constant list of {} is not supported", name(dtype)));
  GRAFT_TRY(Tensor list, Tensor::allocate(dtype, Shape{static_cast<int64_t>(values.size())}));
  for (size_t i = 0; i < values.size(); ++i) {
    const ValueParts parts = split_value(values[i]);
    if (!parts.type || !parts.tensor) return fail(Code::malformed, "an element of a list that is no tensor");
    GRAFT_TRY(const ir::Type type, decode_type(
                                       *parts.type, [](int) { return ir::Dim::symbol("?"); }, 0));
    if (!type.is_static() || type.dtype != dtype || type.shape().product() != 1)
      return fail(Code::malformed, format("an element of type {} in a list of {}", type.to_string(), name(dtype)));
    GRAFT_TRY(const ir::ConstantPtr element, decode_tensor(*parts.tensor, dtype, type.shape()));
    if (dtype == DType::string)
      list.span<std::string>()[i] = *element->view().as<std::string>();
    else
      std::memcpy(static_cast<std::byte*>(list.mutable_view().data) + i * item_size(dtype), element->view().data,
                  item_size(dtype));
  }
  return ir::Constant::of(std::move(list));
}

}  // namespace

Result<ir::Type> decode_type(std::string_view value_type, const UnknownDim& unknown) {
  return decode_type(value_type, unknown, 0);
}

NamedType decode_named_type(std::string_view message) {
  NamedType n;
  for (Fields f(message); f.next();) {
    switch (f.tag<proto::NamedValueType>()) {
      case proto::NamedValueType::name: n.name = f.bytes(); break;
      case proto::NamedValueType::type: n.type = f.bytes(); break;
      default: f.skip();
    }
  }
  return n;
}

Result<ir::ConstantPtr> decode_value(std::string_view value, const BlobSource& blobs) {
  const ValueParts parts = split_value(value);
  if (!parts.type) return fail(Code::malformed, "a value without type");
  GRAFT_TRY(const ir::Type type, decode_type(*parts.type, [](int) { return ir::Dim::symbol("?"); }));
  if (type.kind == ir::Type::Kind::list && type.element->is_tensor() && parts.list)
    return decode_list(*parts.list, type.element->dtype);
  if (!type.is_tensor() || parts.other || parts.list)
    return fail(Code::unsupported_operator, format("a constant of type {} is not supported", type.to_string()));
  if (!type.is_static()) return fail(Code::malformed, format("a constant of unknown shape: {}", type.to_string()));
  if (parts.tensor) return decode_tensor(*parts.tensor, type.dtype, type.shape());
  if (!parts.blob) {
    // An empty submessage may be left out altogether.
    if (type.shape().product() == 0) return decode_tensor({}, type.dtype, type.shape());
    return fail(Code::malformed, "a value with neither elements nor a blob");
  }
  std::string_view file;
  uint64_t offset = 0;
  for (Fields f(*parts.blob); f.next();) {
    switch (f.tag<proto::BlobFileValue>()) {
      case proto::BlobFileValue::fileName: file = f.bytes(); break;
      case proto::BlobFileValue::offset: offset = f.varint(); break;
      default: f.skip();
    }
  }
  return blobs(file, offset, type.dtype, type.shape());
}

}  // namespace graft::coreml

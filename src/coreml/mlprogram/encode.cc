#include "coreml/mlprogram/encode.h"

namespace graft::coreml {
namespace {

using protozero::pbf_builder;
using protozero::pbf_writer;

// protozero drops a submessage without content, so messages that say something by being there get one of their fields
// written even where it has its default.
void encode_dim(pbf_builder<proto::Dimension> out, const ir::Dim& dim) {
  if (dim.known()) {
    pbf_builder<proto::ConstantDimension> size(out, proto::Dimension::constant);
    size.add_uint64(proto::ConstantDimension::size, static_cast<uint64_t>(dim.value()));
  } else {
    pbf_builder<proto::UnknownDimension> unknown(out, proto::Dimension::unknown);
    unknown.add_bool(proto::UnknownDimension::variadic, false);
  }
}

void encode_tensor_type(pbf_builder<proto::TensorType> out, DType dtype, const ir::Dims& dims) {
  out.add_enum(proto::TensorType::dataType, info(dtype).mil_code);
  if (!dims.empty()) out.add_int64(proto::TensorType::rank, static_cast<int64_t>(dims.size()));
  for (const ir::Dim& d : dims) encode_dim({out, proto::TensorType::dimensions}, d);
}

// A packed field is written even when it has no element: an empty tensor still names its kind.
template <class Field, class Get>
void packed(pbf_builder<proto::TensorValue>& out, proto::TensorValue kind, const TensorView& v, Get get) {
  if (v.count() == 0) return out.add_message(kind, "", 0);
  pbf_builder<proto::Repeated> values(out, kind);
  Field field(values, static_cast<protozero::pbf_tag_type>(proto::Repeated::values));
  for (int64_t i = 0; i < v.count(); ++i) field.add_element(get(i));
}

void encode_elements(pbf_builder<proto::TensorValue> out, const TensorView& v) {
  const auto as_int = [&](int64_t i) { return element_as_int(v, i); };
  switch (v.dtype) {
    case DType::boolean:
      return packed<protozero::packed_field_bool>(out, proto::TensorValue::bools, v,
                                                  [&](int64_t i) { return as_int(i) != 0; });
    case DType::string: {
      if (v.count() == 0) return out.add_message(proto::TensorValue::strings, "", 0);
      pbf_builder<proto::Repeated> values(out, proto::TensorValue::strings);
      for (int64_t i = 0; i < v.count(); ++i) values.add_string(proto::Repeated::values, v.as<std::string>()[i]);
      return;
    }
    case DType::f32:
      return packed<protozero::packed_field_float>(
          out, proto::TensorValue::floats, v, [&](int64_t i) { return static_cast<float>(element_as_double(v, i)); });
    case DType::f64:
      return packed<protozero::packed_field_double>(out, proto::TensorValue::doubles, v,
                                                    [&](int64_t i) { return element_as_double(v, i); });
    case DType::i16:
    case DType::u16:
    case DType::i32:
      return packed<protozero::packed_field_int32>(out, proto::TensorValue::ints, v,
                                                   [&](int64_t i) { return static_cast<int32_t>(as_int(i)); });
    case DType::i64:
    case DType::u64: return packed<protozero::packed_field_int64>(out, proto::TensorValue::longInts, v, as_int);
    default: {
      pbf_builder<proto::Repeated> values(out, proto::TensorValue::bytes);
      values.add_bytes(proto::Repeated::values, static_cast<const char*>(v.data), v.bytes());
    }
  }
}

// Element i of a tensor of rank 1, as a scalar.
TensorView element_of(const TensorView& v, int64_t i) {
  const size_t step = v.dtype == DType::string ? sizeof(std::string) : item_size(v.dtype);
  return {v.dtype, Shape{}, static_cast<const std::byte*>(v.data) + static_cast<size_t>(i) * step};
}

}  // namespace

void encode_type(pbf_builder<proto::ValueType> out, const ir::Type& type) {
  switch (type.kind) {
    case ir::Type::Kind::tensor: return encode_tensor_type({out, proto::ValueType::tensorType}, type.dtype, type.dims);
    case ir::Type::Kind::state: {
      pbf_builder<proto::StateType> state(out, proto::ValueType::stateType);
      return encode_type({state, proto::StateType::wrappedType}, *type.element);
    }
    case ir::Type::Kind::list: {
      pbf_builder<proto::ListType> list(out, proto::ValueType::listType);
      encode_type({list, proto::ListType::type}, *type.element);
      return encode_dim({list, proto::ListType::length}, type.length);
    }
    case ir::Type::Kind::dictionary: {
      pbf_builder<proto::DictionaryType> dictionary(out, proto::ValueType::dictionaryType);
      encode_type({dictionary, proto::DictionaryType::keyType}, *type.key);
      return encode_type({dictionary, proto::DictionaryType::valueType}, *type.element);
    }
    case ir::Type::Kind::unranked: {
      pbf_builder<proto::TensorType> tensor(out, proto::ValueType::tensorType);
      tensor.add_enum(proto::TensorType::dataType, info(type.dtype).mil_code);
      tensor.add_int64(proto::TensorType::rank, 1);
      pbf_builder<proto::Dimension> dim(tensor, proto::TensorType::dimensions);
      pbf_builder<proto::UnknownDimension> unknown(dim, proto::Dimension::unknown);
      return unknown.add_bool(proto::UnknownDimension::variadic, true);
    }
    case ir::Type::Kind::none:
    case ir::Type::Kind::optional: return;
  }
}

bool goes_to_blob(const ir::Constant& constant, int spec_version) {
  if (constant.count() < 10) return false;
  switch (constant.dtype()) {
    case DType::f16:
    case DType::f32:
    case DType::i8:
    case DType::u8: return true;
    case DType::i16:
    case DType::u16:
    case DType::i32:
    case DType::u32:
    case DType::i4:
    case DType::u1:
    case DType::u2:
    case DType::u3:
    case DType::u4:
    case DType::u6: return spec_version >= 9;
    default: return false;
  }
}

void encode_value(pbf_builder<proto::Value> out, const ir::ConstantPtr& constant, int spec_version, BlobWriter& blobs) {
  const Shape& shape = constant->shape();
  encode_type({out, proto::Value::type}, ir::Type::tensor(constant->dtype(), shape));
  if (goes_to_blob(*constant, spec_version)) {
    pbf_builder<proto::BlobFileValue> blob(out, proto::Value::blobFileValue);
    blob.add_string(proto::BlobFileValue::fileName, kBlobFile.data(), kBlobFile.size());
    blob.add_uint64(proto::BlobFileValue::offset, blobs.add(constant));
    return;
  }
  pbf_builder<proto::ImmediateValue> immediate(out, proto::Value::immediateValue);
  encode_elements({immediate, proto::ImmediateValue::tensor}, constant->view());
}

void encode_list(pbf_builder<proto::Value> out, const ir::ConstantPtr& constant) {
  const TensorView elements = constant->view();
  const ir::Type one = ir::Type::tensor(elements.dtype, Shape{});
  encode_type({out, proto::Value::type}, ir::Type::list(one, ir::Dim(elements.count())));
  pbf_builder<proto::ImmediateValue> immediate(out, proto::Value::immediateValue);
  pbf_builder<proto::ListValue> list(immediate, proto::ImmediateValue::list);
  for (int64_t i = 0; i < elements.count(); ++i) {
    pbf_builder<proto::Value> value(list, proto::ListValue::values);
    encode_type({value, proto::Value::type}, one);
    pbf_builder<proto::ImmediateValue> inner(value, proto::Value::immediateValue);
    encode_elements({inner, proto::ImmediateValue::tensor}, element_of(elements, i));
  }
}

void encode_string(pbf_builder<proto::Value> out, std::string_view text) {
  encode_type({out, proto::Value::type}, ir::Type::tensor(DType::string, Shape{}));
  pbf_builder<proto::ImmediateValue> immediate(out, proto::Value::immediateValue);
  pbf_builder<proto::TensorValue> tensor(immediate, proto::ImmediateValue::tensor);
  pbf_builder<proto::Repeated> values(tensor, proto::TensorValue::strings);
  values.add_string(proto::Repeated::values, text.data(), text.size());
}

}  // namespace graft::coreml

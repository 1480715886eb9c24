#include "coreml/description.h"

#include <algorithm>

#include "base/format.h"

namespace graft::coreml {

using ir::Opset;
using protozero::pbf_builder;

const FunctionInterface* Interface::main() const {
  for (const FunctionInterface& f : functions) {
    if (f.name == default_function) return &f;
  }
  return functions.empty() ? nullptr : &functions[0];
}

namespace {

tl::unexpected<Diag> refuse(Code code, std::string_view feature, std::string message) {
  Diag d;
  d.code = code;
  d.tensor = std::string(feature);
  d.message = std::move(message);
  return fail(std::move(d));
}

template <class T>
Result<T> of_feature(std::string_view feature, Result<T> r) {
  if (r) return r;
  return fail(std::move(std::move(r).error()).at_tensor(feature));
}

Result<Feature> input_feature(const ir::Value& v, const ir::Function& fn, Opset opset) {
  Feature f;
  f.name = v.name;
  const bool state = v.type.kind == ir::Type::Kind::state;
  const ir::Type& type = state ? *v.type.element : v.type;
  if (!type.is_tensor())
    return refuse(Code::unsupported_dtype, v.name, format("an input of type {}", type.to_string()));
  f.kind = state ? Feature::Kind::state : Feature::Kind::array;
  f.dtype = type.dtype;
  if (state && opset < Opset::ios18) return refuse(Code::needs_later_target, v.name, "states need iOS18 or later");
  if (state && (type.dtype != DType::f16 || !type.is_static()))
    return refuse(Code::unsupported_dtype, v.name, "a state is an fp16 tensor of fixed shape");
  const ir::Target target = ir::Target::mlprogram(opset);
  GRAFT_CHECK(of_feature(v.name, target.accepts_port(type)));
  f.has_shape = true;
  bool flexible = false;
  for (const ir::Dim& d : type.dims) {
    GRAFT_TRY(const IntRange r, of_feature(v.name, target.port_size(d)));
    f.ranges.push_back(r);
    flexible |= !d.known();
    const std::optional<int64_t> size = d.eval([&](std::string_view symbol) -> std::optional<int64_t> {
      const auto at = fn.default_dims.find(std::string(symbol));
      return at == fn.default_dims.end() ? std::nullopt : std::optional(at->second);
    });
    if (size && (*size < r.lo || *size > r.hi))
      return refuse(Code::invalid_option, v.name,
                    format("the default size {} of '{}' is outside {}..{}", *size, d.to_string(), r.lo, r.hi));
    f.shape.push_back(size.value_or(r.lo));
  }
  if (!flexible) f.ranges.clear();
  if (type.rank() == 0) f.shape = {1};  // an array feature has no rank 0; Core ML hands a scalar over as one element
  return f;
}

Result<Feature> output_feature(const ir::Value& v, const std::string& name, Opset opset) {
  const ir::Type& type = v.type;
  Feature f;
  f.name = name;
  f.dtype = type.dtype;
  if (v.producer != nullptr && v.producer->is(ir::Kind::classify)) {
    const bool dictionary = type.kind == ir::Type::Kind::dictionary;
    f.dtype = dictionary ? type.key->dtype : type.dtype;
    f.kind = dictionary                 ? Feature::Kind::dictionary
             : f.dtype == DType::string ? Feature::Kind::string
                                        : Feature::Kind::int64;
    return f;
  }
  const bool any_rank = type.kind == ir::Type::Kind::unranked;
  GRAFT_CHECK(of_feature(
      name, ir::Target::mlprogram(opset).accepts_port(any_rank ? ir::Type::tensor(type.dtype, Shape{1}) : type)));
  f.has_shape = type.is_static() && type.rank() > 0;
  if (f.has_shape) f.shape = type.shape();
  return f;
}

int array_data_type(DType t) {
  switch (t) {
    case DType::f16: return proto::kFloat16;
    case DType::f32: return proto::kFloat32;
    case DType::f64: return proto::kDouble;
    case DType::i8: return proto::kInt8;
    default: return proto::kInt32;
  }
}

void encode_array(pbf_builder<proto::ArrayFeatureType> out, const Feature& f) {
  if (f.has_shape) out.add_packed_int64(proto::ArrayFeatureType::shape, f.shape.begin(), f.shape.end());
  out.add_enum(proto::ArrayFeatureType::dataType, array_data_type(f.dtype));
  if (f.ranges.empty()) return;
  pbf_builder<proto::ShapeRange> range(out, proto::ArrayFeatureType::shapeRange);
  for (const IntRange& r : f.ranges) {
    pbf_builder<proto::SizeRange> size(range, proto::ShapeRange::sizeRanges);
    size.add_uint64(proto::SizeRange::lowerBound, static_cast<uint64_t>(r.lo));
    size.add_int64(proto::SizeRange::upperBound, r.hi);
  }
}

void encode_feature(pbf_builder<proto::FeatureDescription> out, const Feature& f) {
  out.add_string(proto::FeatureDescription::name, f.file_name);
  if (!f.description.empty()) out.add_string(proto::FeatureDescription::shortDescription, f.description);
  pbf_builder<proto::FeatureType> type(out, proto::FeatureDescription::type);
  switch (f.kind) {
    case Feature::Kind::state: {
      pbf_builder<proto::StateFeatureType> state(type, proto::FeatureType::stateType);
      return encode_array({state, proto::StateFeatureType::arrayType}, f);
    }
    // Messages that say it by being there.
    case Feature::Kind::string: return type.add_message(proto::FeatureType::stringType, "", 0);
    case Feature::Kind::int64: return type.add_message(proto::FeatureType::int64Type, "", 0);
    case Feature::Kind::dictionary: {
      pbf_builder<proto::DictionaryFeatureType> dictionary(type, proto::FeatureType::dictionaryType);
      return dictionary.add_message(f.dtype == DType::string ? proto::DictionaryFeatureType::stringKeyType
                                                             : proto::DictionaryFeatureType::int64KeyType,
                                    "", 0);
    }
    default: return encode_array({type, proto::FeatureType::multiArrayType}, f);
  }
}

// A classifier's outputs, by the fields of either message.
template <class Message>
void encode_predicted(pbf_builder<Message>& out, const FunctionInterface& f) {
  for (const Feature& x : f.outputs) {
    if (x.kind == Feature::Kind::string || x.kind == Feature::Kind::int64)
      out.add_string(Message::predictedFeatureName, x.file_name);
    if (x.kind == Feature::Kind::dictionary) out.add_string(Message::predictedProbabilitiesName, x.file_name);
  }
}

}  // namespace

Result<FunctionInterface> interface_of(const ir::Function& function, Opset opset) {
  FunctionInterface face;
  face.name = function.name;
  for (const ir::Value* v : function.inputs) {
    GRAFT_TRY(Feature f, input_feature(*v, function, opset));
    (f.kind == Feature::Kind::state ? face.states : face.inputs).push_back(std::move(f));
  }
  if (function.output_names.size() != function.body.outputs.size())
    return fail(Code::internal, format("function '{}' has {} outputs and {} output names", function.name,
                                       function.body.outputs.size(), function.output_names.size()));
  for (size_t i = 0; i < function.body.outputs.size(); ++i) {
    GRAFT_TRY(Feature f, output_feature(*function.body.outputs[i], function.output_names[i], opset));
    face.outputs.push_back(std::move(f));
  }
  return face;
}

void encode_description(pbf_builder<proto::ModelDescription> out, const Interface& interface,
                        const std::map<std::string, std::string>& metadata) {
  using MD = proto::ModelDescription;
  using FD = proto::FunctionDescription;
  if (interface.functions.size() == 1) {
    const FunctionInterface& f = interface.functions[0];
    for (const Feature& x : f.inputs) encode_feature({out, MD::input}, x);
    for (const Feature& x : f.outputs) encode_feature({out, MD::output}, x);
    encode_predicted(out, f);
    for (const Feature& x : f.states) encode_feature({out, MD::state}, x);
  } else {
    for (const FunctionInterface& f : interface.functions) {
      pbf_builder<FD> function(out, MD::functions);
      function.add_string(FD::name, f.name);
      for (const Feature& x : f.inputs) encode_feature({function, FD::input}, x);
      for (const Feature& x : f.outputs) encode_feature({function, FD::output}, x);
      encode_predicted(function, f);
      for (const Feature& x : f.states) encode_feature({function, FD::state}, x);
    }
    out.add_string(MD::defaultFunctionName, interface.default_function);
  }
  if (metadata.empty()) return;
  pbf_builder<proto::Metadata> meta(out, MD::metadata);
  for (const auto& [key, value] : metadata) {
    pbf_builder<proto::MapEntry> entry(meta, proto::Metadata::userDefined);
    entry.add_string(proto::MapEntry::key, key);
    entry.add_string(proto::MapEntry::value, value);
  }
}

}  // namespace graft::coreml

#include "session/onnx_types.h"

#include <nlohmann/json.hpp>

namespace graft::session {
namespace {

constexpr const char* kKey = "com.graft.onnx.types";
constexpr std::string_view kScalar = "[]";

}  // namespace

void add_onnx_types(const backend::Artefact& artefact, Metadata& metadata) {
  nlohmann::json types = nlohmann::json::object();
  // An input may be an output too, and only inputs cannot be scalars: what is said of them stays.
  for (const auto* ports : {&artefact.outputs, &artefact.inputs}) {
    for (const ir::BoundaryPort& b : *ports) {
      const bool scalar = b.onnx_type.rank() == 0 && b.type.rank() != 0;
      if (b.onnx_type.dtype == b.type.dtype && !scalar) continue;
      types[b.name] = std::string(graft::name(b.onnx_type.dtype)).append(scalar ? kScalar : "");
    }
  }
  // Bytes that are not UTF-8 are replaced: such a name loses its type, no more.
  if (!types.empty()) metadata[kKey] = types.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

OnnxTypes::OnnxTypes(const Metadata& metadata) {
  const auto at = metadata.find(kKey);
  if (at == metadata.end()) return;
  const nlohmann::json types = nlohmann::json::parse(at->second, nullptr, false);
  if (!types.is_object()) return;
  for (const auto& [name, type] : types.items()) {
    if (type.is_string()) types_[name] = type.get<std::string>();
  }
}

ir::Type OnnxTypes::of(const std::string& name, const ir::Type& type) const {
  const auto at = types_.find(name);
  if (at == types_.end() || !type.is_tensor()) return type;
  ir::Type had = type;
  std::string_view text = at->second;
  if (text.ends_with(kScalar)) {
    text.remove_suffix(kScalar.size());
    if (type.rank() == 1 && type.dims[0] == ir::Dim(1)) had.dims.clear();
  }
  const DType dtype = dtype_from_name(text);
  // A type that such a port stands for.
  if (ir::Target::oldest().port(dtype) == type.dtype) had.dtype = dtype;
  return had;
}

}  // namespace graft::session

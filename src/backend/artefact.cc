#include "backend/artefact.h"

#include <filesystem>

#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/format.h"
#include "ir/target.h"
#include "ir/text.h"

namespace graft::backend {
namespace {

using Json = nlohmann::ordered_json;
constexpr std::string_view kSchema = "graft.artefact/1";

Json to_json(const ir::Type& type) {
  Json dims = Json::array();
  for (const ir::Dim& d : type.dims) {
    if (d.known())
      dims.push_back(d.value());
    else
      dims.push_back({{"symbol", d.to_string()}, {"min", d.range().lo}, {"max", d.range().hi}});
  }
  return {{"dtype", name(type.dtype)}, {"dims", std::move(dims)}};
}

Json to_json(const std::vector<ir::BoundaryPort>& ports) {
  Json list = Json::array();
  for (const ir::BoundaryPort& p : ports)
    list.push_back({{"name", p.name}, {"onnx", to_json(p.onnx_type)}, {"type", to_json(p.type)}});
  return list;
}

// ---- and back ----

tl::unexpected<Diag> malformed(std::string what) { return fail(Code::malformed, "artefact: " + what); }

Result<std::string> text_at(const Json& j, const char* key) {
  const auto at = j.find(key);
  if (at == j.end() || !at->is_string()) return malformed(format("'{}' is not a text", key));
  return at->get<std::string>();
}

Result<ir::Dim> dim_from(const Json& j) {
  if (j.is_number_unsigned() && j.get<uint64_t>() <= INT64_MAX) return ir::Dim(j.get<int64_t>());
  if (!j.is_object()) return malformed("a dim is neither a size nor a symbol");
  GRAFT_TRY(const std::string symbol, text_at(j, "symbol"));
  const auto bound = [&](const char* key) {
    const auto at = j.find(key);
    return at != j.end() && at->is_number_integer() ? at->get<int64_t>() : -1;
  };
  const int64_t lo = bound("min"), hi = bound("max");
  if (symbol.empty() || lo < 0 || hi < lo) return malformed(format("the range of dim '{}' is not one", symbol));
  return ir::Dim::symbol(symbol, {lo, hi});
}

Result<ir::Type> type_from(const Json& j, const char* key) {
  const auto type = j.find(key);
  if (type == j.end() || !type->is_object()) return malformed(format("a port has no '{}'", key));
  GRAFT_TRY(const std::string dtype, text_at(*type, "dtype"));
  const DType known = dtype_from_name(dtype);
  if (known == DType::invalid) return malformed(format("there is no element type '{}'", dtype));
  const auto dims = type->find("dims");
  if (dims == type->end() || !dims->is_array() || dims->size() > static_cast<size_t>(kMaxRank))
    return malformed(format("the dims of a port are not a list of at most {}", kMaxRank));
  ir::Dims list;
  for (const Json& d : *dims) {
    GRAFT_TRY(list.emplace_back(), dim_from(d));
  }
  return ir::Type::tensor(known, std::move(list));
}

Result<std::vector<ir::BoundaryPort>> ports_from(const Json& j, const char* key) {
  std::vector<ir::BoundaryPort> ports;
  const auto list = j.find(key);
  if (list == j.end() || !list->is_array()) return malformed(format("'{}' is not a list", key));
  for (const Json& p : *list) {
    if (!p.is_object()) return malformed("a port is not an object");
    ir::BoundaryPort& port = ports.emplace_back();
    GRAFT_TRY(port.name, text_at(p, "name"));
    GRAFT_TRY(port.onnx_type, type_from(p, "onnx"));
    GRAFT_TRY(port.type, type_from(p, "type"));
  }
  return ports;
}

}  // namespace

std::string key_of(const Artefact& artefact) {
  std::string content = ir::to_text(*artefact.program, {artefact.target.opset(), ir::kReadableElements});
  content += to_json(artefact.inputs).dump(-1, ' ', false, Json::error_handler_t::replace);
  content += to_json(artefact.outputs).dump(-1, ' ', false, Json::error_handler_t::replace);
  return hash128_hex(std::as_bytes(std::span(content)));
}

std::string to_text(const Artefact& artefact, std::string_view key) {
  const Json j = {{"schema", kSchema},
                  {"package", std::filesystem::path(artefact.package).filename().string()},
                  {"function", artefact.function},
                  {"target", artefact.target.name()},
                  {"key", key},
                  {"inputs", to_json(artefact.inputs)},
                  {"outputs", to_json(artefact.outputs)}};
  return j.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<NamedArtefact> artefact_from_text(std::string_view text, const std::string& folder) {
  const Json j = Json::parse(text, nullptr, false);
  if (!j.is_object()) return malformed("the text is not a JSON object");
  GRAFT_TRY(const std::string schema, text_at(j, "schema"));
  if (schema != kSchema)
    return fail(Code::unsupported_format,
                format("artefact: the schema is '{}', this version reads {}", schema, kSchema));
  NamedArtefact out;
  GRAFT_TRY(const std::string package, text_at(j, "package"));
  const std::filesystem::path name(package);
  if (package.empty() || name.filename() != name || package == "." || package == ".." ||
      package.find('\0') != std::string::npos)
    return fail(Code::unsafe_path, format("artefact: the package '{}' is not a plain file name", package));
  out.artefact.package = (std::filesystem::path(folder) / name).string();
  GRAFT_TRY(out.artefact.function, text_at(j, "function"));
  GRAFT_TRY(const std::string target, text_at(j, "target"));
  const Result<ir::Opset> opset = ir::parse_target(target);
  if (!opset) return malformed(opset.error().message);
  out.artefact.target = ir::Target::mlprogram(*opset);
  GRAFT_TRY(out.key, text_at(j, "key"));
  GRAFT_TRY(out.artefact.inputs, ports_from(j, "inputs"));
  GRAFT_TRY(out.artefact.outputs, ports_from(j, "outputs"));
  return out;
}

}  // namespace graft::backend

// One function a message of onnx.proto, with the field numbers of that schema; longer than most files because the
// schema is one thing.
#include "onnx/reader.h"

#include <filesystem>
#include <new>

#include "base/format.h"
#include "onnx/tensor_reader.h"
#include "onnx/wire.h"

namespace graft::onnx {
namespace {

constexpr int kMaxDepth = 64;                     // of graphs in attributes, and of types in types
constexpr size_t kFreeMemory = size_t{24} << 20;  // that any file may cost
constexpr size_t kMemoryPerByte = 64;             // and this much more for each of its bytes

Status read_graph(Wire wire, Graph& graph, Source& source, int depth);

// Free text: docs and metadata. Charged, made valid.
Status read_text(Wire& wire, std::string& out, Source& source) {
  const std::string_view text = wire.view();
  GRAFT_CHECK(source.budget.take(text.size() + sizeof(std::string)));
  out = cleaned_text(text);
  return {};
}

Status read_entry(Wire wire, std::map<std::string, std::string>& map, Source& source) {
  std::string key, value;
  while (wire.next()) {
    if (wire.field() == 1) GRAFT_CHECK(read_text(wire, key, source));
    if (wire.field() == 2) GRAFT_CHECK(read_text(wire, value, source));
  }
  GRAFT_CHECK(source.budget.take(64));  // the map's own
  map[key] = std::move(value);
  return wire.status();
}

Status read_opset(Wire wire, std::map<std::string, int>& opsets, Source& source) {
  std::string domain;
  int64_t version = 0;
  while (wire.next()) {
    if (wire.field() == 1) GRAFT_CHECK(read_name(wire, domain, "an opset domain", source.budget));
    if (wire.field() == 2) version = wire.int64();
  }
  GRAFT_CHECK(wire.status());
  if (version < 1 || version > INT32_MAX) {
    return fail(Code::invalid_model, format("opset import '{}' with version {}", domain, version));
  }
  if (domain == "ai.onnx") domain.clear();
  const auto [it, fresh] = opsets.emplace(domain, static_cast<int>(version));
  if (fresh || it->second == version) return {};
  return fail(Code::invalid_model, format("domain '{}' is imported as opset {} and {}", domain, it->second, version));
}

// Types

Status read_dim(Wire wire, ValueType& type, Source& source) {
  DimInfo dim;
  while (wire.next()) {
    if (wire.field() == 1) dim.value = wire.int64();
    if (wire.field() == 2) GRAFT_CHECK(read_name(wire, dim.symbol, "a dim", source.budget));
  }
  GRAFT_CHECK(wire.status());
  if (dim.value < -1) return fail(Code::invalid_model, format("a dim of {}", dim.value));  // -1 is a common "unknown"
  if (dim.known()) dim.symbol.clear();
  GRAFT_CHECK(source.budget.take(2 * sizeof(DimInfo)));
  type.dims.push_back(std::move(dim));
  return {};
}

Status read_tensor_type(Wire wire, ValueType& type, Source& source) {
  while (wire.next()) {
    if (wire.field() == 1) {
      const int64_t code = wire.int64();
      type.dtype = code > 0 && code <= INT32_MAX ? dtype_from_onnx(static_cast<int>(code)) : DType::invalid;
    } else if (wire.field() == 2) {
      type.has_shape = true;
      Wire shape = wire.message();
      while (shape.next()) {
        if (shape.field() == 1) GRAFT_CHECK(read_dim(shape.message(), type, source));
      }
      GRAFT_CHECK(shape.status());
    }
  }
  return wire.status();
}

Status read_type(Wire wire, ValueType& type, Source& source, int depth);

// sequence<element>, optional<element>, map<key, value>.
Status read_container(Wire wire, ValueType& type, ValueType::Kind kind, Source& source, int depth) {
  GRAFT_CHECK(source.budget.take(2 * sizeof(ValueType)));
  auto element = std::make_shared<ValueType>();
  const uint32_t element_field = kind == ValueType::Kind::map ? 2 : 1;
  while (wire.next()) {
    if (wire.field() == element_field) {
      GRAFT_CHECK(read_type(wire.message(), *element, source, depth + 1));
    } else if (wire.field() == 1) {
      const int64_t code = wire.int64();
      type.dtype = code > 0 && code <= INT32_MAX ? dtype_from_onnx(static_cast<int>(code)) : DType::invalid;
    }
  }
  type.kind = kind;
  type.element = std::move(element);
  return wire.status();
}

Status read_type(Wire wire, ValueType& type, Source& source, int depth) {
  using Kind = ValueType::Kind;
  if (depth > kMaxDepth) return fail(Code::limit_exceeded, format("types nested over {} deep", kMaxDepth));
  while (wire.next()) {
    switch (wire.field()) {
      case 1:
      case 8:
        type.kind = wire.field() == 1 ? Kind::tensor : Kind::sparse_tensor;
        GRAFT_CHECK(read_tensor_type(wire.message(), type, source));
        break;
      case 4: GRAFT_CHECK(read_container(wire.message(), type, Kind::sequence, source, depth)); break;
      case 5: GRAFT_CHECK(read_container(wire.message(), type, Kind::map, source, depth)); break;
      case 9: GRAFT_CHECK(read_container(wire.message(), type, Kind::optional, source, depth)); break;
      default: break;
    }
  }
  return wire.status();
}

Status read_value_info(Wire wire, std::vector<ValueInfo>& out, Source& source) {
  GRAFT_CHECK(source.budget.take(2 * sizeof(ValueInfo)));
  ValueInfo value;
  while (wire.next()) {
    if (wire.field() == 1) GRAFT_CHECK(read_name(wire, value.name, "a value", source.budget));
    if (wire.field() == 2) {
      auto status = read_type(wire.message(), value.type, source, 0);
      if (!status) return fail(std::move(status.error()).at_tensor(value.name));
    }
  }
  out.push_back(std::move(value));
  return wire.status();
}

// Attributes

Attribute::Type attribute_type(int64_t code) {
  using Type = Attribute::Type;
  constexpr Type types[] = {Type::none,   Type::float_, Type::int_,    Type::string,  Type::tensor,
                            Type::graph,  Type::floats, Type::ints,    Type::strings, Type::tensors,
                            Type::graphs, Type::tensor, Type::tensors, Type::type,    Type::types};
  return code > 0 && code < static_cast<int64_t>(std::size(types)) ? types[code] : Type::none;
}

Result<std::shared_ptr<Graph>> read_body(Wire wire, Source& source, int depth) {
  GRAFT_CHECK(source.budget.take(sizeof(Graph) + 64));
  auto body = std::make_shared<Graph>();
  GRAFT_CHECK(read_graph(wire, *body, source, depth + 1));
  return body;
}

Status read_attribute_lists(Wire& wire, Attribute& a, Source& source, int depth) {
  switch (wire.field()) {
    case 7:
      GRAFT_CHECK(source.budget.take(wire.count_fixed<float>() * 2 * sizeof(float)));
      wire.each_fixed<float>([&](float v) { a.floats.push_back(v); });
      break;
    case 8:
      GRAFT_CHECK(source.budget.take(wire.count_varints() * 2 * sizeof(int64_t)));
      wire.each_varint([&](uint64_t v) { a.ints.push_back(static_cast<int64_t>(v)); });
      break;
    case 9: {
      const std::string_view s = wire.view();
      GRAFT_CHECK(source.budget.take(s.size() + 2 * sizeof(std::string)));
      a.strings.emplace_back(s);
      break;
    }
    case 10:
    case 23: {
      const bool dense = wire.field() == 10;
      GRAFT_TRY(auto t, dense ? read_tensor(wire.message(), source) : read_sparse_tensor(wire.message(), source));
      GRAFT_CHECK(source.budget.take(sizeof(ir::Constant) + 2 * sizeof t));
      a.tensors.push_back(std::move(t.value));
      break;
    }
    case 11: {
      GRAFT_TRY(auto body, read_body(wire.message(), source, depth));
      a.graphs.push_back(std::move(body));
      break;
    }
    case 14:
    case 15:
      GRAFT_CHECK(source.budget.take(2 * sizeof(ValueType)));
      GRAFT_CHECK(read_type(wire.message(), a.types.emplace_back(), source, 0));
      break;
    default: break;
  }
  return {};
}

// Which of the fields hold something; what a file of the first IR versions, without types, means.
Attribute::Type guessed_type(const Attribute& a, uint32_t seen) {
  using Type = Attribute::Type;
  if (a.t) return Type::tensor;
  if (a.g) return Type::graph;
  if (!a.floats.empty()) return Type::floats;
  if (!a.ints.empty()) return Type::ints;
  if (!a.strings.empty()) return Type::strings;
  if (!a.tensors.empty()) return Type::tensors;
  if (!a.graphs.empty()) return Type::graphs;
  if (seen & (1u << 2)) return Type::float_;
  if (seen & (1u << 3)) return Type::int_;
  if (seen & (1u << 4)) return Type::string;
  return Type::none;
}

Status finish_attribute(Attribute& a, int64_t code, uint32_t seen) {
  if (code == 0) {
    a.type = guessed_type(a, seen);
    return {};
  }
  a.type = attribute_type(code);
  if (a.type == Attribute::Type::none) {
    return fail(Code::unsupported_format, format("attribute '{}' has the unknown type {}", a.name, code));
  }
  const bool missing = (a.type == Attribute::Type::tensor && !a.t) || (a.type == Attribute::Type::graph && !a.g) ||
                       (a.type == Attribute::Type::type && a.types.empty());
  if (!missing || !a.ref_attr_name.empty()) return {};
  return fail(Code::invalid_attribute, format("attribute '{}' says it is {}, but has none", a.name, name(a.type)));
}

Status read_attribute(Wire wire, std::vector<Attribute>& out, Source& source, int depth) {
  GRAFT_CHECK(source.budget.take(2 * sizeof(Attribute)));
  Attribute& a = out.emplace_back();
  int64_t code = 0;
  uint32_t seen = 0;
  while (wire.next()) {
    if (wire.field() < 32) seen |= 1u << wire.field();
    switch (wire.field()) {
      case 1: GRAFT_CHECK(read_name(wire, a.name, "an attribute", source.budget)); break;
      case 2: a.f = wire.float32(); break;
      case 3: a.i = wire.int64(); break;
      case 4: {
        const std::string_view s = wire.view();
        GRAFT_CHECK(source.budget.take(s.size()));
        a.s = s;
        break;
      }
      case 5:
      case 22: {
        const bool dense = wire.field() == 5;
        GRAFT_TRY(auto t, dense ? read_tensor(wire.message(), source) : read_sparse_tensor(wire.message(), source));
        GRAFT_CHECK(source.budget.take(sizeof(ir::Constant)));
        a.t = std::move(t.value);
        break;
      }
      case 6: {
        GRAFT_TRY(a.g, read_body(wire.message(), source, depth));
        break;
      }
      case 20: code = wire.int64(); break;
      case 21: GRAFT_CHECK(read_name(wire, a.ref_attr_name, "an attribute", source.budget)); break;
      default: GRAFT_CHECK(read_attribute_lists(wire, a, source, depth)); break;
    }
  }
  GRAFT_CHECK(wire.status());
  if (a.name.empty()) return fail(Code::invalid_attribute, "an attribute without a name");
  return finish_attribute(a, code, seen);
}

// Nodes and graphs

Status read_node_fields(Wire wire, Node& node, Source& source, int depth) {
  while (wire.next()) {
    switch (wire.field()) {
      case 1:
      case 2: {
        GRAFT_CHECK(source.budget.take(2 * sizeof(std::string)));
        auto& list = wire.field() == 1 ? node.inputs : node.outputs;
        GRAFT_CHECK(read_name(wire, list.emplace_back(), "a value", source.budget));
        break;
      }
      case 3: GRAFT_CHECK(read_name(wire, node.name, "a node", source.budget)); break;
      case 4: GRAFT_CHECK(read_name(wire, node.op_type, "an operator", source.budget)); break;
      case 5: GRAFT_CHECK(read_attribute(wire.message(), node.attributes, source, depth)); break;
      case 6: GRAFT_CHECK(read_text(wire, node.doc, source)); break;
      case 7: GRAFT_CHECK(read_name(wire, node.domain, "a domain", source.budget)); break;
      case 8: GRAFT_CHECK(read_name(wire, node.overload, "an overload", source.budget)); break;
      case 9: GRAFT_CHECK(read_entry(wire.message(), node.metadata, source)); break;
      default: break;
    }
  }
  GRAFT_CHECK(wire.status());
  if (node.op_type.empty()) return fail(Code::invalid_model, "a node without an operator");
  return {};
}

Status read_node(Wire wire, std::vector<Node>& out, Source& source, int depth) {
  GRAFT_CHECK(source.budget.take(2 * sizeof(Node)));
  Node& node = out.emplace_back();
  auto status = read_node_fields(wire, node, source, depth);
  if (!status) return fail(std::move(status.error()).at_node(node.name, node.op_type));
  return {};
}

Status read_initializer(Wire wire, Graph& graph, bool dense, Source& source) {
  GRAFT_CHECK(source.budget.take(2 * sizeof(Initializer) + sizeof(ir::Constant) + 128));
  GRAFT_TRY(auto t, dense ? read_tensor(wire, source) : read_sparse_tensor(wire, source));
  graph.initializers.push_back({std::move(t.name), std::move(t.value)});
  return {};
}

Status read_graph(Wire wire, Graph& graph, Source& source, int depth) {
  if (depth > kMaxDepth) return fail(Code::limit_exceeded, format("graphs nested over {} deep", kMaxDepth));
  while (wire.next()) {
    switch (wire.field()) {
      case 1: GRAFT_CHECK(read_node(wire.message(), graph.nodes, source, depth)); break;
      case 2: GRAFT_CHECK(read_text(wire, graph.name, source)); break;
      case 5: GRAFT_CHECK(read_initializer(wire.message(), graph, true, source)); break;
      case 10: GRAFT_CHECK(read_text(wire, graph.doc, source)); break;
      case 11: GRAFT_CHECK(read_value_info(wire.message(), graph.inputs, source)); break;
      case 12: GRAFT_CHECK(read_value_info(wire.message(), graph.outputs, source)); break;
      case 13: GRAFT_CHECK(read_value_info(wire.message(), graph.value_info, source)); break;
      case 15: GRAFT_CHECK(read_initializer(wire.message(), graph, false, source)); break;
      default: break;
    }
  }
  return wire.status();
}

Status read_function(Wire wire, Function& f, Source& source) {
  while (wire.next()) {
    switch (wire.field()) {
      case 1: GRAFT_CHECK(read_name(wire, f.name, "a function", source.budget)); break;
      case 4:
      case 5:
      case 6: {
        GRAFT_CHECK(source.budget.take(2 * sizeof(std::string)));
        auto& list = wire.field() == 4 ? f.inputs : wire.field() == 5 ? f.outputs : f.attributes;
        GRAFT_CHECK(read_name(wire, list.emplace_back(), "a function's parameter", source.budget));
        break;
      }
      case 7: GRAFT_CHECK(read_node(wire.message(), f.nodes, source, 0)); break;
      case 9: GRAFT_CHECK(read_opset(wire.message(), f.opsets, source)); break;
      case 10: GRAFT_CHECK(read_name(wire, f.domain, "a domain", source.budget)); break;
      case 11: GRAFT_CHECK(read_attribute(wire.message(), f.defaults, source, 0)); break;
      case 12: GRAFT_CHECK(read_value_info(wire.message(), f.value_info, source)); break;
      case 13: GRAFT_CHECK(read_name(wire, f.overload, "an overload", source.budget)); break;
      default: break;
    }
  }
  return wire.status();
}

Status read_model(Wire wire, Model& model, Source& source) {
  bool has_graph = false;
  while (wire.next()) {
    switch (wire.field()) {
      case 1: model.ir_version = wire.int64(); break;
      case 2: GRAFT_CHECK(read_text(wire, model.producer_name, source)); break;
      case 3: GRAFT_CHECK(read_text(wire, model.producer_version, source)); break;
      case 4: GRAFT_CHECK(read_text(wire, model.domain, source)); break;
      case 5: model.model_version = wire.int64(); break;
      case 6: GRAFT_CHECK(read_text(wire, model.doc, source)); break;
      case 7:
        has_graph = true;
        GRAFT_CHECK(read_graph(wire.message(), model.graph, source, 0));
        break;
      case 8: GRAFT_CHECK(read_opset(wire.message(), model.opsets, source)); break;
      case 14: GRAFT_CHECK(read_entry(wire.message(), model.metadata, source)); break;
      case 25:
        GRAFT_CHECK(source.budget.take(2 * sizeof(Function)));
        GRAFT_CHECK(read_function(wire.message(), model.functions.emplace_back(), source));
        break;
      default: break;  // training, multi-device configurations, what later versions add
    }
  }
  GRAFT_CHECK(wire.status());
  if (!has_graph) return fail(Code::malformed, "no graph in the file: not an ONNX model, or a truncated one");
  if (model.ir_version < 1) return fail(Code::invalid_model, "no IR version in the file");
  return {};
}

// What is often given in a model's place gets a better answer than the byte where protobuf gave up.
Status check_kind(Bytes bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.empty()) return fail(Code::malformed, "the file is empty");
  if (text.starts_with("version https://git-lfs")) {
    return fail(Code::unsupported_format, "this is a Git LFS pointer, not the model; fetch it with 'git lfs pull'");
  }
  if (text.starts_with("PK\x03\x04")) return fail(Code::unsupported_format, "this is a ZIP archive, not an ONNX model");
  if (text.size() >= 8 && text.substr(4, 4) == "ORTM") {
    return fail(Code::unsupported_format, "this is an ORT-format model; export ONNX instead");
  }
  return {};
}

Status read_all(Bytes bytes, Hold hold, const Bounds& bounds, Model& model) {
  GRAFT_CHECK(check_kind(bytes));
  const size_t memory = kFreeMemory + bytes.size() * kMemoryPerByte;
  Source source{bytes.data(), model.keeps, Budget(memory, bounds.cancel), bounds.memory,
                ExternalFiles(model.folder, hold, bounds)};
  GRAFT_CHECK(read_model(Wire(bytes, bytes.data()), model, source));
  for (const std::shared_ptr<FileBytes>& file : source.external.files()) {
    GRAFT_CHECK(file->finish());
    model.files.push_back(file);
  }
  Limits limits;
  limits.depth = kMaxDepth;
  limits.memory = source.budget.left();
  limits.cancel = bounds.cancel;
  return prepare(model, limits);
}

Result<std::shared_ptr<const Model>> read_into(std::shared_ptr<Model> model, Bytes bytes, Hold hold,
                                               const Bounds& bounds) {
  Status status;
  try {
    status = read_all(bytes, hold, bounds, *model);
  } catch (const std::bad_alloc&) {
    status = fail(Code::out_of_memory, "no memory left while reading the model");
  }
  if (!status) return fail(std::move(status.error()).in_file(model->path));
  return std::shared_ptr<const Model>(std::move(model));
}

}  // namespace

Result<std::shared_ptr<const Model>> read_file(const std::string& path, Hold hold, const Bounds& bounds) {
  GRAFT_TRY(const std::shared_ptr<FileBytes> file, FileBytes::open(path, hold, bounds));
  GRAFT_TRY(const Bytes bytes, file->bytes());
  GRAFT_CHECK(file->finish());
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  auto model = std::make_shared<Model>();
  model->path = path;
  model->folder = parent.empty() ? "." : parent.string();
  model->keeps = file;
  model->files.push_back(file);
  GRAFT_TRY(std::shared_ptr<const Model> whole, read_into(std::move(model), bytes, hold, bounds));
  GRAFT_CHECK(file->unchanged());
  return whole;
}

Result<std::shared_ptr<const Model>> read_memory(Bytes bytes, const std::string& folder,
                                                 std::shared_ptr<const void> owner, Hold hold, const Bounds& bounds) {
  auto model = std::make_shared<Model>();
  model->folder = folder;
  model->keeps = std::move(owner);
  return read_into(std::move(model), bytes, hold, bounds);
}

}  // namespace graft::onnx

// ONNX messages written byte by byte, for files that no exporter would make. Each function returns a serialized
// message.
#pragma once

#include <concepts>
#include <initializer_list>
#include <protozero/pbf_writer.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"

namespace graft::test {

using Writer = protozero::pbf_writer;
using Names = std::vector<std::string>;

// A message from its fields: message([&](Writer& w) { w.add_string(1, "x"); }).
template <class F>
std::string message(const F& fill) {
  std::string data;
  Writer w(data);
  fill(w);
  return data;
}

inline Bytes bytes_of(const std::string& s) { return {reinterpret_cast<const std::byte*>(s.data()), s.size()}; }

// TensorProto: dims, data_type, name, then what `fill` adds.
template <class F>
std::string tensor(const std::string& name, int type, const std::vector<int64_t>& dims, const F& fill) {
  return message([&](Writer& w) {
    for (int64_t d : dims) w.add_int64(1, d);
    w.add_int32(2, type);
    w.add_string(8, name);
    fill(w);
  });
}
inline std::string raw_tensor(const std::string& name, int type, const std::vector<int64_t>& dims,
                              const std::string& raw) {
  return tensor(name, type, dims, [&](Writer& w) { w.add_bytes(9, raw); });
}
inline std::string external_tensor(const std::string& name, const std::vector<int64_t>& dims,
                                   std::initializer_list<std::pair<const char*, std::string>> entries) {
  return tensor(name, 1, dims, [&](Writer& w) {
    for (const auto& entry : entries) {
      w.add_message(13, message([&](Writer& e) { e.add_string(1, entry.first), e.add_string(2, entry.second); }));
    }
    w.add_enum(14, 1);
  });
}

inline std::string node(const std::string& op, const Names& in, const Names& out, const Names& attributes = {},
                        const std::string& domain = {}, const std::string& name = {}) {
  return message([&](Writer& w) {
    for (const auto& s : in) w.add_string(1, s);
    for (const auto& s : out) w.add_string(2, s);
    if (!name.empty()) w.add_string(3, name);
    w.add_string(4, op);
    for (const auto& a : attributes) w.add_message(5, a);
    if (!domain.empty()) w.add_string(7, domain);
  });
}
inline std::string graph_attribute(const std::string& name, const std::string& graph) {
  return message([&](Writer& w) { w.add_string(1, name), w.add_message(6, graph), w.add_enum(20, 5); });
}
inline std::string int_attribute(const std::string& name, int64_t value) {
  return message([&](Writer& w) { w.add_string(1, name), w.add_int64(3, value), w.add_enum(20, 2); });
}
inline std::string ints_attribute(const std::string& name, const std::vector<int64_t>& values) {
  return message([&](Writer& w) {
    w.add_string(1, name);
    for (int64_t v : values) w.add_int64(8, v);
    w.add_enum(20, 7);
  });
}
// A dim by number, written as it is even below 0, or by symbol.
struct Size {
  int64_t number = 0;
  std::string symbol;
  Size(std::integral auto n) : number(n) {}
  Size(const char* s) : symbol(s) {}
};
// A tensor value; type: TensorProto's number, 1 is float.
inline std::string value(const std::string& name, const std::vector<Size>& dims = {}, int type = 1) {
  const std::string shape = message([&](Writer& w) {
    for (const Size& d : dims) {
      w.add_message(1, message([&](Writer& dim) {
                      if (d.symbol.empty())
                        dim.add_int64(1, d.number);
                      else
                        dim.add_string(2, d.symbol);
                    }));
    }
  });
  const std::string tensor = message([&](Writer& w) { w.add_enum(1, type), w.add_message(2, shape); });
  return message([&](Writer& w) {
    w.add_string(1, name);
    w.add_message(2, message([&](Writer& t) { t.add_message(1, tensor); }));
  });
}

struct GraphParts {
  Names nodes, initializers, inputs, outputs;  // serialized messages
};
inline std::string graph(const GraphParts& parts) {
  return message([&](Writer& w) {
    for (const auto& s : parts.nodes) w.add_message(1, s);
    w.add_string(2, "g");
    for (const auto& s : parts.initializers) w.add_message(5, s);
    for (const auto& s : parts.inputs) w.add_message(11, s);
    for (const auto& s : parts.outputs) w.add_message(12, s);
  });
}
inline std::string opset(const std::string& domain, int version) {
  return message([&](Writer& w) { w.add_string(1, domain), w.add_int64(2, version); });
}
inline std::string model(const std::string& graph, int ir = 8, int version = 17) {
  return message([&](Writer& w) {
    w.add_int64(1, ir);
    w.add_message(8, opset("", version));
    w.add_message(7, graph);
  });
}
// A model whose only content is this initializer, handed out as its output.
inline std::string model_of(const std::string& tensor, const std::string& name = "t") {
  return model(graph({{}, {tensor}, {}, {value(name)}}));
}

}  // namespace graft::test

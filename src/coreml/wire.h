// Reading protobuf messages that nobody vouches for: every field's wire type is checked before it is read. Failures are
// thrown (protozero::exception, WireError) and caught where a whole file or function is decoded; they never leave this
// folder.
#pragma once

#include <protozero/pbf_reader.hpp>
#include <stdexcept>
#include <string_view>

#include "coreml/proto.h"

namespace graft::coreml {

struct WireError : std::runtime_error {
  using runtime_error::runtime_error;
};

class Fields {
 public:
  explicit Fields(std::string_view message) : reader_(protozero::data_view{message.data(), message.size()}) {}

  bool next() { return reader_.next(); }
  template <class Message>
  Message tag() const {
    return static_cast<Message>(reader_.tag());
  }
  uint32_t number() const { return reader_.tag(); }
  std::string_view bytes() {
    expect(protozero::pbf_wire_type::length_delimited);
    const protozero::data_view v = reader_.get_view();
    return {v.data(), v.size()};
  }
  uint64_t varint() {
    expect(protozero::pbf_wire_type::varint);
    return reader_.get_uint64();
  }
  int64_t integer() { return static_cast<int64_t>(varint()); }
  float f32() {
    expect(protozero::pbf_wire_type::fixed32);
    return reader_.get_float();
  }
  double f64() {
    expect(protozero::pbf_wire_type::fixed64);
    return reader_.get_double();
  }
  void skip() { reader_.skip(); }

  // A repeated number, packed or not: calls each(value) for those in this field.
  template <class Each>
  void integers(Each&& each) {
    if (reader_.wire_type() == protozero::pbf_wire_type::varint) return each(varint());
    expect(protozero::pbf_wire_type::length_delimited);
    for (const uint64_t v : reader_.get_packed_uint64()) each(v);
  }
  template <class Each>
  void floats(Each&& each) {
    if (reader_.wire_type() == protozero::pbf_wire_type::fixed32) return each(f32());
    expect(protozero::pbf_wire_type::length_delimited);
    for (const float v : reader_.get_packed_float()) each(v);
  }
  template <class Each>
  void doubles(Each&& each) {
    if (reader_.wire_type() == protozero::pbf_wire_type::fixed64) return each(f64());
    expect(protozero::pbf_wire_type::length_delimited);
    for (const double v : reader_.get_packed_double()) each(v);
  }

 private:
  void expect(protozero::pbf_wire_type type) const {
    if (reader_.wire_type() != type) throw WireError("a field has the wrong wire type");
  }
  protozero::pbf_reader reader_;
};

// One entry of a map field.
struct Entry {
  std::string_view key, value;
};
inline Entry read_entry(std::string_view message) {
  Entry e;
  for (Fields f(message); f.next();) {
    switch (f.tag<proto::MapEntry>()) {
      case proto::MapEntry::key: e.key = f.bytes(); break;
      case proto::MapEntry::value: e.value = f.bytes(); break;
      default: f.skip();
    }
  }
  return e;
}

}  // namespace graft::coreml

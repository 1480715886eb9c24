// Which ONNX nodes a thing came from: a set of their ids in the flattened graph. Sets grow by union, and the things
// that hold them are many: a union shares what it is made of, so it costs the same however large both sides are. Only
// asking for the ids costs what there is to list.
//
// A value type. Copies share; any number of threads may read, copy and destroy them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <vector>

namespace graft::ir {

class Provenance {
 public:
  Provenance() = default;
  Provenance(std::initializer_list<int32_t> nodes);

  bool empty() const { return set_ == nullptr; }
  void clear() { set_ = nullptr; }
  void merge(const Provenance& from);
  std::vector<int32_t> nodes() const;  // sorted, no duplicates

 private:
  struct Set;
  std::shared_ptr<Set> set_;
};

}  // namespace graft::ir

// What a program is made for: Graft's own engine, or a Core ML format at an operator set. One value, which the builder,
// passes, writers, options and help texts ask; what Core ML takes stands here and in the rows, and nowhere else.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/diag.h"
#include "base/dtype.h"
#include "ir/type.h"

namespace graft::ir {

class Call;
struct OpRow;

// MIL operator sets, in order. `host` is none of Apple's: the set that only Graft's engine runs.
// The table is in opset.def.
enum class Opset : uint8_t {
#define GRAFT_OPSET(id, ...) id,
#include "ir/opset.def"
  host
};

struct OpsetInfo {
  Opset opset;
  std::string_view name;       // "iOS15", the deployment target users write
  std::string_view file_name;  // "CoreML5", Function.opset in the file
  std::string_view text_name;  // "ios15", in MIL text
  int spec_version;            // Model.specificationVersion
  DTypes ports;                // element types of a model's inputs and outputs
  std::string_view others;     // the same target on other systems, separated by spaces: "macOS12 tvOS15"
};

const OpsetInfo& info(Opset opset);       // not for host
std::span<const OpsetInfo> all_opsets();  // oldest first
const OpsetInfo* opset_from_file_name(std::string_view name);
const OpsetInfo* opset_from_spec_version(int version);  // spec 6 and later
// "iOS15", "macOS12", "tvOS15", "watchOS8", "visionOS1", … in any case; the message of the error lists them all.
Result<Opset> parse_target(std::string_view name);
std::string target_names();  // for help: every iOS name, and what the others begin with

class Target {
 public:
  // The host's engine: ONNX's own dtypes, every row, tensors without elements.
  constexpr Target() = default;
  // What Core ML loads as an ML Program of this operator set or an older one.
  static constexpr Target mlprogram(Opset newest) { return Target(newest); }
  // Where a user fixes no target: what nothing may go beyond, and what everything has.
  static constexpr Target newest() { return Target(Opset::ios18); }
  static constexpr Target oldest() { return Target(Opset::ios15); }
  static constexpr int kMostDims = 5;  // of a tensor in Core ML
  // The same for programs that the passes have not been through: operators that they write on fewer dims may have more.
  constexpr Target before_passes() const {
    Target t = *this;
    t.any_rank_ = !host();
    return t;
  }

  constexpr bool host() const { return opset_ == Opset::host; }
  constexpr Opset opset() const { return opset_; }
  std::string_view name() const { return host() ? "host" : info(opset_).name; }
  constexpr bool operator==(const Target&) const = default;
  // The same where numbers in fp64 are computed in fp32: with fewer digits, which is for the user to allow.
  constexpr Target narrowing(bool allowed) const {
    Target t = *this;
    t.narrows_ = allowed && !host();
    return t;
  }

  // ---- element types ----
  DTypes values() const;     // of what a program computes with
  DTypes constants() const;  // of constants in a file; some of them only feed constexpr operators
  DTypes ports() const;      // of a model's inputs and outputs
  // What a value of this type is inside a program: int64 is int32 in Core ML, where that is proven safe.
  DType inside(DType t) const {
    if (!host() && t == DType::i64) return DType::i32;
    return narrows_ && t == DType::f64 ? DType::f32 : t;
  }
  // What a port for a value of this type is, the program casting behind it; invalid where there is none.
  DType port(DType t) const;

  // ---- what it takes; the refusals say what would fit ----
  // A value inside a program.
  Status accepts(const Type& type) const;
  // A model's input or output: also the size of each dim, of which Core ML is told the smallest and the largest.
  Status accepts_port(const Type& type) const;
  // An operator at all, in whatever form.
  Status has(const OpRow& row) const;
  Result<IntRange> port_size(const Dim& dim) const;
  // An operator with results of these types. Gives the oldest opset that has it in this form.
  Result<Opset> accepts(const Call& call, std::span<const Type> results) const;

 private:
  explicit constexpr Target(Opset opset) : opset_(opset) {}
  Opset opset_ = Opset::host;
  bool any_rank_ = false, narrows_ = false;
};

}  // namespace graft::ir

// Element types: every ONNX and every MIL type, with the facts that formats and kernels ask for.
// The list itself is dtype.def.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace graft {

enum class DType : uint8_t {
  invalid,
#define GRAFT_DTYPE(id, name, onnx, mil, bits, kind) id,
#include "base/dtype.def"
#undef GRAFT_DTYPE
  list,  // no element type of any file: how values that are lists of tensors travel, as one element (base/list.h)
  count_,
};

enum class DTypeKind : uint8_t { none, boolean, floating, signed_int, unsigned_int, complex, string, list };

struct DTypeInfo {
  DType dtype;
  std::string_view name;  // MIL's spelling: "fp16", "int32", "bool", ...
  int onnx_code;          // TensorProto.DataType, 0 if ONNX has none
  int mil_code;           // MILSpec.DataType, 0 if MIL has none
  int bits;               // per element; sub-byte types are packed; 0 for string
  DTypeKind kind;
};

const DTypeInfo& info(DType dtype);
inline std::string_view name(DType dtype) { return info(dtype).name; }
inline int bits(DType dtype) { return info(dtype).bits; }

// Whole bytes per element; 0 for sub-byte types, sizeof(std::string) for strings.
size_t item_size(DType dtype);
// Bytes that `count` elements take, sub-byte types packed and rounded up. `count` must be >= 0.
size_t byte_size(DType dtype, int64_t count);

// invalid where there is no such code or name.
DType dtype_from_onnx(int code);
DType dtype_from_mil(int code);
DType dtype_from_name(std::string_view mil_name);

inline bool is_float(DType t) { return info(t).kind == DTypeKind::floating; }
inline bool is_int(DType t) { return info(t).kind == DTypeKind::signed_int || info(t).kind == DTypeKind::unsigned_int; }

// The binary digits of a float type's significand, the first one counted: integers up to 2 to that power are exact. 0
// for the types of 8 bits and less, and for what is no float.
int significand_digits(DType t);

// The values an integer type (or bool: 0..1) can hold; u64's upper end is given as INT64_MAX.
struct IntRange {
  int64_t lo = INT64_MIN, hi = INT64_MAX;
  bool operator==(const IntRange&) const = default;
  bool inside(const IntRange& outer) const { return lo >= outer.lo && hi <= outer.hi; }
};
IntRange int_range(DType t);

// A set of element types.
class DTypes {
 public:
  constexpr DTypes() = default;
  constexpr DTypes(std::initializer_list<DType> list) {
    for (DType t : list) mask_ |= bit(t);
  }
  constexpr bool has(DType t) const { return (mask_ & bit(t)) != 0; }
  constexpr bool empty() const { return mask_ == 0; }
  constexpr DTypes operator|(DTypes o) const { return DTypes(mask_ | o.mask_); }
  constexpr DTypes operator&(DTypes o) const { return DTypes(mask_ & o.mask_); }
  constexpr bool operator==(const DTypes&) const = default;
  std::string to_string() const;  // "fp16/fp32/int32", in the order of dtype.def

 private:
  constexpr explicit DTypes(uint64_t mask) : mask_(mask) {}
  static constexpr uint64_t bit(DType t) { return uint64_t{1} << static_cast<int>(t); }
  uint64_t mask_ = 0;
};

}  // namespace graft

#include "coreml/mlprogram/constexpr_upgrade.h"

#include <algorithm>

#include "base/format.h"

namespace graft::coreml {
namespace {

ir::ConstantPtr* find(NamedConstants& args, std::string_view name) {
  const auto at = std::find_if(args.begin(), args.end(), [&](const auto& a) { return a.first == name; });
  return at == args.end() ? nullptr : &at->second;
}

// The bytes of a packed vector of uint8 as elements of a sub-byte type.
Result<ir::ConstantPtr> unpacked(const ir::ConstantPtr& packed, DType dtype, const Shape& shape) {
  const int64_t count = checked_count(shape);
  if (count < 0) return fail(Code::limit_exceeded, format("too many elements: {}", to_string(shape)));
  if (!packed->is_direct()) return fail(Code::invalid_model, "packed elements that another operator gives");
  if (packed->dtype() != DType::u8 || packed->bytes() != byte_size(dtype, count))
    return fail(Code::invalid_model,
                format("{} packed into {}", describe(dtype, shape), describe(packed->dtype(), packed->shape())));
  return ir::Constant::borrow({dtype, shape, packed->view().data}, packed);
}

Result<Shape> shape_of(const ir::Constant& c) {
  if (!is_int(c.dtype()) || c.rank() != 1 || c.count() > kMaxRank)
    return fail(Code::invalid_model, "'shape' must be a list of sizes");
  Shape s;
  for (int64_t i = 0; i < c.count(); ++i) {
    const int64_t d = element_as_int(c.view(), i);
    if (d < 0) return fail(Code::invalid_model, format("a size of {}", d));
    s.push_back(d);
  }
  return s;
}

DType index_dtype(int64_t lut_size) {
  switch (lut_size) {
    case 2: return DType::u1;
    case 4: return DType::u2;
    case 8: return DType::u3;
    case 16: return DType::u4;
    case 64: return DType::u6;
    case 256: return DType::u8;
    default: return DType::invalid;
  }
}

}  // namespace

Status upgrade_constexpr(std::string_view op, NamedConstants& args) {
  ir::ConstantPtr* shape = find(args, "shape");
  if (shape == nullptr || *shape == nullptr) return {};
  const bool lut_to_dense = op == "constexpr_lut_to_dense";
  if (!lut_to_dense && op != "constexpr_sparse_to_dense") return {};
  GRAFT_TRY(const Shape dims, shape_of(**shape));
  ir::ConstantPtr* packed = find(args, lut_to_dense ? "indices" : "mask");
  ir::ConstantPtr* lut = find(args, "lut");
  if (packed == nullptr || *packed == nullptr || (lut_to_dense && (lut == nullptr || *lut == nullptr)))
    return fail(Code::invalid_model, format("{} lacks an argument", op));
  DType element = DType::u1;
  if (lut_to_dense) {
    element = index_dtype((*lut)->count());
    if (element == DType::invalid) return fail(Code::invalid_model, format("a palette of {} entries", (*lut)->count()));
    if (dims.size() + 2 > kMaxRank) return fail(Code::limit_exceeded, format("a weight of rank {}", dims.size()));
    Shape lut_shape(dims.size(), 1);
    lut_shape.push_back((*lut)->count());
    lut_shape.push_back(1);
    *lut = ir::Constant::reshape(*lut, lut_shape);
  }
  GRAFT_TRY(*packed, unpacked(*packed, element, dims));
  std::erase_if(args, [](const auto& a) { return a.first == "shape"; });
  return {};
}

}  // namespace graft::coreml

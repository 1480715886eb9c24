// Operators on strings, which live on the host alone.
#include "base/format.h"
#include "onnx/lower_families.h"

namespace graft::onnx {
namespace {

Values string_split(NodeView& n, OpBuilder& b) {
  Value* x = n.in(0);
  const int64_t cuts = n.i("maxsplit", INT64_MAX);
  if (cuts < 0) return {n.refuse(Code::invalid_attribute, format("maxsplit is {}, takes 0 or more", cuts))};
  return b.emit_all("host_string_split", {{"x", x}, {"delimiter", n.s("delimiter", "")}, {"maxsplit", cuts}});
}

constexpr Lowering kRows[] = {
    {"", "StringConcat", kSince<20>, "X Y -> Z", same_binary<"host_string_concat">, "on the host only"},
    {"", "StringSplit", kSince<20>, "X -> Y Z; delimiter maxsplit", string_split, "on the host only"},
};

}  // namespace

LoweringRows strings_lowerings() { return kRows; }

}  // namespace graft::onnx

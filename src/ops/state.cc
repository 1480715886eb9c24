// MIL's states family. The engine keeps the states' memory and runs these itself; nothing folds or moves across them.
#include "ops/kernel.h"
#include "ops/table.h"

namespace graft::ops {
namespace {

constexpr Variant kRead[] = {{Opset::ios18, "input:state", ""}};
constexpr OpDef read_state = {.name = "read_state",
                              .family = "states",
                              .doc = "the current value of a state",
                              .variants = kRead,
                              .host = kMovable,
                              .effects = ir::Effects::reads_state,
                              .infer = [](const Call& call, Types& out) -> Status {
                                out.push_back(*call.in("input").type->element);
                                return {};
                              }};

constexpr Variant kWrite[] = {{Opset::ios18, "input:state; data:T", "T={fp16,...}"}};
constexpr OpDef write_state = {
    .name = "write_state",
    .family = "states",
    .doc = "store data as a state's value; no result",
    .variants = kWrite,
    .host = kMovable,
    .effects = ir::Effects::writes_state,
    .infer = [](const Call& call, Types& out) -> Status {
      out.clear();
      const Type &state = *call.in("input").type->element, &data = *call.in("data").type;
      bool fits = state.dtype == data.dtype && state.rank() == data.rank();
      for (int d = 0; fits && d < data.rank(); ++d) {
        const auto at = static_cast<size_t>(d);
        fits = !ir::never_equal(state.dims[at], data.dims[at]);
      }
      if (fits) return {};
      return bad(Code::shape_mismatch, format("data is {}, the state holds {}", data.to_string(), state.to_string()));
    }};

constexpr const OpDef* kRows[] = {&read_state, &write_state};

}  // namespace

Rows state_rows() { return kRows; }

}  // namespace graft::ops

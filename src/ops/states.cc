// MIL's states: what a model keeps from run to run. They come in as inputs of type state and are no values that an
// operator could make; the engine copies what these rows say.
#include "ops/table.h"

#include "ops/kernel.h"

namespace graft::ops {
namespace {

constexpr std::string_view kFamily = "states";

Result<Type> held_by(const Call& call) {
  const Type& state = *call.in("input").type;
  if (!state.is_state() || !state.element->is_static())
    return fail(Code::dtype_mismatch, format("input is {}, takes a state of fixed shape", state.to_string()));
  return *state.element;
}

constexpr Variant kRead[] = {{Opset::ios18, "input:state", ""}};
constexpr OpDef read_state = {.name = "read_state",
                              .family = kFamily,
                              .doc = "a copy of what a state holds",
                              .variants = kRead,
                              .effects = ir::Effects::reads_state,
                              .infer = [](const Call& call, Types& out) -> Status {
                                GRAFT_TRY(Type held, held_by(call));
                                out.push_back(std::move(held));
                                return {};
                              }};

constexpr Variant kWrite[] = {{Opset::ios18, "input:state; data:T", "T={fp16,...}"}};
constexpr OpDef write_state = {
    .name = "write_state",
    .family = kFamily,
    .doc = "puts data into a state; it has no result",
    .variants = kWrite,
    .effects = ir::Effects::writes_state,
    .infer = [](const Call& call, Types&) -> Status {
      GRAFT_TRY(const Type held, held_by(call));
      const Operand& data = call.in("data");
      bool fits = data.dtype() == held.dtype && data.rank() == held.rank();
      for (size_t d = 0; fits && d < held.dims.size(); ++d) fits = !ir::never_equal(data.dims()[d], held.dims[d]);
      if (fits) return {};
      return fail(data.dtype() != held.dtype ? Code::dtype_mismatch : Code::shape_mismatch,
                  format("data is {}, the state holds {}", data.type->to_string(), held.to_string()));
    }};

constexpr const OpDef* kRows[] = {&read_state, &write_state};

}  // namespace

Rows states_rows() { return kRows; }

}  // namespace graft::ops

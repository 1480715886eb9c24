// host_agreed: a check of sizes that only a run knows, for operators whose inputs have to be of one length.
#include "ops/host_rows.h"
#include "ops/moving.h"

namespace graft::ops {
namespace {

Status agreed_type(const Call& call, Types& out) {
  GRAFT_CHECK(check_tuple(call, "values"));
  for (const Operand& o : call.all("values")) {
    if (!is_int(o.dtype()) || o.rank() != 0)
      return fail(Code::dtype_mismatch, format("got {}, takes integers of rank 0", o.type->to_string()));
  }
  out.push_back(*call.all("values")[0].type);
  return {};
}

constexpr Variant kVariants[] = {{Opset::host, "values:tuple", ""}};
constexpr OpDef host_agreed = {.name = "host_agreed",
                               .family = "host",
                               .doc = "the number that all of these are: it is an error if they are not one",
                               .variants = kVariants,
                               .infer = agreed_type,
                               .reference = [](const Call& call, Outputs& out) -> Status {
                                 const int64_t first = element_as_int(call.all("values")[0].value, 0);
                                 for (const Operand& o : call.all("values")) {
                                   const int64_t other = element_as_int(o.value, 0);
                                   if (other != first)
                                     return fail(Code::shape_mismatch,
                                                 format("lengths {} and {} must be one", first, other));
                                 }
                                 std::memcpy(out[0].data, call.all("values")[0].value.data, item_size(out[0].dtype));
                                 return {};
                               },
                               .range = range_of_inputs};

}  // namespace

const OpDef& host_agreed_row() { return host_agreed; }

}  // namespace graft::ops

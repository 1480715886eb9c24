#include "ir/assemble.h"

#include "base/format.h"

namespace graft::ir {
namespace {

tl::unexpected<Diag> invalid(std::string message) { return fail(Code::invalid_model, std::move(message)); }

bool alike(const Type& a, const Type& b) { return a.kind == b.kind && a.dtype == b.dtype && a.rank() == b.rank(); }

Result<Values> emitted(Builder& b, Values results) {
  if (!b.ok()) return fail(*b.failure());
  return results;
}

}  // namespace

Status accept_declared(Value& v, const Type& declared) {
  const auto mismatch = [&] {
    return invalid(format("it is declared as {}, the operator gives {}", declared.to_string(), v.type.to_string()));
  };
  if (!alike(declared, v.type)) return mismatch();
  for (size_t d = 0; d < declared.dims.size(); ++d) {
    const Dim& want = declared.dims[d];
    Dim& have = v.type.dims[d];
    if (!want.known()) continue;
    if (never_equal(want, have)) return mismatch();
    if (have.symbol_name().starts_with('?')) have = want;
  }
  return {};
}

Result<Types> joined_types(Function& function, const Values& yes, const Values& no) {
  Types types;
  for (size_t i = 0; i < yes.size(); ++i) {
    Type type =
        joined(yes[i]->type, no[i]->type, [&](IntRange range) { return Dim::symbol(function.fresh_symbol(), range); });
    if (type.kind == Type::Kind::none)
      return fail(Code::dtype_mismatch,
                  format("output {} is {} in one branch and {} in the other, takes the same in both", i,
                         yes[i]->type.to_string(), no[i]->type.to_string()));
    types.push_back(std::move(type));
  }
  return types;
}

Result<Values> assemble_cond(Builder& b, const Values& pred, std::vector<std::unique_ptr<Block>> blocks) {
  if (pred.size() != 1 || !pred[0]->type.is_tensor()) return invalid("'pred' takes one value");
  if (blocks.size() != 2) return invalid(format("takes two blocks, has {}", blocks.size()));
  const Values &yes = blocks[0]->outputs, &no = blocks[1]->outputs;
  if (yes.size() != no.size() || !blocks[0]->inputs.empty() || !blocks[1]->inputs.empty())
    return invalid("both branches must return the same values and take none");
  Result<Types> types = joined_types(b.function(), yes, no);
  if (!types) return invalid(std::move(types).error().message);
  for (size_t i = 0; i < types->size(); ++i) {
    if ((*types)[i].kind == Type::Kind::unranked)
      return invalid(format("output {} is {} in one branch and {} in the other, takes the same in both", i,
                            yes[i]->type.to_string(), no[i]->type.to_string()));
  }
  return emitted(b, b.emit_blocks("cond", {{"pred", pred[0]}}, std::move(blocks), std::move(*types)));
}

Result<Values> assemble_while(Builder& b, const Values& vars, std::vector<std::unique_ptr<Block>> blocks) {
  if (blocks.size() != 2) return invalid(format("takes two blocks, has {}", blocks.size()));
  const Block &go = *blocks[0], &body = *blocks[1];
  if (go.outputs.size() != 1 || !go.outputs[0]->type.is_tensor() || go.outputs[0]->dtype() != DType::boolean)
    return invalid("the condition block must return one bool");
  if (go.inputs.size() != vars.size() || body.inputs.size() != vars.size() || body.outputs.size() != vars.size())
    return invalid("the blocks must take, and the body return, the loop variables");
  Types types;
  for (size_t i = 0; i < vars.size(); ++i) {
    Type type = body.inputs[i]->type;
    for (const Value* v : {vars[i], body.outputs[i], go.inputs[i]}) {
      if (!alike(v->type, type))
        return invalid(format("loop variable {} is {} and {}", i, type.to_string(), v->type.to_string()));
    }
    for (Dim& d : type.dims) {
      if (!d.known()) d = Dim::symbol(b.function().fresh_symbol());
    }
    types.push_back(std::move(type));
  }
  return emitted(b, b.emit_blocks("while_loop", {{"loop_vars", vars}}, std::move(blocks), std::move(types)));
}

}  // namespace graft::ir

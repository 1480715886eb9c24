// What every reader of written programs does: operators with blocks from blocks that are already read, and the types
// that a file declares against those that the rows infer.
#pragma once

#include "ir/builder.h"

namespace graft::ir {

// Checks a declared type against the value's inferred one (invalid_model when they cannot be equal). The inferred type
// stands, but a size that only a run can tell is taken from the declaration where that states one. An unknown dim is
// any symbol.
Status accept_declared(Value& value, const Type& declared);

// The types of what one of two branches gives, whichever it is: joined(). Fails with dtype_mismatch where no type holds
// for both.
Result<Types> joined_types(Function& function, const Values& yes, const Values& no);

// Appends cond or while_loop. A dim on which the branches or the loop's turns may differ becomes a fresh symbol.
Result<Values> assemble_cond(Builder& builder, const Values& pred, std::vector<std::unique_ptr<Block>> blocks);
Result<Values> assemble_while(Builder& builder, const Values& loop_vars, std::vector<std::unique_ptr<Block>> blocks);

}  // namespace graft::ir

// Checks that a program keeps the rules every reader of it relies on. For tests, after passes, and before writing.
#pragma once

#include "ir/program.h"

namespace graft::ir {

// SSA and dominance (nested blocks see outer values), argument lists that fit the row, result types equal to the
// inferred ones or more general, block outputs, names of the interface. The first breach is returned as `internal`:
// whoever built the program is at fault, not the user.
Status verify(const Program& program);
Status verify(const Function& function);

// In builds with assertions: whoever leaves a broken program is found where it happens, and named in the error. Not in
// huge ones: looking at everything after every pass would take longer than all passes.
Status verify_in_debug(const Function& function, std::string_view after);

}  // namespace graft::ir

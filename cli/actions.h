// What the verbs do: one function a verb, from its options to its report.
#pragma once

#include "arguments.h"

namespace cli {

graft::Error as_error(const Failure& failure);

Report run_inspect(const Arguments& a, const Context& c);
Report run_compile(const Arguments& a, const Context& c);
Report run_run(const Arguments& a, const Context& c);
Report run_verify(const Arguments& a, const Context& c);
Report run_bench(const Arguments& a, const Context& c);
Report run_ops(const Arguments& a, const Context& c);

}  // namespace cli

// What the tools found, for people (text) and for programs (JSON: one object with a "schema", ending in a newline).
// Schemas only grow: a key never changes its meaning.
#pragma once

#include <string>

#include "tools/bench.h"
#include "tools/compile.h"
#include "tools/inspect.h"
#include "tools/op_list.h"
#include "tools/run_model.h"
#include "tools/verify.h"

namespace graft::report {

struct Style {
  bool colour = false;
};

std::string text(const tools::Inspection& r, Style style);
std::string text(const tools::PackageInspection& r, Style style);
std::string text(const tools::Compilation& r, Style style);
std::string text(const tools::RunResult& r, Style style);
std::string text(const tools::Verification& r, Style style);
std::string text(const tools::BenchResult& r, Style style);
std::string text(const tools::OpList& r, Style style);

std::string json(const tools::Inspection& r);         // graft.inspect/1
std::string json(const tools::PackageInspection& r);  // graft.inspect_package/1
std::string json(const tools::Compilation& r);        // graft.compile/1
std::string json(const tools::RunResult& r);          // graft.run/1
std::string json(const tools::Verification& r);       // graft.verify/1
std::string json(const tools::BenchResult& r);        // graft.bench/1
std::string json(const tools::OpList& r);             // graft.ops/1
std::string json(const Diag& error);                  // graft.error/1

// Why a verb's answer is "no", on one or more lines; empty when it is "yes".
std::string reason(const tools::Compilation& r);
std::string reason(const tools::Verification& r);

// docs/ops.md, docs/errors.md and docs/passes.md.
std::string ops_markdown(const tools::OpList& r);
std::string errors_markdown();
std::string passes_markdown();

}  // namespace graft::report

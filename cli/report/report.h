// What the tools found, for people (text) and for programs (JSON: one object with a "schema", ending in a newline).
// Schemas only grow: a key never changes its meaning.
#pragma once

#include <string>

#include "report/results.h"

namespace cli {

struct Style {
  bool colour = false;
};

std::string text(const Inspection& r, Style style);
std::string text(const PackageInspection& r, Style style);
std::string text(const Compilation& r, Style style);
std::string text(const RunResult& r, Style style);
std::string text(const Verification& r, Style style);
std::string text(const BenchResult& r, Style style);
std::string text(const OpList& r, Style style);

// The schema of report.json too, by which the library knows the folders of partial compiles.
inline constexpr std::string_view kCompileSchema = "graft.compile/1";

std::string json(const Inspection& r);         // graft.inspect/1
std::string json(const PackageInspection& r);  // graft.inspect_package/1
std::string json(const Compilation& r);        // graft.compile/1
std::string json(const RunResult& r);          // graft.run/1
std::string json(const Verification& r);       // graft.verify/1
std::string json(const BenchResult& r);        // graft.bench/1
std::string json(const OpList& r);             // graft.ops/1
std::string json(const Problem& error);        // graft.error/1

// Why a verification is not accurate: the message of an error.
std::string not_accurate_text(const Verification& r);
// Why a program is not accurate whatever stays in fp32.
std::string not_accurate_text(const Diagnosis& d);
// What a verification proves; empty where it did not run.
std::string proves_text(const Verification& r);

// docs/ops.md, docs/errors.md and docs/passes.md.
std::string ops_markdown(const OpList& r);
std::string errors_markdown(const std::vector<graft_code_info>& codes);
std::string passes_markdown(const std::vector<graft_pass_info>& passes);

}  // namespace cli

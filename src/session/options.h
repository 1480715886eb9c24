// Session options by name. One table (options.cc) holds every name that the design knows: Graft's own, ONNX Runtime's
// provider options, and which of them do something today. An unknown name or value is an error that lists the legal
// ones; a known one that does nothing yet is refused, unless the value is the documented default.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "devices/devices.h"
#include "onnx/lower.h"
#include "partition/partition.h"

namespace graft::session {

struct Options {
  std::string device = "auto";           // else the name of one of devices::rows()
  bool require_device = false;           // no Core ML on this machine is an error
  bool require_full_delegation = false;  // a node outside the Core ML partition is an error that lists every reason
  partition::Options partitioning;       // target, precision
  onnx::LowerOptions lowering;           // shapes
  std::vector<std::string> outputs;      // ONNX models: the values that are wanted; empty: the model's own outputs
  backend::ComputeUnits units = backend::ComputeUnits::all;
  // Whether the host runs what a partition cannot, for good or in one run; else that is an error. Without a name: for
  // whoever must know that it was Core ML's program that ran.
  bool host_takes_over = true;
  std::shared_ptr<const backend::Device> coreml;  // in place of the machine's own Core ML; null: that
  engine::Options engine;                         // "engine" = "reference" | "fast"
  Hold weights = Hold::copied;                    // of files; memory that the caller gave is used as it is
  std::optional<size_t> memory_limit;             // bytes; unset: by the machine, SIZE_MAX: none
  // For opening, and for each run; 0: none. No run of a model that works is so long, and a loop without end is.
  CancelToken::Time time_limit = std::chrono::hours(1);
};

// What a session may take under these options, counted: memory of its own for weights, constants, plans and
// intermediate values, for copies of inputs, and for results until they are handed over. Three quarters of the memory
// that the machine (or the process's control group) has where nothing else was asked for. Null: no limit.
std::shared_ptr<MemoryLimit> memory_limit_of(const Options& options);

using NamedOption = std::pair<std::string, std::string>;

struct OptionInfo {
  std::string_view name;
  std::string values;  // the legal ones, or what they look like; "0, 1": a switch
  std::string_view fallback, doc;
  bool available;
  std::string_view placeholder = {};  // of the value in a help page
};
std::span<const OptionInfo> all_options();
const OptionInfo* find_option(std::string_view name);

// Later entries win. Accepts both Graft's spellings ("device", "target", "precision", "shapes", "require_device",
// "require_full_delegation", "engine") and the provider option names of the design ("ModelFormat", "MLComputeUnits",
// …). Errors: unknown_option, invalid_option, not_available_yet.
Result<Options> parse_options(std::span<const NamedOption> options);

// "1x3x(64..2048)x(64..2048)", "1x3x224x224", "(1..8=4)x16" with a preferred size behind '='.
Result<std::vector<onnx::DimSpec>> parse_shape(std::string_view text);
// "x:1x3x224x224,mask:1x16" — several inputs separated by commas.
Status parse_shapes(std::string_view text, onnx::LowerOptions& into);

}  // namespace graft::session

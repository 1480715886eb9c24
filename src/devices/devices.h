// Which devices there are. Each lies in a folder or file of its own and has one row here.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "backend/device.h"
#include "engine/executable.h"

namespace graft::devices {

// What the option "device" names.
struct Row {
  std::string_view name;  // "coreml-ane"
  // Takes partitions as Core ML programs; else the ONNX program runs in its own dtypes.
  bool coreml;
  backend::ComputeUnits units;
  // Core ML's: gives the device, or null where this machine has none and the host engine stands in for it.
  std::shared_ptr<const backend::Device> (*open)();
};
std::span<const Row> rows();
const Row* find(std::string_view name);  // null: no such row
// What "auto" means: the first that takes Core ML programs and is there, else the host.
const Row& automatic(bool coreml_is_there);

// The engine, on the CPU of whatever machine this is: what runs host nodes, and stands in for devices that are not
// there. Fixed shapes are planned while loading.
std::shared_ptr<const backend::Device> host(const engine::Options& options);

}  // namespace graft::devices

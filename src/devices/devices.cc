#include "devices/devices.h"

#include <algorithm>

namespace graft::devices {
namespace {

using backend::ComputeUnits;

// Core ML needs an Apple system; its folder, apple/, is not there yet.
std::shared_ptr<const backend::Device> no_coreml() { return nullptr; }

constexpr Row kRows[] = {
    {"cpu", false, ComputeUnits::cpu_only, nullptr},
    {"coreml", true, ComputeUnits::all, no_coreml},
    {"coreml-ane", true, ComputeUnits::cpu_and_ne, no_coreml},
    {"coreml-gpu", true, ComputeUnits::cpu_and_gpu, no_coreml},
    {"coreml-cpu", true, ComputeUnits::cpu_only, no_coreml},
};

}  // namespace

std::span<const Row> rows() { return kRows; }

const Row* find(std::string_view name) {
  const auto* at = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& r) { return r.name == name; });
  return at == std::end(kRows) ? nullptr : at;
}

const Row& automatic(bool coreml_is_there) {
  for (const Row& r : kRows) {
    if (r.coreml && (coreml_is_there || r.open() != nullptr)) return r;
  }
  return kRows[0];
}

}  // namespace graft::devices

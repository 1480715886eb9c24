// Names of ONNX that MIL does not allow ("input.1", "/features/0") survive a package in its metadata: a key a feature.
#pragma once

#include "coreml/package.h"

namespace graft::coreml {

// Adds "graft.name.<function>.<file name>" = name for every feature whose names differ.
void add_name_keys(const Interface& interface, std::map<std::string, std::string>& metadata);
// Sets the names of features from such keys and removes the keys.
void take_name_keys(Interface& interface, std::map<std::string, std::string>& metadata);

}  // namespace graft::coreml

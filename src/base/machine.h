// What the machine has.
#pragma once

#include <cstddef>
#include <string>

namespace graft {

// The memory that this process may use: the machine's, or less where its control group has a limit. 0: not known.
size_t machine_memory();
// The least limit among the control groups (version 1 or 2) that the process is in; `root` is the file system's.
// SIZE_MAX: none.
size_t control_group_memory(const std::string& root);

}  // namespace graft

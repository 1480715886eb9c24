// What goes wrong in the tool itself. Becomes a graft::Error where a verb ends, so that it reads like the library's
// own.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include <graft/graft.h>

namespace cli {

struct Failure : std::runtime_error {
  Failure(graft_code what_code, const std::string& message, std::string in_file = {}, std::string at_tensor = {})
      : std::runtime_error(message), code(what_code), file(std::move(in_file)), tensor(std::move(at_tensor)) {}
  graft_code code;
  std::string file, tensor;
};

}  // namespace cli

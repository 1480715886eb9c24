// String formatting for messages: format("got {}, takes {}", a, b). One place that names the library.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace graft {
using fmt::format;
using fmt::join;
}  // namespace graft

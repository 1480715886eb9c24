// Text: messages by format("got {}, takes {}", a, b), in the one place that names the library, and words as users type
// them.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

namespace graft {
using fmt::format;
using fmt::join;

// Equal but for the case of ASCII letters: the names of targets, options and their values.
inline bool same_word(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}
}  // namespace graft

// UTF-8 as code points and back: NumPy's strings are of the latter.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cli {

// What is no UTF-8 becomes U+FFFD, a byte each.
std::vector<char32_t> code_points(std::string_view utf8);
// What is no code point becomes U+FFFD.
std::string utf8(std::span<const char32_t> points);

}  // namespace cli

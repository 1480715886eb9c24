// "Did you mean": the nearest of some words to one that is none of them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cli {

// Empty when nothing is near enough to be worth saying.
std::string nearest(std::string_view word, const std::vector<std::string>& words);

}  // namespace cli

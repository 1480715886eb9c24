// Good files made bad, for tests that read what somebody damaged. The same seed gives the same files everywhere.
#pragma once

#include <random>
#include <string>

namespace graft::test {

using Random = std::mt19937;
// A number below n; 0 when there is none.
size_t below(Random& random, size_t n);

inline constexpr int kByteMutations =
    5;  // kinds: bits, the end, protobuf's lengths, partitions moved, partitions missing
std::string mutated(int kind, const std::string& good, const std::string& other, Random& random);

inline constexpr int kTextMutations =
    5;  // kinds: the end, numbers, words lost, words of elsewhere, words repeated often
std::string mutated_text(int kind, const std::string& good, const std::string& other, Random& random);

}  // namespace graft::test

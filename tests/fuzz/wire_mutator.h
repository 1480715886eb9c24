// Mutations of protobuf messages for the fuzz harnesses, without a schema: what can be read as a message is taken apart
// into fields, some field is changed, moved or taken from elsewhere, and the lengths around it are written again. So
// most mutants get past the reader, and the code behind it is what is fuzzed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace graft::fuzz {

// Changes `size` bytes at `data`, at most to `most`, and returns how many they are then: LLVMFuzzerMutate.
using MutateBytes = std::function<size_t(uint8_t* data, size_t size, size_t most)>;

// `bytes` changed without regard to what they are, at most `most` of them.
std::string mutated_bytes(std::string_view bytes, size_t most, const MutateBytes& mutate);

// One to four changes of `message`, some of which take fields of `other`. At most `most` bytes.
std::string mutated_message(std::string_view message, std::string_view other, size_t most, unsigned seed,
                            const MutateBytes& mutate);

}  // namespace graft::fuzz

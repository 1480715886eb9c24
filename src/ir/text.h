// MIL text, the readable form of a program: Apple's `model.mil` dialect program(1.3), printed and parsed.
//
//   program(1.3)
//   {
//     func main<ios18>(tensor<fp32, [1, n]> x) {
//       tensor<fp32, [1, n]> y = relu(x = x)[name = string("y")];
//     } -> (y);
//   }
#pragma once

#include <string>
#include <string_view>

#include "ir/program.h"

namespace graft::ir {

// What people read, not parsers, has larger constants elided.
inline constexpr int64_t kReadableElements = 16;

struct TextOptions {
  Opset opset = Opset::ios18;  // named in func main<…>; host programs say <host>
  // Constants of more elements are elided as ELIDED(hash = …): readable, but not parsed back.
  int64_t max_elements = INT64_MAX;
};

std::string to_text(const Program& program, const TextOptions& options = {});
std::string to_text(const Function& function, const TextOptions& options = {});  // as a program of its own

struct TextSource {
  // Gives the constant behind BLOBFILE(path, offset) of the type named; null: such references are an error.
  std::function<Result<ConstantPtr>(std::string_view path, uint64_t offset, const Type& type)> blob;
};

// Symbols in dims are names with an optional range, `n` or `n: 1..64`; Apple's `?` becomes a fresh symbol.
// malformed with line and column where the text breaks the grammar.
Result<std::shared_ptr<Program>> parse_text(std::string_view text, const OpTable& table, const TextSource& source = {});

}  // namespace graft::ir

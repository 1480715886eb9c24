// What is done to a kernel's result before it is stored: functions of its elements, and additions of values that exist
// already. Kernels of products and convolutions take it; which functions they have, they say.
#pragma once

#include "engine/step.h"

namespace graft::engine {

struct Epilogue {
  struct Part {
    enum class Kind : uint8_t { function, add, sum };  // sum: of what lies in the result's memory already
    Kind kind;
    ir::Scalar function = ir::Scalar::other;
    float alpha = 0, beta = 0;  // its numbers
    bool times_x = false;       // x * f(x)
  };
  std::vector<Part> parts;
  std::vector<int> nodes;     // the kernel's own operator, then those absorbed
  std::vector<int> added;     // values added, in order
  std::vector<int> added_at;  // their places in parts
  int result = -1;            // the value that remains
  bool sum = false;           // added[0] is a `sum`
};

// What a kernel can do.
struct EpilogueAbilities {
  bool (*has)(const Epilogue::Part& function);
  bool (*keeps_nan)(const Epilogue::Part& function);
};

Epilogue only_head(int head, int result);
// The operators behind `head` that it can take over. `by_sum`: the first addition may be done in place, if its operand
// dies there; `head_in` are the head's own inputs.
Epilogue absorb(const Selection& s, int head, int result, const std::vector<int>& head_in, bool by_sum,
                const EpilogueAbilities& kernel);

}  // namespace graft::engine

// Kinds of made-up inputs: what a program computes for ordinary numbers says little of what it does at the ends of
// fp16.
#pragma once

#include <span>
#include <string_view>
#include <unordered_map>

#include "session/session.h"

namespace graft::tools {

struct Draw {
  enum class Integers : uint8_t { either, zeros, ones, ends };  // and bools
  std::string_view name, doc;
  // Values that any model of such inputs has to bear: masks and ids. Magnitudes of floats are for its user to judge.
  bool typical = true;
  double lo = -1, hi = 1;  // floats
  bool whole = false;      // and only whole numbers
  Integers integers = Integers::either;
};
// The ordinary one comes first.
std::span<const Draw> draws();

// How many entries the tables have that integer inputs name places in, by input; the smallest where there are several.
// Followed from the inputs through whatever computes element by element, or only moves, to the gathers.
using Tables = std::unordered_map<std::string_view, int64_t>;
Tables tables_of(const session::Session& session);

// Whether the draw makes anything else of what is not given than the ordinary one. `given` as for random_inputs().
bool applies(const Draw& draw, const session::Session& session, const Tables& tables,
             std::span<const TensorView> given);

}  // namespace graft::tools

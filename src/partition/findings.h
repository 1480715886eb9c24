// What is told of a partitioning once it is made. Private to src/partition.
#pragma once

#include "partition/partition.h"

namespace graft::partition {

// Counts the work, all and claimed, and how much each refusal cuts off.
void weigh(Partitioning& p);

// Findings about the model's inputs, before all others: sizes that nobody gave, integers that are taken to be small,
// inputs that the package of a whole graph does not have.
void tell_inputs(Partitioning& p);

}  // namespace graft::partition

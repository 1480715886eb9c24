// What a partition costs and gains: the constants of the cost model are here and nowhere else. They are rough on
// purpose: they only have to keep Graft from crossing into Core ML for next to nothing.
#pragma once

#include <cstdint>
#include <string>

#include "ir/program.h"

namespace graft::partition {

struct CostModel {
  double crossing_us = 60;           // one prediction call, whatever it does
  double bytes_per_us = 8000;        // copying the boundary's tensors in and out
  double host_flops_per_us = 50000;  // one CPU core of a phone in fp32
  double speedup = 4;                // what Core ML is assumed to gain on arithmetic
  std::string to_string() const;     // for reports: "60 us a crossing, 8.0 GB/s at the boundary, …"
};

// Floating-point operations of one operator (a multiply-add counts two) and of a block; symbolic sizes count with
// default_dims, else with their lower bound (at least 1).
double flops(const ir::Op& op, const std::map<std::string, int64_t>& default_dims);
double flops(const ir::Block& block, const std::map<std::string, int64_t>& default_dims);

// Microseconds that running the function as a Core ML partition saves (negative: it costs more than it gains).
double gain_us(const ir::Function& partition, const CostModel& model);

}  // namespace graft::partition

// The rules of precision.h as they look at a function, one after the other. Private to src/passes: precision_plan.cc
// (rules 1 to 5, 9 and 10), precision_digits.cc (7, 8) and precision_constants.cc (6).
#pragma once

#include "passes/constant_facts.h"
#include "passes/error_ranges.h"
#include "passes/match.h"
#include "passes/precision_plan.h"

namespace graft::passes {

class PrecisionPlanner {
 public:
  PrecisionPlanner(const ir::Function& function, const ir::Target& target, const KeptNodes& kept);
  PrecisionPlan plan() &&;

 private:
  // How far patterns look back and forth.
  static constexpr int kDepth = 8;

  bool wide(const ir::Op& op) const { return plan_.wide.contains(&op); }
  static bool on_floats(const ir::Op& op);
  static std::string_view name_of(const ir::Op& op, size_t p) { return op.row->params()[p].name; }
  void note(Code code, const ir::Op& op, std::string message);

  // What stays in fp32 does so for the sake of one operator, which the finding names: an island.
  void open_island(Code code, const ir::Op& op, std::string why);
  bool keep(const ir::Op& op);  // false: was kept before
  void tell_costs();
  // v may be beyond fp16's range: what is done to it stays in fp32 until something brings it back.
  void spread(const ir::Value* v, int depth);
  // What computes v one element at a time stays in fp32.
  void trace(const ir::Value* v, int depth);

  void by_row(const ir::Op& op);
  void by_integers(const ir::Op& op);
  void by_request(const ir::Op& op);
  void by_loop(const ir::Op& op);

  // Where the numbers that an operator reads come from, as far back as they are computed one by one.
  struct Source {
    std::vector<const ir::Op*> ops;
    bool exact = true;  // inputs, constants and integers: nothing on the way that fp16 would have rounded anyway
    bool sums = false;  // a running sum is among them
  };
  Source source_of(const ir::Op& op) const;
  void look_back(const ir::Value* v, Source& source, std::unordered_set<const ir::Op*>& seen) const;
  void keep_digits(const ir::Op& op, const Source& source, std::string why);
  void by_digits(const ir::Op& op);
  void goes_on_counting(const ir::Op& op);
  bool decided_by_rounding(const ir::Op& op) const;
  void by_poles(const ir::Op& op);

  const ConstantFacts& facts(const ir::Value* v);
  void by_constants(const ir::Op& op);
  void replace(const ir::Op& op, size_t p, size_t i, ir::ConstantPtr by, bool stays = false);
  void too_big(const ir::Op& op, size_t p, size_t i, const ConstantFacts& f);
  void mask(const ir::Op& op, size_t p, size_t i, const ConstantFacts& f);
  void too_small(const ir::Op& op, size_t p, size_t i, const ConstantFacts& f);
  const ir::Signature& signature(const ir::Op& op) const;
  bool may_stay(const ir::Op& op, size_t p) const;
  void stay(const ir::Op& op, size_t p, const ConstantFacts& f);
  void left_out_epsilon(const ir::Op& op);
  bool is_added(const ir::Value* v, int depth) const;
  void masks_from_outside(const ir::Op& softmax, const ir::Value* v, int depth);
  bool small_rows(const ir::Op& op, double epsilon);

  struct Island {
    size_t finding;
    std::vector<const ir::Op*> ops;
  };

  const ir::Target target_;
  const KeptNodes& kept_;
  PrecisionPlan plan_;
  std::vector<ir::Op*> ops_;
  std::unordered_map<const ir::Value*, std::vector<const ir::Op*>> users_;
  std::unordered_set<const ir::Value*> inputs_;           // of the function
  std::unordered_map<const ir::Value*, size_t> counted_;  // numbers made from integers, and their islands
  std::unordered_set<const ir::Value*> sums_;             // of integer products, as floats
  std::unordered_map<const ir::Constant*, ConstantFacts> facts_;
  ErrorRanges ranges_;
  static constexpr size_t kNone = SIZE_MAX;
  std::vector<Island> islands_;
  size_t island_ = kNone;                      // that is being filled
  std::unordered_map<int32_t, size_t> asked_;  // by the node that the user named
};

// Operators that compute one element at a time, by their family's word, and those that reduce.
bool elementwise(const ir::Op& op);
bool reduces(const ir::Op& op);

}  // namespace graft::passes

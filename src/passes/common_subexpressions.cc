#include "passes/common_subexpressions.h"

#include <map>

#include "passes/rewriter.h"

namespace graft::passes {
namespace {

// Constants up to this size are compared by content; bigger ones (weights) are equal only when they are the same
// object, so that the pass never reads a weight file.
constexpr size_t kSmall = 4096;

class Expressions {
 public:
  explicit Expressions(Rewriter& rewriter) : rewriter_(&rewriter) {}

  std::optional<Values> operator()(Op& op) {
    for (auto& arg : op.args) {
      for (Value*& v : arg) v = canonical(v);
    }
    if (!op.blocks.empty() || op.deferred != nullptr || op.row->def->effects != ir::Effects::none) return std::nullopt;
    std::vector<Entry>& candidates = seen_[{op.row, op.args}];
    std::erase_if(candidates, [&](const Entry& e) { return !rewriter_->visible(e.block); });  // its block is done
    for (const Entry& e : candidates) {
      if (same_types(e.op->results, op.results)) return e.op->results;
    }
    candidates.push_back({&op, &rewriter_->block()});
    return std::nullopt;
  }

 private:
  struct Entry {
    const Op* op;
    const Block* block;
  };

  static bool same_types(const Values& a, const Values& b) {
    // Results sized by data have symbols of their own; the users of one would look in vain for the other's.
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const Value* x, const Value* y) { return x->type == y->type; });
  }

  Value* canonical(Value* v) {
    if (!v->is_constant()) return v;
    if (const auto [at, added] = by_pointer_.try_emplace(v->constant.get(), v); !added) return at->second;
    if (v->constant->bytes() > kSmall) return v;
    std::vector<Value*>& equal_hash = by_content_[v->constant->hash()];
    for (Value* other : equal_hash) {
      if (!other->constant->same_as(*v->constant)) continue;
      other->origin.merge(v->origin);
      return by_pointer_[v->constant.get()] = other;
    }
    equal_hash.push_back(v);
    return v;
  }

  Rewriter* rewriter_;
  std::map<std::pair<const ir::OpRow*, std::vector<std::vector<Value*>>>, std::vector<Entry>> seen_;
  std::unordered_map<const ir::Constant*, Value*> by_pointer_;
  std::unordered_map<uint64_t, std::vector<Value*>> by_content_;
};

}  // namespace

Result<int> common_subexpressions(Function& function, PassContext& context) {
  Rewriter rewriter(function, context);
  Expressions expressions(rewriter);
  return rewriter.run([&](Op& op) { return expressions(op); });
}

}  // namespace graft::passes

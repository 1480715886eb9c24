#include "ir/provenance.h"

#include <algorithm>
#include <iterator>
#include <unordered_set>
#include <utility>

namespace graft::ir {

// Ids in a list, or the union of two sets; never changed once it is shared.
struct Provenance::Set {
  std::vector<int32_t> nodes;  // sorted
  std::shared_ptr<Set> a, b;
  std::shared_ptr<Set> next;  // while it dies

  explicit Set(std::vector<int32_t> list) : nodes(std::move(list)) {}
  Set(std::shared_ptr<Set> left, std::shared_ptr<Set> right) : a(std::move(left)), b(std::move(right)) {}
  Set(const Set&) = delete;
  Set& operator=(const Set&) = delete;

  // Unions nest as deep as chains of operators are long, and memory may be what has run out: neither recursion nor
  // allocation, sets that end with this one form a list.
  ~Set() {
    std::shared_ptr<Set> dying;
    const auto release = [&](std::shared_ptr<Set> s) {
      if (s.use_count() != 1) return;
      s->next = std::move(dying);
      dying = std::move(s);
    };
    release(std::move(a));
    release(std::move(b));
    while (dying != nullptr) {
      const std::shared_ptr<Set> s = std::move(dying);
      dying = std::move(s->next);
      release(std::move(s->a));
      release(std::move(s->b));
    }
  }
};

Provenance::Provenance(std::initializer_list<int32_t> list) {
  std::vector<int32_t> nodes(list);
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  if (!nodes.empty()) set_ = std::make_shared<Set>(std::move(nodes));
}

void Provenance::merge(const Provenance& from) {
  constexpr size_t kList = 16;  // most sets are smaller than this: they stay lists
  if (from.set_ == nullptr || from.set_ == set_) return;
  if (set_ == nullptr) {
    set_ = from.set_;
    return;
  }
  const std::vector<int32_t>&x = set_->nodes, &y = from.set_->nodes;
  if (x.empty() || y.empty() || x.size() + y.size() > kList) {
    set_ = std::make_shared<Set>(set_, from.set_);
  } else if (!std::includes(x.begin(), x.end(), y.begin(), y.end())) {
    std::vector<int32_t> both;
    std::set_union(x.begin(), x.end(), y.begin(), y.end(), std::back_inserter(both));
    set_ = std::make_shared<Set>(std::move(both));
  }
}

std::vector<int32_t> Provenance::nodes() const {
  std::vector<int32_t> all;
  std::vector<const Set*> open;
  std::unordered_set<const Set*> seen;
  const auto look = [&](const Set* s) {
    if (s != nullptr && seen.insert(s).second) open.push_back(s);
  };
  for (look(set_.get()); !open.empty();) {
    const Set* s = open.back();
    open.pop_back();
    all.insert(all.end(), s->nodes.begin(), s->nodes.end());
    look(s->a.get());
    look(s->b.get());
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace graft::ir

// What plans of one executable keep between runs, and what a run takes for its time. Private to plans.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "base/list.h"
#include "engine/memory.h"
#include "ir/type.h"

namespace graft::engine {

class Plan;

// What a step keeps for each context: calls, primitives' arguments.
class StepState {
 public:
  virtual ~StepState() = default;
};

// A result outside of the arena: the run sized it, or its elements are objects.
struct Grown {
  Buffer memory;
  List list;       // the value, of dtype list
  Tensor strings;  // the value, of dtype string
  DType dtype = DType::invalid;
  Shape shape;

  void* data() {
    if (dtype == DType::list) return &list;
    return dtype == DType::string ? strings.mutable_view().data : memory.data();
  }

  // Memory for a value of that type.
  Result<void*> take(DType of, const Shape& sizes, const std::shared_ptr<MemoryLimit>& limit);
  // A value that is there already: its memory changes places with this one's.
  void adopt(Buffer& other, DType of, const Shape& sizes);
};

struct Context {
  Buffer arena;
  std::vector<void*> pointers;  // by plan value
  std::vector<std::unique_ptr<StepState>> states;
  std::vector<Grown> grown;    // by stop.shapes
  std::vector<Grown> objects;  // by Plan::objects
  std::vector<const void*> next_feeds;
  std::vector<int64_t> key;
  std::vector<void*> result_memory;
  // For the time of a run that went on: with which plan, and that one's context.
  std::shared_ptr<const Plan> next_plan;
  std::unique_ptr<Context> next;

  // Lists hold tensors, which are not kept for the next run.
  void drop_lists();
};

// At most `capacity` plans, the least recently used one dropped. Lookups take a short lock.
class PlanCache {
 public:
  // `same(key)` compares without allocating.
  template <class Same>
  std::shared_ptr<const Plan> find(const Same& same) const {
    std::lock_guard lock(mutex_);
    for (Entry& e : entries_) {
      if (same(static_cast<const std::vector<int64_t>&>(e.key))) {
        e.used = ++clock_;
        return e.plan;
      }
    }
    return nullptr;
  }
  void insert(std::vector<int64_t> key, std::shared_ptr<const Plan> plan) const;
  std::vector<std::shared_ptr<const Plan>> take_all() const;  // and is empty then

 private:
  static constexpr size_t kCapacity = 16;
  struct Entry {
    std::vector<int64_t> key;
    std::shared_ptr<const Plan> plan;
    uint64_t used;
  };
  mutable std::mutex mutex_;
  mutable std::vector<Entry> entries_;
  mutable uint64_t clock_ = 0;
};

// Flushes denormals on this thread for its lifetime.
class FlushDenormals {
 public:
  explicit FlushDenormals(bool on);
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  uint64_t saved_;
  bool on_;
};

}  // namespace graft::engine

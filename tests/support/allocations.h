// Counts what operator new hands out in this test program, all threads together where nothing else is said. Every test
// program has it, as only one replacement of operator new fits into one.
#pragma once

#include <cstddef>

namespace graft::test {

// Resets the figures below.
void watch_allocations();
size_t largest_allocation();        // bytes, since watch_allocations()
size_t peak_allocated();            // bytes alive at once above those alive at watch_allocations()
long allocations_of_this_thread();  // since the thread began

// Called on this thread at every request while it is set; what the hook itself asks for is not counted. Null: none.
void on_allocation(void (*hook)());

// While it lives, a request for more than `bytes` at once finds no memory. Code that asks without looking for failure
// ends the test program: by std::bad_alloc, not by taking the machine's memory.
class AllocationLimit {
 public:
  explicit AllocationLimit(size_t bytes);
  ~AllocationLimit();
  AllocationLimit(const AllocationLimit&) = delete;
  AllocationLimit& operator=(const AllocationLimit&) = delete;
};

}  // namespace graft::test

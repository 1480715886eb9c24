// Counts what operator new hands out in this test program, all threads together.
#pragma once

#include <cstddef>

namespace graft::test {

// Resets the figures below.
void watch_allocations();
size_t largest_allocation();  // bytes, since watch_allocations()
size_t peak_allocated();      // bytes alive at once above those alive at watch_allocations()

}  // namespace graft::test

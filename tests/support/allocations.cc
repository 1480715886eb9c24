#include "support/allocations.h"

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

namespace {

std::atomic<long> alive{0}, base{0}, peak{0}, largest{0};
std::atomic<size_t> limit{SIZE_MAX};
thread_local long count = 0;
thread_local void (*hook)() = nullptr;

void raise_to(std::atomic<long>& figure, long value) {
  for (long now = figure; value > now && !figure.compare_exchange_weak(now, value);) {
  }
}

void* note(void* p, size_t size) {
  ++count;
  if (hook != nullptr) {
    const long now = count;
    auto* const call = std::exchange(hook, nullptr);
    call();
    hook = call;
    count = now;
  }
  if (p == nullptr) return nullptr;
  raise_to(largest, static_cast<long>(size));
  const long mine = static_cast<long>(malloc_usable_size(p));
  raise_to(peak, (alive += mine) - base);
  return p;
}

void* take(size_t size, size_t alignment) {
  size = std::max<size_t>(size, 1);
  if (size > limit) return nullptr;
  if (alignment <= alignof(std::max_align_t)) return note(std::malloc(size), size);
  return note(std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment), size);
}

void* take_or_throw(size_t size, size_t alignment) {
  if (void* p = take(size, alignment)) return p;
  throw std::bad_alloc();
}

void give(void* p) {
  if (p == nullptr) return;
  alive -= static_cast<long>(malloc_usable_size(p));
  std::free(p);
}

}  // namespace

void* operator new(size_t n) { return take_or_throw(n, 1); }
void* operator new[](size_t n) { return take_or_throw(n, 1); }
void* operator new(size_t n, std::align_val_t a) { return take_or_throw(n, static_cast<size_t>(a)); }
void* operator new[](size_t n, std::align_val_t a) { return take_or_throw(n, static_cast<size_t>(a)); }
void* operator new(size_t n, const std::nothrow_t&) noexcept { return take(n, 1); }
void* operator new[](size_t n, const std::nothrow_t&) noexcept { return take(n, 1); }
void* operator new(size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return take(n, static_cast<size_t>(a));
}
void* operator new[](size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
  return take(n, static_cast<size_t>(a));
}
void operator delete(void* p) noexcept { give(p); }
void operator delete[](void* p) noexcept { give(p); }
void operator delete(void* p, size_t) noexcept { give(p); }
void operator delete[](void* p, size_t) noexcept { give(p); }
void operator delete(void* p, std::align_val_t) noexcept { give(p); }
void operator delete[](void* p, std::align_val_t) noexcept { give(p); }
void operator delete(void* p, size_t, std::align_val_t) noexcept { give(p); }
void operator delete[](void* p, size_t, std::align_val_t) noexcept { give(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { give(p); }
void operator delete[](void* p, const std::nothrow_t&) noexcept { give(p); }
void operator delete(void* p, std::align_val_t, const std::nothrow_t&) noexcept { give(p); }
void operator delete[](void* p, std::align_val_t, const std::nothrow_t&) noexcept { give(p); }

namespace graft::test {

void watch_allocations() {
  base = alive.load();
  peak = 0;
  largest = 0;
}
AllocationLimit::AllocationLimit(size_t bytes) { limit = bytes; }
AllocationLimit::~AllocationLimit() { limit = SIZE_MAX; }
size_t largest_allocation() { return static_cast<size_t>(largest.load()); }
long allocations_of_this_thread() { return count; }
void on_allocation(void (*h)()) { hook = h; }
size_t peak_allocated() { return static_cast<size_t>(peak.load()); }

}  // namespace graft::test

#include "engine/memory.h"

#include <algorithm>
#include <new>
#include <numeric>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "base/format.h"

namespace graft::engine {

// By operator new as all other memory is, so that whoever replaces it sees (and limits) everything.
void AlignedFree::operator()(std::byte* p) const { ::operator delete (p, std::align_val_t{align}); }

Status Buffer::ensure(size_t bytes) {
  if (bytes <= size_) return {};
  constexpr size_t kHuge = size_t{2} << 20;
  if (bytes > SIZE_MAX - kHuge) return fail(Code::out_of_memory, format("no memory for {} bytes", bytes));
  const size_t align = bytes >= 2 * kHuge ? kHuge : kArenaAlign;
  const size_t size = align_up(bytes, align);
  auto* p = static_cast<std::byte*>(::operator new (size, std::align_val_t{align}, std::nothrow));
  if (p == nullptr) return fail(Code::out_of_memory, format("no memory for {} bytes", bytes));
#if defined(__linux__)
  if (align == kHuge) (void)madvise(p, size, MADV_HUGEPAGE);  // advice: 10 to 20 % of bandwidth where it is taken
#endif
  data_ = {p, AlignedFree{align}};
  size_ = size;
  return {};
}

Result<std::byte*> Slab::take(size_t bytes) {
  constexpr size_t kLeast = size_t{64} << 10, kMost = size_t{8} << 20;
  if (blocks_.empty() || blocks_.back().size() - used_ < bytes) {
    Buffer block;
    const size_t want = std::max(bytes, std::clamp(total_, kLeast, kMost)), expected = std::exchange(expected_, 0);
    if (expected <= want || !block.ensure(expected)) GRAFT_CHECK(block.ensure(want));
    total_ += block.size();
    used_ = 0;
    blocks_.push_back(std::move(block));
  }
  std::byte* p = blocks_.back().data() + used_;
  used_ = std::min(align_up(used_ + bytes), blocks_.back().size());
  return p;
}

size_t place(std::span<Storage> storages) {
  std::vector<size_t> order(storages.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return storages[a].bytes > storages[b].bytes; });
  std::vector<const Storage*> placed, alive;
  size_t total = 0;
  for (size_t i : order) {
    Storage& s = storages[i];
    if (s.bytes == 0) continue;
    alive.clear();
    for (const Storage* p : placed) {
      if (p->first <= s.last && s.first <= p->last) alive.push_back(p);
    }
    std::sort(alive.begin(), alive.end(), [](const Storage* a, const Storage* b) { return a->offset < b->offset; });
    size_t at = 0, best = SIZE_MAX, best_gap = SIZE_MAX;
    for (const Storage* p : alive) {
      if (p->offset > at && p->offset - at >= s.bytes && p->offset - at < best_gap) {
        best = at;
        best_gap = p->offset - at;
      }
      at = std::max(at, align_up(p->offset + p->bytes));
    }
    s.offset = best == SIZE_MAX ? at : best;
    total = std::max(total, align_up(s.offset + s.bytes));
    placed.push_back(&s);
  }
  return total;
}

}  // namespace graft::engine

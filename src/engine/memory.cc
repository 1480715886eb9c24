#include "engine/memory.h"

#include <algorithm>
#include <bit>
#include <map>
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

Status Buffer::ensure(size_t bytes, const std::shared_ptr<MemoryLimit>& limit) {
  if (bytes <= size_) return {};
  // What is there is of no use any more: it is given back first, so that the two never exist at once.
  data_.reset();
  size_ = 0;
  share_ = MemoryShare();
  constexpr size_t kHuge = size_t{2} << 20;
  if (bytes > SIZE_MAX - kHuge) return fail(Code::out_of_memory, format("no memory for {} bytes", bytes));
  const size_t align = bytes >= 2 * kHuge ? kHuge : kArenaAlign;
  const size_t size = align_up(bytes, align);
  GRAFT_TRY(MemoryShare share, MemoryShare::take(limit, size));
  auto* p = static_cast<std::byte*>(::operator new (size, std::align_val_t{align}, std::nothrow));
  if (p == nullptr) return fail(Code::out_of_memory, format("no memory for {} bytes", bytes));
#if defined(__linux__)
  if (align == kHuge) (void)madvise(p, size, MADV_HUGEPAGE);  // advice: 10 to 20 % of bandwidth where it is taken
#endif
  data_ = {p, AlignedFree{align}};
  size_ = size;
  share_ = std::move(share);
  return {};
}

Tensor Buffer::to_tensor(DType dtype, const Shape& shape) && {
  const size_t align = data_.get_deleter().align;
  size_ = 0;
  return Tensor::adopt(dtype, shape, data_.release(), align, std::exchange(share_, MemoryShare()));
}

Result<std::byte*> Slab::take(size_t bytes, const std::shared_ptr<MemoryLimit>& limit) {
  constexpr size_t kLeast = size_t{64} << 10, kMost = size_t{8} << 20;
  if (blocks_.empty() || blocks_.back().size() - used_ < bytes) {
    Buffer block;
    const size_t want = std::max(bytes, std::clamp(total_, kLeast, kMost)), expected = std::exchange(expected_, 0);
    if (expected <= want || !block.ensure(expected, limit)) GRAFT_CHECK(block.ensure(want, limit));
    total_ += block.size();
    used_ = 0;
    blocks_.push_back(std::move(block));
  }
  std::byte* p = blocks_.back().data() + used_;
  used_ = std::min(align_up(used_ + bytes), blocks_.back().size());
  return p;
}

namespace {

// Storages that have their place, found by the time in which they live: a tree over all of them in the order of their
// first steps, in which each node knows the latest of the last steps below it.
class Placed {
 public:
  explicit Placed(std::span<const Storage> all) : all_(all), by_first_(all.size()), leaf_(all.size()) {
    std::iota(by_first_.begin(), by_first_.end(), size_t{0});
    std::stable_sort(by_first_.begin(), by_first_.end(),
                     [&](size_t a, size_t b) { return all[a].first < all[b].first; });
    for (size_t i = 0; i < by_first_.size(); ++i) leaf_[by_first_[i]] = i;
    leaves_ = std::bit_ceil(std::max<size_t>(all.size(), 1));
    last_.assign(2 * leaves_, -1);
  }

  void add(size_t storage) {
    for (size_t n = leaves_ + leaf_[storage]; n > 0; n /= 2) last_[n] = std::max(last_[n], all_[storage].last);
  }

  // Those that live at some step of `s` too; some of them where there are more than `most`.
  void alive(const Storage& s, size_t most, std::vector<const Storage*>& found) const {
    look(1, 0, leaves_, s, most, found);
  }

 private:
  // Node n is over the leaves [from, to).
  void look(size_t n, size_t from, size_t to, const Storage& s, size_t most, std::vector<const Storage*>& found) const {
    if (found.size() > most) return;
    if (last_[n] < s.first || from >= all_.size() || all_[by_first_[from]].first > s.last) return;
    if (to - from == 1) {
      found.push_back(&all_[by_first_[from]]);
      return;
    }
    const size_t middle = from + (to - from) / 2;
    look(2 * n, from, middle, s, most, found);
    look(2 * n + 1, middle, to, s, most, found);
  }

  std::span<const Storage> all_;
  std::vector<size_t> by_first_, leaf_;
  std::vector<int> last_;  // node n has the children 2n and 2n + 1; the last leaves_ are leaves
  size_t leaves_ = 0;
};

// The start of the tightest gap between `alive` that holds it, or the end of the highest.
size_t among(std::vector<const Storage*>& alive, size_t bytes) {
  std::sort(alive.begin(), alive.end(), [](const Storage* a, const Storage* b) { return a->offset < b->offset; });
  size_t at = 0, best = SIZE_MAX, best_gap = SIZE_MAX;
  for (const Storage* p : alive) {
    if (p->offset > at && p->offset - at >= bytes && p->offset - at < best_gap) {
      best = at;
      best_gap = p->offset - at;
    }
    at = std::max(at, align_up(p->offset + p->bytes));
  }
  return best == SIZE_MAX ? at : best;
}

// A search takes as many steps for each storage.
constexpr size_t kMostLookedAt = 512;

// Places above all others, each for storages that do not live at once and are no larger than the first one there.
class Slots {
 public:
  // Among the last of them, or a new one at `top`.
  size_t take(const Storage& s, size_t top) {
    const size_t oldest = slots_.size() - std::min(slots_.size(), kMostLookedAt);
    for (size_t k = slots_.size(); k-- > oldest;) {
      if (slots_[k].take(s)) return slots_[k].offset;
    }
    slots_.push_back({top, {}});
    slots_.back().take(s);
    return top;
  }

 private:
  struct Slot {
    size_t offset;
    std::map<int, int> taken;  // first to last steps
    bool take(const Storage& s) {
      const auto after = taken.upper_bound(s.last);
      if (after != taken.begin() && std::prev(after)->second >= s.first) return false;
      taken.emplace(s.first, s.last);
      return true;
    }
  };
  std::vector<Slot> slots_;
};

}  // namespace

size_t place(std::span<Storage> storages) {
  std::vector<size_t> order(storages.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return storages[a].bytes > storages[b].bytes; });
  Placed placed(storages);
  Slots slots;
  std::vector<const Storage*> alive;
  size_t total = 0;
  bool crowded = false;  // too many live at once to look at all; what is left is the smaller part
  for (size_t i : order) {
    Storage& s = storages[i];
    if (s.bytes == 0) continue;
    alive.clear();
    if (!crowded) placed.alive(s, kMostLookedAt, alive);
    crowded = crowded || alive.size() > kMostLookedAt;
    s.offset = crowded ? slots.take(s, total) : among(alive, s.bytes);
    total = std::max(total, align_up(s.offset + s.bytes));
    if (!crowded) placed.add(i);
  }
  return total;
}

}  // namespace graft::engine

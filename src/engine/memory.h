// Memory of plans: a growable aligned buffer, and where storages with lifetimes go in one arena.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "base/bounds.h"
#include "base/tensor.h"

namespace graft::engine {

struct AlignedFree {
  size_t align = 0;
  void operator()(std::byte* p) const;
};

// 64-byte aligned, huge pages asked for where it is large. Grows only, and does not keep what is in it. Counted against
// the limit, which may be null.
class Buffer {
 public:
  Status ensure(size_t bytes, const std::shared_ptr<MemoryLimit>& limit);
  std::byte* data() const { return data_.get(); }
  size_t size() const { return size_; }
  // Gives the memory away, with what is in it.
  Tensor to_tensor(DType dtype, const Shape& shape) &&;

 private:
  std::unique_ptr<std::byte[], AlignedFree> data_;
  size_t size_ = 0;
  MemoryShare share_;
};

// Many pieces that live as long as the slab, in few large blocks: fewer page faults, huge pages. Pieces are 64-byte
// aligned. Not safe for concurrent use.
class Slab {
 public:
  bool empty() const { return blocks_.empty(); }
  // About this much will be taken in all: the next block is as large, if there is memory. Pages never touched cost
  // nothing.
  void expect(size_t bytes) { expected_ = bytes; }
  Result<std::byte*> take(size_t bytes, const std::shared_ptr<MemoryLimit>& limit);

 private:
  std::vector<Buffer> blocks_;
  size_t used_ = 0, total_ = 0, expected_ = 0;
};

// Lives from step `first` to step `last`, both included.
struct Storage {
  size_t bytes = 0;
  int first = 0, last = 0;
  size_t offset = 0;  // out
};

// Gives every storage an offset such that those alive at once do not overlap; returns the arena's size. Largest first,
// each into the tightest gap that holds it; once hundreds live at once, into a place that is free above the others.
size_t place(std::span<Storage> storages);

inline constexpr size_t kArenaAlign = 64;
inline size_t align_up(size_t n, size_t to = kArenaAlign) { return (n + to - 1) / to * to; }

}  // namespace graft::engine

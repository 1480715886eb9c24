// Gathers and scatters, by what their rows say of the places that indices name: one walk for all of them. The last dim
// is walked in stretches whose places are found first. A bad index is reported as the reference does: the first one.
#include <atomic>
#include <cstring>

#include "engine/native/kernels.h"
#include "ops/blocks.h"
#include "ops/indexing.h"

namespace graft::engine {
namespace {

constexpr int64_t kStretch = 256, kPart = 16384;  // entries whose places are found at once; elements of a block

class IndexedStep : public Step {
 public:
  IndexedStep(ir::Indexing how, DType indices) : how_(merged(how)), indices_(indices) { provider = "native"; }

 protected:
  // Neighbouring dims that are walked like one are one; at least one is left.
  static ir::Indexing merged(const ir::Indexing& how) {
    ir::Indexing m;
    m.picked = how.picked;
    m.steps = how.steps;
    m.block = how.block;
    for (int d = 0; d < how.sizes.size(); ++d) {
      const int last = m.sizes.size() - 1;
      if (how.sizes[d] == 1) continue;
      if (last >= 0 && m.data[last] == how.data[d] * how.sizes[d] && m.entry[last] == how.entry[d] * how.sizes[d]) {
        m.sizes[last] *= how.sizes[d];
        m.data[last] = how.data[d];
        m.entry[last] = how.entry[d];
      } else {
        m.walk(how.sizes[d], how.data[d], how.entry[d]);
      }
    }
    if (m.sizes.empty()) m.walk(1, 0, 0);
    return m;
  }

  // The first bad index of the run, by its place among the indices.
  class Bad {
   public:
    void note(int64_t at) {
      int64_t seen = first_.load(std::memory_order_relaxed);
      while (at < seen && !first_.compare_exchange_weak(seen, at, std::memory_order_relaxed)) {
      }
    }
    Status status(const ir::Indexing& how, const TensorView& indices) const {
      const int64_t at = first_.load(std::memory_order_relaxed);
      if (at == INT64_MAX) return {};
      return ops::bad_index(element_as_int(indices, at), how.picked[static_cast<int>(at % how.picked.size())]);
    }

   private:
    std::atomic<int64_t> first_{INT64_MAX};
  };

  int last() const { return how_.sizes.size() - 1; }
  TensorView indices(const Frame& frame) const { return {indices_, Shape{}, frame.in(1)}; }

  // Where dims [from, to) stand at their n-th point.
  struct Base {
    int64_t data = 0, entry = 0;
  };
  Base base(int64_t n, int from, int to) const {
    Base b;
    for (int d = to - 1; d >= from; --d) {
      b.data += n % how_.sizes[d] * how_.data[d];
      b.entry += n % how_.sizes[d] * how_.entry[d];
      n /= how_.sizes[d];
    }
    return b;
  }

  // The places of n entries of the last dim, from its k-th on. False: one of them is bad.
  bool places(const Frame& frame, Base b, int64_t k, int64_t n, int64_t* to, Bad& bad) const {
    const int64_t depth = how_.picked.size(), data_step = how_.data[last()], entry_step = how_.entry[last()];
    int64_t copied[kStretch];
    bool good = true;
    if (depth == 0) {
      for (int64_t i = 0; i < n; ++i) to[i] = b.data + (k + i) * data_step;
    }
    for (int64_t j = 0; j < depth; ++j) {
      const int64_t size = how_.picked[static_cast<int>(j)], step = how_.steps[static_cast<int>(j)];
      const int64_t first = (b.entry + k * entry_step) * depth + j, stride = entry_step * depth;
      const int64_t* given = copied;
      if (indices_ == DType::i64 && stride == 1)
        given = frame.in<int64_t>(1) + first;
      else
        ops::load(indices(frame), first, stride, n, copied);
      bool inside = true;
      const auto pick = [&](int64_t i, int64_t before) {
        const auto index = static_cast<uint64_t>(given[i]) + static_cast<uint64_t>(size & (given[i] >> 63));
        inside &= index < static_cast<uint64_t>(size);
        to[i] = before + static_cast<int64_t>(index * static_cast<uint64_t>(step));
      };
      if (j == 0) {
        for (int64_t i = 0; i < n; ++i) pick(i, b.data + (k + i) * data_step);
      } else {
        for (int64_t i = 0; i < n; ++i) pick(i, to[i]);
      }
      if (inside) continue;
      good = false;
      std::fill_n(to, n, 0);
      const auto outside = [&](int64_t i) { return ops::normal_index(i, size) < 0; };
      bad.note(first + (std::find_if(given, given + n, outside) - given) * stride);
    }
    return good;
  }

  template <class T>
  static void copy_blocks(const T* from, const int64_t* at, T* to, int64_t step, int64_t entries, int64_t n) {
    if (n == 1 && step == 1) {
      for (int64_t i = 0; i < entries; ++i) to[i] = from[at[i]];
    } else {
      for (int64_t i = 0; i < entries; ++i) std::copy_n(from + at[i], n, to + i * step);
    }
  }

  ir::Indexing how_;
  DType indices_;
};

class GatherStep final : public IndexedStep {
 public:
  GatherStep(const ir::Indexing& how, DType indices, size_t size) : IndexedStep(how, indices), size_(size) {}
  Status run(const Frame& frame) const override {
    switch (size_) {
      case 1: return gather<uint8_t>(frame);
      case 2: return gather<uint16_t>(frame);
      case 4: return gather<uint32_t>(frame);
      default: return gather<uint64_t>(frame);
    }
  }

 private:
  template <class T>
  Status gather(const Frame& frame) const {
    const int64_t entries = how_.sizes[last()], rows = how_.sizes.product(0, last()), block = how_.block;
    const int64_t stretches = (entries + kStretch - 1) / kStretch, parts = (block + kPart - 1) / kPart;
    const int64_t grain = std::max<int64_t>(1, kPart / (std::min(entries, kStretch) * std::min(block, kPart)));
    Bad bad;
    frame.parallel_for(rows * stretches * parts, grain, [&](int64_t begin, int64_t end) {
      int64_t at[kStretch];
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % parts * kPart, k = i / parts % stretches * kStretch, row = i / parts / stretches;
        const int64_t n = std::min(kStretch, entries - k);
        if (!places(frame, base(row, 0, last()), k, n, at, bad)) continue;
        copy_blocks(frame.in<T>(0) + first, at, frame.out<T>(0) + (row * entries + k) * block + first, block, n,
                    std::min(kPart, block - first));
      }
    });
    return bad.status(how_, indices(frame));
  }

  size_t size_;
};

// What lies at one place is combined in the order of the updates: the work is split over dims (and parts of blocks)
// whose points never share a place.
class ScatterStep final : public IndexedStep {
 public:
  ScatterStep(const ir::Indexing& how, DType indices, size_t size, int64_t elements, ops::Combine combine)
      : IndexedStep(how, indices), size_(size), elements_(elements), combine_(combine) {
    in_place = {{0, 0}};
    while (free_ < last() && how_.data[free_] != 0) ++free_;
  }
  Status run(const Frame& frame) const override {
    if (frame.out<void>(0) != frame.in<void>(0)) {
      frame.parallel_for(elements_, int64_t{1} << 16, [&](int64_t begin, int64_t end) {
        const auto at = static_cast<size_t>(begin) * size_;
        std::memcpy(frame.out<std::byte>(0) + at, frame.in<std::byte>(0) + at, static_cast<size_t>(end) * size_ - at);
      });
    }
    switch (size_) {
      case 1: return scatter<uint8_t>(frame);
      case 2: return scatter<uint16_t>(frame);
      case 4: return scatter<uint32_t>(frame);
      default: return scatter<uint64_t>(frame);
    }
  }

 private:
  template <class T>
  Status scatter(const Frame& frame) const {
    const int64_t entries = how_.sizes[last()], block = how_.block;
    const int64_t outer = how_.sizes.product(0, free_), rows = how_.sizes.product(free_, last());
    const int64_t slice = how_.data[last()] != 0 ? kStretch : entries;  // of the last dim, where that is free
    const int64_t slices = (entries + slice - 1) / slice, parts = (block + kPart - 1) / kPart;
    const int64_t each = rows * std::min(entries, slice) * std::min(block, kPart);
    Bad bad;
    frame.parallel_for(outer * slices * parts, std::max<int64_t>(1, kPart / each), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t first = i % parts * kPart, from = i / parts % slices * slice, o = i / parts / slices;
        for (int64_t r = 0; r < rows; ++r)
          row<T>(frame, o * rows + r, from, std::min(entries, from + slice), first, bad);
      }
    });
    return bad.status(how_, indices(frame));
  }

  // Entries [from, to) of a row, elements `first` and on of each block.
  template <class T>
  void row(const Frame& frame, int64_t row, int64_t from, int64_t to, int64_t first, Bad& bad) const {
    const int64_t block = how_.block, n = std::min(kPart, block - first);
    const Base b = base(row, 0, last());
    int64_t at[kStretch];
    for (int64_t k = from; k < to && !frame.cancelled(); k += kStretch) {
      const int64_t some = std::min(kStretch, to - k);
      if (!places(frame, b, k, some, at, bad)) continue;
      T* y = frame.out<T>(0) + first;
      const T* updates = frame.in<T>(2) + (row * how_.sizes[last()] + k) * block + first;
      if (combine_ != nullptr) {
        combine_(y, {at, static_cast<size_t>(some)}, updates, block, n);
      } else {
        for (int64_t e = 0; e < some; ++e) std::copy_n(updates + e * block, n, y + at[e]);
      }
    }
  }

  size_t size_;
  int64_t elements_;
  ops::Combine combine_;
  int free_ = 0;  // the first dims whose points never share a place
};

// The step's operands: the indexed tensor, the indices, and a scatter's updates.
Result<ir::Indexing> indexing_of(const Selection& s, int n, std::string_view data, Prepared& made) {
  const ir::OpDef& def = *s.node(n).op->row->def;
  const ir::Call call = s.call(n);
  ir::Indexing how;
  GRAFT_CHECK(def.indexing(call, how));
  if (call.error()) return fail(*call.error());
  const PlanValue& x = s.value(s.arg(n, data));
  const size_t size = item_size(x.dtype());
  if ((size != 1 && size != 2 && size != 4 && size != 8) || x.dtype() == DType::string)
    return decline(format("{} data", name(x.dtype())));
  if (how.count() == 0 || x.shape.product() == 0) return decline("no elements");
  made.in = {{s.arg(n, data)}, {s.arg(n, "indices")}};
  made.out = {{s.node(n).results[0]}};
  made.nodes = {n};
  return how;
}

}  // namespace

Result<Prepared> prepare_gather(const Selection& s, int n) {
  Prepared made;
  GRAFT_TRY(const ir::Indexing how, indexing_of(s, n, "x", made));
  made.step = std::make_unique<GatherStep>(how, s.value(made.in[1].value).dtype(),
                                           item_size(s.value(made.in[0].value).dtype()));
  return made;
}

Result<Prepared> prepare_scatter(const Selection& s, int n) {
  Prepared made;
  GRAFT_TRY(const ir::Indexing how, indexing_of(s, n, "data", made));
  GRAFT_TRY(const ops::Combine combine, ops::combine_of(s.call(n)));
  const PlanValue &data = s.value(made.in[0].value), &updates = s.value(s.arg(n, "updates"));
  if (updates.shape.product() != how.count()) return decline("updates do not fit");
  made.in.push_back({s.arg(n, "updates")});
  made.step = std::make_unique<ScatterStep>(how, s.value(made.in[1].value).dtype(), item_size(data.dtype()),
                                            data.shape.product(), combine);
  return made;
}

}  // namespace graft::engine

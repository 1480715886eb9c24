// argsort and topk. Each element becomes a number that sorts as the row says, with its place behind it, so that no two
// are equal and one order is left: NaN above every number, both zeros alike, ties by place.
#include "base/format.h"
#include "engine/native/kernels.h"
#include "ops/kernel.h"

namespace graft::engine {
namespace {

struct Long {
  uint64_t key;
  uint32_t place;
  bool operator<(const Long& o) const { return key != o.key ? key < o.key : place < o.place; }
};
uint64_t entry(uint32_t key, uint32_t place) { return uint64_t{key} << 32 | place; }
Long entry(uint64_t key, uint32_t place) { return {key, place}; }
uint32_t place_of(uint64_t e) { return static_cast<uint32_t>(e); }
uint32_t place_of(const Long& e) { return e.place; }
uint32_t key_in(uint64_t e) { return static_cast<uint32_t>(e >> 32); }
uint64_t key_in(const Long& e) { return e.key; }

// An unsigned number of 32 or 64 bits in the order of the values. By bits: where denormals are flushed they would
// compare like zero.
template <class T>
using Key = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;
template <class T>
Key<T> key_of(T value) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
    return key_of(static_cast<float>(value));
  } else {
    using U = Key<T>;
    constexpr U kSign = U{1} << (8 * sizeof(U) - 1);
    if constexpr (std::is_floating_point_v<T>) {
      const U given = std::bit_cast<U>(value), magnitude = given & ~kSign;
      const U bits = given & (U{0} - U{magnitude != 0});
      const U ordered = bits ^ ((U{0} - (bits >> (8 * sizeof(U) - 1))) | kSign);
      return magnitude > std::bit_cast<U>(std::numeric_limits<T>::infinity()) ? ~U{0} : ordered;
    } else {
      return static_cast<U>(static_cast<U>(value) ^ (std::is_signed_v<T> ? kSign : U{0}));
    }
  }
}
template <class T>
using Entry = decltype(entry(Key<T>{}, uint32_t{}));

size_t entry_size(DType t) { return item_size(t) == 8 ? sizeof(Long) : sizeof(uint64_t); }

class SortStep final : public Step {
 public:
  ops::AxisView view;
  int64_t k;
  DType dtype;
  bool ascending;
  int values = -1, places = -1;  // which results these are
  bool short_places = false;
  int64_t workers = 1, room = 0;  // each sorts lines in memory of its own, for so many entries

  SortStep(const ops::AxisView& v, int64_t first, DType t, bool up) : view(v), k(first), dtype(t), ascending(up) {
    provider = "native";
  }
  Status run(const Frame& frame) const override {
    const int64_t lines = view.outer * view.inner;
    frame.parallel_for(workers, 1, [&](int64_t begin, int64_t end) {
      for (int64_t w = begin; w < end; ++w) {
        ops::visit_dtype(dtype, [&](auto tag) {
          using T = decltype(tag);
          auto* memory = reinterpret_cast<Entry<T>*>(frame.scratch) + w * room;
          for (int64_t l = lines * w / workers; l < lines * (w + 1) / workers && !frame.cancelled(); ++l)
            line<T>(frame, l, memory);
        });
      }
    });
    return {};
  }

 private:
  static constexpr int64_t kTogether = 32, kFew = 16, kAsk = 4096;

  // The first k entries of a line, in any order, at the front of `list`.
  template <class T>
  void select(const Frame& frame, const T* x, Entry<T>* list) const {
    const Key<T> flip = ascending ? 0 : ~Key<T>{0};
    Key<T> bound = ~Key<T>{0};  // later entries of that key come behind the first k
    int64_t count = 0;
    const auto cut = [&] { std::nth_element(list, list + k - 1, list + count); };
    const auto take = [&](Entry<T> e) {
      if (k <= kFew) {  // they stay in order
        int64_t at = count < k ? count++ : k - 1;
        for (; at > 0 && e < list[at - 1]; --at) list[at] = list[at - 1];
        list[at] = e;
        if (count == k) bound = key_in(list[k - 1]);
        return;
      }
      list[count++] = e;
      if (count < room || room == view.n) return;
      cut();
      bound = key_in(list[k - 1]);
      count = k;
    };
    for (int64_t from = 0; from < view.n && !(from % kAsk == 0 && frame.cancelled()); from += kTogether) {
      const int64_t n = std::min(kTogether, view.n - from);
      T some[kTogether];
      const T* values_here = x + from;
      if (view.inner != 1 || n < kTogether) {
        for (int64_t i = 0; i < kTogether; ++i) some[i] = x[(from + std::min(i, n - 1)) * view.inner];
        values_here = some;
      }
      Key<T> keys[kTogether];
      Key<T> any = 0;
      for (int64_t i = 0; i < kTogether; ++i) keys[i] = key_of(values_here[i]) ^ flip;
      for (int64_t i = 0; i < kTogether; ++i) any |= keys[i] < bound;
      if (any == 0 && count >= k) continue;
      for (int64_t i = 0; i < n; ++i) {
        if (keys[i] < bound || count < k) take(entry(keys[i], static_cast<uint32_t>(from + i)));
      }
    }
    if (count > k) cut();
  }

  template <class T>
  void line(const Frame& frame, int64_t l, Entry<T>* list) const {
    const int64_t o = l / view.inner, i = l % view.inner, to = o * k * view.inner + i;
    const T* x = frame.in<T>(0) + view.line(o, i);
    select(frame, x, list);
    std::span<Entry<T>> found(list, static_cast<size_t>(k));
    ir::Pace pace(frame.options.cancel);
    ops::sort_by(found, pace, [](const auto& a, const auto& b) { return a < b; });
    if (frame.cancelled()) return;
    for (int64_t j = 0; j < k; ++j) {
      const uint32_t place = place_of(list[j]);
      const int64_t at = to + j * view.inner;
      if (values >= 0) frame.out<T>(static_cast<size_t>(values))[at] = x[place * view.inner];
      if (places < 0) continue;
      if (short_places)
        frame.out<uint16_t>(static_cast<size_t>(places))[at] = static_cast<uint16_t>(place);
      else
        frame.out<int32_t>(static_cast<size_t>(places))[at] = static_cast<int32_t>(place);
    }
  }
};

}  // namespace

Result<Prepared> prepare_sort(const Selection& s, int n) {
  const Node& node = s.node(n);
  const bool sorts_all = node.op->kind() == ir::Kind::argsort;
  const int xi = s.arg(n, "x");
  const PlanValue &x = s.value(xi), &first = s.value(node.results[0]);
  if (ir::wide_of(x.dtype()) == ir::WideType::none) return decline(format("{} data", name(x.dtype())));
  if (x.shape.product() == 0 || first.shape.product() == 0) return decline("no elements");
  const ir::Call call = s.call(n);
  GRAFT_TRY(const int axis, ops::normal_axis(call.i("axis"), x.shape.size()));
  auto step =
      std::make_unique<SortStep>(ops::AxisView(x.shape, axis), first.shape[axis], x.dtype(), call.flag("ascending"));
  if (call.error()) return fail(*call.error());
  step->values = sorts_all ? -1 : 0;
  step->places = sorts_all ? 0 : node.results.size() == 2 ? 1 : -1;
  if (step->places >= 0) {
    const DType t = s.value(node.results[static_cast<size_t>(step->places)]).dtype();
    GRAFT_CHECK(ops::check_holds(t, step->view.n - 1));
    step->short_places = t == DType::u16;
  }
  const int64_t most = step->view.n, k = step->k, lines = step->view.outer * step->view.inner;
  if (k > most || most > UINT32_MAX) return decline("more than the axis has");
  constexpr int64_t kEnough = 16384, kRoom = 32;  // elements that are worth a worker; entries beyond twice k
  step->room = std::min(most, 2 * k + kRoom);
  step->workers = std::min({static_cast<int64_t>(s.core().env->threads()), lines, 1 + lines * most / kEnough});
  step->scratch = static_cast<size_t>(step->workers * step->room) * entry_size(x.dtype());
  Prepared made;
  made.in = {{xi}};
  for (const int r : node.results) made.out.push_back({r});
  made.nodes = {n};
  made.step = std::move(step);
  return made;
}

}  // namespace graft::engine

// Weights into the layouts that oneDNN's kernels read. Most of what loading a network costs is memory touched for the
// first time, so nothing is copied on the way: constants are read where they lie, which may be at any address, and
// written once.
#include <cstring>
#include <set>

#include "base/half.h"
#include "engine/onednn/common.h"

namespace graft::engine {
namespace {

using dnnl::memory;

// Elements as they lie in memory, at any address.
struct Source {
  const std::byte* data = nullptr;
  DType dtype = DType::f32;  // or f16

  // `count` elements from `first` on as floats: where they lie, or converted into `into`.
  const std::byte* floats(int64_t first, int64_t count, float* into) const {
    if (dtype == DType::f32) return data + first * 4;
    f16_to_f32(data + first * 2, into, count);
    return reinterpret_cast<const std::byte*>(into);
  }
};

// ---- rows to columns ----

// A descriptor's lists, each asked for once.
struct Blocking {
  memory::dims dims, padded, strides, blocks, inner;
  explicit Blocking(const Md& md)
      : dims(md.get_dims()),
        padded(md.get_padded_dims()),
        strides(md.get_strides()),
        blocks(md.get_inner_blks()),
        inner(md.get_inner_idxs()) {}

  // How far element `at` of dim `d` lies from element 0 of it.
  int64_t offset(size_t d, int64_t at) const {
    int64_t offset = 0, step = 1;
    for (size_t k = blocks.size(); k-- > 0; step *= blocks[k]) {
      if (inner[k] != static_cast<int64_t>(d)) continue;
      offset += at % blocks[k] * step;
      at /= blocks[k];
    }
    return offset + at * strides[d];
  }
};

// A layout whose innermost block is `width` elements of one dim, such as OIhw8i8o: seen as a transpose of as many rows
// of the source, each row the dims behind that one.
struct Transposition {
  int64_t outer = 1;          // the dims before
  int64_t outer_to = 0;       // step in the target
  int64_t rows = 0, row = 0;  // number, length
  int64_t width = 0, block_to = 0;
  bool padded = false;
  std::vector<int64_t> columns;  // where in the target each element of a row goes
};

std::optional<Transposition> transposition(const Md& source, const Md& target) {
  const Blocking from(source), to(target);
  if (to.blocks.empty() || !from.blocks.empty() || from.dims != to.dims) return std::nullopt;
  const auto v = static_cast<size_t>(to.inner.back());
  if (v > 1 || std::count(to.inner.begin(), to.inner.end(), to.inner.back()) != 1) return std::nullopt;
  Transposition t;
  t.width = to.blocks.back();
  if (t.width != 8 && t.width != 16) return std::nullopt;
  int64_t dense = 1;
  for (size_t d = to.dims.size(); d-- > 0; dense *= to.dims[d]) {
    if (from.strides[d] != dense && to.dims[d] != 1) return std::nullopt;
  }
  t.rows = to.dims[v];
  t.block_to = to.strides[v];
  if (v == 1) {
    t.outer = to.dims[0];
    t.outer_to = to.strides[0];
    if (std::count(to.inner.begin(), to.inner.end(), 0) != 0) return std::nullopt;
  }
  t.padded = to.padded != to.dims;
  t.columns = {0};
  for (size_t d = v + 1; d < to.dims.size(); ++d) {
    std::vector<int64_t> offsets, more;
    for (int64_t i = 0; i < to.dims[d]; ++i) offsets.push_back(to.offset(d, i));
    more.reserve(t.columns.size() * offsets.size());
    for (const int64_t c : t.columns) {
      for (const int64_t o : offsets) more.push_back(c + o);
    }
    t.columns = std::move(more);
  }
  t.row = static_cast<int64_t>(t.columns.size());
  return t;
}

using Four = float __attribute__((vector_size(16)));

Four load_four(const std::byte* at) {
  Four v;
  std::memcpy(&v, at, sizeof v);
  return v;
}

// Four rows by four columns; `to` holds where the columns go, each one in four steps of it.
void transpose_four(const std::byte* from, int64_t row_bytes, float* to, const int64_t* columns) {
  const Four a = load_four(from), b = load_four(from + row_bytes), c = load_four(from + 2 * row_bytes),
             d = load_four(from + 3 * row_bytes);
  const Four ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab1 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
  const Four cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd1 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  const Four out[4] = {__builtin_shufflevector(ab0, cd0, 0, 1, 4, 5), __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7),
                       __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5), __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7)};
  for (int i = 0; i < 4; ++i) std::memcpy(to + columns[i], &out[i], sizeof out[i]);
}

// `rows` rows, at most the block's width, to the block at `to`.
void transpose_block(const Transposition& t, const std::byte* from, int64_t rows, float* to) {
  const int64_t row_bytes = t.row * 4;
  const int64_t fours = rows == t.width ? t.row / 4 * 4 : 0;
  for (int64_t j = 0; j < fours; j += 4) {
    for (int64_t r = 0; r < rows; r += 4)
      transpose_four(from + r * row_bytes + j * 4, row_bytes, to + r, t.columns.data() + j);
  }
  for (int64_t j = fours; j < t.row; ++j) {
    for (int64_t r = 0; r < rows; ++r)
      std::memcpy(to + t.columns[static_cast<size_t>(j)] + r, from + r * row_bytes + j * 4, 4);
  }
}

void transpose(const Core& core, const Transposition& t, const Source& source, float* to, size_t bytes,
               const CancelToken* cancel) {
  if (t.padded) std::memset(to, 0, bytes);
  const int64_t blocks = (t.rows + t.width - 1) / t.width;
  const auto body = [&](int64_t begin, int64_t end) {
    std::vector<float> converted(source.dtype == DType::f32 ? 0 : static_cast<size_t>(t.width * t.row));
    for (int64_t i = begin; i < end && (cancel == nullptr || !cancel->cancelled()); ++i) {
      const int64_t o = i / blocks, b = i % blocks, rows = std::min(t.width, t.rows - b * t.width);
      const std::byte* from = source.floats((o * t.rows + b * t.width) * t.row, rows * t.row, converted.data());
      transpose_block(t, from, rows, to + o * t.outer_to + b * t.block_to);
    }
  };
  core.env->parallel_for(t.outer * blocks, std::max<int64_t>(1, 16384 / (t.row * t.width)), std::ref(body));
}

// ---- the rest ----

// The elements from `first` on as fp32, aligned, in `to`.
void copy_floats(const ir::Constant& c, int64_t first, int64_t count, std::byte* to) {
  c.read(first, count, [&](const void* data, size_t bytes) {
    const int64_t n = static_cast<int64_t>(bytes / item_size(c.dtype()));
    if (c.dtype() == DType::f16)
      f16_to_f32(data, to, n);
    else
      std::memcpy(to, data, bytes);
    to += n * 4;
  });
}

// True for elements that a kernel may read where they lie. Small ones are better off among the others.
bool usable_in_place(const ir::Constant& c) {
  constexpr size_t kSmall = size_t{64} << 10;
  return c.dtype() == DType::f32 && c.is_direct() && c.bytes() > kSmall &&
         reinterpret_cast<uintptr_t>(c.view().data) % alignof(float) == 0;
}

// How many elements of a constant `md` spans.
int64_t span_of(const Md& md) {
  const memory::dims dims = md.get_dims(), strides = md.get_strides();
  int64_t last = 0;
  for (size_t d = 0; d < dims.size(); ++d) last += (dims[d] - 1) * strides[d];
  return last + 1;
}

Status reorder(const Core& core, const ir::Constant& constant, int64_t first, const Md& from, const Md& to,
               std::byte* dst) {
  const int64_t count = span_of(from);
  Buffer copy;
  GRAFT_CHECK(copy.ensure(static_cast<size_t>(count) * sizeof(float), core.memory));
  copy_floats(constant, first, count, copy.data());
  const dnnl::engine& engine = cpu_engine(core);
  dnnl::stream stream(engine);
  memory a(from, engine, copy.data()), b(to, engine, dst);
  dnnl::reorder(a, b).execute(stream, a, b);
  stream.wait();
  return {};
}

// What all convolutions and products of the function need when every constant of theirs is packed.
size_t most_packed(const Core& core) {
  constexpr size_t kMost = size_t{256} << 20;
  std::set<const ir::Constant*> seen;
  size_t bytes = 0;
  ir::visit_ops(core.function->body, [&](ir::Op& op) {
    if (!ir::is_product(op.kind())) return;
    for (const auto& arg : op.args) {
      for (const ir::Value* v : arg) {
        if (!v->is_constant() || !is_float(v->dtype()) || !seen.insert(v->constant.get()).second) continue;
        bytes += align_up(static_cast<size_t>(v->constant->count()) * sizeof(float));
      }
    }
  });
  return std::min(bytes + bytes / 16, kMost);  // blocks are padded
}

}  // namespace

Result<std::shared_ptr<const Packed>> pack(const Selection& s, const ir::ConstantPtr& constant, int64_t first,
                                           const Md& from, const Md& to) {
  const Core& core = s.core();
  std::vector<OneDnnState::Entry>& entries = onednn_state(core).packed[{constant.get(), first}];
  for (const OneDnnState::Entry& e : entries) {
    if (e.from == from && e.to == to) return e.packed;
  }
  auto packed = std::make_shared<Packed>();
  packed->source = constant;
  if (core.weights.empty()) core.weights.expect(most_packed(core));
  if (from == to && usable_in_place(*constant)) {
    packed->data = static_cast<const float*>(constant->view().data) + first;
  } else {
    const size_t bytes = std::max<size_t>(to.get_size(), 1);
    GRAFT_TRY(std::byte * dst, core.weights.take(bytes, core.memory));
    packed->data = dst;
    const std::optional<Transposition> t = from == to ? std::nullopt : transposition(from, to);
    if (from == to) {
      copy_floats(*constant, first, span_of(from), dst);
    } else if (t && constant->is_direct()) {
      const auto size = static_cast<int64_t>(item_size(constant->dtype()));
      const Source source{static_cast<const std::byte*>(constant->view().data) + first * size, constant->dtype()};
      transpose(core, *t, source, reinterpret_cast<float*>(dst), bytes, s.cancel());
    } else {
      GRAFT_CHECK(reorder(core, *constant, first, from, to, dst));
    }
  }
  GRAFT_CHECK(check(s.cancel()));
  entries.push_back({from, to, packed});
  return entries.back().packed;
}

}  // namespace graft::engine

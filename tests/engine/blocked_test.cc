// What follows a convolution, transposed convolution, pool, concatenation or resize, whose results may lie in blocks of
// channels: operators whose results or other operands have another element type. All numbers are small integers or
// quarters of them, so that every comparison has one right answer and results are equal to the last bit.
#include "base/format.h"
#include "engine_support.h"

namespace graft::engine_test {
namespace {

constexpr int64_t kBatch = 2, kIn = 3;

Tensor small_integers(DType dtype, const Shape& shape, uint32_t seed, int lo = -2, int hi = 2) {
  std::mt19937 gen(seed);
  Tensor t(dtype, shape);
  for (size_t i = 0; i < static_cast<size_t>(t.count()); ++i) {
    const int v = lo + static_cast<int>(gen() % static_cast<unsigned>(hi - lo + 1));
    if (dtype == DType::f16)
      t.span<Half>()[i] = Half(v);
    else if (dtype == DType::boolean)
      t.span<uint8_t>()[i] = v > 0 ? 1 : 0;
    else
      t.span<float>()[i] = static_cast<float>(v);
  }
  return t;
}

ir::Dims dims(const Shape& s) { return ir::Dims(s.begin(), s.end()); }

// A producer's result is [2, channels, space...].
struct Blocked {
  Net net;
  DType dtype;
  int64_t channels;
  Shape space = {6, 6};
  Shape shape(int64_t n, int64_t c) const {
    Shape s{n, c};
    for (int64_t d : space) s.push_back(d);
    return s;
  }
  ops::OpBuilder& b() { return *net.b; }
  ir::Value* weight(const Shape& shape, uint32_t seed) {
    return b().constant(ir::Constant::of(small_integers(dtype, shape, seed, -1, 1)));
  }
  ir::Value* conv(ir::Value* x, int64_t in, int64_t out, uint32_t seed) {
    Shape w{out, in};
    for (int i = 0; i < space.size(); ++i) w.push_back(3);
    return b().emit("conv", {{"x", x}, {"weight", weight(w, seed)}, {"pad_type", "same"}});
  }
  ir::Value* convolved(ir::Value* x, uint32_t seed) { return conv(x, kIn, channels, seed); }
};

struct Producer {
  const char* name;
  ir::Value* (*make)(Blocked&, ir::Value* x, uint32_t seed);
};
constexpr Producer kProducers[] = {
    {"conv", [](Blocked& m, ir::Value* x, uint32_t seed) { return m.convolved(x, seed); }},
    {"conv_transpose",
     [](Blocked& m, ir::Value* x, uint32_t seed) {
       return m.b().emit("conv_transpose",
                         {{"x", x}, {"weight", m.weight({kIn, m.channels, 3, 3}, seed)}, {"pad_type", "same"}});
     }},
    {"max_pool",
     [](Blocked& m, ir::Value* x, uint32_t seed) {
       return m.b().emit("max_pool", {{"x", m.convolved(x, seed)},
                                      {"kernel_sizes", std::vector<int64_t>{3, 3}},
                                      {"strides", std::vector<int64_t>{1, 1}},
                                      {"pad_type", "same"}});
     }},
    {"avg_pool",
     [](Blocked& m, ir::Value* x, uint32_t seed) {
       return m.b().emit("avg_pool", {{"x", m.convolved(x, seed)},
                                      {"kernel_sizes", std::vector<int64_t>{2, 2}},
                                      {"strides", std::vector<int64_t>{1, 1}},
                                      {"pad_type", "same"}});
     }},
    {"concat",
     [](Blocked& m, ir::Value* x, uint32_t seed) {
       if (m.channels % 2 != 0) return m.b().concat({m.convolved(x, seed)}, 1);
       const int64_t half = m.channels / 2;
       return m.b().concat({m.conv(x, kIn, half, seed), m.conv(x, kIn, half, seed + 50)}, 1);
     }},
    {"resize",
     [](Blocked& m, ir::Value* x, uint32_t seed) {
       ir::Value* small = m.b().emit("max_pool", {{"x", m.convolved(x, seed)},
                                                  {"kernel_sizes", std::vector<int64_t>{2, 2}},
                                                  {"strides", std::vector<int64_t>{2, 2}},
                                                  {"pad_type", "valid"}});
       return m.b().emit("upsample_nearest_neighbor",
                         {{"x", small}, {"scale_factor_height", int64_t{2}}, {"scale_factor_width", int64_t{2}}});
     }},
};

// `p` and `q` are results of producers, `c` a bool input of their shape, `k` one of [channels, 1, 1].
struct Operands {
  ir::Value *p, *q, *c, *k;
};
struct Consumer {
  const char* name;
  ir::Values (*make)(ops::OpBuilder& b, const Operands& o);
};
ir::Value* above(ops::OpBuilder& b, ir::Value* x) { return b.binary("greater", x, b.like(x, 1)); }

constexpr Consumer kConsumers[] = {
    {"comparisons with a number",
     [](ops::OpBuilder& b, const Operands& o) {
       ir::Values all;
       for (const char* op : {"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"})
         all.push_back(b.binary(op, o.p, b.like(o.p, 1)));
       return all;
     }},
    {"a comparison of two",
     [](ops::OpBuilder& b, const Operands& o) { return ir::Values{b.binary("less", o.p, o.q)}; }},
    {"a comparison and what it compares",
     [](ops::OpBuilder& b, const Operands& o) {
       return ir::Values{above(b, o.p), o.p};
     }},
    {"a comparison with a plain tensor",
     [](ops::OpBuilder& b, const Operands& o) { return ir::Values{b.binary("less", o.p, b.cast(o.c, o.p->dtype()))}; }},
    {"select by a bool input",
     [](ops::OpBuilder& b, const Operands& o) { return ir::Values{b.select(o.c, o.p, b.like(o.p, 0))}; }},
    {"select between two by a bool input",
     [](ops::OpBuilder& b, const Operands& o) { return ir::Values{b.select(o.c, o.p, o.q)}; }},
    {"select by a bool for each channel",
     [](ops::OpBuilder& b, const Operands& o) { return ir::Values{b.select(o.k, o.p, o.q)}; }},
    {"select by a computed mask, which leaves too",
     [](ops::OpBuilder& b, const Operands& o) {
       ir::Value* mask = above(b, o.p);
       return ir::Values{b.select(mask, o.p, o.q), mask};
     }},
    {"select between bools",
     [](ops::OpBuilder& b, const Operands& o) { return ir::Values{b.select(above(b, o.p), o.c, above(b, o.q))}; }},
    {"logic",
     [](ops::OpBuilder& b, const Operands& o) {
       ir::Value *m = above(b, o.p), *n = above(b, o.q);
       return ir::Values{b.binary("logical_and", m, o.c), b.binary("logical_or", m, n), b.binary("logical_xor", n, o.k),
                         b.unary("logical_not", m)};
     }},
    {"casts",
     [](ops::OpBuilder& b, const Operands& o) {
       ir::Values all;
       for (const DType t : {DType::boolean, DType::i8, DType::u8, DType::i16, DType::i32, DType::i64, DType::f16,
                             DType::f32, DType::f64})
         all.push_back(b.cast(o.p, t));
       return all;
     }},
    {"casts of a mask",
     [](ops::OpBuilder& b, const Operands& o) {
       ir::Value* m = above(b, o.p);
       ir::Values all;
       for (const DType t :
            {DType::i8, DType::u8, DType::i16, DType::i32, DType::i64, DType::f16, DType::f32, DType::f64})
         all.push_back(b.cast(m, t));
       return all;
     }},
    {"a mask multiplied in",
     [](ops::OpBuilder& b, const Operands& o) {
       return ir::Values{b.mul(o.p, b.cast(above(b, o.q), o.p->dtype())), b.mul(o.q, b.cast(o.c, o.q->dtype()))};
     }},
    {"masks that are moved",
     [](ops::OpBuilder& b, const Operands& o) {
       ir::Value *m = above(b, o.p), *n = above(b, o.q);
       ir::Value* joined = b.concat({m, n, o.c}, 1);
       Ints channels_last{0};
       for (int d = 2; d < m->rank(); ++d) channels_last.push_back(d);
       channels_last.push_back(1);
       ir::Value* last = b.transpose(m, channels_last);
       return ir::Values{joined, b.unary("logical_not", joined), last,
                         b.reshape(n, b.ints(std::vector<int64_t>{kBatch, -1}))};
     }},
    {"a mask that is counted, and integers",
     [](ops::OpBuilder& b, const Operands& o) {
       ir::Value* counted = b.cast(above(b, o.p), DType::i32);
       ir::Value* wide = b.cast(o.q, DType::i64);
       return ir::Values{b.reduce("reduce_sum", counted, Ints{1}, true), b.add(wide, b.like(wide, 1)),
                         b.concat({wide, b.cast(counted, DType::i64)}, 1)};
     }},
};

void expect_all_consumers(const Producer& producer, DType dtype, int64_t channels, const Shape& space) {
  Blocked shapes{{}, dtype, channels, space};
  Shape each_channel{channels};
  for (int i = 0; i < space.size(); ++i) each_channel.push_back(1);
  const std::vector<Tensor> inputs = {small_integers(dtype, shapes.shape(kBatch, kIn), 1),
                                      small_integers(DType::boolean, shapes.shape(kBatch, channels), 2),
                                      small_integers(DType::boolean, each_channel, 3)};
  for (const Consumer& consumer : kConsumers) {
    SCOPED_TRACE(format("{} {}, {} channels, space {}: {}", name(dtype), producer.name, channels, to_string(space),
                        consumer.name));
    Blocked m{{}, dtype, channels, space};
    ir::Value* x = m.net.input("x", dtype, dims(inputs[0].shape()));
    ir::Value* c = m.net.input("c", DType::boolean, dims(inputs[1].shape()));
    ir::Value* k = m.net.input("k", DType::boolean, dims(inputs[2].shape()));
    const Operands o{producer.make(m, x, 10), producer.make(m, x, 20), c, k};
    expect_like_reference(m.net.finish(consumer.make(m.b(), o)), inputs, 0);
  }
}

TEST(Blocked, WhatFollowsMayHaveAnotherElementType) {
  for (const DType dtype : {DType::f32, DType::f16}) {
    for (const int64_t channels : {8, 16, 64, 80, 5}) {
      for (const Producer& producer : kProducers) expect_all_consumers(producer, dtype, channels, {6, 6});
    }
    for (const Shape& space : {Shape{7}, Shape{3, 4, 3}}) expect_all_consumers(kProducers[0], dtype, 16, space);
  }
}

// A mask of one sample for a batch: the operand that repeats lies in blocks itself.
TEST(Blocked, AMaskThatRepeats) {
  for (const DType dtype : {DType::f32, DType::f16}) {
    Blocked m{{}, dtype, 16};
    ir::Value* x = m.net.input("x", dtype, dims(m.shape(1, kIn)));
    ir::Value* y = m.net.input("y", dtype, dims(m.shape(kBatch, kIn)));
    ir::Value* mask = above(m.b(), m.convolved(x, 1));
    ir::Value* z = m.convolved(y, 2);
    expect_like_reference(m.net.finish({m.b().select(mask, z, m.b().like(z, 0)), mask}),
                          {small_integers(dtype, m.shape(1, kIn), 1), small_integers(dtype, m.shape(kBatch, kIn), 2)},
                          0);
  }
}

}  // namespace
}  // namespace graft::engine_test

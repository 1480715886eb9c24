#include "engine/native/fused_step.h"

#include <cstring>

#include "base/half.h"
#include "ops/broadcast.h"

namespace graft::engine {
namespace {

void execute(const Instruction& i, const float* a, const float* b, const float* c, float* y) {
  if (i.kernel != nullptr) {
    const float p[] = {static_cast<float>(i.p[0]), static_cast<float>(i.p[1])};
    return i.kernel(a, b, c, y, p);
  }
  double in[3][kBlockSize], out[kBlockSize];
  const float* from[] = {a, b, c};
  for (int k = 0; k < i.operands; ++k) std::copy_n(from[k], kBlockSize, in[k]);
  i.scalar(in[0], in[1], in[2], out, kBlockSize, i.p);
  std::transform(out, out + kBlockSize, y, [](double v) { return static_cast<float>(v); });
}

// Short rows that repeat, such as one number for each channel of a block: written once, then doubled.
template <class T, class Convert>
void repeat_rows(const Shape& dims, const T* data, const Shape& strides, int64_t at, int64_t n, float* into,
                 Convert convert) {
  const int last = dims.size() - 1;
  const int64_t step = strides[last], row = dims[last];
  Shape index;
  int64_t offset = ops::seek(dims, strides, at, index) - index[last] * step;  // of the row's start
  while (n > 0) {
    const int64_t run = std::min(n, (dims[last - 1] - index[last - 1]) * row - index[last]);
    for (int64_t i = 0, c = index[last]; i < std::min(run, row); ++i) {
      into[i] = convert(data[offset + c * step]);
      if (++c == row) c = 0;
    }
    for (int64_t have = row; have < run;) {
      const int64_t more = std::min(have, run - have);
      std::copy_n(into, more, into + have);
      have += more;
    }
    into += run;
    n -= run;
    index[last] = index[last - 1] = 0;
    for (int d = last - 2; d >= 0; --d) {
      offset += strides[d];
      if (++index[d] < dims[d]) break;
      offset -= strides[d] * dims[d];
      index[d] = 0;
    }
  }
}

template <class T, class Convert>
void expand(const Shape& dims, const T* data, const Shape& strides, int64_t at, int64_t n, float* into,
            Convert convert) {
  const int last = dims.size() - 1;
  if (last > 0 && dims[last] < 64 && strides[last - 1] == 0 && strides[last] != 0)
    return repeat_rows(dims, data, strides, at, n, into, convert);
  ops::each_run(dims, strides, at, n, [&](int64_t from, int64_t step, int64_t run) {
    if (step == 0)
      std::fill_n(into, run, convert(data[from]));
    else
      for (int64_t i = 0; i < run; ++i) into[i] = convert(data[from + i * step]);
    into += run;
  });
}

void store(void* out, DType dtype, int64_t at, int64_t n, const float* from) {
  if (dtype == DType::f32) {
    std::copy_n(from, n, static_cast<float*>(out) + at);
  } else if (dtype == DType::f16) {
    f32_to_f16(from, static_cast<uint16_t*>(out) + at, n);
  } else {
    uint8_t* to = static_cast<uint8_t*>(out) + at;
    for (int64_t i = 0; i < n; ++i) to[i] = from[i] != 0 ? 1 : 0;
  }
}

}  // namespace

// The block's elements as floats: in place where they lie so already.
const float* FusedStep::load(const Frame& frame, const FusedOperand& o, int64_t at, int64_t n, float* into) const {
  const void* data = o.value >= 0 ? frame.in(o.in) : static_cast<const void*>(o.made->data());
  if (!o.full) {
    if (o.dtype == DType::f32)
      expand(dims, static_cast<const float*>(data), o.strides, at, n, into, [](float v) { return v; });
    else if (o.dtype == DType::f16)
      expand(dims, static_cast<const uint16_t*>(data), o.strides, at, n, into, [](uint16_t v) { return f16_value(v); });
    else
      expand(dims, static_cast<const uint8_t*>(data), o.strides, at, n, into,
             [](uint8_t v) { return v != 0 ? 1.0f : 0.0f; });
    return into;
  }
  if (o.dtype == DType::f32) {
    const float* from = static_cast<const float*>(data) + at;
    if (n == kBlockSize) return from;
    std::copy_n(from, n, into);
  } else if (o.dtype == DType::f16) {
    f16_to_f32(static_cast<const uint16_t*>(data) + at, into, n);
  } else {
    const uint8_t* from = static_cast<const uint8_t*>(data) + at;
    for (int64_t i = 0; i < n; ++i) into[i] = from[i] != 0 ? 1.0f : 0.0f;
  }
  return into;
}

Status FusedStep::run(const Frame& frame) const {
  const int64_t count = dims.product();
  const int64_t blocks = (count + kBlockSize - 1) / kBlockSize;
  constexpr int64_t kGrain = 32;
  frame.parallel_for(blocks, kGrain, [&](int64_t begin, int64_t end) {
    alignas(64) float memory[kMostRegisters + kMostOperands][kBlockSize];
    // Kernels compute whole blocks: what no load has filled must be a harmless number.
    for (int r = 0; r < registers; ++r) std::memset(memory[r], 0, sizeof memory[r]);
    for (const Splat& s : splats) std::fill_n(memory[s.reg], kBlockSize, s.value);
    const float* read[kMostRegisters + kMostOperands];
    for (int r = 0; r < registers; ++r) read[r] = memory[r];
    for (int64_t b = begin; b < end; ++b) {
      const int64_t at = b * kBlockSize, n = std::min(kBlockSize, count - at);
      for (const FusedOperand& o : operands) read[o.reg] = load(frame, o, at, n, memory[o.reg]);
      for (size_t k = 0; k < code.size(); ++k) {
        const Instruction& i = code[k];
        float* to = memory[i.y];
        // The last one may write where the result goes: nothing is read after it, should the memory be an operand's.
        if (k + 1 == code.size() && n == kBlockSize && last_output_ >= 0)
          to = frame.out<float>(static_cast<size_t>(last_output_)) + at;
        execute(i, read[i.a], read[i.b], read[i.c], to);
        read[i.y] = to;
      }
      for (size_t k = 0; k < outputs.size(); ++k) {
        if (n == kBlockSize && last_output_ == static_cast<int>(k)) continue;
        store(frame.out(k), outputs[k].dtype, at, n, read[outputs[k].reg]);
      }
    }
  });
  return {};
}

}  // namespace graft::engine

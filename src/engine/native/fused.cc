// Chains of element-wise operators in one loop: a block of every value at a time stays in the first cache, fp32 inside,
// whatever the storage. Operands that broadcast are expanded block by block. Blocked layouts are kept: a tensor
// [n, c / b, space, b] is as good as any other shape here.
#include <cstring>

#include "base/format.h"
#include "base/half.h"
#include "engine/native/kernels.h"
#include "engine/native/vector_functions.h"

namespace graft::engine {
namespace {

using Fn = VectorFunction;

constexpr int kMostRegisters = 14;
constexpr int kMostOperands = 12;
constexpr int kMostNodes = 48;
constexpr int kMostOutputs = 4;

// ---- which operators ----

struct Rule {
  std::string_view op;
  Fn fn;
  std::string_view a, b, c;  // operands
  std::string_view p0, p1;   // parameters, read as numbers
};
constexpr Rule kRules[] = {
    {"abs", Fn::abs_, "x", "", "", "", ""},
    {"sign", Fn::sign_, "x", "", "", "", ""},
    {"square", Fn::square_, "x", "", "", "", ""},
    {"sqrt", Fn::sqrt_, "x", "", "", "", ""},
    {"rsqrt", Fn::rsqrt_, "x", "", "", "epsilon", ""},
    {"inverse", Fn::inverse_, "x", "", "", "epsilon", ""},
    {"exp", Fn::exp_, "x", "", "", "", ""},
    {"exp2", Fn::exp2_, "x", "", "", "", ""},
    {"log", Fn::log_, "x", "", "", "epsilon", ""},
    {"tanh", Fn::tanh_, "x", "", "", "", ""},
    {"erf", Fn::erf_, "x", "", "", "", ""},
    {"floor", Fn::floor_, "x", "", "", "", ""},
    {"ceil", Fn::ceil_, "x", "", "", "", ""},
    {"round", Fn::round_, "x", "", "", "", ""},
    {"relu", Fn::relu_, "x", "", "", "", ""},
    {"relu6", Fn::clip_, "x", "", "", "", ""},
    {"clip", Fn::clip_, "x", "", "", "alpha", "beta"},
    {"sigmoid", Fn::sigmoid_, "x", "", "", "", ""},
    {"silu", Fn::silu_, "x", "", "", "", ""},
    {"leaky_relu", Fn::leaky_relu_, "x", "", "", "alpha", ""},
    {"elu", Fn::elu_, "x", "", "", "alpha", ""},
    {"softplus", Fn::softplus_, "x", "", "", "", ""},
    {"softsign", Fn::softsign_, "x", "", "", "", ""},
    {"thresholded_relu", Fn::thresholded_relu_, "x", "", "", "alpha", ""},
    {"clamped_relu", Fn::clamped_relu_, "x", "", "", "alpha", "beta"},
    {"linear_activation", Fn::linear_, "x", "", "", "alpha", "beta"},
    {"scaled_tanh", Fn::scaled_tanh_, "x", "", "", "alpha", "beta"},
    {"sigmoid_hard", Fn::sigmoid_hard_, "x", "", "", "alpha", "beta"},
    {"threshold", Fn::threshold_, "x", "", "", "alpha", ""},
    {"gelu", Fn::gelu_, "x", "", "", "", ""},
    {"cast", Fn::copy_, "x", "", "", "", ""},
    {"logical_not", Fn::logical_not_, "x", "", "", "", ""},
    {"add", Fn::add_, "x", "y", "", "", ""},
    {"sub", Fn::sub_, "x", "y", "", "", ""},
    {"mul", Fn::mul_, "x", "y", "", "", ""},
    {"real_div", Fn::div_, "x", "y", "", "", ""},
    {"maximum", Fn::maximum_, "x", "y", "", "", ""},
    {"minimum", Fn::minimum_, "x", "y", "", "", ""},
    {"equal", Fn::equal_, "x", "y", "", "", ""},
    {"not_equal", Fn::not_equal_, "x", "y", "", "", ""},
    {"less", Fn::less_, "x", "y", "", "", ""},
    {"less_equal", Fn::less_equal_, "x", "y", "", "", ""},
    {"greater", Fn::greater_, "x", "y", "", "", ""},
    {"greater_equal", Fn::greater_equal_, "x", "y", "", "", ""},
    {"logical_and", Fn::logical_and_, "x", "y", "", "", ""},
    {"logical_or", Fn::logical_or_, "x", "y", "", "", ""},
    {"logical_xor", Fn::logical_xor_, "x", "y", "", "", ""},
    {"pow", Fn::mul_, "x", "y", "", "", ""},
    {"prelu", Fn::prelu_, "x", "", "", "", ""},
    {"batch_norm", Fn::multiply_add_, "x", "", "", "", ""},
    {"select", Fn::select_, "cond", "a", "b", "", ""},
};

const Rule* rule_of(std::string_view op) {
  for (const Rule& r : kRules) {
    if (r.op == op) return &r;
  }
  return nullptr;
}

bool takes(DType t) { return t == DType::f32 || t == DType::f16 || t == DType::boolean; }

// ---- the program of a step ----

// Something read from memory. Strides are by the step's dims, 0 where it repeats.
struct Operand {
  int value = -1;  // plan value; -1: `made`
  std::shared_ptr<const std::vector<float>> made;
  size_t in = 0;  // step input
  DType dtype = DType::f32;
  bool full = false;
  Shape strides;
  int reg = 0;
};
struct Instruction {
  VectorKernel kernel;
  int a, b, c, y;
  float p[2];
};
struct Output {
  int reg;
  DType dtype;
};
struct Splat {
  int reg;
  float value;
};

class FusedStep final : public Step {
 public:
  Shape dims;  // at least one
  std::vector<Operand> operands;
  std::vector<Splat> splats;
  std::vector<Instruction> code;
  std::vector<Output> outputs;
  int registers = 0;

  // The output that the last instruction makes, if it is fp32 and the only one (others are stored after it, and may
  // share memory with an operand).
  void find_last_output() {
    if (outputs.size() == 1 && !code.empty() && outputs[0].dtype == DType::f32 && outputs[0].reg == code.back().y)
      last_output_ = 0;
  }

  Status run(const Frame& frame) const override {
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
        for (const Operand& o : operands) read[o.reg] = load(frame, o, at, n, memory[o.reg]);
        for (size_t k = 0; k < code.size(); ++k) {
          const Instruction& i = code[k];
          float* to = memory[i.y];
          // The last one may write where the result goes: nothing is read after it, should the memory be an operand's.
          if (k + 1 == code.size() && n == kBlockSize && last_output_ >= 0)
            to = frame.out<float>(static_cast<size_t>(last_output_)) + at;
          i.kernel(read[i.a], read[i.b], read[i.c], to, i.p);
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

 private:
  int last_output_ = -1;

  // The block's elements as floats: in place where they lie so already.
  const float* load(const Frame& frame, const Operand& o, int64_t at, int64_t n, float* into) const {
    const void* data = o.value >= 0 ? frame.in(o.in) : static_cast<const void*>(o.made->data());
    if (!o.full) {
      if (o.dtype == DType::f32)
        expand(static_cast<const float*>(data), o.strides, at, n, into, [](float v) { return v; });
      else if (o.dtype == DType::f16)
        expand(static_cast<const uint16_t*>(data), o.strides, at, n, into, [](uint16_t v) { return f16_value(v); });
      else
        expand(static_cast<const uint8_t*>(data), o.strides, at, n, into,
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

  template <class T, class Convert>
  void expand(const T* data, const Shape& strides, int64_t at, int64_t n, float* into, Convert convert) const {
    const int last = dims.size() - 1;
    Shape index(dims.size(), 0);
    int64_t offset = 0;
    for (int d = last; d >= 0; --d) {
      index[d] = at % dims[d];
      at /= dims[d];
      offset += index[d] * strides[d];
    }
    const int64_t step = strides[last];
    // Short rows that repeat, such as one number for each channel of a block: written once, then doubled.
    const int64_t row = dims[last];
    if (last > 0 && row < 64 && strides[last - 1] == 0 && step != 0) {
      offset -= index[last] * step;
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
      return;
    }
    while (n > 0) {
      const int64_t run = std::min(n, dims[last] - index[last]);
      const T* from = data + offset;
      if (step == 0)
        std::fill_n(into, run, convert(*from));
      else
        for (int64_t i = 0; i < run; ++i) into[i] = convert(from[i * step]);
      into += run;
      n -= run;
      offset -= index[last] * step;
      index[last] = 0;
      for (int d = last - 1; d >= 0; --d) {
        offset += strides[d];
        if (++index[d] < dims[d]) break;
        offset -= strides[d] * dims[d];
        index[d] = 0;
      }
    }
  }

  static void store(void* out, DType dtype, int64_t at, int64_t n, const float* from) {
    if (dtype == DType::f32) {
      std::copy_n(from, n, static_cast<float*>(out) + at);
    } else if (dtype == DType::f16) {
      f32_to_f16(from, static_cast<uint16_t*>(out) + at, n);
    } else {
      uint8_t* to = static_cast<uint8_t*>(out) + at;
      for (int64_t i = 0; i < n; ++i) to[i] = from[i] != 0 ? 1 : 0;
    }
  }
};

// ---- making it ----

class Fuser {
 public:
  Fuser(const Selection& s, int head) : s_(s), head_(head) {}

  Result<Prepared> make() {
    const PlanValue& y = s_.value(s_.node(head_).results[0]);
    shape_ = y.shape;
    if (shape_.product() == 0) return decline("no elements");
    GRAFT_CHECK(joins(head_));
    add(head_);
    if (s_.fusing()) {
      for (int n = head_ + 1; n < s_.node_count() && n <= head_ + kMostNodes; ++n) {
        if (!s_.node(n).taken && uses_group(n) && joins(n)) add(n);
      }
    }
    choose_layout();
    return emit();
  }

 private:
  bool in_group(int value) const { return std::find(made_.begin(), made_.end(), value) != made_.end(); }
  bool uses_group(int n) const {
    for (const auto& arg : s_.node(n).args) {
      for (int v : arg) {
        if (in_group(v)) return true;
      }
    }
    return false;
  }

  // A constant of one element.
  const ir::Constant* number(int value) const {
    const PlanValue& v = s_.value(value);
    return v.where == PlanValue::Where::constant && v.shape.product() == 1 ? v.constant.get() : nullptr;
  }

  Status joins(int n) const {
    const Node& node = s_.node(n);
    const std::string_view op = node.op->type();
    const Rule* rule = rule_of(op);
    if (rule == nullptr || node.results.size() != 1) return decline("not element-wise");
    const PlanValue& y = s_.value(node.results[0]);
    if (!takes(y.dtype())) return decline(format("{} results", name(y.dtype())));
    if (!(y.shape == shape_)) return decline("another shape");
    if (static_cast<int>(nodes_.size()) + 1 >= kMostRegisters) return decline("too long a chain");
    for (const std::string_view p : {rule->a, rule->b, rule->c}) {
      if (p.empty()) continue;
      const int v = s_.arg(n, p);
      if (v < 0) return decline(format("no {}", p));
      if (!takes(s_.value(v).dtype())) return decline(format("{} operands", name(s_.value(v).dtype())));
      if (!in_group(v) && !s_.available(v)) return decline("an operand comes later");
    }
    if (op == "pow") {
      const ir::Constant* e = number(s_.arg(n, "y"));
      const double k = e == nullptr ? 0 : element_as_double(e->view(), 0);
      if (k != 2 && k != 0.5 && k != 1 && k != -1 && k != 3) return decline("a general power");
    }
    if (op == "cast" && s_.value(s_.arg(n, "x")).dtype() != DType::boolean && y.dtype() == DType::boolean)
      return decline("a cast to bool");
    if (op == "batch_norm" || op == "prelu") {
      for (const char* p : {"mean", "variance", "gamma", "beta", "alpha"}) {
        if (node.op->row->param_index(p) < 0) continue;
        const int v = s_.arg(n, p);
        if (v >= 0 && s_.value(v).where != PlanValue::Where::constant) return decline("parameters are not constant");
      }
    }
    if (operands_.size() + 3 > kMostOperands) return decline("too many operands");
    return {};
  }

  void use(int v) {
    if (in_group(v) || number(v) != nullptr) return;
    if (std::find(operands_.begin(), operands_.end(), v) == operands_.end()) operands_.push_back(v);
  }

  void add(int n) {
    const Rule& rule = *rule_of(s_.node(n).op->type());
    for (const std::string_view p : {rule.a, rule.b, rule.c}) {
      if (!p.empty()) use(s_.arg(n, p));
    }
    nodes_.push_back(n);
    made_.push_back(s_.node(n).results[0]);
  }

  // A blocked layout is kept when all operands can be read in it.
  void choose_layout() {
    if (shape_.size() < 3) return;
    for (int v : operands_) {
      const PlanValue& p = s_.value(v);
      if (!p.layout.plain() && p.shape == shape_ && !p.layout.padded(p.shape)) {
        layout_ = p.layout;
        break;
      }
    }
    if (layout_.plain()) return;
    for (int v : operands_) {
      if (!by_blocks(s_.value(v).shape)) layout_ = {};
    }
  }
  bool by_blocks(const Shape& s) const {
    if (s == shape_) return true;
    const int lead = shape_.size() - s.size();
    bool space_is_one = true, space_is_full = true;
    for (int d = 2; d < shape_.size(); ++d) {
      const int64_t n = d < lead ? 1 : s[d - lead];
      space_is_one &= n == 1;
      space_is_full &= n == shape_[d];
    }
    return space_is_one || space_is_full;
  }

  // Strides over [n, c / b, space, b] or over the plain dims.
  Shape strides(const Shape& s) const {
    Shape full(shape_.size(), 1);
    const int lead = shape_.size() - s.size();
    for (int d = 0; d < s.size(); ++d) full[lead + d] = s[d];
    Shape plain = strides_of(full);
    for (int d = 0; d < full.size(); ++d) {
      if (full[d] == 1) plain[d] = 0;
    }
    if (layout_.plain()) return plain;
    const int64_t b = layout_.block, space = shape_.product(2, shape_.size());
    if (s == shape_) return {shape_[1] * space, space * b, b, 1};
    const bool with_space = full.product(2, full.size()) == space && space != 1;
    return {plain[0], plain[1] * b, with_space ? 1 : 0, plain[1]};
  }

  Result<Prepared> emit() {
    auto step = std::make_unique<FusedStep>();
    Prepared made;
    Shape dims = shape_;
    if (!layout_.plain()) {
      const int64_t b = layout_.block;
      dims = {shape_[0], shape_[1] / b, shape_.product(2, shape_.size()), b};
    }
    if (dims.empty()) dims.push_back(1);
    for (int v : operands_) {
      const PlanValue& p = s_.value(v);
      Operand o;
      o.value = v;
      o.in = made.in.size();
      o.dtype = p.dtype();
      o.full = p.shape == shape_;
      o.strides = strides(p.shape);
      if (o.strides.empty()) o.strides.push_back(0);
      o.reg = reg_of(v);
      made.in.push_back({v, o.full ? layout_ : Layout{}});
      step->operands.push_back(std::move(o));
    }
    step_ = step.get();
    for (int n : nodes_) GRAFT_CHECK(translate(n));
    if (next_ > kMostRegisters + kMostOperands) return decline("too many values at once");
    collapse(dims, *step);
    step->registers = next_;
    for (size_t k = 0; k < nodes_.size(); ++k) {
      const int v = made_[k];
      const PlanValue& p = s_.value(v);
      const bool leaves = p.kept || std::any_of(p.consumers.begin(), p.consumers.end(), [&](int c) {
                            return std::find(nodes_.begin(), nodes_.end(), c) == nodes_.end();
                          });
      if (!leaves) continue;
      step->outputs.push_back({reg_of(v), p.dtype()});
      made.out.push_back({v, layout_});
    }
    if (made.out.size() > kMostOutputs) return decline("too many results");
    for (size_t o = 0; o < made.out.size() && o < 1; ++o) {
      for (size_t i = 0; i < made.in.size(); ++i) {
        if (step->operands[i].full && s_.value(made.in[i].value).dtype() == s_.value(made.out[o].value).dtype())
          step->in_place.emplace_back(static_cast<int>(o), static_cast<int>(i));
      }
    }
    step->find_last_output();
    step->provider = "native";
    for (int n : nodes_) {
      if (!step->label.empty()) step->label += '+';
      step->label += s_.node(n).op->type();
    }
    made.nodes = nodes_;
    made.step = std::move(step);
    return made;
  }

  int reg_of(int value) {
    for (const auto& [v, r] : registers_) {
      if (v == value) return r;
    }
    registers_.emplace_back(value, next_);
    return next_++;
  }
  int splat(float v) {
    for (const Splat& s : step_->splats) {
      if (s.value == v && !std::signbit(s.value) == !std::signbit(v)) return s.reg;
    }
    step_->splats.push_back({next_, v});
    return next_++;
  }
  int source(int n, std::string_view param) {
    const int v = s_.arg(n, param);
    if (in_group(v)) return reg_of(v);
    if (const ir::Constant* c = number(v)) return splat(static_cast<float>(element_as_double(c->view(), 0)));
    return reg_of(v);
  }
  void push(Fn fn, int a, int b, int c, int y, float p0 = 0, float p1 = 0) {
    step_->code.push_back({vector_kernel(fn), a, b, c, y, {p0, p1}});
  }
  // A vector over dim 1 that the plan computed.
  int channels(std::vector<float> values) {
    Operand o;
    o.made = std::make_shared<const std::vector<float>>(std::move(values));
    Shape s{shape_[1]};
    for (int d = 2; d < shape_.size(); ++d) s.push_back(1);
    o.strides = strides(s);
    o.reg = next_++;
    step_->operands.push_back(o);
    return o.reg;
  }

  Status translate(int n) {
    const Node& node = s_.node(n);
    const Rule& rule = *rule_of(node.op->type());
    const ir::Call call = s_.call(n);
    const int a = source(n, rule.a);
    const int b = rule.b.empty() ? a : source(n, rule.b), c = rule.c.empty() ? a : source(n, rule.c);
    const int y = reg_of(node.results[0]);
    const float p0 = rule.p0.empty() ? 0 : static_cast<float>(call.f(rule.p0));
    const float p1 = rule.p1.empty() ? 0 : static_cast<float>(call.f(rule.p1));
    if (rule.op == "pow") {
      const double e = element_as_double(number(s_.arg(n, "y"))->view(), 0);
      if (e == 2) push(Fn::square_, a, a, a, y);
      if (e == 1) push(Fn::copy_, a, a, a, y);
      if (e == 0.5) push(Fn::sqrt_, a, a, a, y);
      if (e == -1) push(Fn::inverse_, a, a, a, y);
      if (e == 3) {
        push(Fn::square_, a, a, a, y);
        push(Fn::mul_, y, a, a, y);
      }
    } else if (rule.op == "cast" && s_.value(s_.arg(n, "x")).dtype() == DType::f32 &&
               s_.value(node.results[0]).dtype() == DType::f16) {
      push(Fn::to_half_, a, a, a, y);  // registers may hold more than their fp16 tensors, but a cast is asked to round
    } else if (rule.op == "relu6") {
      push(Fn::clip_, a, a, a, y, 0, 6);
    } else if (rule.op == "gelu") {
      const std::string_view mode = call.str("mode");
      push(mode == "EXACT" ? Fn::gelu_ : mode == "TANH_APPROXIMATION" ? Fn::gelu_tanh_ : Fn::gelu_sigmoid_, a, a, a, y);
    } else if (rule.op == "prelu") {
      const TensorView alpha = call.in("alpha").elements();
      std::vector<float> v;
      for (int64_t i = 0; i < shape_[1]; ++i) v.push_back(static_cast<float>(element_as_double(alpha, i)));
      push(Fn::prelu_, a, channels(std::move(v)), a, y);
    } else if (rule.op == "batch_norm") {
      std::vector<float> scale, shift;
      const double epsilon = call.f("epsilon");
      const bool gamma = call.has("gamma"), beta = call.has("beta");
      for (int64_t i = 0; i < shape_[1]; ++i) {
        const double k = (gamma ? element_as_double(call.in("gamma").elements(), i) : 1.0) /
                         std::sqrt(element_as_double(call.in("variance").elements(), i) + epsilon);
        scale.push_back(static_cast<float>(k));
        shift.push_back(static_cast<float>((beta ? element_as_double(call.in("beta").elements(), i) : 0.0) -
                                           k * element_as_double(call.in("mean").elements(), i)));
      }
      const int k = channels(std::move(scale));
      push(Fn::multiply_add_, a, k, channels(std::move(shift)), y);
    } else {
      push(rule.fn, a, b, c, y, p0, p1);
    }
    return call.error() ? fail(*call.error()) : Status{};
  }

  // Neighbouring dims that every operand walks alike become one.
  static void collapse(Shape dims, FusedStep& step) {
    for (int d = dims.size() - 2; d >= 0; --d) {
      const bool together = std::all_of(step.operands.begin(), step.operands.end(), [&](const Operand& o) {
        return dims[d] == 1 || (dims[d + 1] == 1 ? true : o.strides[d] == o.strides[d + 1] * dims[d + 1]);
      });
      if (!together) continue;
      for (Operand& o : step.operands) {
        if (dims[d + 1] == 1) o.strides[d + 1] = o.strides[d];
        o.strides.erase(d);
      }
      dims[d + 1] *= dims[d];
      dims.erase(d);
    }
    step.dims = dims;
  }

  const Selection& s_;
  int head_;
  Shape shape_;
  Layout layout_;
  std::vector<int> nodes_, made_, operands_;
  std::vector<std::pair<int, int>> registers_;  // value, register
  int next_ = 0;
  FusedStep* step_ = nullptr;
};

}  // namespace

Result<Prepared> prepare_fused(const Selection& s, int n) { return Fuser(s, n).make(); }

}  // namespace graft::engine

// Chains of element-wise operators in one loop: a block of every value at a time stays in the first cache, fp32 inside,
// whatever the storage. Operands that broadcast are expanded block by block. Blocked layouts are kept: a tensor
// [n, c / b, space, b] is as good as any other shape here.
#include "base/format.h"
#include "engine/native/fused_step.h"
#include "engine/native/kernels.h"
#include "ops/broadcast.h"

namespace graft::engine {
namespace {

constexpr int kMostNodes = 48;
constexpr int kMostOutputs = 4;

bool takes(DType t) { return t == DType::f32 || t == DType::f16 || t == DType::boolean; }

class Fuser {
 public:
  Fuser(const Selection& s, int head) : s_(s), head_(head) {}

  Result<Prepared> make() {
    const PlanValue& y = s_.value(s_.node(head_).results[0]);
    shape_ = y.shape;
    if (shape_.product() == 0) return decline("no elements");
    GRAFT_TRY(const ir::Pointwise first, joins(head_));
    add(head_, first);
    if (s_.fusing()) {
      for (int n = head_ + 1; n < s_.node_count() && n <= head_ + kMostNodes; ++n) {
        if (s_.node(n).taken || !uses_group(n)) continue;
        if (const Result<ir::Pointwise> f = joins(n)) add(n, *f);
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

  // What the operator computes, or why it has to be a step of its own.
  Result<ir::Pointwise> joins(int n) const {
    const Node& node = s_.node(n);
    if (node.op->kind() != ir::Kind::pointwise || node.results.size() != 1) return decline("not element-wise");
    const PlanValue& y = s_.value(node.results[0]);
    if (!takes(y.dtype())) return decline(format("{} results", name(y.dtype())));
    if (!(y.shape == shape_)) return decline("another shape");
    if (static_cast<int>(nodes_.size()) + 1 >= kMostRegisters) return decline("too long a chain");
    const ir::Call call = s_.call(n);
    const ir::Pointwise f = ir::pointwise_of(call);
    if (call.error()) return fail(*call.error());
    DType last = DType::invalid;
    for (const std::string_view p : f.operands) {
      if (p.empty()) continue;
      const int v = s_.arg(n, p);
      if (v < 0) return decline(format("no {}", p));
      last = s_.value(v).dtype();
      if (!takes(last)) return decline(format("{} operands", name(last)));
      if (!in_group(v) && !s_.available(v)) return decline("an operand comes later");
    }
    if (vector_kernel(f.function) == nullptr && (f.kernels[0] == nullptr || f.compares || last == DType::boolean))
      return decline("a function of other types");
    if (f.by_channel != nullptr) {
      for (size_t p = 0; p < node.args.size(); ++p) {
        if (node.op->row->params()[p].name == f.operands[0] || node.args[p].empty()) continue;
        if (s_.value(node.args[p][0]).where != PlanValue::Where::constant)
          return decline("parameters are not constant");
      }
    }
    if (operands_.size() + 3 > kMostOperands) return decline("too many operands");
    return f;
  }

  void use(int v) {
    if (in_group(v) || number(v) != nullptr) return;
    if (std::find(operands_.begin(), operands_.end(), v) == operands_.end()) operands_.push_back(v);
  }

  void add(int n, const ir::Pointwise& f) {
    for (const std::string_view p : f.operands) {
      if (!p.empty()) use(s_.arg(n, p));
    }
    nodes_.push_back(n);
    functions_.push_back(f);
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
    const Shape plain = ops::broadcast_strides(s, shape_);
    if (layout_.plain()) return plain;
    const int64_t b = layout_.block, space = shape_.product(2, shape_.size());
    if (s == shape_) return {shape_[1] * space, space * b, b, 1};
    const int lead = shape_.size() - s.size();
    const bool with_space = s.product(std::max(0, 2 - lead), s.size()) == space && space != 1;
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
    for (int v : operands_) {
      const PlanValue& p = s_.value(v);
      FusedOperand o;
      o.value = v;
      o.in = made.in.size();
      o.dtype = p.dtype();
      o.full = p.shape == shape_;
      o.strides = strides(p.shape);
      o.reg = reg_of(v);
      made.in.push_back({v, o.full ? layout_ : Layout{}});
      step->operands.push_back(std::move(o));
    }
    step_ = step.get();
    for (size_t k = 0; k < nodes_.size(); ++k) GRAFT_CHECK(translate(nodes_[k], functions_[k]));
    if (next_ > kMostRegisters + kMostOperands) return decline("too many values at once");
    ops::collapse(dims, static_cast<int>(step->operands.size()),
                  [&](int k) -> Shape& { return step->operands[static_cast<size_t>(k)].strides; });
    step->dims = dims;
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
  // A vector over dim 1 that the plan computed.
  int channels(std::vector<float> values) {
    FusedOperand o;
    o.made = std::make_shared<const std::vector<float>>(std::move(values));
    Shape s{shape_[1]};
    for (int d = 2; d < shape_.size(); ++d) s.push_back(1);
    o.strides = strides(s);
    o.reg = next_++;
    step_->operands.push_back(o);
    return o.reg;
  }

  Status translate(int n, const ir::Pointwise& f) {
    std::vector<int> in;
    for (const std::string_view p : f.operands) {
      if (!p.empty()) in.push_back(source(n, p));
    }
    if (f.by_channel != nullptr) {
      std::vector<std::vector<float>> vectors;
      GRAFT_CHECK(f.by_channel(s_.call(n), vectors));
      for (std::vector<float>& v : vectors) in.push_back(channels(std::move(v)));
    }
    const auto at = [&](size_t i) { return in[i < in.size() ? i : 0]; };
    step_->code.push_back({vector_kernel(f.function),
                           f.kernels[0],
                           static_cast<int>(in.size()),
                           at(0),
                           at(1),
                           at(2),
                           reg_of(s_.node(n).results[0]),
                           {f.numbers[0], f.numbers[1]}});
    return {};
  }

  const Selection& s_;
  int head_;
  Shape shape_;
  Layout layout_;
  std::vector<int> nodes_, made_, operands_;
  std::vector<ir::Pointwise> functions_;        // by nodes_
  std::vector<std::pair<int, int>> registers_;  // value, register
  int next_ = 0;
  FusedStep* step_ = nullptr;
};

}  // namespace

Result<Prepared> prepare_fused(const Selection& s, int n) { return Fuser(s, n).make(); }

}  // namespace graft::engine

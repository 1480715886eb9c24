#include "tools/inputs.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/format.h"
#include "base/half.h"

namespace graft::tools {
namespace {

// SplitMix64: small, good enough, and the same everywhere, which the standard's distributions are not.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  double unit() { return static_cast<double>(bits() >> 11) * 0x1p-53; }

 private:
  uint64_t state_;
};

// entries: of the table that integers name places in; 0: of none that is known.
Result<Tensor> random_tensor(const std::string& name, DType dtype, const Shape& shape, uint64_t seed, bool image,
                             const Draw& draw, int64_t entries, const std::shared_ptr<MemoryLimit>& limit) {
  if (checked_count(shape) < 0)
    return fail(Code::limit_exceeded, format("input '{}': {} is too large", name, describe(dtype, shape)));
  Result<Tensor> made = Tensor::allocate(dtype, shape, limit);
  if (!made) return fail(std::move(made.error()).at_tensor(name));
  Tensor t = std::move(*made);
  Random random(seed ^ hash64(Bytes(reinterpret_cast<const std::byte*>(name.data()), name.size())));
  const auto number = [&] {
    if (image) return std::floor(random.unit() * 256);
    const double v = random.unit() * (draw.hi - draw.lo) + draw.lo;
    return draw.whole ? std::round(v) : v;
  };
  const auto integer = [&]() -> int64_t {
    const auto one = static_cast<int64_t>(random.bits() >> 63);
    switch (draw.integers) {
      case Draw::Integers::either: return one;
      case Draw::Integers::zeros: return 0;
      case Draw::Integers::ones: return 1;
      case Draw::Integers::ends: return entries > 0 ? one * (entries - 1) : one;
    }
    return one;
  };
  const auto fill = [&](auto kind) {
    using T = decltype(kind);
    for (T& v : t.span<T>()) {
      if constexpr (std::is_integral_v<T>)
        v = static_cast<T>(integer());
      else
        v = T(number());
    }
  };
  switch (dtype) {
    case DType::f32: fill(float{}); break;
    case DType::f64: fill(double{}); break;
    case DType::f16: fill(Half{}); break;
    case DType::bf16: fill(BFloat16{}); break;
    case DType::boolean: fill(bool{}); break;
    case DType::i8: fill(int8_t{}); break;
    case DType::i16: fill(int16_t{}); break;
    case DType::i32: fill(int32_t{}); break;
    case DType::i64: fill(int64_t{}); break;
    case DType::u8: fill(uint8_t{}); break;
    case DType::u16: fill(uint16_t{}); break;
    case DType::u32: fill(uint32_t{}); break;
    case DType::u64: fill(uint64_t{}); break;
    default: {
      Diag d;
      d.code = Code::invalid_argument;
      d.tensor = name;
      d.message = format("cannot be made up: its elements are {}; give a file for it", graft::name(dtype));
      return fail(std::move(d));
    }
  }
  return t;
}

class Maker {
 public:
  Maker(const session::Session& session, std::span<const TensorView> given, uint64_t seed, const Draw& draw)
      : session_(session),
        shapes_(session.options().lowering.shapes),
        seed_(seed),
        draw_(draw),
        made_(session.inputs().size()) {
    if (draw.integers == Draw::Integers::ends) tables_ = tables_of(session);
    if (session.partitioning() != nullptr && session.partitioning()->host != nullptr)
      defaults_ = session.partitioning()->host->main().default_dims;
    for (size_t i = 0; i < given.size(); ++i) {
      if (given[i].dtype == DType::invalid) continue;
      given_.insert(i);
      learn(session.all_inputs()[i].type, given[i].shape);
    }
    const coreml::FunctionInterface* main = session.package() == nullptr ? nullptr : session.package()->main();
    if (main == nullptr) return;
    for (const coreml::Feature& f : main->inputs) features_.emplace(f.name, &f);
  }

  Result<std::vector<Tensor>> run() {
    for (const auto& [name, dims] : shapes_) {
      if (session_.input_index(name) >= 0) continue;
      std::vector<std::string> names;
      for (const ir::Port& p : session_.all_inputs()) names.push_back(p.name);
      return fail(Code::invalid_option,
                  format("--shapes: the model has no input '{}'; its inputs are {}", name, join(names, ", ")));
    }
    for (size_t i = 0; i < made_.size(); ++i) {
      if (!given_.contains(i)) GRAFT_CHECK(invent(i));
    }
    return std::move(made_);
  }

 private:
  const coreml::Feature* feature(const std::string& name) const {
    const auto at = features_.find(name);
    return at == features_.end() ? nullptr : at->second;
  }

  // The sizes of symbols, from a tensor that was given.
  void learn(const ir::Type& type, const Shape& shape) {
    for (int d = 0; d < shape.size(); ++d) {
      const std::string_view symbol = type.dims[static_cast<size_t>(d)].symbol_name();
      if (!symbol.empty()) sizes_.emplace(std::string(symbol), shape[d]);
    }
  }

  Status invent(size_t i) {
    const ir::Port& port = session_.inputs()[i];
    const auto given = shapes_.find(port.name);
    const coreml::Feature* f = feature(port.name);
    Shape shape;
    if (given != shapes_.end() && static_cast<int>(given->second.size()) != port.type.rank()) {
      return fail(Code::invalid_option, format("--shapes: '{}' has rank {}, {} dims are given", port.name,
                                               port.type.rank(), given->second.size()));
    }
    for (int d = 0; d < port.type.rank(); ++d) {
      const ir::Dim& dim = port.type.dims[static_cast<size_t>(d)];
      int64_t size = dim.known() ? dim.value() : std::max<int64_t>(dim.range().lo, 1);
      if (!dim.known()) {
        const std::string symbol(dim.symbol_name());
        if (f != nullptr && f->has_shape && f->shape.size() == port.type.rank()) size = f->shape[d];
        if (const auto at = defaults_.find(symbol); at != defaults_.end()) size = at->second;
        if (given != shapes_.end()) {
          const onnx::DimSpec& spec = given->second[static_cast<size_t>(d)];
          size = spec.preferred.value_or(spec.lo);
        }
        if (const auto at = sizes_.find(symbol); at != sizes_.end()) size = at->second;
        if (!symbol.empty()) sizes_.emplace(symbol, size);
        if (!IntRange{size, size}.inside(dim.range())) {
          return fail(Code::invalid_option, format("--shapes: dim {} of '{}' is {}, it takes {}..{}", d, port.name,
                                                   size, dim.range().lo, dim.range().hi));
        }
      } else if (given != shapes_.end()) {
        const onnx::DimSpec& spec = given->second[static_cast<size_t>(d)];
        if (size < spec.lo || size > spec.hi) {
          return fail(Code::invalid_option, format("--shapes: dim {} of '{}' is fixed to {}", d, port.name, size));
        }
      }
      shape.push_back(size);
    }
    const bool image = f != nullptr && f->image.has_value();
    const auto table = tables_.find(port.name);
    GRAFT_TRY(made_[i], random_tensor(port.name, port.type.dtype, shape, seed_, image, draw_,
                                      table == tables_.end() ? 0 : table->second, session_.memory()));
    return {};
  }

  const session::Session& session_;
  const decltype(onnx::LowerOptions::shapes)& shapes_;
  const uint64_t seed_;
  const Draw& draw_;
  Tables tables_;
  std::set<size_t> given_;  // among all_inputs()
  std::vector<Tensor> made_;
  std::map<std::string, int64_t> sizes_;  // by symbol
  std::map<std::string, int64_t> defaults_;
  std::unordered_map<std::string_view, const coreml::Feature*> features_;  // packages: the inputs
};

}  // namespace

Result<std::vector<Tensor>> random_inputs(const session::Session& session, std::span<const TensorView> given,
                                          uint64_t seed, const Draw& draw) {
  return Maker(session, given, seed, draw).run();
}

}  // namespace graft::tools

#include "tools/inputs.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "base/format.h"
#include "base/half.h"
#include "tools/npy.h"

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

Result<Tensor> random_tensor(const std::string& name, DType dtype, const Shape& shape, uint64_t seed, bool image,
                             const std::shared_ptr<MemoryLimit>& limit) {
  if (checked_count(shape) < 0)
    return fail(Code::limit_exceeded, format("input '{}': {} is too large", name, describe(dtype, shape)));
  Result<Tensor> made = Tensor::allocate(dtype, shape, limit);
  if (!made) return fail(std::move(made.error()).at_tensor(name));
  Tensor t = std::move(*made);
  Random random(seed ^ hash64(Bytes(reinterpret_cast<const std::byte*>(name.data()), name.size())));
  const auto fill = [&](auto kind) {
    using T = decltype(kind);
    for (T& v : t.span<T>()) {
      if constexpr (std::is_integral_v<T>)
        v = static_cast<T>(random.bits() >> 63);
      else
        v = T(image ? std::floor(random.unit() * 256) : random.unit() * 2 - 1);
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
  Maker(const session::Session& session, const InputOptions& options)
      : session_(session), options_(options), made_(session.all_inputs().size()) {
    if (session.partition() != nullptr && session.partition()->host != nullptr)
      defaults_ = session.partition()->host->main().default_dims;
    const coreml::FunctionInterface* main = session.package() == nullptr ? nullptr : session.package()->main();
    if (main == nullptr) return;
    for (const coreml::Feature& f : main->inputs) features_.emplace(f.name, &f);
  }

  Result<std::vector<InputTensor>> run() {
    for (const std::string& f : options_.files) GRAFT_CHECK(read(f));
    for (size_t i = 0; i < made_.size(); ++i) {
      if (made_[i].tensor.valid()) GRAFT_CHECK(bind(i, made_[i].tensor.shape()));
    }
    for (const auto& [name, dims] : options_.shapes.shapes) {
      if (session_.input_index(name) < 0) return fail(Code::invalid_option, no_input("--shapes", name));
    }
    const size_t needed = session_.inputs().size();
    for (size_t i = 0; i < needed; ++i) {
      if (!made_[i].tensor.valid()) GRAFT_CHECK(invent(i));
    }
    // An initializer that nobody feeds keeps its default.
    if (std::none_of(made_.begin() + static_cast<std::ptrdiff_t>(needed), made_.end(),
                     [](const InputTensor& t) { return t.tensor.valid(); }))
      made_.resize(needed);
    return std::move(made_);
  }

 private:
  std::string no_input(std::string_view option, std::string_view name) const {
    std::vector<std::string> names;
    for (const engine::Port& p : session_.all_inputs()) names.push_back(p.name);
    return format("{}: the model has no input '{}'; its inputs are {}", option, name, join(names, ", "));
  }

  const coreml::Feature* feature(const std::string& name) const {
    const auto at = features_.find(name);
    return at == features_.end() ? nullptr : at->second;
  }
  bool is_image(const std::string& name) const {
    const coreml::Feature* f = feature(name);
    return f != nullptr && f->image.has_value();
  }

  Status read(const std::string& text) {
    // Names and paths may hold '='; the longest input name that the text starts with is meant.
    int index = -1;
    size_t equals = std::string::npos;
    for (size_t at = text.find('='); at != std::string::npos; at = text.find('=', at + 1)) {
      if (const int i = session_.input_index(text.substr(0, at)); i >= 0) index = i, equals = at;
    }
    std::string path;
    if (index >= 0) {
      path = text.substr(equals + 1);
    } else if (text.find('=') == std::string::npos && session_.inputs().size() == 1) {
      index = 0;
      path = text;
    } else if (text.find('=') == std::string::npos) {
      return fail(Code::invalid_option, format("--input: '{}' has no input name; write name=FILE.npy", text));
    } else {
      return fail(Code::invalid_option, no_input("--input", text.substr(0, text.find('='))));
    }
    const engine::Port& port = session_.all_inputs()[static_cast<size_t>(index)];
    InputTensor& in = made_[static_cast<size_t>(index)];
    if (in.tensor.valid()) return fail(Code::invalid_option, format("--input: '{}' is given twice", port.name));
    in.name = port.name;
    in.source = path;
    std::string ending = path.substr(std::min(path.rfind('.'), path.size()));
    std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
    if (ending == ".png" || ending == ".jpg" || ending == ".jpeg") {
      GRAFT_TRY(in.tensor, read_image(path, port.name, port.type, options_.image, is_image(port.name)));
      return {};
    }
    if (ending != ".npy")
      return fail(Code::invalid_option, format("--input: '{}' is neither .npy, .png nor .jpg", path));
    GRAFT_TRY(in.tensor, read_npy(path));
    if (in.tensor.dtype() == port.type.dtype) return {};
    Diag d;
    d.code = Code::invalid_argument;
    d.file = path;
    d.tensor = port.name;
    d.message =
        format("the file holds {}, the input takes {}", graft::name(in.tensor.dtype()), graft::name(port.type.dtype));
    return fail(std::move(d));
  }

  // Learns the sizes of symbols from a tensor that was given.
  Status bind(size_t i, const Shape& shape) {
    const engine::Port& port = session_.all_inputs()[i];
    const auto misfit = [&] {
      Diag d;
      d.code = Code::invalid_argument;
      d.file = made_[i].source;
      d.tensor = port.name;
      d.message =
          format("the file holds {}, the input is {}", describe(made_[i].tensor.dtype(), shape), port.type.to_string());
      return fail(std::move(d));
    };
    if (shape.size() != port.type.rank()) return misfit();
    for (int d = 0; d < shape.size(); ++d) {
      const ir::Dim& dim = port.type.dims[static_cast<size_t>(d)];
      if (dim.known() ? dim.value() != shape[d] : !IntRange{shape[d], shape[d]}.inside(dim.range())) return misfit();
      if (!dim.symbol_name().empty()) sizes_.emplace(std::string(dim.symbol_name()), shape[d]);
    }
    return {};
  }

  Status invent(size_t i) {
    const engine::Port& port = session_.inputs()[i];
    const auto given = options_.shapes.shapes.find(port.name);
    const coreml::Feature* f = feature(port.name);
    Shape shape;
    if (given != options_.shapes.shapes.end() && static_cast<int>(given->second.size()) != port.type.rank()) {
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
        if (given != options_.shapes.shapes.end()) {
          const onnx::DimSpec& spec = given->second[static_cast<size_t>(d)];
          size = spec.preferred.value_or(spec.lo);
        }
        if (const auto at = sizes_.find(symbol); at != sizes_.end()) size = at->second;
        if (!symbol.empty()) sizes_.emplace(symbol, size);
        if (!IntRange{size, size}.inside(dim.range())) {
          return fail(Code::invalid_option, format("--shapes: dim {} of '{}' is {}, it takes {}..{}", d, port.name,
                                                   size, dim.range().lo, dim.range().hi));
        }
      } else if (given != options_.shapes.shapes.end()) {
        const onnx::DimSpec& spec = given->second[static_cast<size_t>(d)];
        if (size < spec.lo || size > spec.hi) {
          return fail(Code::invalid_option, format("--shapes: dim {} of '{}' is fixed to {}", d, port.name, size));
        }
      }
      shape.push_back(size);
    }
    made_[i].name = port.name;
    made_[i].source = "random";
    GRAFT_TRY(made_[i].tensor,
              random_tensor(port.name, port.type.dtype, shape, options_.seed, is_image(port.name), session_.memory()));
    return {};
  }

  const session::Session& session_;
  const InputOptions& options_;
  std::vector<InputTensor> made_;
  std::map<std::string, int64_t> sizes_;  // by symbol
  std::map<std::string, int64_t> defaults_;
  std::unordered_map<std::string_view, const coreml::Feature*> features_;  // packages: the inputs
};

}  // namespace

Result<std::vector<InputTensor>> make_inputs(const session::Session& session, const InputOptions& options) {
  return Maker(session, options).run();
}

}  // namespace graft::tools

#include "onnx/open_dims.h"

#include <algorithm>
#include <cctype>
#include <functional>

#include "base/format.h"
#include "onnx/int_ranges.h"

namespace graft::onnx {
namespace {

// The first that fits counts. Beyond the ends are models that need them said; what is in them fits a phone.
constexpr DimMeaning kMeanings[] = {
    {"batch", "batch b bs bsz batchsize", "dim 0 of several, or named n", {1, 64}, 1},
    {"samples", "samples sample audio wave waveform", "", {1, 1 << 20}, 16000},
    {"image side", "h w height width", "dims 2 and 3 of four, of numbers", {1, 2048}, 224},
    {"sequence",
     "seq sequence len length token tokens text time t l s q k src tgt source target past cache ctx context frame "
     "frames "
     "step steps",
     "dim 1 of two, of integers; dim 1 of three",
     {1, 4096},
     128},
    {"count", "", "any other", {1, 4096}, 16},
};

// "Batch_Size2" -> {"batch", "size"}.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (std::isalpha(u) != 0)
      words.back() += static_cast<char>(std::tolower(u));
    else if (std::isdigit(u) == 0 && !words.back().empty())
      words.emplace_back();
  }
  return words;
}

bool means(const DimMeaning& m, const std::vector<std::string>& words) {
  const std::vector<std::string> known = words_of(m.words);
  return std::any_of(words.begin(), words.end(), [&](const std::string& w) {
    return !w.empty() && std::find(known.begin(), known.end(), w) != known.end();
  });
}

const DimMeaning& meaning_of(const std::vector<std::string>& words, size_t axis, size_t rank, DType dtype) {
  for (const DimMeaning& m : kMeanings) {
    if (means(m, words)) return m;
  }
  const auto line = [](std::string_view name) -> const DimMeaning& {
    return *std::find_if(std::begin(kMeanings), std::end(kMeanings),
                         [&](const DimMeaning& m) { return m.name == name; });
  };
  if (axis == 0 && (rank > 1 || words[0] == "n")) return line("batch");
  if (rank == 4 && axis >= 2 && is_float(dtype)) return line("image side");
  if (axis == 1 && ((rank == 2 && is_int(dtype)) || rank == 3)) return line("sequence");
  return line("count");
}

// The sizes at which a model is tried.
class OpenDims {
 public:
  OpenDims(std::shared_ptr<const Model> model, const LowerOptions& options, const Bounds& bounds)
      : model_(std::move(model)), options_(options), bounds_(bounds) {
    for (const ValueInfo& v : model_->graph.inputs) {
      if (v.type.kind == ValueType::Kind::tensor && v.type.has_shape) collect(v);
    }
    for (OpenDim& d : dims_) find_sum(d);
  }

  Result<HostProgram> run() {
    if (std::any_of(dims_.begin(), dims_.end(), [](const OpenDim& d) { return !d.given; })) {
      GRAFT_TRY(const bool taken, find_default());
      for (OpenDim& d : dims_) {
        if (taken && !d.given && !d.sum) GRAFT_CHECK(narrow(d));
      }
      if (!taken) return as_the_rule_says();
      GRAFT_CHECK(keep_small());
    }
    return bounded();
  }

 private:
  // What is wrong with the model is so at any size, or else it wants sizes that nobody thought of: they stay open.
  Result<HostProgram> as_the_rule_says() {
    Result<HostProgram> by_rule = bounded();
    if (by_rule && by_rule->problems.empty()) return by_rule;
    Result<HostProgram> open = lower_for_host(model_, options_, bounds_);
    return open && by_rule && open->problems.size() >= by_rule->problems.size() ? std::move(by_rule) : std::move(open);
  }

  Result<HostProgram> bounded() {
    const LowerOptions options = with(
        [](const OpenDim& d) { return d.range.lo == d.range.hi ? Dim(d.range.lo) : Dim::symbol(d.symbol, d.range); });
    GRAFT_TRY(HostProgram program, lower_for_host(model_, options, bounds_));
    GRAFT_TRY(LowerOptions limited, with_int_limits(program, options, bounds_));
    if (!limited.limits.empty()) {
      GRAFT_TRY(program, lower_for_host(model_, limited, bounds_));
    }
    program.open_dims = dims_;
    return program;
  }

  static constexpr int kMostTrials = 96;
  static constexpr int kMostNodes = 2000;  // of models that are tried at more than a few sizes

  OpenDim* find(std::string_view symbol) {
    const auto at = std::find_if(dims_.begin(), dims_.end(), [&](const OpenDim& d) { return d.symbol == symbol; });
    return at == dims_.end() ? nullptr : &*at;
  }

  void collect(const ValueInfo& v) {
    const std::vector<DimInfo>& declared = v.type.dims;
    const auto given = options_.shapes.find(v.name);
    for (size_t axis = 0; axis < declared.size(); ++axis) {
      if (declared[axis].known()) continue;
      OpenDim d;
      d.symbol = symbol_of(v, axis);
      d.input = v.name;
      const DimMeaning& m = meaning_of(words_of(declared[axis].symbol), axis, declared.size(), v.type.dtype);
      d.range = m.range;
      d.preferred = m.preferred;
      d.origin = m.name;
      if (given != options_.shapes.end() && axis < given->second.size()) {
        const DimSpec& spec = given->second[axis];
        d.range = {spec.lo, spec.hi};
        d.preferred = spec.preferred.value_or(spec.lo);
        d.origin = "--shapes";
        d.given = true;
      }
      if (OpenDim* known = find(d.symbol); known == nullptr)
        dims_.push_back(std::move(d));
      else if (d.given && !known->given)
        *known = std::move(d);
    }
  }

  // "past + seq", "past_plus_seq" where both are open dims.
  void find_sum(OpenDim& d) {
    for (const std::string_view plus : {"+", "_plus_"}) {
      const size_t at = d.symbol.find(plus);
      if (d.given || at == std::string::npos) continue;
      const auto trimmed = [](std::string_view s) {
        while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
        while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
        return s;
      };
      const std::string_view text = d.symbol;
      const OpenDim *a = find(trimmed(text.substr(0, at))), *b = find(trimmed(text.substr(at + plus.size())));
      if (a == nullptr || b == nullptr || a == &d || b == &d) continue;
      d.sum = {a->symbol, b->symbol};
      d.origin = "the sum of two others";
    }
  }

  // The options with what `dim_of` makes of each dim that --shapes does not give.
  LowerOptions with(const std::function<Dim(const OpenDim&)>& dim_of) {
    LowerOptions o = options_;
    const auto one = [&](std::string_view symbol) { return dim_of(*find(symbol)); };
    for (OpenDim& d : dims_) {
      if (d.sum) {
        const OpenDim &a = *find(d.sum->first), &b = *find(d.sum->second);
        d.range = {a.range.lo + b.range.lo, a.range.hi + b.range.hi};
        d.preferred = a.preferred + b.preferred;
      }
      o.open_dims[d.symbol] = d.sum ? one(d.sum->first) + one(d.sum->second) : dim_of(d);
      if (d.range.lo != d.range.hi && !d.given) o.default_sizes[d.symbol] = d.preferred;
    }
    return o;
  }

  // Whether the model makes sense with one dim of `size` and the others of their default ones. Tensors without elements
  // count against it, if there are none by default.
  Result<bool> takes(const OpenDim* one, int64_t size) {
    if (one != nullptr && ++trials_ > kMostTrials) return false;
    const LowerOptions fixed = with([&](const OpenDim& d) { return Dim(&d == one ? size : d.preferred); });
    LowerOptions bare = fixed;
    for (const OpenDim& d : dims_) {  // ranges of --shapes too
      if (d.given) bare.open_dims[d.symbol] = Dim(d.preferred);
    }
    std::erase_if(bare.shapes, [&](const auto& given) { return declares_rank(given.first); });
    const Result<HostProgram> program = lower_for_host(model_, bare, bounds_);
    GRAFT_CHECK(check(bounds_.cancel));
    if (!program || !program->problems.empty()) return false;
    int empty = 0;
    for (const auto& op : program->main().body.ops) {
      for (const ir::Value* v : op->results) empty += v->type.is_static() && checked_count(v->type.shape()) == 0;
    }
    if (one == nullptr) usual_empty_ = empty;
    return empty <= usual_empty_;
  }

  bool declares_rank(const std::string& input) const {
    return std::any_of(model_->graph.inputs.begin(), model_->graph.inputs.end(),
                       [&](const ValueInfo& v) { return v.name == input && v.type.has_shape; });
  }

  // Default sizes that the model takes: the rule's, or with others of one dim, or of all.
  Result<bool> find_default() {
    constexpr int64_t kSizes[] = {224, 256, 128, 64, 32, 16, 8, 512, 1024, 4, 2, 1};
    GRAFT_TRY(const bool at_once, takes(nullptr, 0));
    if (at_once || static_cast<int>(model_->graph.nodes.size()) > kMostNodes) return at_once;
    const std::vector<OpenDim> rule = dims_;
    for (OpenDim& d : dims_) {
      if (d.given || d.sum) continue;
      for (const int64_t n : kSizes) {
        if (n > d.range.hi) continue;
        d.preferred = n;
        GRAFT_TRY(const bool taken, takes(nullptr, 0));
        if (taken) return true;
      }
      d.preferred = find_in(rule, d.symbol).preferred;
    }
    for (const int64_t n : kSizes) {
      for (OpenDim& d : dims_) {
        if (!d.given && d.origin != "batch") d.preferred = std::min(n, d.range.hi);
      }
      GRAFT_TRY(const bool taken, takes(nullptr, 0));
      if (taken) return true;
    }
    dims_ = rule;
    return false;
  }
  static const OpenDim& find_in(const std::vector<OpenDim>& dims, std::string_view symbol) {
    return *std::find_if(dims.begin(), dims.end(), [&](const OpenDim& d) { return d.symbol == symbol; });
  }

  // How many elements the largest tensor has with every dim at its upper end; 0 where the model takes no such sizes.
  Result<double> largest() {
    LowerOptions ends = with([](const OpenDim& d) { return Dim(d.range.hi); });
    for (const OpenDim& d : dims_) {
      if (d.given) ends.open_dims[d.symbol] = Dim(d.range.hi);
    }
    std::erase_if(ends.shapes, [&](const auto& given) { return declares_rank(given.first); });
    const Result<HostProgram> program = lower_for_host(model_, ends, bounds_);
    GRAFT_CHECK(check(bounds_.cancel));
    double most = 0;
    if (!program || !program->problems.empty()) return most;
    for (const auto& op : program->main().body.ops) {
      for (const ir::Value* v : op->results) {
        double elements = v->type.is_tensor() ? 1 : 0;
        for (const Dim& d : v->type.dims) elements *= d.known() ? static_cast<double>(d.value()) : 1;
        most = std::max(most, elements);
      }
    }
    return most;
  }

  // Upper ends that go together: tensors of more elements no device has, and Apple's own tools run out of memory. The
  // batch gives way first, then what is farthest from its default size.
  Status keep_small() {
    constexpr double kMostElements = 1 << 30;
    constexpr int64_t kLeastBatch = 4;
    if (static_cast<int>(model_->graph.nodes.size()) > kMostNodes) return {};
    for (int turns = 0; turns < 24; ++turns) {
      GRAFT_TRY(const double most, largest());
      if (most <= kMostElements) return {};
      OpenDim* widest = nullptr;
      const auto excess = [](const OpenDim& d) {
        const bool batch = d.origin.starts_with("batch") && d.range.hi > kLeastBatch;
        return std::pair(batch,
                         static_cast<double>(d.range.hi) / static_cast<double>(std::max<int64_t>(d.preferred, 1)));
      };
      for (OpenDim& d : dims_) {
        if (d.given || d.sum || d.range.hi - d.step < std::max(d.preferred, d.range.lo)) continue;
        if (widest == nullptr || excess(d) > excess(*widest)) widest = &d;
      }
      if (widest == nullptr) return {};
      OpenDim& d = *widest;
      const int64_t half = (d.range.hi / 2 - d.preferred) / d.step * d.step + d.preferred;
      d.range.hi = std::max(d.preferred, half);
      constexpr std::string_view kWhy = ", as far as tensors of a sensible size go";
      if (!d.origin.ends_with(kWhy)) d.origin += kWhy;
    }
    return {};
  }

  // Whether some steps from the default size on there is another that the model takes; in d.step how many.
  Result<bool> grows(OpenDim& d) {
    constexpr int64_t kLargest = 128;
    for (d.step = 1; d.step <= kLargest; d.step *= 2) {
      GRAFT_TRY(const bool next, takes(&d, d.preferred + d.step));
      if (next) return true;
    }
    d.step = 1;
    return false;
  }

  // The range that the model takes, and in which steps.
  Status narrow(OpenDim& d) {
    if (static_cast<int>(model_->graph.nodes.size()) > kMostNodes) return {};
    const int64_t usual = d.preferred;
    GRAFT_TRY(const bool above, grows(d));
    if (!above) {
      // A dim that no size but one goes with has another to agree with, perhaps: the rule's range says no less.
      GRAFT_TRY(const bool below, usual > d.range.lo ? takes(&d, usual - 1) : Result<bool>(false));
      if (!below) return {};
    }
    const auto on_grid = [&](int64_t steps) { return usual + steps * d.step; };
    // How many steps from the default size towards `most` it takes.
    const auto reach = [&](int64_t most, int64_t sign) -> Result<int64_t> {
      if (most <= 0) return 0;
      GRAFT_TRY(const bool all, takes(&d, on_grid(sign * most)));
      if (all) return most;
      int64_t good = 0, bad = most;
      while (bad - good > 1) {
        const int64_t mid = (good + bad) / 2;
        GRAFT_TRY(const bool taken, takes(&d, on_grid(sign * mid)));
        (taken ? good : bad) = mid;
      }
      return good;
    };
    const int64_t most_up = (d.range.hi - usual) / d.step, most_down = (usual - d.range.lo) / d.step;
    GRAFT_TRY(const int64_t up, reach(above ? most_up : 0, 1));
    GRAFT_TRY(const int64_t down, reach(most_down, -1));
    if (up < most_up || down < most_down || d.step > 1) d.origin += ", as far as the model goes";
    d.range = {on_grid(-down), on_grid(up)};
    return {};
  }

  std::shared_ptr<const Model> model_;
  const LowerOptions& options_;
  const Bounds& bounds_;
  std::vector<OpenDim> dims_;
  int trials_ = 0;
  int usual_empty_ = INT32_MAX;
};

}  // namespace

std::span<const DimMeaning> dim_meanings() { return kMeanings; }

Result<HostProgram> lower_for_coreml(std::shared_ptr<const Model> model, const LowerOptions& options,
                                     const Bounds& bounds) {
  return OpenDims(std::move(model), options, bounds).run();
}

}  // namespace graft::onnx

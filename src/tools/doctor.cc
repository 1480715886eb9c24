#include "tools/doctor.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "base/format.h"

namespace graft::tools {

std::string_view name(Loss loss) {
  switch (loss) {
    case Loss::overflow: return "overflow";
    case Loss::vanishing: return "vanishing";
    case Loss::cancellation: return "cancellation";
    case Loss::rounding: return "rounding";
  }
  return "rounding";
}

namespace {

using onnx::Node;

// Noise as a share of the signal's power.
double noise_of(const Difference& d) {
  if (!d.same_type || !d.same_special) return INFINITY;
  return d.snr_db ? std::pow(10, -*d.snr_db / 10) : 0;
}
double decibels(double noise) { return noise == 0 ? INFINITY : -10 * std::log10(noise); }

double worst_of(const Verification& v) {
  double worst = 0;
  for (const OutputCheck& c : v.outputs) worst = std::max(worst, noise_of(c.difference));
  return worst;
}

class Doctor {
 public:
  Doctor(const Partitioned& p, const DoctorOptions& options, const CancelToken* cancel)
      : p_(p), options_(options), cancel_(cancel) {
    verify_.min_snr_db = options.min_snr_db;
    for (const partition::NodePlan& n : p.partitioning->nodes) {
      ++named_[n.node->name];
      for (const std::string& o : n.node->outputs) producer_.emplace(o, n.node);
    }
  }

  Result<Diagnosis> run(const session::Session& reference, std::span<const TensorView> inputs) {
    GRAFT_TRY(witness_, run_reference(reference, inputs, true, *p_.model->env));
    VerifyOptions layers = verify_;
    layers.layers = true;
    GRAFT_TRY(out_.before, verify(p_, *witness_, layers));
    out_.after = out_.before;
    out_.keep = p_.options.partitioning.keep_fp32;
    rank();
    if (!out_.before.accurate) GRAFT_CHECK(search());
    return std::move(out_);
  }

 private:
  using Places = std::vector<size_t>;  // in out_.suspects

  // ---- ranking ------------------------------------------------------------------------------------------------------

  void rank() {
    for (const OutputCheck& c : out_.before.outputs) differences_.emplace(c.name, &c.difference);
    for (const LayerCheck& c : out_.before.layers) differences_.emplace(c.name, &c.difference);
    std::vector<std::pair<double, Suspect>> list;
    for (const partition::NodePlan& n : p_.partitioning->nodes) {
      if (n.where != partition::Where::coreml) continue;
      ++out_.candidates;
      list.push_back(suspect(*n.node));
    }
    std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
    for (auto& [noise, s] : list) out_.suspects.push_back(std::move(s));
  }

  std::pair<double, Suspect> suspect(const Node& node) {
    Suspect s;
    s.node = node.name;
    s.op = node.op_type;
    s.keep = name_of(node);
    double in = 0, out = 0;
    std::unordered_set<const Node*> seen;
    for (const std::string& i : node.inputs) in = std::max(in, noise_at(i, seen));
    for (const std::string& o : node.outputs) {
      const auto at = differences_.find(o);
      if (at == differences_.end()) continue;
      const Difference& d = *at->second;
      const double noise = noise_of(d);
      if (!s.tensor.empty() && noise <= out) continue;
      s.tensor = o;
      out = noise;
      s.loss = loss_of(d, in, noise);
    }
    s.snr_db = decibels(out);
    s.operands_snr_db = decibels(in);
    // What becomes infinite in two places began in the first of them.
    return {std::isinf(in) ? 0 : out - in, std::move(s)};
  }

  static Loss loss_of(const Difference& d, double in, double out) {
    constexpr double kLeastNormal = 0x1p-14, kMuch = 16;
    if (std::isinf(out)) return Loss::overflow;
    if (d.range < kLeastNormal) return Loss::vanishing;
    return in > 0 && out > kMuch * in ? Loss::cancellation : Loss::rounding;
  }

  // Of a value, or of what it is made of where it was fused away.
  double noise_at(const std::string& value, std::unordered_set<const Node*>& seen) {
    if (const auto at = differences_.find(value); at != differences_.end()) return noise_of(*at->second);
    const auto at = producer_.find(value);
    if (at == producer_.end() || !seen.insert(at->second).second) return 0;
    double noise = 0;
    for (const std::string& i : at->second->inputs) noise = std::max(noise, noise_at(i, seen));
    return noise;
  }

  // A name that means this node alone, and that a list with commas can hold.
  std::string name_of(const Node& node) const {
    const auto fits = [](const std::string& s) { return !s.empty() && s.find_first_of(",#\n") == std::string::npos; };
    if (fits(node.name) && named_.at(node.name) == 1) return node.name;
    for (const std::string& o : node.outputs) {
      if (fits(o)) return o;
    }
    return node.op_type;
  }

  // ---- search -------------------------------------------------------------------------------------------------------

  std::vector<std::string> names(const Places& places) const {
    std::vector<std::string> list;
    for (const size_t i : places) list.push_back(out_.suspects[i].keep);
    return list;
  }

  // One program with these in fp32. False too when there are no attempts left.
  Result<bool> accurate(const Places& places) {
    if (out_.attempts >= options_.attempts) return false;
    GRAFT_CHECK(check(cancel_));
    ++out_.attempts;
    const Env& env = *p_.model->env;
    if (env.progress) env.progress(format("keeping {} of {} nodes in fp32", places.size(), out_.suspects.size()), -1);
    const std::vector<std::string> kept = names(places);
    GRAFT_TRY(const auto parts, partition_model(p_.model, own_options(), {}, cancel_, kept));
    if (parts->partitions.empty()) return false;
    GRAFT_TRY(Verification v, verify(*parts, *witness_, verify_));
    const bool good = v.accurate;
    if (good || worst_of(v) < worst_of(out_.after)) {
      out_.after = std::move(v);
      best_ = places;
    }
    return good;
  }

  // Those that came with the partitioning beside the model's.
  std::span<const session::NamedOption> own_options() const {
    return std::span(p_.named).subspan(p_.model->named.size());
  }

  static Places first(size_t n) {
    Places places(n);
    for (size_t i = 0; i < n; ++i) places[i] = i;
    return places;
  }

  Status search() {
    const size_t all = out_.suspects.size();
    size_t enough = std::min<size_t>(1, all), little = 0;
    bool good = false;
    for (; all > 0; enough = std::min(all, 2 * enough)) {
      GRAFT_TRY(good, accurate(first(enough)));
      if (good || enough == all) break;
      little = enough;
    }
    if (!good) return give_up();
    while (enough - little > 1) {
      const size_t middle = little + (enough - little) / 2;
      GRAFT_TRY(const bool does, accurate(first(middle)));
      (does ? enough : little) = middle;
    }
    Places kept = first(enough);
    GRAFT_CHECK(take_out(kept));
    return settle(kept);
  }

  // Delta debugging: halves, quarters, ... of what is kept are left out where it stays accurate.
  Status take_out(Places& kept) {
    for (size_t size = (kept.size() + 1) / 2; size > 0 && kept.size() > 1; size = size == 1 ? 0 : (size + 1) / 2) {
      for (size_t at = 0; at < kept.size() && kept.size() > 1;) {
        Places fewer = kept;
        const auto begin = fewer.begin() + static_cast<std::ptrdiff_t>(at);
        fewer.erase(begin, begin + static_cast<std::ptrdiff_t>(std::min(size, kept.size() - at)));
        if (fewer.empty()) break;
        GRAFT_TRY(const bool does, accurate(fewer));
        if (does)
          kept = std::move(fewer);
        else
          at += size;
      }
    }
    return {};
  }

  Status settle(const Places& kept) {
    for (const size_t i : kept) out_.suspects[i].kept = true;
    for (std::string& n : names(kept)) out_.keep.push_back(std::move(n));
    return {};
  }

  Status give_up() {
    GRAFT_CHECK(settle(best_));
    if (out_.attempts >= options_.attempts) {
      out_.reason = format("{} attempts were not enough to find what has to stay in fp32", out_.attempts);
    } else {
      out_.reason = "with every node in fp32 it is not accurate either: the loss is not one of fp16";
    }
    return {};
  }

  const Partitioned& p_;
  const DoctorOptions& options_;
  const CancelToken* cancel_;
  VerifyOptions verify_;
  std::shared_ptr<const Witness> witness_;
  std::unordered_map<std::string, const Difference*> differences_;
  std::unordered_map<std::string, const Node*> producer_;
  std::map<std::string, int> named_;
  Places best_;
  Diagnosis out_;
};

}  // namespace

Result<Diagnosis> diagnose(const Partitioned& p, const session::Session& reference, std::span<const TensorView> inputs,
                           const DoctorOptions& options, const CancelToken* cancel) {
  if (p.options.partitioning.precision != partition::Precision::float16)
    return fail(Code::invalid_option, "option precision: there is nothing to be kept in fp32 unless it is float16");
  return Doctor(p, options, cancel).run(reference, inputs);
}

}  // namespace graft::tools

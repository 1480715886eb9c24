// Every schema in one place, in the order of report.h.
#include <cmath>

#include <nlohmann/json.hpp>

#include "report/report.h"

namespace cli {
namespace {

using Json = nlohmann::ordered_json;

std::string_view fault_name(graft_fault fault) {
  switch (fault) {
    case GRAFT_FAULT_NONE: return "none";
    case GRAFT_FAULT_MODEL: return "model";
    case GRAFT_FAULT_OPTIONS: return "options";
    case GRAFT_FAULT_MACHINE: return "machine";
    case GRAFT_FAULT_US: return "graft";
  }
  return "graft";
}

// Names from files need not be UTF-8; what is not becomes U+FFFD. NaN and infinities become null.
std::string dump(const Json& j) { return j.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

Json to_json(const Problem& d) {
  Json j = {{"node", d.node}, {"op", d.op}, {"code", d.code_name}, {"message", d.message}};
  if (!d.tensor.empty()) j["tensor"] = d.tensor;
  j["remedies"] = d.remedies;
  if (d.cut_nodes > 0) j["cuts_off"] = {{"nodes", d.cut_nodes}, {"flops", d.cut_flops}};
  if (!d.inner.empty()) {
    j["inner"] = Json::array();
    for (const Problem& i : d.inner) j["inner"].push_back(to_json(i));
  }
  return j;
}

template <class List>
Json list(const List& items, auto&& each) {
  Json j = Json::array();
  for (const auto& i : items) j.push_back(each(i));
  return j;
}
Json problems(const std::vector<Problem>& items) {
  return list(items, [](const Problem& d) { return to_json(d); });
}

Json port(const PortInfo& p) {
  Json j = {{"name", p.name}, {"dtype", p.type}};
  if (!p.has_shape) {
    j["shape"] = nullptr;
    return j;
  }
  j["shape"] = list(p.dims, [](const PortInfo::Dim& d) { return d.value >= 0 ? Json(d.value) : Json(d.text); });
  for (const PortInfo::Dim& d : p.dims) {
    if (d.value < 0) j["ranges"][d.text] = {d.lo, d.hi};
  }
  return j;
}
Json ports(const std::vector<PortInfo>& items) {
  return list(items, [](const PortInfo& p) { return port(p); });
}
Json borders(const std::vector<PortInfo>& items) {
  return list(items, [](const PortInfo& p) {
    Json j = port(p);
    j["coreml_dtype"] = p.coreml_type;
    return j;
  });
}

Json operators(const std::vector<OperatorCount>& items) {
  return list(items, [](const OperatorCount& o) {
    return Json{{"domain", o.domain}, {"op", o.op}, {"count", o.count}};
  });
}

Json placement(const Placement& p) {
  return {{"requested", p.requested}, {"allowed", p.allowed}, {"planned", p.planned}};
}

Json inputs(const std::vector<InputTensor>& items) {
  return list(items, [](const InputTensor& i) {
    Json one{{"name", i.name}, {"dtype", i.type.dtype}, {"shape", i.type.shape}, {"source", i.source}};
    if (!i.converted.empty()) one["converted_from"] = i.converted;
    return one;
  });
}

// What inspect, compile and verify say about the model.
void add_verdict(Json& j, const Inspection& r) {
  j["target"] = r.target.empty() ? Json(nullptr) : Json(r.target);
  j["precision"] = r.precision;
  j["partitions"] = r.partitions.size();
  j["whole"] = r.whole;
  j["nodes"] = {{"total", r.total}, {"claimed", r.claimed}, {"folded", r.folded}, {"host", r.host}};
  j["flops"] = {{"total", r.flops_total}, {"claimed", r.flops_claimed}};
  j["pieces"] = list(r.partitions, [](const PartitionInfo& p) {
    return Json{{"nodes", p.nodes},
                {"operators", p.operators},
                {"flops", p.flops},
                {"inputs", borders(p.inputs)},
                {"outputs", borders(p.outputs)}};
  });
  j["missing"] = list(r.missing, [](const MissingOperator& m) {
    return Json{
        {"domain", m.domain}, {"op", m.op}, {"count", m.nodes.size()}, {"message", m.message}, {"nodes", m.nodes}};
  });
  j["refusals"] = problems(r.refusals);
  j["findings"] = problems(r.findings);
}

Json difference(const Difference& d) {
  Json j = {{"same_type", d.same_type}};
  if (!d.same_type) return j;
  j["equal"] = d.equal;
  j["max_abs"] = d.max_abs;
  j["max_rel"] = d.max_rel;
  j["range"] = d.range;
  j["snr_db"] = d.snr_db ? Json(*d.snr_db) : Json(nullptr);
  j["cosine"] = d.cosine;
  j["nan"] = d.nans;
  j["inf"] = d.infs;
  j["expected_nan"] = d.expected_nans;
  j["expected_inf"] = d.expected_infs;
  if (d.rows > 0) j["top_k"] = {{"rows", d.rows}, {"top1_equal", d.top1_equal}, {"top5_share", d.top5_share}};
  return j;
}

Json layer(const Difference& d) {
  Json j = {{"name", d.name}, {"op", d.op}, {"ok", d.ok}};
  j.update(difference(d));
  return j;
}

Json diagnosis(const Diagnosis& d) {
  Json j = {{"accurate_before", d.accurate_before},
            {"accurate", d.accurate},
            {"keep_fp32", d.keep_fp32},
            {"reason", d.reason},
            {"attempts", d.attempts}};
  const auto output = [](const Difference& o) {
    Json out = {{"name", o.name}, {"ok", o.ok}};
    out.update(difference(o));
    return out;
  };
  j["before"] = list(d.before, output);
  j["after"] = list(d.after, output);
  j["suspects"] = list(d.suspects, [](const Diagnosis::Suspect& s) {
    return Json{{"node", s.node},
                {"op", s.op},
                {"tensor", s.tensor},
                {"loss", s.loss},
                {"snr_db", s.snr_db ? Json(*s.snr_db) : Json(nullptr)},
                {"operands_snr_db", s.operands_snr_db ? Json(*s.operands_snr_db) : Json(nullptr)},
                {"kept", s.kept}};
  });
  return j;
}

}  // namespace

std::string json(const Inspection& r) {
  Json j = {{"schema", "graft.inspect/1"},
            {"model", r.path},
            {"format", "onnx"},
            {"ir_version", r.ir_version},
            {"opsets", r.opsets},
            {"producer", r.producer},
            {"metadata", r.metadata},
            {"weight_bytes", r.weight_bytes}};
  j["inputs"] = ports(r.inputs);
  j["outputs"] = ports(r.outputs);
  j["operators"] = operators(r.operators);
  add_verdict(j, r);
  if (r.programs_only) {
    j["mil"] = list(r.texts, [](const MilText& t) {
      return Json{
          {"partition", t.partition}, {"after", t.after.empty() ? Json(nullptr) : Json(t.after)}, {"text", t.text}};
    });
  }
  return dump(j);
}

std::string json(const PackageInspection& r) {
  Json j = {{"schema", "graft.inspect_package/1"},
            {"model", r.path},
            {"format", "mlpackage"},
            {"spec_version", r.spec_version},
            {"opset", r.opset},
            {"bytes", r.bytes},
            {"metadata", r.metadata}};
  j["functions"] = list(r.functions, [](const PackageInspection::Function& f) {
    return Json{{"name", f.name},
                {"inputs", ports(f.inputs)},
                {"outputs", ports(f.outputs)},
                {"states", ports(f.states)},
                {"operators", operators(f.operators)},
                {"flops", f.flops}};
  });
  if (!r.mil.empty()) j["mil"] = r.mil;
  return dump(j);
}

std::string json(const Compilation& r) {
  Json j = {{"schema", kCompileSchema},
            {"model", r.verdict.path},
            {"output", r.output},
            {"done", r.done},
            {"seconds", r.seconds}};
  j["packages"] = list(r.packages, [](const WrittenPackage& p) {
    return Json{{"path", p.path},   {"target", p.target},          {"bytes", p.bytes},
                {"nodes", p.nodes}, {"inputs", borders(p.inputs)}, {"outputs", borders(p.outputs)}};
  });
  if (r.diagnosis) {
    j["seed"] = r.seed;
    j["inputs"] = inputs(r.inputs);
    j["diagnosis"] = diagnosis(*r.diagnosis);
  }
  add_verdict(j, r.verdict);
  return dump(j);
}

std::string json(const RunResult& r) {
  Json j = {{"schema", "graft.run/1"}, {"model", r.path}, {"seed", r.seed}, {"steps", r.steps}};
  j["inputs"] = inputs(r.inputs);
  j["states"] = ports(r.states);
  j["outputs"] = list(r.outputs, [](const OutputTensor& o) {
    Json out = {{"name", o.name}, {"dtype", o.type.dtype}, {"shape", o.type.shape}, {"min", o.min},
                {"max", o.max},   {"mean", o.mean},        {"nan", o.nans},         {"inf", o.infs}};
    if (!o.top.empty()) {
      out["top"] = list(o.top, [](const std::vector<Ranked>& row) {
        return list(row, [](const Ranked& t) {
          return Json{{"index", t.index}, {"value", t.value}, {"label", t.label}};
        });
      });
    }
    if (o.place >= 0) out["place"] = o.place;
    if (o.dictionary) {
      out["dictionary"] = Json::object();
      for (size_t i = 0; i < o.strings.size(); ++i) out["dictionary"][o.strings[i]] = o.values[i];
    } else if (!o.strings.empty()) {
      out["strings"] = o.strings;
    }
    if (!o.file.empty()) out["file"] = o.file;
    return out;
  });
  if (!r.empty.empty()) j["empty"] = r.empty;
  j["placement"] = placement(r.placement);
  j["load_ms"] = r.load_ms;
  j["run_ms"] = r.run_ms;
  j["findings"] = problems(r.findings);
  return dump(j);
}

std::string json(const Verification& r) {
  Json j = {{"schema", "graft.verify/1"},      {"model", r.verdict.path},        {"ran", r.ran},
            {"accurate", r.ran && r.accurate}, {"from_package", r.from_package}, {"proves", proves_text(r)}};
  j["tolerance"] = {{"text", r.tolerance.to_string()}};
  if (r.tolerance.by_range)
    j["tolerance"]["relative"] = r.tolerance.relative;
  else
    j["tolerance"].update({{"snr_db", r.tolerance.snr_db}, {"classifier_snr_db", r.tolerance.classifier_snr_db}});
  j["seed"] = r.seed;
  j["inputs"] = inputs(r.inputs);
  j["outputs"] = list(r.outputs, [](const Difference& d) {
    Json out = {{"name", d.name}, {"type", d.type}, {"ok", d.ok}};
    out.update(difference(d));
    return out;
  });
  j["draws"] = list(r.draws, [](const DrawCheck& d) {
    Json draw = {{"name", d.name}, {"doc", d.doc}, {"typical", d.typical}, {"accurate", d.accurate}};
    if (d.error.empty())
      draw.update({{"output", d.output}, {"snr_db", d.snr_db ? Json(*d.snr_db) : Json(nullptr)}});
    else
      draw["error"] = d.error;
    return draw;
  });
  if (r.layers_asked) {
    j["layers"] = {{"compared", r.layers.size()},
                   {"first_bad", r.first_bad ? layer(r.layers[*r.first_bad]) : Json(nullptr)},
                   {"worst", r.worst ? layer(r.layers[*r.worst]) : Json(nullptr)}};
    j["layers"]["all"] = list(r.layers, layer);
  }
  if (r.diagnosis) j["diagnosis"] = diagnosis(*r.diagnosis);
  add_verdict(j, r.verdict);
  return dump(j);
}

std::string json(const BenchResult& r) {
  Json j = {{"schema", "graft.bench/1"}, {"model", r.path}, {"load_ms", r.load_ms}, {"first_ms", r.times.first_ms}};
  j["run_ms"] = {
      {"min", r.times.min_ms}, {"median", r.times.median_ms}, {"p90", r.times.p90_ms}, {"p99", r.times.p99_ms}};
  j["peak_rss_bytes"] = r.times.peak_rss_bytes;
  j["threads"] = r.times.threads;
  j["cpu"] = r.cpu;
  j["runs"] = r.runs;
  j["warmup"] = r.warmup;
  j["seed"] = r.seed;
  j["inputs"] = inputs(r.inputs);
  j["placement"] = placement(r.placement);
  return dump(j);
}

std::string json(const OpList& r) {
  Json j = {{"schema", "graft.ops/1"}};
  j["onnx"] = list(r.onnx, [](const OpList::OnnxOp& o) {
    return Json{
        {"domain", o.domain}, {"op", o.name}, {"versions", o.versions}, {"signature", o.signature}, {"note", o.note}};
  });
  j["mil"] = list(r.mil, [](const OpList::MilOp& o) {
    Json op = {
        {"op", o.name}, {"family", o.family}, {"doc", o.doc}, {"host_only", o.host_only}, {"host_types", o.host_types}};
    op["variants"] = list(o.variants, [](const OpList::MilOp::Variant& v) {
      return Json{{"since", v.since}, {"inputs", v.inputs}, {"types", v.types}};
    });
    return op;
  });
  return dump(j);
}

std::string json(const Problem& error) {
  Json j = {{"schema", "graft.error/1"}, {"fault", fault_name(error.fault)}, {"file", error.file}};
  j.update(to_json(error));
  j["text"] = error.text;
  return dump(j);
}

}  // namespace cli

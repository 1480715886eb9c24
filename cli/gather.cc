#include "gather.h"

#include <algorithm>
#include <cmath>

namespace cli {

std::vector<PortInfo> ports_of(const std::vector<graft::Port>& ports) {
  std::vector<PortInfo> list;
  for (const graft::Port& p : ports) {
    PortInfo port{std::string(p.name), std::string(p.type), "", p.has_rank, {}};
    if (p.coreml_dtype != GRAFT_DTYPE_INVALID) port.coreml_type = graft_dtype_name(p.coreml_dtype);
    for (const graft::Dim& d : p.dims) port.dims.push_back({d.value, std::string(d.symbol), d.min, d.max});
    list.push_back(std::move(port));
  }
  return list;
}

namespace {

std::vector<OperatorCount> operators_of(const std::vector<graft_operator_info>& operators) {
  std::vector<OperatorCount> list;
  for (const graft_operator_info& o : operators) list.push_back({o.domain, o.op, o.count});
  return list;
}

std::map<std::string, std::string> metadata_of(const graft::Model& model) {
  std::map<std::string, std::string> map;
  for (const auto& [key, value] : model.metadata()) map.emplace(key, value);
  return map;
}

Inspection describe(const std::string& path, const graft::Model& model) {
  const graft_model_info info = model.info();
  const graft::Function main = model.functions().at(0);
  Inspection out;
  out.path = path;
  out.ir_version = info.version;
  for (const graft_opset_info& o : model.opsets()) out.opsets.emplace(o.domain, o.version);
  out.producer = info.producer;
  out.metadata = metadata_of(model);
  out.weight_bytes = info.bytes;
  out.inputs = ports_of(main.inputs);
  out.outputs = ports_of(main.outputs);
  out.operators = operators_of(main.operators);
  for (const graft::MissingOperator& m : model.missing()) {
    out.missing.push_back({std::string(m.domain), std::string(m.op), std::string(m.message), {}});
    out.missing.back().nodes.assign(m.nodes.begin(), m.nodes.end());
  }
  out.total = out.host = static_cast<int>(info.node_count);
  return out;
}

void add_verdict(const graft::Partitioning& parts, Inspection& out) {
  const graft_partitioning_info info = parts.info();
  out.target = info.target;
  out.precision = info.precision;
  out.whole = info.whole != 0;
  out.claimed = info.claimed;
  out.folded = info.folded;
  out.host = info.host;
  out.flops_total = info.flops;
  out.flops_claimed = info.flops_claimed;
  for (const graft::Partition& p : parts.partitions())
    out.partitions.push_back({p.nodes, p.operators, p.flops, ports_of(p.inputs), ports_of(p.outputs)});
  const std::vector<graft::Node> nodes = parts.nodes();
  for (const size_t node : parts.obstacles()) {
    Problem& p = out.refusals.emplace_back(problem_of(parts.refusal(node)));
    p.cut_nodes = nodes[node].cut_nodes;
    p.cut_flops = nodes[node].cut_flops;
  }
  out.findings = problems_of(parts.findings());
}

// Is it the caller's mistake, or the machine's, and so no verdict on the model?
bool says_nothing_of_the_model(const graft::Error& e) {
  const graft_code code = e.code();
  return e.fault() == GRAFT_FAULT_OPTIONS || code == GRAFT_CODE_CANCELLED || code == GRAFT_CODE_MEMORY_LIMIT ||
         code == GRAFT_CODE_TIME_LIMIT || code == GRAFT_CODE_OUT_OF_MEMORY;
}

}  // namespace

Problem problem_of(graft::Reason r) {
  Problem p;
  p.code = r.code();
  p.code_name = r.code_name();
  p.fault = r.fault();
  p.message = r.message();
  p.file = r.file();
  p.node = r.node();
  p.op = r.op();
  p.tensor = r.tensor();
  for (const std::string_view remedy : r.remedies()) p.remedies.emplace_back(remedy);
  p.inner = problems_of(r.inner());
  p.text = r.text();
  return p;
}

std::vector<Problem> problems_of(const std::vector<graft::Reason>& reasons) {
  std::vector<Problem> list;
  for (const graft::Reason& r : reasons) list.push_back(problem_of(r));
  return list;
}

Placement placement_of(const graft::Session& session) {
  const graft_placement p = session.placement();
  return {p.requested, p.allowed, p.planned};
}

Difference difference_of(const graft_difference& d) {
  Difference to;
  to.name = d.name;
  to.type = d.type;
  to.op = d.op;
  to.ok = d.ok != 0;
  to.same_type = d.same_type != 0;
  to.equal = d.equal != 0;
  to.max_abs = d.max_abs;
  to.max_rel = d.max_rel;
  to.range = d.range;
  if (d.snr_db != HUGE_VAL) to.snr_db = d.snr_db;
  to.cosine = d.cosine;
  to.nans = d.nan_count;
  to.infs = d.inf_count;
  to.expected_nans = d.expected_nan_count;
  to.expected_infs = d.expected_inf_count;
  to.rows = d.rows;
  to.top1_equal = d.top1_equal;
  to.top5_share = d.top5_share;
  return to;
}

Diagnosis diagnosis_of(const std::string& path, const graft::Diagnosis& d) {
  const graft_diagnosis_info info = d.info();
  Diagnosis to;
  to.path = path;
  to.accurate_before = info.accurate_before != 0;
  to.accurate = info.accurate != 0;
  to.keep_fp32 = info.keep_fp32;
  to.reason = info.reason;
  to.attempts = info.attempts;
  for (const graft_difference& o : d.before()) to.before.push_back(difference_of(o));
  for (const graft_difference& o : d.outputs()) to.after.push_back(difference_of(o));
  const auto snr = [](double db) { return db == HUGE_VAL ? std::nullopt : std::optional(db); };
  for (const graft_suspect_info& s : d.suspects())
    to.suspects.push_back({s.node, s.op, s.tensor, s.loss, snr(s.snr_db), snr(s.operands_snr_db), s.kept != 0});
  return to;
}

TensorType type_of(int32_t dtype, std::span<const int64_t> shape) {
  return {graft_dtype_name(dtype), {shape.begin(), shape.end()}};
}

OpList op_list() {
  OpList list;
  for (const graft_onnx_op_info& o : graft::onnx_ops())
    list.onnx.push_back({o.domain, o.name, o.note, o.signature, {o.versions, o.versions + o.version_count}});
  const std::vector<graft_mil_op_info> mil = graft::mil_ops();
  for (size_t i = 0; i < mil.size(); ++i) {
    const graft_mil_op_info& o = mil[i];
    list.mil.push_back({o.name, o.family, o.doc, o.host_types, o.host_only != 0, {}});
    for (const graft_mil_variant_info& v : graft::mil_variants(i))
      list.mil.back().variants.push_back({v.since, v.inputs, v.types});
  }
  return list;
}

PackageInspection describe_package(const std::string& path, const graft::Model& model, bool mil) {
  const graft_model_info info = model.info();
  PackageInspection out;
  out.path = path;
  out.spec_version = info.version;
  out.opset = info.target;
  out.metadata = metadata_of(model);
  out.bytes = info.bytes;
  for (const graft::Function& f : model.functions())
    out.functions.push_back({std::string(f.name), ports_of(f.inputs), ports_of(f.outputs), ports_of(f.states),
                             operators_of(f.operators), f.flops});
  if (mil) out.mil = model.mil();
  return out;
}

Examined examine(const std::string& path, graft::Model model, const std::string& precision,
                 const std::string& dump_after) {
  Inspection verdict = describe(path, model);
  Examined out{std::move(model), {}, std::move(verdict)};
  try {
    out.parts.emplace(out.model, graft::Options{}, dump_after);
    add_verdict(*out.parts, out.verdict);
  } catch (const graft::Error& e) {
    if (says_nothing_of_the_model(e)) throw;
    out.verdict.precision = precision;
    out.verdict.unusable = problem_of(e.reason());
    out.verdict.refusals = {*out.verdict.unusable};
  }
  return out;
}

}  // namespace cli

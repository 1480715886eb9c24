// The C ABI: random inputs, verify, diagnose, bench.
#include "api/run.h"
#include "base/format.h"
#include "tools/bench.h"
#include "tools/inputs.h"

using graft::Code;
using graft::format;
using graft::Status;
using graft::Tensor;
using graft::api::give;
using graft::api::give_item;
using graft::api::guarded;
using graft::api::invalid;
using graft::api::read_struct;
using graft::api::Run;

namespace {

void fill(const graft::tools::Difference& d, graft_difference& out) {
  out.same_type = d.same_type ? 1 : 0;
  if (!d.same_type) return;
  out.equal = !d.snr_db && d.same_special && d.max_abs == 0 ? 1 : 0;
  out.max_abs = d.max_abs;
  out.max_rel = d.max_rel;
  out.range = d.range;
  out.snr_db = d.snr_db.value_or(INFINITY);
  out.cosine = d.cosine;
  out.nan_count = d.nans;
  out.inf_count = d.infs;
  out.expected_nan_count = d.reference_nans;
  out.expected_inf_count = d.reference_infs;
  out.rows = d.rows;
  out.top1_equal = d.top1_equal;
  out.top5_share = d.top5_share;
}

void fill(const graft::tools::OutputCheck& c, graft_difference& d) {
  d.name = c.name.c_str();
  d.type = c.type.c_str();
  d.op = "";
  d.ok = c.ok ? 1 : 0;
  fill(c.difference, d);
}

// Runs `check` with the reference and with all of its inputs.
template <class Check>
Status with_reference(const graft_partitioning& partitioning, const graft_session* reference, const graft_input* inputs,
                      size_t count, const Check& check) {
  const graft::tools::Partitioned& parts = *partitioning.parts;
  if (parts.partitions.empty()) return graft::fail(graft::tools::not_delegated(parts, false));
  std::shared_ptr<const graft::session::Session> host;
  if (reference != nullptr) {
    host = reference->session;
  } else {
    GRAFT_TRY(host, graft::tools::open_reference(parts));
  }
  Run run(*host);
  GRAFT_CHECK(run.take_inputs(inputs, count));
  GRAFT_CHECK(run.complete());
  return check(parts, *host, run.inputs());
}

Status make_up(const graft::session::Session& session, std::span<const graft::TensorView> given, uint64_t seed,
               const graft::tools::Draw& draw, graft_tensor** tensors) {
  GRAFT_TRY(std::vector<Tensor> made, graft::tools::random_inputs(session, given, seed, draw));
  std::vector<std::unique_ptr<graft_tensor>> owned;
  for (Tensor& t : made) {
    t.hand_over();
    owned.push_back(t.valid() ? graft::api::tensor_handle(std::move(t)) : nullptr);
  }
  for (size_t i = 0; i < owned.size(); ++i) tensors[i] = owned[i].release();
  return {};
}

Status check_count(const char* option, int32_t value, int32_t least) {
  constexpr int32_t kMost = 1'000'000;
  if (value >= least && value <= kMost) return {};
  return graft::fail(Code::invalid_option,
                     format("option {}: {} is not between {} and {}", option, value, least, kMost));
}

}  // namespace

extern "C" {

graft_error* graft_session_random_inputs(const graft_session* session, const graft_input* given, size_t count,
                                         uint64_t seed, graft_tensor** tensors) {
  return guarded([&]() -> Status {
    if (session == nullptr || (tensors == nullptr && !session->inputs.empty()))
      return invalid("session or tensors is null");
    Run run(*session->session);
    GRAFT_CHECK(run.take_inputs(given, count));
    return make_up(*session->session, run.inputs(), seed, graft::tools::draws().front(), tensors);
  });
}

size_t graft_draw_count(void) { return graft::tools::draws().size(); }

graft_error* graft_draw(size_t index, graft_draw_info* out) {
  const auto draws = graft::tools::draws();
  return give_item(&draws, index, out, [](const graft::tools::Draw& d, graft_draw_info& info) {
    info.name = d.name.data();
    info.doc = d.doc.data();
    info.typical = d.typical ? 1 : 0;
  });
}

graft_error* graft_session_draw_inputs(const graft_session* session, const graft_input* given, size_t count,
                                       uint64_t seed, size_t draw, graft_tensor** tensors, int32_t* applies) {
  return guarded([&]() -> Status {
    if (session == nullptr || applies == nullptr || (tensors == nullptr && !session->inputs.empty()))
      return invalid("session, tensors or applies is null");
    if (draw >= graft::tools::draws().size()) return invalid("there is no such draw");
    const graft::tools::Draw& how = graft::tools::draws()[draw];
    Run run(*session->session);
    GRAFT_CHECK(run.take_inputs(given, count));
    const auto tables = graft::tools::tables_of(*session->session);
    *applies = graft::tools::applies(how, *session->session, tables, run.inputs()) ? 1 : 0;
    return make_up(*session->session, run.inputs(), seed, how, tensors);
  });
}

graft_error* graft_verify(const graft_partitioning* partitioning, const graft_session* reference,
                          const graft_input* inputs, size_t count, const graft_verify_options* options,
                          graft_verification** out) {
  return guarded([&]() -> Status {
    if (partitioning == nullptr || out == nullptr) return invalid("partitioning or out is null");
    graft::tools::VerifyOptions how;
    if (options != nullptr) {
      GRAFT_TRY(const graft_verify_options o, read_struct(options, "graft_verify_options"));
      how.layers = o.layers != 0;
      if (o.own_limit != 0) how.min_snr_db = o.min_snr_db;
    }
    return with_reference(*partitioning, reference, inputs, count,
                          [&](const auto& parts, const auto& host, const auto& in) -> Status {
                            GRAFT_TRY(auto result, graft::tools::verify(parts, host, in, how));
                            *out = new graft_verification{std::move(result)};
                            return {};
                          });
  });
}

void graft_verification_free(graft_verification* verification) { delete verification; }

graft_error* graft_verification_get(const graft_verification* verification, graft_verification_info* out) {
  return guarded([&]() -> Status {
    if (verification == nullptr) return invalid("verification is null");
    const graft::tools::Verification& v = verification->result;
    graft_verification_info info{};
    info.accurate = v.accurate ? 1 : 0;
    info.from_package = v.from_package ? 1 : 0;
    info.by_range = v.tolerance.f32 ? 1 : 0;
    info.relative = v.tolerance.relative;
    info.snr_db = v.tolerance.snr_db;
    info.classifier_snr_db = v.tolerance.classifier_snr_db;
    info.output_count = v.outputs.size();
    info.layer_count = v.layers.size();
    info.first_bad = v.first_bad;
    info.worst = v.worst;
    return give(info, out);
  });
}

graft_error* graft_verification_output(const graft_verification* verification, size_t index, graft_difference* out) {
  return give_item(verification == nullptr ? nullptr : &verification->result.outputs, index, out,
                   [](const graft::tools::OutputCheck& c, graft_difference& d) { fill(c, d); });
}

graft_error* graft_verification_layer(const graft_verification* verification, size_t index, graft_difference* out) {
  return give_item(verification == nullptr ? nullptr : &verification->result.layers, index, out,
                   [](const graft::tools::LayerCheck& c, graft_difference& d) {
                     d.name = c.name.c_str();
                     d.type = "";
                     d.op = c.op.c_str();
                     d.ok = c.ok ? 1 : 0;
                     fill(c.difference, d);
                   });
}

graft_error* graft_diagnose(const graft_partitioning* partitioning, const graft_session* reference,
                            const graft_input* inputs, size_t count, const graft_doctor_options* options,
                            graft_diagnosis** out) {
  return guarded([&]() -> Status {
    if (partitioning == nullptr || out == nullptr) return invalid("partitioning or out is null");
    graft::tools::DoctorOptions how;
    if (options != nullptr) {
      GRAFT_TRY(const graft_doctor_options o, read_struct(options, "graft_doctor_options"));
      if (o.own_limit != 0) how.min_snr_db = o.min_snr_db;
      if (o.attempts != 0) {
        GRAFT_CHECK(check_count("attempts", o.attempts, 1));
        how.attempts = o.attempts;
      }
    }
    return with_reference(*partitioning, reference, inputs, count,
                          [&](const auto& parts, const auto& host, const auto& in) -> Status {
                            GRAFT_TRY(auto result, graft::tools::diagnose(parts, host, in, how));
                            std::string keep = format("{}", graft::join(result.keep, ","));
                            *out = new graft_diagnosis{std::move(result), std::move(keep)};
                            return {};
                          });
  });
}

void graft_diagnosis_free(graft_diagnosis* diagnosis) { delete diagnosis; }

graft_error* graft_diagnosis_get(const graft_diagnosis* diagnosis, graft_diagnosis_info* out) {
  return guarded([&]() -> Status {
    if (diagnosis == nullptr) return invalid("diagnosis is null");
    const graft::tools::Diagnosis& d = diagnosis->result;
    graft_diagnosis_info info{};
    info.accurate_before = d.before.accurate ? 1 : 0;
    info.accurate = d.after.accurate ? 1 : 0;
    info.keep_fp32 = diagnosis->keep_fp32.c_str();
    info.reason = d.reason.c_str();
    info.attempts = d.attempts;
    info.output_count = d.after.outputs.size();
    info.suspect_count = d.suspects.size();
    return give(info, out);
  });
}

graft_error* graft_diagnosis_before(const graft_diagnosis* diagnosis, size_t index, graft_difference* out) {
  return give_item(diagnosis == nullptr ? nullptr : &diagnosis->result.before.outputs, index, out,
                   [](const graft::tools::OutputCheck& c, graft_difference& d) { fill(c, d); });
}

graft_error* graft_diagnosis_output(const graft_diagnosis* diagnosis, size_t index, graft_difference* out) {
  return give_item(diagnosis == nullptr ? nullptr : &diagnosis->result.after.outputs, index, out,
                   [](const graft::tools::OutputCheck& c, graft_difference& d) { fill(c, d); });
}

graft_error* graft_diagnosis_suspect(const graft_diagnosis* diagnosis, size_t index, graft_suspect_info* out) {
  return give_item(diagnosis == nullptr ? nullptr : &diagnosis->result.suspects, index, out,
                   [](const graft::tools::Suspect& s, graft_suspect_info& info) {
                     info.node = s.node.c_str();
                     info.op = s.op.c_str();
                     info.tensor = s.tensor.c_str();
                     info.loss = graft::tools::name(s.loss).data();
                     info.snr_db = s.snr_db;
                     info.operands_snr_db = s.operands_snr_db;
                     info.kept = s.kept ? 1 : 0;
                   });
}

graft_error* graft_bench(const graft_session* session, const graft_input* inputs, size_t count,
                         const graft_bench_options* options, graft_bench_result* out) {
  return guarded([&]() -> Status {
    if (session == nullptr) return invalid("session is null");
    GRAFT_CHECK(read_struct(out, "graft_bench_result"));
    graft::tools::BenchOptions how;
    if (options != nullptr) {
      GRAFT_TRY(const graft_bench_options o, read_struct(options, "graft_bench_options"));
      GRAFT_CHECK(check_count("runs", o.runs, 1));
      GRAFT_CHECK(check_count("warmup", o.warmup, 0));
      how = {o.runs, o.warmup};
    }
    Run run(*session->session);
    GRAFT_CHECK(run.take_inputs(inputs, count));
    GRAFT_CHECK(run.complete());
    GRAFT_TRY(const auto r, graft::tools::bench(*session->session, *session->env, run.inputs(), how));
    graft_bench_result result{};
    result.first_ms = r.first_ms;
    result.min_ms = r.min_ms;
    result.median_ms = r.median_ms;
    result.p90_ms = r.p90_ms;
    result.p99_ms = r.p99_ms;
    result.peak_rss_bytes = r.peak_rss_bytes;
    result.threads = session->env->threads();
    result.cpu = graft::cpu_name().data();
    return give(result, out);
  });
}

}  // extern "C"

#include "tools/run_model.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <set>

#include "base/file.h"
#include "base/format.h"
#include "base/staging.h"
#include "tools/npy.h"

namespace graft::tools {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

bool is_real(DType t) { return is_float(t) || is_int(t) || t == DType::boolean; }

void summarise(OutputTensor& o) {
  const TensorView t = o.tensor.view();
  if (!is_real(t.dtype)) return;
  double sum = 0;
  int64_t finite = 0;
  for (int64_t i = 0, n = t.count(); i < n; ++i) {
    const double v = element_as_double(t, i);
    if (std::isnan(v)) {
      ++o.nans;
    } else if (std::isinf(v)) {
      ++o.infs;
    } else {
      o.min = finite == 0 ? v : std::min(o.min, v);
      o.max = finite == 0 ? v : std::max(o.max, v);
      sum += v;
      ++finite;
    }
  }
  o.mean = finite == 0 ? 0 : sum / static_cast<double>(finite);
}

void rank_rows(OutputTensor& o, int k, const std::vector<std::string>& labels) {
  const TensorView t = o.tensor.view();
  if (k <= 0 || !is_real(t.dtype) || t.rank() == 0 || t.count() == 0) return;
  const int64_t row = t.shape.back(), rows = t.count() / row;
  constexpr int64_t kMaxRows = 8;
  const std::vector<std::string> none;
  for (int64_t r = 0; r < std::min(rows, kMaxRows); ++r)
    o.top.push_back(top_of(t, r * row, row, k, static_cast<int64_t>(labels.size()) == row ? labels : none));
}

// What is wrong with the folder for outputs, before there are any.
Status check_output_folder(const std::string& folder) {
  struct stat st {};
  if (::stat(folder.c_str(), &st) != 0 || S_ISDIR(st.st_mode)) return {};
  return fail_in(Code::would_overwrite, folder,
                 format("is {}; outputs go into a folder, one file each", kind_of_file(st.st_mode)));
}

std::string lower_case(std::string s) {
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return std::tolower(c); });
  return s;
}

// All files, or none.
Status write_into(const std::string& folder, std::vector<OutputTensor>& outputs) {
  std::error_code ec;
  GRAFT_TRY(Staging staging, Staging::beside((fs::path(folder) / "outputs").string()));
  fs::create_directory(staging.path(), ec);
  if (ec) return file_error(folder, "cannot create a folder in it", ec.value());
  std::set<std::string> used;  // in lower case: for some disks A.npy is a.npy
  for (OutputTensor& o : outputs) {
    std::string name = file_name_of(o.name);
    for (int n = 2; !used.insert(lower_case(name)).second; ++n) name = format("{}_{}.npy", file_name_of(o.name), n);
    o.file = (fs::path(folder) / name).string();
    Status written = write_npy((fs::path(staging.path()) / name).string(), o.tensor.view());
    if (!written) {
      written.error().file = o.file;
      return written;
    }
  }
  return staging.publish_files(folder);
}

Status write_outputs(const std::string& folder, std::vector<OutputTensor>& outputs) {
  std::error_code ec;
  const bool fresh = fs::create_directories(folder, ec);
  if (ec) return file_error(folder, "cannot create the folder", ec.value());
  Status written = write_into(folder, outputs);
  if (!written && fresh) fs::remove(folder, ec);
  return written;
}

}  // namespace

std::vector<Ranked> top_of(const TensorView& t, int64_t first, int64_t count, int k,
                           const std::vector<std::string>& labels) {
  std::vector<double> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) values[static_cast<size_t>(i)] = element_as_double(t, first + i);
  std::vector<int64_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  const size_t keep = std::min(static_cast<size_t>(k), order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<long>(keep), order.end(), [&](int64_t a, int64_t b) {
    const double x = values[static_cast<size_t>(a)], y = values[static_cast<size_t>(b)];
    if (std::isnan(x) || std::isnan(y)) return std::isnan(y) && (!std::isnan(x) || a < b);
    return x != y ? x > y : a < b;
  });
  std::vector<Ranked> top;
  for (size_t i = 0; i < keep; ++i) {
    const size_t at = static_cast<size_t>(order[i]);
    top.push_back({order[i], values[at], at < labels.size() ? labels[at] : std::string()});
  }
  return top;
}

std::vector<std::string> labels_of(const session::Session& session) {
  std::vector<std::string> labels;
  const auto at = session.metadata().find("labels");
  if (at == session.metadata().end()) return labels;
  for (size_t start = 0; start <= at->second.size();) {
    const size_t end = std::min(at->second.find(',', start), at->second.size());
    labels.push_back(at->second.substr(start, end - start));
    start = end + 1;
  }
  return labels;
}

Result<std::vector<Tensor>> run_once(const session::Session& session, const std::vector<InputTensor>& inputs,
                                     const engine::RunOptions& options) {
  std::vector<TensorView> in;
  for (const InputTensor& i : inputs) in.push_back(i.tensor.view());
  std::vector<engine::OutputSlot> out(session.outputs().size());
  GRAFT_CHECK(session.run(in, out, options));
  std::vector<Tensor> tensors;
  for (engine::OutputSlot& o : out) tensors.push_back(std::move(o.owned));
  return tensors;
}

Result<RunResult> run_model(const std::string& path, std::shared_ptr<const Env> env, const RunModelOptions& options) {
  RunResult result;
  result.path = path;
  result.seed = options.inputs.seed;
  if (!options.output_folder.empty()) GRAFT_CHECK(check_output_folder(options.output_folder));
  if (env->progress) env->progress("loading", -1);
  Clock::time_point start = Clock::now();
  GRAFT_TRY(const auto session, session::Session::open(path, env, options.session));
  result.load_ms = ms_since(start);
  GRAFT_TRY(result.inputs, make_inputs(*session, options.inputs));
  if (env->progress) env->progress("running", -1);
  start = Clock::now();
  GRAFT_TRY(std::vector<Tensor> tensors, run_once(*session, result.inputs));
  std::erase_if(result.inputs, [](const InputTensor& i) { return !i.tensor.valid(); });
  result.run_ms = ms_since(start);
  const std::vector<std::string> labels = labels_of(*session);
  for (size_t i = 0; i < tensors.size(); ++i) {
    OutputTensor o;
    o.name = session->outputs()[i].name;
    o.tensor = std::move(tensors[i]);
    summarise(o);
    rank_rows(o, options.top_k, labels);
    result.outputs.push_back(std::move(o));
  }
  result.placement = session->placement();
  result.findings.assign(session->findings().begin(), session->findings().end());
  if (!options.output_folder.empty()) GRAFT_CHECK(write_outputs(options.output_folder, result.outputs));
  return result;
}

}  // namespace graft::tools

#include "tools/compile.h"

#include <chrono>
#include <filesystem>

#include "base/file.h"
#include "base/format.h"
#include "onnx/reader.h"
#include "session/onnx_types.h"

namespace graft::tools {
namespace {

namespace fs = std::filesystem;

WrittenPackage written(const partition::Segment& s, std::string shown, const std::string& real) {
  WrittenPackage w;
  w.path = std::move(shown);
  w.target = ir::info(s.opset).name;
  w.bytes = size_of(real);
  w.nodes = static_cast<int>(s.nodes.size());
  w.inputs = s.inputs;
  w.outputs = s.outputs;
  return w;
}

// A folder may be replaced only when it is one of ours: it has a report.json that this verb wrote.
Status check_folder(const std::string& path, bool overwrite) {
  std::error_code ec;
  if (overwrite || !fs::exists(fs::symlink_status(path, ec))) return {};
  if (fs::is_directory(path, ec) && (fs::is_empty(path, ec) || fs::is_regular_file(fs::path(path) / "report.json", ec)))
    return {};
  Diag d;
  d.code = Code::would_overwrite;
  d.file = path;
  d.message = "exists and is not a folder that a partial compile wrote";
  d.remedies.push_back("--force");
  return fail(std::move(d));
}

Status write_partial(const Partitioned& p, const CompileOptions& options, Compilation& out,
                     const std::function<std::string(const Compilation&)>& write_report) {
  GRAFT_CHECK(check_folder(out.output, options.overwrite));
  GRAFT_TRY(Staging staging, Staging::beside(out.output, true));
  int index = 0;
  for (const partition::Segment& s : p.partition.segments) {
    if (!s.coreml) continue;
    const std::string name = format("partition_{}.mlpackage", index++);
    const std::string place = (fs::path(staging.path()) / name).string();
    GRAFT_CHECK(write_segment(s, place, false));
    out.packages.push_back(written(s, name, place));
  }
  out.done = true;
  GRAFT_TRY(FileWriter file, FileWriter::create((fs::path(staging.path()) / "report.json").string()));
  file.write(write_report(out));
  GRAFT_CHECK(file.close());
  return staging.commit();
}

}  // namespace

Status write_segment(const partition::Segment& segment, const std::string& path, bool overwrite) {
  coreml::WriteOptions write;
  write.opset = segment.opset;
  write.overwrite = overwrite;
  session::add_onnx_types(segment, write.metadata);
  return coreml::write_package(*segment.program, path, write);
}

Result<Compilation> compile(const std::string& path, const std::string& output, const Env& env,
                            const CompileOptions& options,
                            const std::function<std::string(const Compilation&)>& write_report) {
  const auto start = std::chrono::steady_clock::now();
  GRAFT_TRY(Examined examined, examine(path, env, options.session));
  Compilation out;
  out.output = output;
  out.verdict = std::move(examined.verdict);
  const auto finish = [&] {
    out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  const bool partial = options.allow_partial && examined.parts && examined.parts->partition.pieces > 0;
  if (!partial && !out.verdict.whole) {
    finish();
    return out;
  }
  if (env.progress) env.progress("writing", -1);
  if (partial) {
    finish();  // the report is written before the folder is published, so it cannot hold that part of the time
    GRAFT_CHECK(write_partial(*examined.parts, options, out, write_report));
  } else {
    const partition::Segment& s = examined.parts->partition.segments[0];
    Status written_ok = write_segment(s, output, options.overwrite);
    if (!written_ok) {
      Diag d = std::move(written_ok).error();
      if (d.code == Code::would_overwrite) d.remedies.push_back("--force");
      return fail(std::move(d));
    }
    out.packages.push_back(written(s, output, output));
    out.done = true;
  }
  finish();
  return out;
}

}  // namespace graft::tools

#include "tools/compile.h"

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "base/format.h"
#include "base/staging.h"
#include "onnx/reader.h"
#include "session/artefacts.h"

namespace graft::tools {
namespace {

namespace fs = std::filesystem;

WrittenPackage written(const partition::Segment& s, std::string shown, const std::string& real) {
  WrittenPackage w;
  w.path = std::move(shown);
  w.target = s.target.name();
  w.bytes = size_of(real);
  w.nodes = static_cast<int>(s.nodes.size());
  w.inputs = s.inputs;
  w.outputs = s.outputs;
  return w;
}

constexpr std::string_view kReport = "report.json";

std::string part_name(int index) { return format("partition_{}.mlpackage", index); }

bool is_empty_folder(const std::string& path) {
  std::error_code ec;
  return fs::symlink_status(path, ec).type() == fs::file_type::directory && fs::is_empty(path, ec);
}

// Is this a folder that a partial compile wrote, and nothing else?
Status check_only_parts(const std::string& path) {
  const auto in_the_way = [&](std::string_view why) {
    return fail_in(Code::would_overwrite, path, format("exists and {}", why));
  };
  constexpr std::string_view kNotOurs = "is not a folder that a partial compile wrote";
  constexpr size_t kLargestReport = size_t{1} << 28;
  std::error_code ec;
  if (fs::symlink_status(path, ec).type() != fs::file_type::directory) return in_the_way(kNotOurs);
  const Result<std::string> report = read_file((fs::path(path) / kReport).string(), kLargestReport);
  if (!report || report->find(format("\"{}\"", kCompileSchema)) == std::string::npos) return in_the_way(kNotOurs);
  std::set<std::string> parts;
  for (int i = 0; fs::exists(fs::symlink_status(fs::path(path) / part_name(i), ec)); ++i) parts.insert(part_name(i));
  if (parts.empty()) return in_the_way(kNotOurs);
  for (fs::directory_iterator at(path, ec), end; !ec && at != end; at.increment(ec)) {
    const std::string name = at->path().filename().string();
    if (name == kReport || name == ".DS_Store") continue;
    if (!parts.contains(name)) return in_the_way(format("holds '{}', which no partial compile wrote", name));
    if (const Status part = coreml::check_only_package(at->path().string()); !part)
      return in_the_way(format("holds '{}', which {}", name, part.error().message));
  }
  return ec ? in_the_way(ec.message()) : Status{};
}

// What the verb wrote is replaced by what it writes; --force lets the one kind take the other's place, and an empty
// folder's. Nothing else is ever removed.
MayReplace replaceable(const CompileOptions& options) {
  return [partial = options.allow_partial, force = options.overwrite](const std::string& found) -> Status {
    Status own = partial ? check_only_parts(found) : coreml::check_only_package(found);
    if (own || (partial && is_empty_folder(found))) return {};
    if (!is_empty_folder(found) && !(partial ? coreml::check_only_package(found) : check_only_parts(found))) return own;
    if (force) return {};
    own.error().remedies.push_back("--force");
    return own;
  };
}

Status write_parts(const Partitioned& p, const std::string& folder, Compilation& out,
                   const std::function<std::string(const Compilation&)>& write_report) {
  std::error_code ec;
  if (!fs::create_directory(folder, ec)) return file_error(folder, "cannot create", ec ? ec.value() : EEXIST);
  int index = 0;
  for (const partition::Segment& s : p.partition.segments) {
    if (!s.coreml) continue;
    const std::string name = part_name(index++);
    const std::string place = (fs::path(folder) / name).string();
    GRAFT_CHECK(session::write_package(s, place));
    out.packages.push_back(written(s, name, place));
  }
  GRAFT_TRY(FileWriter file, FileWriter::create((fs::path(folder) / kReport).string()));
  file.write(write_report(out));
  return file.close();
}

Status write_whole(const Partitioned& p, const std::string& package, Compilation& out) {
  const partition::Segment& s = p.partition.segments[0];
  GRAFT_CHECK(session::write_package(s, package));
  out.packages.push_back(written(s, out.output, package));
  return {};
}

}  // namespace

Result<Compilation> compile(const std::string& path, const std::string& output, const Env& env,
                            const CompileOptions& options,
                            const std::function<std::string(const Compilation&)>& write_report) {
  const auto start = std::chrono::steady_clock::now();
  const MayReplace may_replace = replaceable(options);
  GRAFT_CHECK(check_destination(output, may_replace));
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
  GRAFT_TRY(Staging staging, Staging::beside(output));
  out.done = true;
  finish();  // a report inside the folder is written before it is published, so it cannot hold that part of the time
  const Status built = partial ? write_parts(*examined.parts, staging.path(), out, write_report)
                               : write_whole(*examined.parts, staging.path(), out);
  if (!built) return fail(staging.at_destination(built.error()));
  for (const auto& file : examined.parts->model->files) GRAFT_CHECK(file->unchanged());
  GRAFT_CHECK(staging.publish(may_replace));
  finish();
  return out;
}

}  // namespace graft::tools

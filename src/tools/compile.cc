#include "tools/compile.h"

#include <cerrno>
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

WrittenPackage written(const PartitionInfo& partition, int index, std::string shown, const std::string& real) {
  return {std::move(shown), std::string(partition.subgraph->target.name()), size_of(real), index};
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

Status write_file(const std::string& path, std::string_view head, Bytes data = {}) {
  GRAFT_TRY(FileWriter file, FileWriter::create(path));
  file.write(head);
  file.write(data.data(), data.size());
  return file.close();
}

Status make_folder(const std::string& path) {
  std::error_code ec;
  if (!fs::create_directory(path, ec)) return file_error(path, "cannot create", ec ? ec.value() : EEXIST);
  return {};
}

std::string short_report(const std::vector<WrittenPackage>& packages) {
  std::string names;
  for (const WrittenPackage& w : packages) names += format("{}\"{}\"", names.empty() ? "" : ", ", w.path);
  return format("{{\"schema\": \"{}\", \"packages\": [{}]}}\n", kCompileSchema, names);
}

Status write_parts(const Partitioned& p, const std::string& folder, const CompileOptions& options,
                   std::vector<WrittenPackage>& out) {
  GRAFT_CHECK(make_folder(folder));
  for (const PartitionInfo& partition : p.partitions) {
    const int index = static_cast<int>(out.size());
    const std::string place = (fs::path(folder) / part_name(index)).string();
    GRAFT_CHECK(session::write_package(*partition.subgraph, place));
    out.push_back(written(partition, index, part_name(index), place));
  }
  return write_file((fs::path(folder) / kReport).string(), options.report ? options.report(out) : short_report(out));
}

// Builds beside the output what `build` writes, and moves it there.
Status publish(const Partitioned& p, const std::string& output, const MayReplace& may_replace, const auto& build) {
  if (p.model->env->progress) p.model->env->progress("writing", -1);
  GRAFT_TRY(Staging staging, Staging::beside(output));
  if (const Status built = build(staging.path()); !built) return fail(staging.at_destination(built.error()));
  for (const auto& file : p.model->onnx->files) GRAFT_CHECK(file->unchanged());
  return staging.publish(may_replace);
}

}  // namespace

Status check_output(const std::string& output, const CompileOptions& options) {
  return check_destination(output, replaceable(options));
}

Result<std::vector<WrittenPackage>> compile(const Partitioned& p, const std::string& output,
                                            const CompileOptions& options) {
  const bool partial = options.allow_partial && !p.partitions.empty();
  if (!partial && !p.partitioning->whole()) return fail(not_delegated(p, true));
  const MayReplace may_replace = replaceable(options);
  GRAFT_CHECK(check_destination(output, may_replace));
  std::vector<WrittenPackage> out;
  GRAFT_CHECK(publish(p, output, may_replace, [&](const std::string& place) -> Status {
    if (partial) return write_parts(p, place, options, out);
    GRAFT_CHECK(session::write_package(*p.partitions[0].subgraph, place));
    out.push_back(written(p.partitions[0], 0, output, place));
    return {};
  }));
  return out;
}

Status write_partition(const Partitioned& p, const PartitionInfo& partition, const std::string& output) {
  const MayReplace may_replace = replaceable({});
  GRAFT_CHECK(check_destination(output, may_replace));
  return publish(p, output, may_replace,
                 [&](const std::string& place) { return session::write_package(*partition.subgraph, place); });
}

Status write_files(const std::string& folder, std::span<const NewFile> files) {
  std::error_code ec;
  const bool fresh = fs::create_directories(folder, ec);
  if (ec) return file_error(folder, "cannot create the folder", ec.value());
  const auto all = [&]() -> Status {
    GRAFT_TRY(Staging staging, Staging::beside((fs::path(folder) / "outputs").string()));
    fs::create_directory(staging.path(), ec);
    if (ec) return file_error(folder, "cannot create a folder in it", ec.value());
    for (const NewFile& f : files) {
      Status written = write_file((fs::path(staging.path()) / f.name).string(), f.head, f.data);
      if (written) continue;
      written.error().file = (fs::path(folder) / f.name).string();
      return written;
    }
    return staging.publish_files(folder);
  };
  Status written = all();
  if (!written && fresh) fs::remove(folder, ec);
  return written;
}

}  // namespace graft::tools

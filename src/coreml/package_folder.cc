#include "coreml/package_folder.h"

#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/format.h"
#include "coreml/package.h"

namespace graft::coreml {

namespace fs = std::filesystem;

Result<fs::path> inside(const fs::path& root, const fs::path& folder, const std::string& relative) {
  std::error_code ec;
  const fs::path wanted(relative);
  const fs::path top = fs::canonical(root, ec);
  if (ec) return fail_in(Code::file_not_found, root, ec.message());
  if (relative.empty() || relative.find('\0') != std::string::npos || wanted.is_absolute())
    return fail_in(Code::unsafe_path, root, format("the item path '{}' is not a relative path", relative));
  const fs::path found = fs::weakly_canonical(folder / wanted, ec);
  const auto [end, unused] = std::mismatch(top.begin(), top.end(), found.begin(), found.end());
  (void)unused;
  if (ec || end != top.end())
    return fail_in(Code::unsafe_path, root, format("the item path '{}' leads outside the package", relative));
  return found;
}

Result<Manifest> read_manifest(const fs::path& package) {
  constexpr size_t kLargest = 1 << 20;
  const fs::path file = package / "Manifest.json";
  GRAFT_TRY(const std::string text, read_file(file.string(), kLargest));
  const nlohmann::json j = nlohmann::json::parse(text, nullptr, false);
  const auto bad = [&](std::string_view what) { return fail_in(Code::malformed, file, std::string(what)); };
  if (!j.is_object()) return bad("not a JSON object");
  const auto version = j.find("fileFormatVersion");
  if (version != j.end() && version->is_string() && !version->get_ref<const std::string&>().starts_with("1."))
    return fail_in(Code::unsupported_format, file,
                   format("package format version {}", version->get_ref<const std::string&>()));
  const auto root = j.find("rootModelIdentifier");
  const auto items = j.find("itemInfoEntries");
  if (root == j.end() || !root->is_string() || items == j.end() || !items->is_object())
    return bad("'rootModelIdentifier' or 'itemInfoEntries' is missing");
  Manifest manifest;
  for (const auto& [id, item] : items->items()) {
    const auto path = item.is_object() ? item.find("path") : item.end();
    if (item.is_object() && path != item.end() && path->is_string())
      manifest.items.push_back(path->get<std::string>());
    else if (id == root->get_ref<const std::string&>())
      return bad("the root model has no path");
    if (id == root->get_ref<const std::string&>()) manifest.root = manifest.items.back();
  }
  if (!items->contains(root->get_ref<const std::string&>())) return bad("the root model is not among the items");
  return manifest;
}

namespace {

tl::unexpected<Diag> in_the_way(const fs::path& package, std::string_view why) {
  return fail_in(Code::would_overwrite, package, format("exists and {}", why));
}

// Apple's file manager leaves this wherever somebody looks into a folder.
bool is_litter(const fs::path& path) { return path.filename() == ".DS_Store"; }

bool is_below(const fs::path& path, const fs::path& folder) {
  return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
}

// Below Data/, as every item is.
bool is_item_path(const fs::path& normal) {
  return std::distance(normal.begin(), normal.end()) > 1 && *normal.begin() == "Data" && normal.has_filename();
}

}  // namespace

Status check_only_package(const std::string& path) {
  const fs::path package(path);
  std::error_code ec;
  const auto type_of = [&](const fs::path& p) { return fs::symlink_status(p, ec).type(); };
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0 || !S_ISDIR(st.st_mode))
    return in_the_way(package, format("is {}, not a Core ML package, which is a folder", kind_of_file(st.st_mode)));
  const Result<Manifest> manifest = read_manifest(package);
  if (!manifest)
    return in_the_way(package, format("is not a Core ML package: Manifest.json: {}", manifest.error().message));
  std::vector<fs::path> items;
  for (const std::string& item : manifest->items) {
    items.push_back((fs::path("Data") / item).lexically_normal());
    if (!is_item_path(items.back()))
      return in_the_way(package, format("is not a Core ML package: its manifest names '{}' as an item", item));
  }
  const fs::path root = (fs::path("Data") / manifest->root).lexically_normal();
  if (type_of(package / root) != fs::file_type::regular)
    return in_the_way(package, format("is not a whole Core ML package: there is no model at '{}'", root.string()));
  for (fs::recursive_directory_iterator at(package, ec), end; !ec && at != end; at.increment(ec)) {
    const fs::path name = at->path().lexically_relative(package);
    const fs::file_type type = type_of(at->path());
    const bool file = type == fs::file_type::regular, folder = type == fs::file_type::directory;
    // Names are compared as they are spelled: on some disks manifest.json is Manifest.json for whoever opens it.
    const bool known = (file && (name == "Manifest.json" || is_litter(name))) || (folder && name == "Data") ||
                       ((file || folder) && std::any_of(items.begin(), items.end(), [&](const fs::path& item) {
                          return is_below(name, item) || (folder && is_below(item, name));
                        }));
    if (!known) return in_the_way(package, format("holds '{}', which is no part of a Core ML package", name.string()));
  }
  if (ec) return in_the_way(package, format("cannot be looked through: {}", ec.message()));
  return {};
}

}  // namespace graft::coreml

#include "session/artefacts.h"

#include <filesystem>

#include "base/file.h"
#include "coreml/package.h"
#include "session/onnx_types.h"

namespace graft::session {

namespace fs = std::filesystem;

Status write_package(const backend::Artefact& artefact, const std::string& path) {
  coreml::WriteOptions write;
  write.target = artefact.target;
  add_onnx_types(artefact, write.metadata);
  return coreml::write_package(*artefact.program, path, write);
}

Status save(const backend::Artefact& artefact, const std::string& folder, const std::string& name) {
  backend::Artefact there = artefact;
  there.package = (fs::path(folder) / (name + ".mlpackage")).string();
  GRAFT_CHECK(write_package(artefact, there.package));
  const auto describe = [&]() -> Status {
    GRAFT_TRY(FileWriter file, FileWriter::create((fs::path(folder) / (name + ".json")).string()));
    file.write(backend::to_text(there, backend::key_of(artefact)));
    return file.close();
  };
  Status described = describe();
  std::error_code ec;
  if (!described) fs::remove_all(there.package, ec);
  return described;
}

Result<backend::NamedArtefact> load_artefact(const std::string& path) {
  constexpr size_t kLargest = size_t{1} << 24;
  GRAFT_TRY(const std::string text, read_file(path, kLargest));
  auto artefact = backend::artefact_from_text(text, fs::path(path).parent_path().string());
  if (!artefact) return fail(std::move(std::move(artefact).error()).in_file(path));
  return artefact;
}

}  // namespace graft::session

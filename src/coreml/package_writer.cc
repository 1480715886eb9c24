#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/format.h"
#include "coreml/description.h"
#include "coreml/interface_names.h"
#include "coreml/mlprogram/writer.h"
#include "coreml/package.h"

namespace graft::coreml {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kAuthor = "com.apple.CoreML";

// "123e4567-e89b-…" from 32 hex digits.
std::string uuid(const std::string& seed) {
  std::string h = hash128_hex(Bytes(reinterpret_cast<const std::byte*>(seed.data()), seed.size()));
  for (const size_t at : {8u, 13u, 18u, 23u}) h.insert(at, 1, '-');
  return h;
}

std::string manifest(const std::string& digest) {
  const auto item = [](std::string_view name, std::string_view description) {
    return nlohmann::json{
        {"path", format("{}/{}", kAuthor, name)}, {"name", name}, {"author", kAuthor}, {"description", description}};
  };
  const std::string model = uuid("model " + digest), weights = uuid("weights " + digest);
  nlohmann::json j;
  j["fileFormatVersion"] = "1.0.0";
  j["itemInfoEntries"][model] = item("model.mlmodel", "CoreML Model Specification");
  j["itemInfoEntries"][weights] = item("weights", "CoreML Model Weights");
  j["rootModelIdentifier"] = model;
  return j.dump(4) + "\n";
}

Status write_file(const fs::path& path, std::string_view content) {
  GRAFT_TRY(FileWriter file, FileWriter::create(path.string()));
  file.write(content);
  return file.close();
}

Result<OwnedFolder> new_folder(const std::string& path) {
  std::error_code ec;
  if (!fs::create_directory(path, ec)) return file_error(path, "cannot create", ec ? ec.value() : EEXIST);
  return OwnedFolder(path);
}

Result<Interface> derive_interface(const ir::Program& program, ir::Opset opset) {
  Interface interface;
  interface.default_function = program.default_function;
  if (program.functions.empty()) return fail(Code::internal, "a program without functions");
  if (program.functions.size() > 1 && opset < ir::Opset::ios18)
    return fail(Code::needs_later_target, format("{} functions in one package need iOS18 or later, the target is {}",
                                                 program.functions.size(), info(opset).name));
  for (const auto& f : program.functions) {
    GRAFT_TRY(FunctionInterface face, interface_of(*f, opset));
    interface.functions.push_back(std::move(face));
  }
  // A lone function is the model, and Core ML looks for it under this name.
  if (interface.functions.size() == 1) interface.default_function = interface.functions[0].name = "main";
  return interface;
}

// A package's sizes are 1 and more, an ONNX graph's 0 and more: a program can be sound for a size of 0 alone. Reading
// infers everything again, so that whatever does not hold is found before anybody gets the package.
Status reads_back(const std::string& path) {
  Result<Model> model = read_package(path, Hold::mapped);
  if (model) return {};
  Diag d = std::move(model).error();
  d.file.clear();
  d.message = "the package would not read back, so it was not written: " + d.message;
  return fail(std::move(d));
}

}  // namespace

Status write_package(const ir::Program& program, const std::string& path, const WriteOptions& options) {
  using proto::Model;
  const ir::Opset opset = options.target.opset();
  if (options.target.host()) return fail(Code::invalid_option, "a package needs a deployment target");
  GRAFT_TRY(Interface interface, derive_interface(program, opset));

  BlobWriter blobs;
  std::string body;  // the program goes first, because it decides the names that the description needs
  GRAFT_CHECK(encode_program(protozero::pbf_builder<proto::Program>(body), program, opset, interface, blobs));
  std::map<std::string, std::string> metadata = program.metadata;
  for (const auto& [key, value] : options.metadata) metadata[key] = value;
  add_name_keys(interface, metadata);

  std::string model;
  protozero::pbf_builder<Model> out(model);
  out.add_int32(Model::specificationVersion, info(opset).spec_version);
  encode_description({out, Model::description}, interface, metadata);
  constexpr size_t kLimit = INT32_MAX;  // protobuf's own
  if (model.size() + body.size() >= kLimit)
    return fail(Code::limit_exceeded, format("the program takes {} bytes, at most {} fit", body.size(), kLimit));
  out.add_message(Model::mlProgram, body);

  GRAFT_TRY(OwnedFolder package, new_folder(path));  // until it is finished
  const fs::path folder = fs::path(path) / "Data" / kAuthor;
  std::error_code ec;
  fs::create_directories(folder / "weights", ec);
  if (ec) return file_error(folder.string(), "cannot create the folder", ec.value());
  GRAFT_CHECK(write_file(folder / "model.mlmodel", model));
  std::string digest = hash128_hex(Bytes(reinterpret_cast<const std::byte*>(model.data()), model.size()));
  if (!blobs.empty()) {
    GRAFT_TRY(const uint64_t content, blobs.write((folder / "weights" / "weight.bin").string()));
    digest += format("{:016x}", content);
  }
  GRAFT_CHECK(write_file(fs::path(path) / "Manifest.json", manifest(digest)));
  GRAFT_CHECK(reads_back(path));
  package.release();
  return {};
}

}  // namespace graft::coreml

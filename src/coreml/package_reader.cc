#include <filesystem>
#include <unordered_set>

#include "base/file.h"
#include "base/format.h"
#include "coreml/blob_file.h"
#include "coreml/description.h"
#include "coreml/interface_names.h"
#include "coreml/mlprogram/encode.h"
#include "coreml/mlprogram/reader.h"
#include "coreml/package.h"
#include "coreml/package_folder.h"
#include "coreml/wire.h"
#include "ir/verify.h"
#include "ops/table.h"

namespace graft::coreml {
namespace {

namespace fs = std::filesystem;

std::string_view kind_of(uint32_t field) {
  switch (field) {
    case 200: return "pipeline classifier";
    case 201: return "pipeline regressor";
    case 202: return "pipeline";
    case 300: return "linear regressor";
    case 301: return "support vector regressor";
    case 302: return "tree ensemble regressor";
    case 303: return "NeuralNetwork regressor";
    case 304: return "Bayesian probit regressor";
    case 400: return "linear classifier";
    case 401: return "support vector classifier";
    case 402: return "tree ensemble classifier";
    case 403: return "NeuralNetwork classifier";
    case 404: return "nearest neighbours classifier";
    case 500: return "NeuralNetwork";
    case 501: return "item similarity recommender";
    case 555: return "custom model";
    case 556: return "linked model";
    case 560: return "class confidence thresholding";
    case 900: return "identity";
    case 3000: return "serialized model";
    default:
      return field >= 600 && field <= 610 ? "feature engineering" : field >= 2000 && field <= 2006 ? "Apple model" : "";
  }
}

struct ModelView {
  int64_t spec_version = 0;
  std::string_view description, program;
  bool has_program = false;
  std::string_view other_kind;
};

ModelView split_model(std::string_view message) {
  ModelView m;
  for (Fields f(message); f.next();) {
    switch (f.tag<proto::Model>()) {
      case proto::Model::specificationVersion: m.spec_version = f.integer(); break;
      case proto::Model::description: m.description = f.bytes(); break;
      case proto::Model::mlProgram:
        m.program = f.bytes();
        m.has_program = true;
        break;
      default:
        if (const std::string_view kind = kind_of(f.number()); !kind.empty()) m.other_kind = kind;
        f.skip();
    }
  }
  return m;
}

// Opens each blob file once; only files beside the model, inside the package.
class BlobFiles {
 public:
  BlobFiles(fs::path package, fs::path model_folder, Hold hold, const Bounds& bounds)
      : package_(std::move(package)), folder_(std::move(model_folder)), hold_(hold), bounds_(bounds) {}

  Result<ir::ConstantPtr> get(std::string_view file, uint64_t offset, DType dtype, const Shape& shape) {
    auto at = open_.find(file);
    if (at == open_.end()) {
      if (!file.starts_with(kModelPath))
        return fail_in(Code::unsafe_path, package_, format("the blob file '{}' is not below {}", file, kModelPath));
      GRAFT_TRY(const fs::path path, inside(package_, folder_, std::string(file.substr(kModelPath.size()))));
      GRAFT_TRY(auto reader, BlobReader::open(path.string(), hold_, bounds_));
      at = open_.emplace(std::string(file), std::move(reader)).first;
    }
    return at->second->constant(offset, dtype, shape);
  }
  Status finish() const {
    for (const auto& [name, reader] : open_) GRAFT_CHECK(reader->finish());
    return {};
  }

 private:
  fs::path package_, folder_;
  Hold hold_;
  const Bounds& bounds_;
  std::map<std::string, std::shared_ptr<const BlobReader>, std::less<>> open_;
};

// What callers know ports by.
Status check_port_names(const ir::Function& f) {
  const auto check = [&](std::string_view what, const auto& ports, const auto& name_of) -> Status {
    std::unordered_set<std::string_view> seen;
    for (const auto& p : ports) {
      const std::string& name = name_of(p);
      if (name.empty())
        return fail(Code::invalid_model, format("function '{}' has an {} without a name", f.name, what));
      if (!seen.insert(name).second)
        return fail(Code::invalid_model, format("function '{}' has two {}s named '{}'", f.name, what, name));
    }
    return {};
  };
  GRAFT_CHECK(check("input", f.inputs, [](const ir::Value* v) -> const std::string& { return v->name; }));
  return check("output", f.output_names, [](const std::string& name) -> const std::string& { return name; });
}

Result<Model> decode_model(std::string_view message, const fs::path& package, const fs::path& file, Hold hold,
                           const Bounds& bounds) {
  const ModelView view = split_model(message);
  if (!view.has_program)
    return fail_in(view.other_kind.empty() ? Code::malformed : Code::unsupported_format, file,
                   view.other_kind.empty() ? std::string("no model in this file")
                                           : format("a {} model; only ML Programs are read", view.other_kind));
  const ir::OpsetInfo* spec = ir::opset_from_spec_version(static_cast<int>(view.spec_version));
  if (spec == nullptr || view.spec_version != spec->spec_version)
    return fail_in(Code::unsupported_format, file,
                   format("specification version {}; ML Programs of versions 6 to 10 are read", view.spec_version));
  GRAFT_TRY(Description description, decode_description(view.description));
  take_name_keys(description.interface, description.metadata);
  BlobFiles blobs(package, file.parent_path(), hold, bounds);
  const BlobSource source = [&](std::string_view name, uint64_t offset, DType dtype, const Shape& shape) {
    return blobs.get(name, offset, dtype, shape);
  };
  GRAFT_TRY(ProgramParts parts, decode_program(view.program, description.interface, ops::table(), source, bounds));
  GRAFT_CHECK(blobs.finish());
  for (const auto& f : parts.program->functions) {
    GRAFT_CHECK(check_port_names(*f));
    GRAFT_CHECK(ir::verify_in_debug(*f, "reading"));
  }
  parts.program->metadata = description.metadata;
  return Model{std::move(parts.program), static_cast<int>(view.spec_version), parts.opset,
               std::move(description.interface), std::move(description.metadata)};
}

Result<Model> refuse_file(std::string_view message, const fs::path& path) {
  const ModelView view = split_model(message);
  if (view.has_program)
    return fail_in(Code::unsupported_format, path,
                   "an ML Program outside a package: its weights lie in another file, so Core ML keeps such models in "
                   "an .mlpackage folder only");
  if (view.other_kind.empty()) return fail_in(Code::malformed, path, "not a Core ML model");
  return fail_in(Code::unsupported_format, path, format("a {} model; only ML Programs are read", view.other_kind));
}

Result<Model> read_any(const fs::path& path, Hold hold, const Bounds& bounds) {
  std::error_code ec;
  const bool package = fs::is_directory(path, ec);
  fs::path file = path;
  if (package) {
    if (!fs::exists(path / "Manifest.json", ec) && fs::exists(path / "model.mil", ec))
      return fail_in(Code::unsupported_format, path, "a compiled model (.mlmodelc); give the package it was made from");
    GRAFT_TRY(const Manifest manifest, read_manifest(path));
    GRAFT_TRY(file, inside(path, path / "Data", manifest.root));
  }
  GRAFT_TRY(const auto model, FileBytes::open(file.string(), hold, bounds));
  GRAFT_TRY(const Bytes bytes, model->bytes());
  const std::string_view message(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!package) return refuse_file(message, path);
  GRAFT_TRY(Model out, decode_model(message, path, file, hold, bounds));
  GRAFT_CHECK(model->finish());
  return out;
}

}  // namespace

bool is_model_path(const std::string& path) {
  std::error_code ec;
  return fs::is_directory(path, ec) || path.ends_with(".mlmodel") || path.ends_with(".mlpackage");
}

Result<Model> read_package(const std::string& path, Hold hold, const Bounds& bounds) {
  Result<Model> model = fail(Code::malformed, "");
  try {
    model = read_any(path, hold, bounds);
  } catch (const protozero::exception& e) {
    model = fail(Code::malformed, format("broken protobuf: {}", e.what()));
  } catch (const WireError& e) {
    model = fail(Code::malformed, e.what());
  }
  if (model) return model;
  return fail(std::move(model).error().in_file(path));
}

}  // namespace graft::coreml

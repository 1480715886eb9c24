// Core ML packages of ML Programs (.mlpackage): written from a program, read into one. The public face of this folder.
//
// A package is a folder: Manifest.json, Data/com.apple.CoreML/model.mlmodel (one protobuf message: description and
// program) and Data/com.apple.CoreML/weights/weight.bin (the constants that are not immediate).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "ir/program.h"

namespace graft::coreml {

// An image feature: the program sees a [1, channels, height, width] tensor with values 0..255.
struct Image {
  enum class ColorSpace : uint8_t { grayscale = 10, rgb = 20, bgr = 30, grayscale_f16 = 40 };
  struct Size {
    int64_t width = 0, height = 0;
  };
  ColorSpace color_space = ColorSpace::rgb;
  Size size;                     // the default one
  std::vector<Size> enumerated;  // empty: not enumerated
  IntRange width, height;        // flexible sizes; lo == hi for fixed ones
  int channels() const { return color_space == ColorSpace::rgb || color_space == ColorSpace::bgr ? 3 : 1; }
};

// One input, output or state as the description states it.
struct Feature {
  enum class Kind : uint8_t { array, image, state, int64, float64, string, dictionary, sequence };
  std::string name;         // as the caller knows it: the ONNX name where the package was made from ONNX
  std::string file_name;    // as the file spells it, legal in MIL; equal to `name` when that is legal
  std::string description;  // free text
  Kind kind = Kind::array;
  DType dtype = DType::invalid;   // array and state: fp32, fp16, int32, int8 (fp64 in other model types)
  Shape shape;                    // array and state: the default shape; see has_shape
  bool has_shape = false;         // outputs of flexible or rank-0 programs have none
  std::vector<IntRange> ranges;   // one a dim for a shape range (hi == INT64_MAX: no upper bound), else empty
  std::vector<Shape> enumerated;  // the shapes that are allowed, else empty
  std::optional<Image> image;     // an array that is shown as an image
  bool optional = false;          // an input that may be left out
  double default_value = 0;       // what every element of a left-out input is
};

struct FunctionInterface {
  std::string name;  // "main" unless there are several
  std::vector<Feature> inputs, outputs, states;
  // Classifiers: the outputs that hold the label and the dictionary of probabilities; else empty.
  std::string predicted_feature, predicted_probabilities;
};

struct Interface {
  std::vector<FunctionInterface> functions;
  std::string default_function = "main";
  const FunctionInterface* main() const;  // the default function; null when there is none
};

struct WriteOptions {
  ir::Target target = ir::Target::oldest();          // decides the specification version too
  std::map<std::string, std::string> metadata = {};  // userDefined, beside the program's own
};

// Writes an ML Program package at `path`, where nothing may be yet: the same bytes for the same program and options.
// Constants are streamed. On an error nothing is left there. To replace a package that others read, write into a
// Staging.
//   needs_later_target: an operator or parameter is newer than options.target.
//   unsupported_dtype, empty_tensor, unsupported_rank: a type that Core ML does not take there. At the interface only
//     fp32 and int32 (fp16 from iOS16, int8 from iOS26) are written: whoever builds the program inserts the casts.
//   dynamic_shape: an input dim without an upper bound.
//   What read_package finds wrong with it: every package is read back.
//   io_error: something is at `path`, a full disk.
// A name that MIL does not allow is replaced by a legal one; at the interface the original one is kept in the metadata,
// where read_package finds it.
Status write_package(const ir::Program& program, const std::string& path, const WriteOptions& options);

// Is at `path` a package and nothing else? A real folder, a manifest that names items, the root model, and besides them
// nothing (but Finder's .DS_Store). Only what passes may be removed to make room for another package; would_overwrite
// says what is in the way.
Status check_only_package(const std::string& path);

struct Model {
  std::shared_ptr<ir::Program> program;  // its constants keep the weights alive
  int spec_version = 0;
  ir::Opset opset = ir::Opset::ios15;  // the newest one of the functions
  Interface interface;
  std::map<std::string, std::string> metadata;  // userDefined, Graft's own name keys left out
};

// Reads any ML Program package whose operators are in `table`, which must outlive the program. The functions' inputs
// and outputs have the names of their features, which MIL may not allow. Types are inferred again; an unknown dim of an
// input becomes the symbol "<input>_d<axis>" with the range that the description states. `hold` says how the weights
// are held.
//   unsupported_format: another kind of model (named in the message), or a bare .mlmodel.
//   unsupported_operator: an operator that the table lacks.
//   malformed, invalid_model, unsafe_path, limit_exceeded: a broken or hostile file.
//   io_error: a file that cannot be read, or that was written to meanwhile.
//   memory_limit, cancelled: compressed weights are decompressed here, within `bounds`.
Result<Model> read_package(const std::string& path, Hold hold = Hold::mapped, const Bounds& bounds = {});

// Whether a path names a Core ML model, a folder or a bare .mlmodel, rather than a file of another format. It need not
// exist.
bool is_model_path(const std::string& path);

}  // namespace graft::coreml

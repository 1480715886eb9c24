// ONNX models through the C interface. The first byte of an input says what is done, the rest is the file:
//   bit 0  device coreml, else cpu        bit 1  precision float32    bit 2  from a file, else from memory
//   bit 3  the reference engine           bit 4  without oneDNN
//   bits 5, 6  a session; what is known of the model; that, a package and a run of it; that, and whether it is right
#include "fuzz/harness.h"
#include "fuzz/wire_mutator.h"

using namespace graft::fuzz;  // NOLINT: libFuzzer's functions are global

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);

namespace {

std::string_view model_of(const uint8_t* data, size_t size) {
  return size == 0 ? std::string_view() : std::string_view(reinterpret_cast<const char*>(data) + 1, size - 1);
}

size_t give(uint8_t first, const std::string& model, uint8_t* data) {
  data[0] = first;
  model.copy(reinterpret_cast<char*>(data) + 1, model.size());
  return model.size() + 1;
}

void look(int verb, const std::string& path, const std::string& precision) {
  const std::filesystem::path package = scratch() / "out.mlpackage";
  std::filesystem::remove_all(package);
  if (look_into(path, {{"precision", precision}}, {verb == 2 ? package : "", verb == 3})) open_and_run(package, {});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const uint8_t how = data[0];
  const std::string_view model = model_of(data, size);
  const std::string precision = (how & 2) != 0 ? "float32" : "float16";
  const int verb = how >> 5 & 3;
  const std::filesystem::path path = scratch() / "model.onnx";
  if (verb != 0 || (how & 4) != 0) write(path, model);
  if (verb != 0) {
    look(verb, path.string(), precision);
    return 0;
  }
  const Options options = {{"device", (how & 1) != 0 ? "coreml" : "cpu"},
                           {"precision", precision},
                           {"engine", (how & 8) != 0 ? "reference" : "fast"},
                           {"onednn", (how & 16) != 0 ? "0" : "1"},
                           {"cost_model", "0"}};  // small partitions are partitions too
  if ((how & 4) != 0) {
    open_and_run(path, options);
  } else {
    open_and_run(model, options);
  }
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  if (most < 2) return 0;
  const uint8_t how = static_cast<uint8_t>((size == 0 ? 0 : data[0]) ^ (seed % 4 == 0 ? 1u << (seed / 4 % 7) : 0u));
  return give(how, mutated_message(model_of(data, size), {}, most - 1, seed / 32, LLVMFuzzerMutate), data);
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* data, size_t size, const uint8_t* other, size_t other_size,
                                            uint8_t* out, size_t most, unsigned seed) {
  if (size < 2 || most < 2) return 0;
  return give(data[0],
              mutated_message(model_of(data, size), model_of(other, other_size), most - 1, seed, LLVMFuzzerMutate),
              out);
}

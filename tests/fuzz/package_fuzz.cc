// Core ML packages through the C interface. An input is one byte that says what is done, the size of model.mlmodel in
// four bytes (the lowest first), model.mlmodel, and weights/weight.bin:
//   bit 0  the reference engine    bit 1  without oneDNN    bit 2  model.mlmodel alone, without a package around it
//   bits 3, 4  a session, or (3) `inspect`
#include "fuzz/harness.h"
#include "fuzz/wire_mutator.h"

using namespace graft::fuzz;  // NOLINT: libFuzzer's functions are global

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t most);

namespace {

constexpr size_t kHead = 5;

struct Files {
  uint8_t how = 0;
  std::string_view model, weights;
};

Files files_of(const uint8_t* data, size_t size) {
  Files f;
  if (size < kHead) return f;
  f.how = data[0];
  size_t split = 0;
  for (size_t i = 0; i < 4; ++i) split |= size_t{data[i + 1]} << (8 * i);
  const std::string_view rest(reinterpret_cast<const char*>(data) + kHead, size - kHead);
  f.model = rest.substr(0, split);
  f.weights = rest.substr(f.model.size());
  return f;
}

size_t give(const Files& f, uint8_t* data, size_t most) {
  std::string all(1, static_cast<char>(f.how));
  for (size_t i = 0; i < 4; ++i) all += static_cast<char>(f.model.size() >> (8 * i));
  all.append(f.model).append(f.weights);
  return all.copy(reinterpret_cast<char*>(data), most);
}

std::filesystem::path package() {
  static const std::filesystem::path path = [] {
    const std::filesystem::path root = scratch() / "in.mlpackage";
    std::filesystem::create_directories(root / "Data/com.apple.CoreML/weights");
    write(root / "Manifest.json", R"({"fileFormatVersion": "1.0.0", "itemInfoEntries": {
      "m": {"path": "com.apple.CoreML/model.mlmodel"}, "w": {"path": "com.apple.CoreML/weights"}},
      "rootModelIdentifier": "m"})");
    return root;
  }();
  return path;
}

// Changes one of the two files; `other` may lend to the model.
size_t mutate(Files f, std::string_view other, uint8_t* data, size_t most, unsigned seed) {
  if (most < kHead) return 0;
  std::string model(f.model), weights(f.weights);
  if (seed % 8 == 0) f.how ^= static_cast<uint8_t>(1u << (seed / 8 % 5));
  const size_t room = most - kHead;
  if (seed / 64 % 4 == 0) {
    weights = mutated_bytes(weights, room - std::min(room, model.size()), LLVMFuzzerMutate);
  } else {
    model = mutated_message(model, other, room - std::min(room, weights.size()), seed / 256, LLVMFuzzerMutate);
  }
  f.model = model;
  f.weights = weights;
  return give(f, data, most);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Files f = files_of(data, size);
  std::filesystem::path path = package();
  const std::filesystem::path inside = path / "Data/com.apple.CoreML";
  write(inside / "model.mlmodel", f.model);
  write(inside / "weights/weight.bin", f.weights);
  if ((f.how & 4) != 0) path = inside / "model.mlmodel";
  if ((f.how >> 3 & 3) == 3) {
    look_into(path, {}, {});
  } else {
    open_and_run(path, {{"engine", (f.how & 1) != 0 ? "reference" : "fast"}, {"onednn", (f.how & 2) != 0 ? "0" : "1"}});
  }
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t most, unsigned seed) {
  const std::vector<uint8_t> copy(data, data + size);
  return mutate(files_of(copy.data(), size), {}, data, most, seed);
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* data, size_t size, const uint8_t* other, size_t other_size,
                                            uint8_t* out, size_t most, unsigned seed) {
  return mutate(files_of(data, size), files_of(other, other_size).model, out, most, seed | 64u);
}

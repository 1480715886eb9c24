// Reads an image with a classifier, in about the smallest program that does it properly.
//
//   classify MODEL IMAGE.pgm [DEVICE]
//
// MODEL is an ONNX file or a Core ML package with one image input [1, 1, height, width] of floats in 0..1, and one
// output [1, classes]. IMAGE.pgm is an 8-bit grey image of that size (P5: `convert digit.png digit.pgm`), so that this
// program needs no image library. DEVICE is auto (the default), cpu, coreml, coreml-ane, coreml-gpu or coreml-cpu.
//
// Prints where the model is planned to run, and the best class. Exits with 1 and a reason when something is wrong.
#include <fstream>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

#include <graft/graft.hpp>

namespace {

struct Image {
  size_t width = 0, height = 0;
  std::vector<float> pixels;  // 0..1, row by row
};

Image read_pgm(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string magic;
  size_t width = 0, height = 0, most = 0;
  file >> magic >> width >> height >> most;
  constexpr size_t kLargest = 1 << 14;
  if (!file || magic != "P5" || most != 255 || width == 0 || height == 0 || width > kLargest || height > kLargest)
    throw std::runtime_error(path + " is not an 8-bit PGM image (P5)");
  file.get();  // the one space before the pixels
  std::string bytes(width * height, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file) throw std::runtime_error(path + " is cut off");
  Image image{width, height, {}};
  for (const char c : bytes) image.pixels.push_back(static_cast<float>(static_cast<unsigned char>(c)) / 255.0f);
  return image;
}

// The metadata key "labels" holds the classes' names, separated by commas.
std::string label(std::string_view labels, size_t index) {
  for (; index > 0 && !labels.empty(); --index) labels.remove_prefix(std::min(labels.find(','), labels.size() - 1) + 1);
  return std::string(labels.substr(0, labels.find(',')));
}

int classify(const std::string& model, const std::string& picture, const std::string& device) {
  // 1. An environment: what sessions share. Graft writes to no stream; the logger says what there is to say.
  graft::EnvOptions options;
  options.log = [](graft_log_level, std::string_view text) { std::cerr << text << "\n"; };
  const graft::Env env(std::move(options));

  // 2. A session: the model, loaded and planned. It may be run from any number of threads at once.
  const graft::Session session(env, model, {{"device", device}});
  const graft_placement placement = session.placement();
  std::cout << "requested  " << placement.requested << "\n"
            << "allowed    " << placement.allowed << "\n"
            << "planned    " << placement.planned << "\n";

  // 3. Inputs by their ONNX names, in memory that stays ours.
  const Image image = read_pgm(picture);
  const graft::Port port = session.inputs().at(0);
  const std::vector<int64_t> shape = {1, 1, static_cast<int64_t>(image.height), static_cast<int64_t>(image.width)};
  const graft::Input input = graft::input(std::string(port.name), image.pixels, shape);

  // 4. A run. The results are ours; run() can also write into memory that we give it.
  const std::vector<graft::Tensor> results = session.run({input});
  const std::span<const float> scores = results.at(0).data<float>();
  size_t best = 0;
  for (size_t i = 1; i < scores.size(); ++i) best = scores[i] > scores[best] ? i : best;
  std::cout << "class      " << best << " " << label(session.metadata("labels"), best) << " (" << scores[best] << ")\n";
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::cerr << "usage: classify MODEL IMAGE.pgm [DEVICE]\n";
    return 2;
  }
  try {
    return classify(argv[1], argv[2], argc == 4 ? argv[3] : "auto");
  } catch (const graft::Error& e) {  // what() is the whole story: file, node, reason, code, remedies
    std::cerr << "classify: " << e.what() << "\n";
  } catch (const std::exception& e) {
    std::cerr << "classify: " << e.what() << "\n";
  }
  return 1;
}

#include "coreml/programs.h"

#include <gtest/gtest.h>

#include <atomic>
#include <fstream>

#include <unistd.h>

#include "base/file.h"

namespace graft::coreml {

namespace fs = std::filesystem;

TempFolder::TempFolder() {
  static std::atomic<int> next{0};
  path_ = fs::temp_directory_path() / ("graft_coreml_" + std::to_string(::getpid()) + "_" + std::to_string(next++));
  fs::create_directories(path_);
}

TempFolder::~TempFolder() {
  std::error_code ec;
  fs::remove_all(path_, ec);
}

std::shared_ptr<ir::Program> new_program() {
  auto program = std::make_shared<ir::Program>();
  program->functions.push_back(std::make_unique<ir::Function>("main"));
  return program;
}

ir::ConstantPtr counting(DType dtype, const Shape& shape) {
  Tensor t(DType::f32, shape);
  for (int64_t i = 0; i < t.count(); ++i) t.span<float>()[static_cast<size_t>(i)] = static_cast<float>(i);
  return ir::Constant::cast(ir::Constant::of(std::move(t)), dtype);
}

std::shared_ptr<ir::Program> sample_program() {
  auto program = new_program();
  ir::Function& f = *program->functions[0];
  ir::Builder b(f, ops::table(), ir::Target::mlprogram(ir::Opset::ios15));
  ir::Value* x = f.add_input(ir::Type::tensor(DType::f32, Shape{2, 3, 4}), "input.1");
  ir::Value* big = b.constant(counting(DType::f32, {3, 4}), "layer.0.weight");
  ir::Value* again = b.constant(counting(DType::f32, {3, 4}), "layer.1.weight");
  ir::Value* sum = b.emit("add", {{"x", x}, {"y", big}});
  ir::Value* y = b.emit("mul", {{"x", sum}, {"y", again}});
  ir::Value* logits = b.emit("softmax", {{"x", y}});
  ir::Value* mean = b.emit("reduce_mean", {{"x", y}, {"keep_dims", false}});
  ir::Value* pred = b.emit("greater", {{"x", mean}, {"y", b.scalar(DType::f32, 0)}});
  std::vector<std::unique_ptr<ir::Block>> blocks;
  for (const char* op : {"exp", "relu"}) {
    blocks.push_back(std::make_unique<ir::Block>());
    blocks.back()->function = &f;
    const ir::Builder::BlockScope here(b, *blocks.back());
    ir::Value* v = b.emit(op, {{"x", b.emit("sub", {{"x", logits}, {"y", big}})}});
    blocks.back()->outputs = {v, logits, b.scalar(DType::f32, 2)};
  }
  const ir::Type scalar = ir::Type::tensor(DType::f32, Shape{});
  const ir::Values branch =
      b.emit_blocks("cond", {{"pred", pred}}, std::move(blocks), {logits->type, logits->type, scalar});
  f.body.outputs = {y, x, y, big, branch[0], branch[2]};
  f.output_names = {"y", "input.1", "tensor", "7", "branch", "scalar"};
  EXPECT_TRUE(b.ok()) << render(b.failure().value_or(Diag{}));
  return program;
}

std::map<std::string, std::string> contents(const std::string& package) {
  std::map<std::string, std::string> files;
  for (const auto& e : fs::recursive_directory_iterator(package)) {
    if (e.is_regular_file())
      files[fs::relative(e.path(), package).string()] = read_file(e.path().string(), 1 << 30).value();
  }
  return files;
}

void write_bytes(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

}  // namespace graft::coreml

#include "coreml/package.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <functional>

#include "coreml/programs.h"
#include "ir/verify.h"

namespace graft::coreml {
namespace {

namespace fs = std::filesystem;
using ir::Opset;

constexpr std::string_view kModel = "Data/com.apple.CoreML/model.mlmodel";
constexpr std::string_view kWeights = "Data/com.apple.CoreML/weights/weight.bin";

std::map<std::string, int> count_ops(const ir::Program& program) {
  std::map<std::string, int> n;
  ir::visit_ops(program.main()->body, [&](ir::Op& op) { ++n[std::string(op.type())]; });
  return n;
}

Model read(const std::string& path) {
  Result<Model> m = read_package(path);
  EXPECT_TRUE(m) << render(m.error());
  const Status s = ir::verify(*m->program);
  EXPECT_TRUE(s) << render(s.error());
  return std::move(*m);
}

TEST(Package, ReadsBackWhatItWrote) {
  const TempFolder tmp;
  const auto program = sample_program();
  for (const ir::OpsetInfo& o : ir::all_opsets()) {
    const std::string path = tmp.file(std::string(o.name) + ".mlpackage");
    const Status s =
        write_package(*program, path, {.target = ir::Target::mlprogram(o.opset), .metadata = {{"who", "test"}}});
    ASSERT_TRUE(s) << render(s.error());
    const Model m = read(path);
    EXPECT_EQ(m.spec_version, o.spec_version);
    EXPECT_EQ(m.opset, o.opset);
    EXPECT_EQ(m.metadata, (std::map<std::string, std::string>{{"who", "test"}}));
    const ir::Function& f = *m.program->main();
    ASSERT_EQ(f.inputs.size(), 1u);
    EXPECT_EQ(f.inputs[0]->name, "input.1");
    EXPECT_EQ(f.inputs[0]->type, program->main()->inputs[0]->type);
    EXPECT_EQ(f.output_names, program->main()->output_names);
    for (size_t i = 0; i < f.body.outputs.size(); ++i)
      EXPECT_EQ(f.body.outputs[i]->type, program->main()->body.outputs[i]->type) << f.output_names[i];
    const auto ops = count_ops(*m.program);
    EXPECT_EQ(ops.at("add"), 1);
    EXPECT_EQ(ops.at("cond"), 1);
    EXPECT_EQ(ops.at("sub"), 2);
    EXPECT_EQ(ops.at("softmax"), 1);
    // x and the second y at the top, one outer value in each branch; identities of constants fold when read.
    EXPECT_EQ(ops.at("identity"), 4);
    const ir::Op* add = nullptr;
    ir::visit_ops(f.body, [&](ir::Op& op) { add = op.type() == "add" ? &op : add; });
    ASSERT_NE(add, nullptr);
    const ir::Value* weight = add->arg("y");
    EXPECT_EQ(weight->name, "layer_0_weight");
    EXPECT_TRUE(weight->constant->same_as(*counting(DType::f32, {3, 4})));
  }
}

TEST(Package, FileNamesAreLegalAndTheCallersAreKept) {
  const TempFolder tmp;
  const std::string path = tmp.file("a.mlpackage");
  ASSERT_TRUE(write_package(*sample_program(), path, {}));
  const Model m = read(path);
  const FunctionInterface& face = *m.interface.main();
  EXPECT_EQ(face.inputs[0].name, "input.1");
  EXPECT_EQ(face.inputs[0].file_name, "input_1");
  EXPECT_EQ(face.outputs[1].name, "input.1");
  EXPECT_EQ(face.outputs[1].file_name, "input_1_0");
  EXPECT_EQ(face.outputs[2].file_name, "tensor_workaround");
  EXPECT_EQ(face.outputs[3].file_name, "var_7");
  EXPECT_EQ(face.inputs[0].shape, (Shape{2, 3, 4}));
}

// Metadata is untrusted: what it calls ports must tell them apart.
TEST(Package, TwoPortsOfOneNameAreAnError) {
  const TempFolder tmp;
  for (const auto& [key, name, words] : std::vector<std::array<std::string, 3>>{
           {"scalar", "y", "two outputs named 'y'"}, {"branch", "", "an output without a name"}}) {
    const Status s =
        write_package(*sample_program(), tmp.file("a.mlpackage"), {.metadata = {{"graft.name.main." + key, name}}});
    ASSERT_FALSE(s);  // every package is read back
    EXPECT_EQ(s.error().code, Code::invalid_model);
    EXPECT_NE(s.error().message.find(words), std::string::npos) << s.error().message;
  }
}

TEST(Package, BytesAreReproducible) {
  const TempFolder tmp;
  ASSERT_TRUE(write_package(*sample_program(), tmp.file("a.mlpackage"), {}));
  ASSERT_TRUE(write_package(*sample_program(), tmp.file("b.mlpackage"), {}));
  EXPECT_EQ(contents(tmp.file("a.mlpackage")), contents(tmp.file("b.mlpackage")));
  // Written from what was read, it stays what it is, but for names that reading has settled.
  const Model m = read(tmp.file("a.mlpackage"));
  ASSERT_TRUE(write_package(*m.program, tmp.file("c.mlpackage"), {}));
  const Model again = read(tmp.file("c.mlpackage"));
  EXPECT_EQ(count_ops(*m.program), count_ops(*again.program));
}

TEST(Package, EqualConstantsShareOneRecord) {
  const TempFolder tmp;
  ASSERT_TRUE(write_package(*sample_program(), tmp.file("a.mlpackage"), {}));
  const std::string blob = contents(tmp.file("a.mlpackage")).at(std::string(kWeights));
  EXPECT_EQ(blob.size(), 64u + 64u + 48u);
  EXPECT_EQ(blob.substr(0, 8), std::string("\1\0\0\0\2\0\0\0", 8));
}

TEST(Package, IsWrittenWhereNothingIs) {
  const TempFolder tmp;
  const std::string path = tmp.file("out");
  for (const bool file : {false, true}) {
    if (file)
      write_bytes(path, "x");
    else
      fs::create_directory(path);
    const Status s = write_package(*sample_program(), path, {});
    ASSERT_FALSE(s);
    EXPECT_EQ(s.error().code, Code::io_error);
    EXPECT_TRUE(file ? fs::file_size(path) == 1 : fs::is_empty(path));
    fs::remove(path);
  }
}

// What may be removed to make room for another package, and the words for what may not.
TEST(Package, IsOnlyAPackage) {
  const TempFolder tmp;
  const std::string path = tmp.file("a.mlpackage"), data = path + "/Data/com.apple.CoreML";
  const auto verdict = [&](const std::function<void()>& change) {
    fs::remove_all(path);
    EXPECT_TRUE(write_package(*sample_program(), path, {}));
    change();
    const Status s = check_only_package(path);
    EXPECT_TRUE(s || s.error().code == Code::would_overwrite);
    return s ? std::string("ok") : s.error().message;
  };
  const auto edit = [&](const std::string& from, const std::string& to) {
    std::string manifest = contents(path).at("Manifest.json");
    manifest.replace(manifest.find(from), from.size(), to);
    write_bytes(path + "/Manifest.json", manifest);
  };
  EXPECT_EQ(verdict([] {}), "ok");
  EXPECT_EQ(verdict([&] { write_bytes(path + "/.DS_Store", "Finder was here"); }), "ok");
  EXPECT_EQ(verdict([&] { write_bytes(data + "/weights/1-weight.bin", "of another function"); }), "ok");
  using testing::HasSubstr;
  EXPECT_THAT(verdict([&] { write_bytes(path + "/thesis.txt", "x"); }), HasSubstr("holds 'thesis.txt'"));
  EXPECT_THAT(verdict([&] { write_bytes(data + "/notes", "x"); }), HasSubstr("holds 'Data/com.apple.CoreML/notes'"));
  EXPECT_THAT(verdict([&] { fs::create_directory(path + "/Data/mine"); }), HasSubstr("holds 'Data/mine'"));
  EXPECT_THAT(verdict([&] { fs::create_symlink("/", data + "/weights/link"); }), HasSubstr("weights/link'"));
  EXPECT_THAT(verdict([&] { write_bytes(path + "/Manifest.json", ""); }), HasSubstr("not a JSON object"));
  EXPECT_THAT(verdict([&] { write_bytes(path + "/Manifest.json", R"({"manifest_version": 3})"); }),
              HasSubstr("'itemInfoEntries' is missing"));
  EXPECT_THAT(verdict([&] { fs::remove(path + "/Manifest.json"); }), HasSubstr("No such file"));
  // On a case-insensitive disk this one opens as Manifest.json; here it is spelled otherwise beside it.
  EXPECT_THAT(verdict([&] { write_bytes(path + "/manifest.json", "{}"); }), HasSubstr("holds 'manifest.json'"));
  EXPECT_THAT(verdict([&] { fs::remove(data + "/model.mlmodel"); }), HasSubstr("there is no model"));
  EXPECT_THAT(verdict([&] {
                write_bytes(path + "/thesis.txt", "x");
                edit("com.apple.CoreML/weights", "../thesis.txt");
              }),
              HasSubstr("'../thesis.txt' as an item"));
  EXPECT_THAT(verdict([&] {
                write_bytes(path + "/Data/thesis.txt", "x");
                edit("com.apple.CoreML/weights", ".");
              }),
              HasSubstr("'.' as an item"));
  EXPECT_THAT(verdict([&] {
                fs::remove_all(path);
                write_bytes(path, "x");
              }),
              HasSubstr("is a file, not a Core ML package"));
  EXPECT_THAT(verdict([&] {
                fs::rename(path, tmp.file("b.mlpackage"));
                fs::create_directory_symlink(tmp.file("b.mlpackage"), path);
              }),
              HasSubstr("is a link"));
}

TEST(Package, PipesAndDevicesAreNeverOpened) {
  const TempFolder tmp;
  for (const std::string_view part : {std::string_view("Manifest.json"), kModel, kWeights}) {
    for (const Hold hold : {Hold::mapped, Hold::copied}) {
      const std::string path = tmp.file("a.mlpackage");
      fs::remove_all(path);
      ASSERT_TRUE(write_package(*sample_program(), path, {}));
      const std::string file = path + "/" + std::string(part);
      fs::remove(file);
      ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
      const auto r = read_package(path, hold);
      ASSERT_FALSE(r) << part;
      EXPECT_EQ(r.error().code, Code::io_error) << render(r.error());
      EXPECT_THAT(r.error().message, testing::HasSubstr("a pipe, not a regular file"));
    }
  }
  EXPECT_FALSE(read_package("/dev/null"));
}

TEST(Package, LeavesNothingBehindOnRefusal) {
  const TempFolder tmp;
  auto program = new_program();
  ir::Function& f = *program->functions[0];
  f.body.outputs = {f.add_input(ir::Type::tensor(DType::i64, Shape{2}), "x")};
  f.output_names = {"y"};
  const Status s = write_package(*program, tmp.file("a.mlpackage"), {});
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code, Code::unsupported_dtype);
  EXPECT_EQ(s.error().tensor, "x");
  EXPECT_TRUE(fs::is_empty(tmp.path()));
}

TEST(Package, InterfaceTypesByTarget) {
  const TempFolder tmp;
  const struct {
    DType dtype;
    Opset since;
  } cases[] = {
      {DType::f32, Opset::ios15}, {DType::i32, Opset::ios15}, {DType::f16, Opset::ios16}, {DType::i8, Opset::ios26}};
  for (const auto& c : cases) {
    auto program = new_program();
    ir::Function& f = *program->functions[0];
    f.body.outputs = {f.add_input(ir::Type::tensor(c.dtype, Shape{2}), "x")};
    f.output_names = {"y"};
    for (const ir::OpsetInfo& o : ir::all_opsets()) {
      fs::remove_all(tmp.file("a.mlpackage"));
      const Status s = write_package(*program, tmp.file("a.mlpackage"), {.target = ir::Target::mlprogram(o.opset)});
      EXPECT_EQ(s.has_value(), o.opset >= c.since) << name(c.dtype) << " " << o.name;
      if (!s) {
        EXPECT_EQ(s.error().code, Code::needs_later_target);
      }
    }
  }
}

std::shared_ptr<ir::Program> flexible(IntRange range) {
  auto program = new_program();
  ir::Function& f = *program->functions[0];
  ir::Builder b(f, ops::table(), ir::Target::mlprogram(ir::Opset::ios15));
  ir::Value* x = f.add_input(ir::Type::tensor(DType::f32, ir::Dims{ir::Dim::symbol("n", range), ir::Dim(3)}), "x");
  f.body.outputs = {b.emit("exp", {{"x", x}})};
  f.output_names = {"y"};
  return program;
}

TEST(Package, FlexibleDimsKeepRangeAndDefault) {
  const TempFolder tmp;
  auto program = flexible({0, 64});
  program->main()->default_dims["n"] = 16;
  ASSERT_TRUE(write_package(*program, tmp.file("a.mlpackage"), {}));
  const Model m = read(tmp.file("a.mlpackage"));
  const Feature& x = m.interface.main()->inputs[0];
  EXPECT_EQ(x.shape, (Shape{16, 3}));
  ASSERT_EQ(x.ranges.size(), 2u);
  EXPECT_EQ(x.ranges[0], (IntRange{1, 64}));
  EXPECT_EQ(x.ranges[1], (IntRange{3, 3}));
  EXPECT_FALSE(m.interface.main()->outputs[0].has_shape);
  const ir::Function& f = *m.program->main();
  EXPECT_EQ(f.inputs[0]->dim(0).symbol_name(), "x_d0");
  EXPECT_EQ(f.inputs[0]->dim(0).range(), (IntRange{1, 64}));
  EXPECT_EQ(f.default_dims.at("x_d0"), 16);
  EXPECT_EQ(f.body.outputs[0]->dim(0), f.inputs[0]->dim(0));
}

TEST(Package, FlexibleDimsNeedAnUpperBound) {
  const TempFolder tmp;
  const Status s = write_package(*flexible({1, INT64_MAX}), tmp.file("a.mlpackage"), {});
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().code, Code::dynamic_shape);
}

TEST(Package, DropsLaterParametersAtTheirDefaultOnly) {
  const TempFolder tmp;
  for (const bool validate : {false, true}) {
    auto program = new_program();
    ir::Function& f = *program->functions[0];
    ir::Builder b(f, ops::table(), ir::Target::mlprogram(ir::Opset::ios17));
    ir::Value* x = f.add_input(ir::Type::tensor(DType::f32, Shape{4, 3}), "x");
    ir::Value* i = f.add_input(ir::Type::tensor(DType::i32, Shape{2}), "i");
    f.body.outputs = {b.emit("gather", {{"x", x}, {"indices", i}, {"axis", 0}, {"validate_indices", validate}})};
    f.output_names = {"y"};
    ASSERT_TRUE(b.ok());
    const Status s = write_package(*program, tmp.file("a.mlpackage"), {.target = ir::Target::mlprogram(Opset::ios15)});
    EXPECT_EQ(s.has_value(), !validate);
    if (!s) {
      EXPECT_EQ(s.error().code, Code::needs_later_target);
    }
    fs::remove_all(tmp.file("b.mlpackage"));
    EXPECT_TRUE(write_package(*program, tmp.file("b.mlpackage"), {.target = ir::Target::mlprogram(Opset::ios17)}));
  }
}

TEST(Package, EveryImmediateTypeComesBack) {
  const TempFolder tmp;
  auto program = new_program();
  ir::Function& f = *program->functions[0];
  ir::Builder b(f, ops::table(), ir::Target::mlprogram(ir::Opset::ios18));
  ir::Value* x = f.add_input(ir::Type::tensor(DType::f32, Shape{2, 3}), "x");
  ir::Values uses;
  for (const DType t :
       {DType::f32, DType::f16, DType::i32, DType::boolean, DType::i8, DType::u8, DType::i16, DType::u16}) {
    ir::Value* c = b.constant(counting(t, {2, 3}), "c_" + std::string(name(t)));
    ir::Value* as_float = t == DType::f32 ? c : nullptr;
    if (as_float == nullptr) {  // cast, without the folding that the builder would do
      auto op = std::make_unique<ir::Op>();
      op->row = ops::table().find("cast");
      op->args.resize(op->row->params().size());
      op->args[static_cast<size_t>(op->row->param_index("x"))] = {c};
      op->args[static_cast<size_t>(op->row->param_index("dtype"))] = {b.constant(ir::Constant::text("fp32"))};
      as_float = f.new_value(ir::Type::tensor(DType::f32, Shape{2, 3}));
      as_float->producer = op.get();
      op->results = {as_float};
      f.body.ops.push_back(std::move(op));
    }
    uses.push_back(b.emit("add", {{"x", x}, {"y", as_float}}));
  }
  f.body.outputs = uses;
  for (size_t i = 0; i < uses.size(); ++i) f.output_names.push_back("y" + std::to_string(i));
  ASSERT_TRUE(b.ok());
  const Status s = write_package(*program, tmp.file("a.mlpackage"), {.target = ir::Target::mlprogram(Opset::ios18)});
  ASSERT_TRUE(s) << render(s.error());
  const Model m = read(tmp.file("a.mlpackage"));
  for (size_t i = 0; i < uses.size(); ++i) {  // the casts folded when read: what is added is what was written
    const ir::Value* added = m.program->main()->body.outputs[i]->producer->arg("y");
    ASSERT_TRUE(added->is_constant());
    const DType t = i == 3 ? DType::boolean : DType::f32;
    EXPECT_TRUE(added->constant->same_as(*ir::Constant::cast(counting(t, {2, 3}), DType::f32))) << i;
  }
}

TEST(Package, RefusesOtherModels) {
  const TempFolder tmp;
  const auto code_of = [&](std::string_view bytes) {
    write_bytes(tmp.file("m.mlmodel"), bytes);
    const auto r = read_package(tmp.file("m.mlmodel"));
    EXPECT_FALSE(r);
    return r ? std::string() : render(r.error());
  };
  EXPECT_NE(code_of(std::string_view("\x08\x04\xa2\x1f\x00", 5)).find("NeuralNetwork"), std::string::npos);
  EXPECT_NE(code_of(std::string_view("\x08\x06\xb2\x1f\x00", 5)).find(".mlpackage"), std::string::npos);
  EXPECT_NE(code_of("not a model").find("malformed"), std::string::npos);
  const auto missing = read_package(tmp.file("none.mlpackage"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::file_not_found);
}

TEST(Package, PathsStayInside) {
  const TempFolder tmp;
  const std::string path = tmp.file("a.mlpackage");
  ASSERT_TRUE(write_package(*sample_program(), path, {}));
  const auto files = contents(path);
  const auto rejects = [&](std::string_view item) {
    std::string manifest = files.at("Manifest.json");
    const std::string was = "com.apple.CoreML/model.mlmodel\"";
    manifest.replace(manifest.find(was), was.size(), std::string(item) + "\"");
    write_bytes(path + "/Manifest.json", manifest);
    const auto r = read_package(path);
    return !r && r.error().code == Code::unsafe_path;
  };
  EXPECT_TRUE(rejects("../../a.txt"));
  EXPECT_TRUE(rejects("/etc/passwd"));
  write_bytes(tmp.file("outside.mlmodel"), files.at(std::string(kModel)));
  fs::create_symlink(tmp.file("outside.mlmodel"), path + "/Data/link");
  EXPECT_TRUE(rejects("link"));
  EXPECT_FALSE(rejects("com.apple.CoreML/model.mlmodel"));
}

TEST(Package, NamesTheOperatorThatIsMissing) {
  const TempFolder tmp;
  const std::string path = tmp.file("a.mlpackage");
  ASSERT_TRUE(write_package(*sample_program(), path, {}));
  std::string model = contents(path).at(std::string(kModel));
  model.replace(model.find("\x07softmax"), 8, "\x07softmix");
  write_bytes(path + "/" + std::string(kModel), model);
  const auto r = read_package(path);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, Code::unsupported_operator);
  EXPECT_NE(r.error().message.find("softmix"), std::string::npos);
}

}  // namespace
}  // namespace graft::coreml

// run_models LIST: for each folder in the file LIST, lowers model.onnx for the host and, as one piece, for Core ML,
// runs both with the reference kernels on in.<i>.npy (the graph's inputs in order), and writes host.<i>.npy and
// coreml.<i>.npy. One line of JSON a folder on stdout. For the operator sweep (tests/python).
//
// run_models --lower FILE...: only lowers, and prints what is refused: on the host, and node by node for Core ML.
#include <algorithm>
#include <fstream>
#include <iostream>

#include "base/format.h"
#include "evaluate.h"
#include "npy.h"
#include "onnx/lower.h"
#include "onnx/reader.h"

namespace graft::test {
namespace {

std::string json_text(std::string_view s) {
  std::string out = "\"";
  for (char c : s) {
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (static_cast<unsigned char>(c) < 32)
      out += ' ';
    else
      out += c;
  }
  return out + "\"";
}

std::string result(const Status& s) {
  if (s) return R"({"status": "ok"})";
  const Diag& d = s.error();
  return format(R"({{"status": "refused", "code": {}, "message": {}}})", json_text(info(d.code).name),
                json_text(render(d)));
}

Status save(const std::string& prefix, const std::vector<Tensor>& out) {
  for (size_t i = 0; i < out.size(); ++i) GRAFT_CHECK(write_npy(format("{}.{}.npy", prefix, i), out[i].view()));
  return {};
}

Status run_host(const onnx::HostProgram& host, const std::vector<Tensor>& inputs, const std::string& folder) {
  if (!host.problems.empty()) return fail(host.problems[0]);
  GRAFT_TRY(const std::vector<Tensor> out, evaluate(host.main(), inputs));
  return save(folder + "/host", out);
}

// Core ML's int64 is int32: the border converts.
Tensor narrowed(const Tensor& t) {
  if (t.dtype() != DType::i64) return t;
  Tensor out(DType::i32, t.shape());
  for (int64_t i = 0; i < t.view().count(); ++i)
    out.span<int32_t>()[static_cast<size_t>(i)] = static_cast<int32_t>(element_as_int(t.view(), i));
  return out;
}

Status run_piece(const onnx::HostProgram& host, const std::vector<Tensor>& inputs, const std::string& folder,
                 std::string& needed) {
  if (!host.problems.empty()) return fail(host.problems[0]);
  const onnx::PieceLowerer lowerer(host, {ir::Opset::ios18});
  std::vector<const onnx::Node*> nodes;
  for (const onnx::Node& n : host.model->graph.nodes) nodes.push_back(&n);
  std::vector<std::string> outputs;
  for (const onnx::ValueInfo& o : host.model->graph.outputs) outputs.push_back(o.name);
  GRAFT_TRY(const onnx::Piece piece, lowerer.build("main", nodes, outputs));
  needed = ir::info(piece.needed).name;
  std::vector<Tensor> given;
  for (const onnx::Border& border : piece.inputs) {
    for (size_t i = 0; i < host.model->graph.inputs.size(); ++i) {
      if (host.model->graph.inputs[i].name == border.name) given.push_back(narrowed(inputs[i]));
    }
  }
  GRAFT_TRY(const std::vector<Tensor> out, evaluate(*piece.function, given));
  return save(folder + "/coreml", out);
}

std::string run_case(const std::string& folder) {
  const auto model = onnx::read_file(folder + "/model.onnx");
  if (!model) return format(R"("host": {})", result(fail(model.error())));
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < (*model)->graph.inputs.size(); ++i) {
    Result<Tensor> t = read_npy(format("{}/in.{}.npy", folder, i));
    if (!t) return format(R"("host": {})", result(fail(t.error())));
    inputs.push_back(std::move(*t));
  }
  const Result<onnx::HostProgram> host = onnx::lower_for_host(*model, {});
  if (!host) return format(R"("host": {})", result(fail(host.error())));
  std::string needed;
  const std::string on_host = result(run_host(*host, inputs, folder));
  const std::string as_piece = result(run_piece(*host, inputs, folder, needed));
  return format(R"("host": {}, "coreml": {}, "needed": {})", on_host, as_piece, json_text(needed));
}

void lower_only(const std::string& path) {
  const auto model = onnx::read_file(path);
  const auto host = model ? onnx::lower_for_host(*model, {}) : fail(model.error());
  if (!host) {
    std::cout << path << ": " << render(host.error()) << "\n";
    return;
  }
  const onnx::PieceLowerer lowerer(*host, {ir::Opset::ios18});
  size_t refused = 0, blocked = 0;
  for (const onnx::Node& n : (*model)->graph.nodes) {
    if (host->nodes[static_cast<size_t>(n.id)].blocked) ++blocked;
    if (host->nodes[static_cast<size_t>(n.id)].failure) continue;
    const bool folded = std::all_of(n.outputs.begin(), n.outputs.end(), [&](const std::string& o) {
      return o.empty() || host->values.at(o)->is_constant();
    });
    if (folded) continue;
    if (const auto r = lowerer.attempt(n); !r) {
      ++refused;
      std::cout << "  coreml: " << render(r.error()) << "\n";
    }
  }
  for (const Diag& d : host->problems) std::cout << "  host: " << render(d) << "\n";
  std::cout << path << ": " << (*model)->graph.nodes.size() << " nodes, " << host->problems.size()
            << " fail on the host, " << blocked << " blocked, " << refused << " refused for Core ML\n";
}

}  // namespace
}  // namespace graft::test

int main(int argc, char** argv) {
  if (argc > 2 && std::string_view(argv[1]) == "--lower") {
    for (int i = 2; i < argc; ++i) graft::test::lower_only(argv[i]);
    return 0;
  }
  if (argc != 2) {
    std::cerr << "usage: run_models LIST | --lower FILE...\n";
    return 2;
  }
  std::ifstream list(argv[1]);
  std::string folder;
  while (std::getline(list, folder)) {
    std::cout << "{\"case\": " << graft::test::json_text(folder) << ", " << graft::test::run_case(folder) << "}"
              << std::endl;
  }
  return 0;
}

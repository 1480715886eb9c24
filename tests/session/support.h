// What the session's tests share: opening with options by name, running with results of their own.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>

#include "coreml/package.h"
#include "onnx/messages.h"
#include "session/onnx_types.h"
#include "session/session.h"

namespace graft::session_test {

using session::NamedOption;
using session::Session;
using Opened = Result<std::shared_ptr<const Session>>;

inline Opened open(const std::string& path, const std::vector<NamedOption>& options) {
  Result<session::Options> parsed = session::parse_options(options);
  if (!parsed) return fail(std::move(parsed).error());
  return Session::open(path, std::make_shared<Env>(1), *parsed);
}

// A serialized ONNX model; see onnx/messages.h.
inline Opened open_model(const std::string& model, const std::vector<NamedOption>& options,
                         std::shared_ptr<const Env> env = std::make_shared<Env>(1)) {
  Result<session::Options> parsed = session::parse_options(options);
  if (!parsed) return fail(std::move(parsed).error());
  const auto bytes = std::make_shared<std::string>(model);
  return Session::open_memory(test::bytes_of(*bytes), bytes, "", std::move(env), *parsed);
}

// The one package of a session that Core ML takes as a whole, written and opened again; with other metadata where
// given.
inline Opened through_package(const Session& s, const session::Metadata& claimed = {}) {
  EXPECT_TRUE(s.partitioning()->whole());
  const std::filesystem::path package = std::filesystem::path(testing::TempDir()) / "whole.mlpackage";
  const partition::Subgraph& partition = s.partitioning()->subgraphs[0];
  coreml::WriteOptions options;
  options.target = partition.target;
  session::add_onnx_types(partition, options.metadata);
  if (!claimed.empty()) options.metadata = claimed;
  const Status written = coreml::write_package(*partition.program, package.string(), options);
  EXPECT_TRUE(written) << render(written.error());
  Opened back = open(package.string(), {});
  std::filesystem::remove_all(package);
  return back;
}

// What a session found, but which sizes its open dims have.
inline std::vector<Diag> news(const Session& s) {
  std::vector<Diag> found(s.findings().begin(), s.findings().end());
  std::erase_if(found, [](const Diag& d) { return d.code == Code::open_dim; });
  return found;
}

inline Result<std::vector<Tensor>> run(const Session& s, const std::vector<Tensor>& inputs,
                                       const engine::RunOptions& options = {}) {
  std::vector<TensorView> views;
  for (const Tensor& t : inputs) views.push_back(t.view());
  std::vector<engine::OutputSlot> slots(s.outputs().size());
  if (Status ok = s.run(views, slots, options); !ok) return fail(std::move(ok).error());
  std::vector<Tensor> out;
  for (engine::OutputSlot& o : slots) out.push_back(std::move(o.owned));
  return out;
}

template <class T>
Tensor tensor(DType dtype, const Shape& shape, const std::vector<T>& values) {
  return Tensor::of<T>(dtype, shape, values);
}

}  // namespace graft::session_test

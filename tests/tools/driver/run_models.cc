// run_models LIST: runs many small ONNX models as users get them, in one process; for the operator sweep, ONNX's own
// conformance cases and the remedies' test (tests/python). LIST has a line a case, "FOLDER COLUMN...". A folder holds
// model.onnx and in.<i>.npy, the graph's inputs in order. Columns are:
//
//   host                 a session on the host engine; gives host.<i>.npy
//   float32:TARGET, float16:TARGET
//                        a package: compiled by the verb's own function, read back from disk and run; gives
//                        <precision>.<i>.npy. The column host comes first.
//   inspect:TARGET       only the refusals
//
// A value that is a list of tensors is <name>.list with the number of elements, and <name>.<k>.npy.
//
// A line of JSON a case tells what became of each: "ok", "refused" (every reason), "constant" (nothing is left to
// compute, so no package is made), or "failed" (an error of a session, of writing or of reading, or a value that is not
// what was inferred for it).
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include <nlohmann/json.hpp>

#include "base/format.h"
#include "base/list.h"
#include "cli/files/failure.h"
#include "cli/files/npy.h"
#include "onnx/missing.h"
#include "session/session.h"
#include "tools/compile.h"

namespace graft::test {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;
using SessionPtr = std::shared_ptr<const session::Session>;
using PartsPtr = std::shared_ptr<const tools::Partitioned>;

json told(const Diag& d) {
  return {{"code", info(d.code).name},
          {"fault", name(d.fault())},
          {"node", d.node},
          {"message", render(d)},
          {"remedies", d.remedies}};
}
json failed(const Diag& d) { return {{"status", "failed"}, {"reasons", {told(d)}}}; }

Result<session::Options> options_of(std::vector<session::NamedOption> named) { return session::parse_options(named); }

bool within_int32(const TensorView& t) {
  if (t.dtype != DType::i64) return true;
  const auto values = t.span<int64_t>();
  return std::all_of(values.begin(), values.end(), [](int64_t v) { return v >= INT32_MIN && v <= INT32_MAX; });
}

// What was inferred while building must hold for what comes out. Ranges are proven for inputs within int32.
Status check_facts(const ir::Value& v, const TensorView& t, bool ranges) {
  const ir::Type& type = v.type;
  if (!type.is_tensor()) return {};
  bool fits = type.dtype == t.dtype && type.rank() == t.shape.size();
  for (int d = 0; fits && d < type.rank(); ++d) {
    const ir::Dim& dim = type.dims[static_cast<size_t>(d)];
    fits = t.shape[d] >= dim.range().lo && t.shape[d] <= dim.range().hi;
  }
  const auto wrong = [&](std::string message) { return fail(Code::internal, format("'{}': {}", v.name, message)); };
  if (!fits) return wrong(format("inferred {}, got {}", type.to_string(), describe(t.dtype, t.shape)));
  if (!ranges || !is_int(t.dtype)) return {};
  for (int64_t i = 0; i < t.count(); ++i) {
    const int64_t e = element_as_int(t, i);
    if (e < v.range.lo || e > v.range.hi)
      return wrong(format("{} is outside the proven range {}..{}", e, v.range.lo, v.range.hi));
  }
  return {};
}

bool too_early(const Diag& d) {
  return d.code == Code::needs_later_target || std::any_of(d.inner.begin(), d.inner.end(), too_early);
}

Result<Tensor> read_npy(const std::string& path) {
  try {
    const cli::Array a = cli::read_npy(path);
    Shape shape;
    for (const int64_t d : a.shape) shape.push_back(d);
    return Tensor::copy_of(TensorView{dtype_from_onnx(a.dtype), shape, a.data.get()});
  } catch (const cli::Failure& f) {
    return fail_in(Code::malformed, path, f.what());
  }
}

// Strings are bytes in these files, so many each, with zeros at the end.
constexpr int64_t kText = 32;

Result<Tensor> strings_of(const Tensor& bytes) {
  if (bytes.dtype() != DType::u8 || bytes.shape().empty() || bytes.shape().back() != kText)
    return fail(Code::malformed, format("strings take bytes, {} each", kText));
  Shape shape = bytes.shape();
  shape.pop_back();
  Tensor t(DType::string, shape);
  for (int64_t i = 0; i < t.count(); ++i) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.span<uint8_t>().data()) + i * kText, kText);
    t.span<std::string>()[static_cast<size_t>(i)] = text.substr(0, text.find('\0'));
  }
  return t;
}
Tensor bytes_of(const TensorView& strings) {
  Shape shape = strings.shape;
  shape.push_back(kText);
  Tensor t(DType::u8, shape);
  std::ranges::fill(t.span<uint8_t>(), uint8_t{0});
  for (int64_t i = 0; i < strings.count(); ++i) {
    const std::string& s = strings.as<std::string>()[i];
    std::copy_n(s.begin(), std::min<size_t>(s.size(), kText), t.span<uint8_t>().begin() + i * kText);
  }
  return t;
}

// PATH.npy; or a list: PATH.list, which holds the number of elements, PATH.0.npy and so on, elements that are lists
// too.
Result<Tensor> read_value(const std::string& path) {
  std::ifstream listed(path + ".list");
  if (!listed) return read_npy(path + ".npy");
  int64_t count = 0;
  listed >> count;
  std::vector<Tensor> tensors;
  for (int64_t k = 0; k < count; ++k) {
    GRAFT_TRY(Tensor t, read_value(format("{}.{}", path, k)));
    tensors.push_back(std::move(t));
  }
  Tensor list(DType::list, Shape{});
  GRAFT_TRY(*list.mutable_view().as<List>(), List::of(std::move(tensors), nullptr));
  return list;
}

Status write_npy(const std::string& path, const TensorView& t) {
  if (t.dtype == DType::string) return write_npy(path, bytes_of(t).view());
  if (t.dtype == DType::bf16) {  // NumPy has no such type
    Tensor wide(DType::f32, t.shape);
    for (int64_t i = 0; i < t.count(); ++i)
      wide.span<float>()[static_cast<size_t>(i)] = static_cast<float>(element_as_double(t, i));
    return write_npy(path, wide.view());
  }
  const auto header =
      cli::npy_header(static_cast<graft_dtype>(info(t.dtype).onnx_code), std::span(t.shape.begin(), t.shape.end()));
  if (!header) return fail_in(Code::unsupported_format, path, format("NumPy has no type for {}", name(t.dtype)));
  std::ofstream file(path, std::ios::binary);
  file << *header;
  file.write(static_cast<const char*>(t.data), static_cast<std::streamsize>(t.bytes()));
  return file ? Status{} : fail_in(Code::io_error, path, "cannot write");
}

Status write_value(const std::string& path, const TensorView& t) {
  if (t.dtype != DType::list) return write_npy(path + ".npy", t);
  const List& list = *t.as<List>();
  std::ofstream(path + ".list") << list.size();
  for (int64_t k = 0; k < list.size(); ++k) GRAFT_CHECK(write_value(format("{}.{}", path, k), list[k].view()));
  return {};
}

struct Named {
  std::string name;
  Tensor tensor;
};

// Runs once for the results and once more with every intermediate looked at, which takes other paths in the engine.
Result<std::vector<Tensor>> run(const session::Session& s, const std::vector<Named>& given) {
  std::vector<TensorView> in;
  for (const ir::Port& p : s.inputs()) {
    const auto at = std::find_if(given.begin(), given.end(), [&](const Named& n) { return n.name == p.name; });
    if (at == given.end()) return fail(Code::internal, format("an input '{}' that the model does not have", p.name));
    in.push_back(at->tensor.view());
  }
  std::vector<backend::OutputSlot> out(s.outputs().size()), observed(s.outputs().size());
  GRAFT_CHECK(s.run(in, out));
  Status facts;
  const bool ranges = std::all_of(in.begin(), in.end(), within_int32);
  backend::RunOptions look;
  look.observe = [&](const ir::Value& v, TensorView t) {
    if (facts) facts = check_facts(v, t, ranges);
  };
  GRAFT_CHECK(s.run(in, observed, look));
  GRAFT_CHECK(facts);
  std::vector<Tensor> results;
  for (backend::OutputSlot& o : out) results.push_back(std::move(o.owned));
  return results;
}

// By the model's own output names: a package that lost or renamed one is wrong.
Status save(const std::string& prefix, const session::Session& s, const std::vector<Tensor>& out,
            const std::vector<std::string>& names) {
  for (size_t i = 0; i < names.size(); ++i) {
    const int at = s.output_index(names[i]);
    if (at < 0) return fail(Code::internal, format("output '{}' is missing", names[i]));
    GRAFT_CHECK(write_value(format("{}.{}", prefix, i), out[static_cast<size_t>(at)].view()));
  }
  return {};
}

class Case {
 public:
  Case(std::string folder, std::shared_ptr<const Env> env)
      : folder_(std::move(folder)), model_(folder_ + "/model.onnx"), env_(std::move(env)) {}

  json host() {
    json out{{"status", "ok"}};
    if (const Status s = run_host(out); !s) out.update(failed(s.error()));
    return out;
  }

  // The refusals for that target, with what would change each.
  json inspect(const std::string& target) {
    json out{{"status", "refused"}, {"reasons", json::array()}};
    bool unusable = false;
    const auto look = [&]() -> Status {
      GRAFT_TRY(const PartsPtr p, partitioned({{"target", target}}, unusable));
      for (const Diag& d : p->refusals()) out["reasons"].push_back(told(d));
      return {};
    };
    if (const Status s = look(); !s) {
      if (unusable)
        out["reasons"].push_back(told(s.error()));
      else
        out.update(failed(s.error()));
    }
    return out;
  }

  json package(const std::string& precision, const std::string& target) {
    const std::string path = folder_ + "/" + precision + ".mlpackage";
    json out{{"status", "ok"}};
    if (const Status s = run_package(precision, target, path, out); !s) out.update(failed(s.error()));
    std::error_code ec;
    fs::remove_all(path, ec);
    return out;
  }

 private:
  Status run_host(json& out) {
    GRAFT_TRY(const session::Options options, options_of({{"device", "cpu"}}));
    const Result<SessionPtr> opened = session::Session::open(model_, env_, options);
    if (!opened) {
      out = {{"status", "refused"}, {"reasons", {told(opened.error())}}};
      return {};
    }
    const SessionPtr& s = *opened;
    for (size_t i = 0; i < s->inputs().size(); ++i) {
      GRAFT_TRY(Tensor t, read_value(format("{}/in.{}", folder_, i)));
      if (s->inputs()[i].type.dtype == DType::string) {
        GRAFT_TRY(t, strings_of(t));
      }
      inputs_.push_back({s->inputs()[i].name, std::move(t)});
    }
    for (const ir::Port& p : s->outputs()) outputs_.push_back(p.name);
    GRAFT_TRY(const std::vector<Tensor> results, run(*s, inputs_));
    return save(folder_ + "/host", *s, results, outputs_);
  }

  // unusable: the error is a verdict on the model.
  Result<PartsPtr> partitioned(const std::vector<session::NamedOption>& named, bool& unusable) {
    GRAFT_TRY(const auto model, tools::open_model({model_, {}, {}}, env_, named));
    unusable = model->problem.has_value();
    return tools::partition_model(model, {}, "");
  }

  // A target that is too early for the case says nothing about it: the lowest that is enough is taken then.
  Status run_package(const std::string& precision, const std::string& target, const std::string& path, json& out) {
    bool unusable = false;
    Result<PartsPtr> p = partitioned({{"precision", precision}, {"target", target}}, unusable);
    if (p && !(*p)->partitioning->whole()) {
      const auto reasons = (*p)->refusals();
      if (std::any_of(reasons.begin(), reasons.end(), too_early))
        p = partitioned({{"precision", precision}, {"target", "auto"}}, unusable);
    }
    if (!p && !unusable) return fail(p.error());
    if (!p || !(*p)->partitioning->whole()) {
      const std::vector<Diag> reasons = p ? (*p)->refusals() : std::vector<Diag>{p.error()};
      out["status"] = reasons.empty() && (*p)->partitions.empty() ? "constant" : "refused";
      out["reasons"] = json::array();
      for (const Diag& d : reasons) out["reasons"].push_back(told(d));
      return {};
    }
    GRAFT_TRY(const auto packages, tools::compile(**p, path, {}));
    out["target"] = packages.at(0).target;
    GRAFT_TRY(const SessionPtr s, session::Session::open(path, env_, {}));
    GRAFT_TRY(const std::vector<Tensor> results, run(*s, inputs_));
    return save(folder_ + "/" + precision, *s, results, outputs_);
  }

  std::string folder_, model_;
  std::shared_ptr<const Env> env_;
  std::vector<Named> inputs_;
  std::vector<std::string> outputs_;
};

json run_case(const std::string& line, const std::shared_ptr<const Env>& env) {
  std::istringstream words(line);
  std::string folder, column;
  words >> folder;
  Case c(folder, env);
  json out{{"case", folder}};
  while (words >> column) {
    const size_t colon = std::min(column.find(':'), column.size() - 1);
    const std::string what = column.substr(0, colon), target = column.substr(colon + 1);
    if (column == "host")
      out["host"] = c.host();
    else
      out[what] = what == "inspect" ? c.inspect(target) : c.package(what, target);
  }
  return out;
}

}  // namespace
}  // namespace graft::test

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: run_models LIST\n";
    return 2;
  }
  const auto env = std::make_shared<const graft::Env>(1);  // the parallelism is the tests'
  std::ifstream list(argv[1]);
  for (std::string line; std::getline(list, line);) {
    using nlohmann::json;
    // Messages quote names of the file, which need not be UTF-8.
    std::cout << graft::test::run_case(line, env).dump(-1, ' ', false, json::error_handler_t::replace) << std::endl;
  }
  return 0;
}

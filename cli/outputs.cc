#include "outputs.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <numeric>
#include <set>

#include <fmt/format.h>
#include <graft/compiler.hpp>

#include "files/failure.h"
#include "files/npy.h"
#include "gather.h"

namespace cli {
namespace {

bool is_bool_or_number(graft_dtype t) {
  return t != GRAFT_DTYPE_INVALID && t != GRAFT_DTYPE_STRING && t != GRAFT_DTYPE_COMPLEX64 &&
         t != GRAFT_DTYPE_COMPLEX128;
}

int64_t count_of(const graft::Tensor& t) {
  return std::accumulate(t.shape().begin(), t.shape().end(), int64_t{1}, std::multiplies<>());
}

// In parts, so that large tensors are not doubled in memory.
void summarise(const graft::Tensor& t, size_t count, OutputTensor& o) {
  constexpr size_t kPart = 1 << 16;
  double sum = 0;
  int64_t finite = 0;
  for (size_t first = 0; first < count; first += kPart) {
    for (const double v : t.numbers(first, std::min(kPart, count - first))) {
      if (std::isnan(v)) {
        ++o.nans;
      } else if (std::isinf(v)) {
        ++o.infs;
      } else {
        o.min = finite == 0 ? v : std::min(o.min, v);
        o.max = finite == 0 ? v : std::max(o.max, v);
        sum += v;
        ++finite;
      }
    }
  }
  o.mean = finite == 0 ? 0 : sum / static_cast<double>(finite);
}

std::string lower_case(std::string s) {
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return std::tolower(c); });
  return s;
}

// bf16 has no NumPy type and is written as float32, whose upper half it is.
std::vector<uint32_t> widened(const graft::Tensor& t) {
  std::vector<uint32_t> wide(t.bytes().size() / 2);
  for (size_t i = 0; i < wide.size(); ++i) {
    uint16_t half = 0;
    std::memcpy(&half, t.bytes().data() + 2 * i, sizeof half);
    wide[i] = uint32_t{half} << 16;
  }
  return wide;
}

}  // namespace

std::vector<std::string> labels_of(std::string_view metadata) {
  std::vector<std::string> labels;
  for (size_t start = 0; metadata.data() != nullptr && start <= metadata.size();) {
    const size_t end = std::min(metadata.find(',', start), metadata.size());
    labels.emplace_back(metadata.substr(start, end - start));
    start = end + 1;
  }
  return labels;
}

std::vector<Ranked> top_of(std::span<const double> values, int k, const std::vector<std::string>& labels) {
  std::vector<int64_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  const size_t keep = std::min(static_cast<size_t>(k), order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<long>(keep), order.end(), [&](int64_t a, int64_t b) {
    const double x = values[static_cast<size_t>(a)], y = values[static_cast<size_t>(b)];
    if (std::isnan(x) || std::isnan(y)) return std::isnan(y) && (!std::isnan(x) || a < b);
    return x != y ? x > y : a < b;
  });
  std::vector<Ranked> top;
  for (size_t i = 0; i < keep; ++i) {
    const size_t at = static_cast<size_t>(order[i]);
    top.push_back({order[i], values[at], at < labels.size() ? labels[at] : std::string()});
  }
  return top;
}

OutputTensor describe_output(std::string name, const graft::Tensor& tensor, int top_k,
                             const std::vector<std::string>& labels) {
  OutputTensor o;
  o.name = std::move(name);
  o.type = type_of(tensor.dtype(), tensor.shape());
  if (!is_bool_or_number(tensor.dtype())) return o;
  o.numbers = tensor.dtype() != GRAFT_DTYPE_BOOL;
  const auto count = static_cast<size_t>(count_of(tensor));
  summarise(tensor, count, o);
  if (top_k <= 0 || tensor.shape().empty() || count == 0) return o;
  const auto row = static_cast<size_t>(tensor.shape().back());
  constexpr size_t kMaxRows = 8;
  for (size_t r = 0; r < std::min(count / row, kMaxRows); ++r)
    o.top.push_back(
        top_of(tensor.numbers(r * row, row), top_k, labels.size() == row ? labels : std::vector<std::string>()));
  return o;
}

void write_outputs(const std::string& folder, const std::vector<graft::Tensor>& tensors,
                   std::vector<OutputTensor>& outputs) {
  std::set<std::string> used;  // in lower case: for some disks A.npy is a.npy
  std::vector<graft::File> files;
  std::vector<std::vector<uint32_t>> wide;
  for (size_t i = 0; i < tensors.size(); ++i) {
    std::string name = file_name_of(outputs[i].name);
    const std::string stem = name.substr(0, name.rfind('.'));
    for (int n = 2; !used.insert(lower_case(name)).second; ++n) name = fmt::format("{}_{}.npy", stem, n);
    outputs[i].file = folder + (folder.ends_with('/') ? "" : "/") + name;
    const graft::Tensor& t = tensors[i];
    const bool bf16 = t.dtype() == GRAFT_DTYPE_BFLOAT16;
    const std::optional<std::string> header = npy_header(bf16 ? GRAFT_DTYPE_FLOAT32 : t.dtype(), t.shape());
    if (!header)
      throw Failure(GRAFT_CODE_UNSUPPORTED_FORMAT, fmt::format("NumPy has no type for {}", outputs[i].type.dtype),
                    outputs[i].file);
    files.push_back({std::move(name), *header, t.bytes()});
    if (bf16) files.back().data = std::as_bytes(std::span(wide.emplace_back(widened(t))));
  }
  graft::write_files(folder, files);
}

}  // namespace cli

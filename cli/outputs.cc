#include "outputs.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <numeric>
#include <set>

#include <fmt/format.h>
#include <graft/compiler.hpp>

#include "files/convert.h"
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

// The keys of a dictionary.
std::vector<std::string> words_of(const graft_tensor_info& keys, size_t count) {
  std::vector<std::string> words;
  for (size_t i = 0; i < count; ++i)
    words.push_back(keys.dtype == GRAFT_DTYPE_STRING ? static_cast<const char* const*>(keys.data)[i]
                                                     : fmt::format("{}", static_cast<const int64_t*>(keys.data)[i]));
  return words;
}

std::string lower_case(std::string s) {
  std::transform(s.begin(), s.end(), s.begin(), [](unsigned char c) { return std::tolower(c); });
  return s;
}

Array array_of(const graft::Tensor& t) {
  Array a = Array::make(t.dtype(), {t.shape().begin(), t.shape().end()}, t.bytes().size());
  if (a.bytes != 0) std::memcpy(a.data.get(), t.bytes().data(), a.bytes);
  return a;
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
  const auto count = static_cast<size_t>(count_of(tensor));
  if (tensor.dtype() == GRAFT_DTYPE_STRING) {
    constexpr size_t kMost = 8;
    const auto all = tensor.strings();
    o.strings.assign(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(std::min(all.size(), kMost)));
  }
  if (!is_bool_or_number(tensor.dtype())) return o;
  o.numbers = tensor.dtype() != GRAFT_DTYPE_BOOL;
  summarise(tensor, count, o);
  if (const graft_tensor_info keys = tensor.keys(); keys.dtype != GRAFT_DTYPE_INVALID) {
    constexpr int kBest = 5;
    o.dictionary = true;
    o.strings = words_of(keys, count);
    o.values = tensor.numbers(0, count);
    o.top.push_back(top_of(o.values, top_k > 0 ? top_k : kBest, o.strings));
    return o;
  }
  if (top_k <= 0 || tensor.shape().empty() || count == 0) return o;
  const auto row = static_cast<size_t>(tensor.shape().back());
  constexpr size_t kMaxRows = 8;
  for (size_t r = 0; r < std::min(count / row, kMaxRows); ++r)
    o.top.push_back(
        top_of(tensor.numbers(r * row, row), top_k, labels.size() == row ? labels : std::vector<std::string>()));
  return o;
}

void flatten(const graft::Tensor& value, std::vector<graft::Tensor>& list) {
  if (!value.is_list()) return list.push_back(value);
  for (const graft::Tensor& element : value.elements()) flatten(element, list);
}

void write_outputs(const std::string& folder, const std::vector<graft::Tensor>& tensors,
                   std::vector<OutputTensor>& outputs) {
  std::set<std::string> used;  // in lower case: for some disks A.npy is a.npy
  std::vector<graft::File> files;
  std::vector<Array> wide;
  const auto unused = [&](std::string name) {
    const std::string stem = name.substr(0, name.rfind('.'));
    for (int n = 2; !used.insert(lower_case(name)).second; ++n) name = fmt::format("{}_{}.npy", stem, n);
    return name;
  };
  for (size_t i = 0; i < tensors.size(); ++i) {
    const OutputTensor& o = outputs[i];
    std::string name = unused(file_name_of(o.place < 0 ? o.name : fmt::format("{}_{}", o.name, o.place)));
    outputs[i].file = folder + (folder.ends_with('/') ? "" : "/") + name;
    const graft::Tensor& t = tensors[i];
    if (const graft_tensor_info keys = t.keys(); keys.dtype == GRAFT_DTYPE_STRING) {
      const std::span words(static_cast<const char* const*>(keys.data), keys.bytes / sizeof(const char*));
      files.push_back({unused(file_name_of(o.name + ".keys")), npy_strings(words, t.shape()), {}});
    } else if (keys.dtype != GRAFT_DTYPE_INVALID) {
      files.push_back({unused(file_name_of(o.name + ".keys")),
                       *npy_header(keys.dtype, t.shape()),
                       {static_cast<const std::byte*>(keys.data), keys.bytes}});
    }
    if (t.dtype() == GRAFT_DTYPE_STRING) {
      files.push_back({std::move(name), npy_strings(t.strings(), t.shape()), {}});
      continue;
    }
    const graft_dtype dtype = numpy_type(t.dtype());
    const std::optional<std::string> header = npy_header(dtype, t.shape());
    std::optional<Array> widened = dtype == t.dtype() ? std::nullopt : converted(array_of(t), dtype);
    if (!header || (dtype != t.dtype() && !widened))
      throw Failure(GRAFT_CODE_UNSUPPORTED_FORMAT, fmt::format("NumPy has no type for {}", outputs[i].type.dtype),
                    outputs[i].file);
    files.push_back({std::move(name), *header, t.bytes()});
    if (!widened) continue;
    const Array& kept = wide.emplace_back(std::move(*widened));
    files.back().data = std::span<const std::byte>(kept.data.get(), kept.bytes);
  }
  graft::write_files(folder, files);
}

}  // namespace cli

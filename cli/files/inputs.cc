#include "files/inputs.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "files/convert.h"
#include "files/failure.h"
#include "files/npy.h"

namespace cli {
namespace {

struct Named {
  size_t index;
  std::string path;
};

Named named(const std::vector<graft::Port>& ports, size_t needed, const std::string& text) {
  const auto find = [&](std::string_view name) {
    return std::find_if(ports.begin(), ports.end(), [&](const graft::Port& p) { return p.name == name; });
  };
  // Names and paths may hold '='; the longest input name that the text starts with is meant.
  std::optional<Named> found;
  for (size_t at = text.find('='); at != std::string::npos; at = text.find('=', at + 1)) {
    if (const auto port = find(text.substr(0, at)); port != ports.end())
      found = {static_cast<size_t>(port - ports.begin()), text.substr(at + 1)};
  }
  if (found) return *found;
  const size_t equals = text.find('=');
  if (equals == std::string::npos && needed == 1) return {0, text};
  if (equals == std::string::npos)
    throw Failure(GRAFT_CODE_INVALID_OPTION, fmt::format("--input: '{}' has no input name; write name=FILE.npy", text));
  std::vector<std::string_view> names;
  for (const graft::Port& p : ports) names.push_back(p.name);
  throw Failure(GRAFT_CODE_INVALID_OPTION, fmt::format("--input: the model has no input '{}'; its inputs are {}",
                                                       text.substr(0, equals), fmt::join(names, ", ")));
}

Array read(const std::string& path, const graft::Port& port, const ImageOptions& image) {
  std::string ending = path.substr(std::min(path.rfind('.'), path.size()));
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  if (ending == ".png" || ending == ".jpg" || ending == ".jpeg") return read_image(path, port, image);
  if (ending != ".npy")
    throw Failure(GRAFT_CODE_INVALID_OPTION, fmt::format("--input: '{}' is neither .npy, .png nor .jpg", path));
  return read_npy(path);
}

// As the input takes it.
void convert(FileTensor& input, const graft::Port& port) {
  const graft_dtype wanted = port.element_dtype != GRAFT_DTYPE_INVALID ? port.element_dtype : port.dtype;
  input.stored = input.array.dtype;
  if (input.stored == wanted) return;
  std::optional<Array> array = converted(input.array, wanted);
  if (!array)
    throw Failure(GRAFT_CODE_INVALID_ARGUMENT,
                  fmt::format("the file holds {}, the input takes {}, which does not hold all of its numbers",
                              graft_dtype_name(input.stored), graft_dtype_name(wanted)),
                  input.file, std::string(port.name));
  input.array = std::move(*array);
}

void check_shape(const FileTensor& input, const graft::Port& port) {
  const std::vector<int64_t>& shape = input.array.shape;
  bool fits = shape.size() == port.dims.size();
  for (size_t d = 0; fits && d < shape.size(); ++d) {
    const graft::Dim& dim = port.dims[d];
    fits = dim.value >= 0 ? dim.value == shape[d] : shape[d] >= dim.min && shape[d] <= dim.max;
  }
  if (fits) return;
  throw Failure(GRAFT_CODE_INVALID_ARGUMENT,
                fmt::format("the file holds {}[{}], the input is {}", graft_dtype_name(input.array.dtype),
                            fmt::join(shape, ", "), type_text(port)),
                input.file, std::string(port.name));
}

}  // namespace

graft::Input FileInput::as(const graft::Port& port) const {
  const auto one = [](const FileTensor& t, std::string name) {
    return graft::Input{std::move(name), t.array.dtype, t.array.shape, t.array.data.get(), t.array.bytes};
  };
  if (port.element_dtype == GRAFT_DTYPE_INVALID) return one(tensors[0], std::string(port.name));
  graft::Input list;
  list.name = port.name;
  for (const FileTensor& t : tensors) list.elements.push_back(one(t, ""));
  return list;
}

std::vector<FileInput> read_inputs(const std::vector<graft::Port>& ports, size_t needed,
                                   const std::vector<std::string>& files, const ImageOptions& image) {
  std::vector<FileInput> list;
  for (const std::string& text : files) {
    const auto [index, path] = named(ports, needed, text);
    const graft::Port& port = ports[index];
    const bool sequence = port.element_dtype != GRAFT_DTYPE_INVALID;
    const auto same = [&, at = index](const FileInput& i) { return i.index == at; };
    auto input = std::find_if(list.begin(), list.end(), same);
    if (input != list.end() && (!sequence || path.empty() || input->tensors.empty()))
      throw Failure(GRAFT_CODE_INVALID_OPTION, fmt::format("--input: '{}' is given twice", port.name));
    if (input == list.end()) input = list.insert(list.end(), {index, {}});
    if (sequence && path.empty()) continue;
    FileTensor& tensor = input->tensors.emplace_back();
    tensor.file = path;
    tensor.array = read(path, port, image);
    if (!sequence) check_shape(tensor, port);
    convert(tensor, port);
  }
  std::sort(list.begin(), list.end(), [](const FileInput& a, const FileInput& b) { return a.index < b.index; });
  return list;
}

}  // namespace cli

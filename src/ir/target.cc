#include "ir/target.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

#include "base/format.h"

namespace graft::ir {
namespace {

constexpr std::array<OpsetInfo, 5> kOpsets = {{
    {Opset::ios15, "iOS15", "CoreML5", "ios15", 6},
    {Opset::ios16, "iOS16", "CoreML6", "ios16", 7},
    {Opset::ios17, "iOS17", "CoreML7", "ios17", 8},
    {Opset::ios18, "iOS18", "CoreML8", "ios18", 9},
    {Opset::ios26, "iOS26", "CoreML9", "ios26", 10},
}};

struct Alias {
  std::string_view name;
  Opset opset;
};
constexpr Alias kAliases[] = {
    {"macOS12", Opset::ios15},   {"macOS13", Opset::ios16},    {"macOS14", Opset::ios17},   {"macOS15", Opset::ios18},
    {"macOS26", Opset::ios26},   {"tvOS15", Opset::ios15},     {"tvOS16", Opset::ios16},    {"tvOS17", Opset::ios17},
    {"tvOS18", Opset::ios18},    {"tvOS26", Opset::ios26},     {"watchOS8", Opset::ios15},  {"watchOS9", Opset::ios16},
    {"watchOS10", Opset::ios17}, {"watchOS11", Opset::ios18},  {"watchOS26", Opset::ios26}, {"visionOS1", Opset::ios17},
    {"visionOS2", Opset::ios18}, {"visionOS26", Opset::ios26},
};

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

}  // namespace

const OpsetInfo& info(Opset opset) { return kOpsets[std::min<size_t>(static_cast<size_t>(opset), kOpsets.size() - 1)]; }
std::span<const OpsetInfo> all_opsets() { return kOpsets; }

const OpsetInfo* opset_from_file_name(std::string_view name) {
  for (const OpsetInfo& o : kOpsets) {
    if (o.file_name == name) return &o;
  }
  return nullptr;
}

const OpsetInfo* opset_from_spec_version(int version) {
  for (const OpsetInfo& o : kOpsets) {
    if (o.spec_version == version) return &o;
  }
  return nullptr;
}

Result<Opset> parse_target(std::string_view name) {
  std::string legal;
  for (const OpsetInfo& o : kOpsets) {
    if (same_word(o.name, name)) return o.opset;
    legal += std::string(o.name) + ", ";
  }
  for (const Alias& a : kAliases) {
    if (same_word(a.name, name)) return a.opset;
    legal += std::string(a.name) + ", ";
  }
  legal.resize(legal.size() - 2);
  if (same_word(name, "iOS13") || same_word(name, "iOS14")) {
    return fail(Code::not_available_yet, format("deployment target {} needs the NeuralNetwork format, which is not "
                                                "available yet; ML Programs start at iOS15",
                                                name));
  }
  return fail(Code::invalid_option, format("unknown deployment target '{}'; legal are {}", name, legal));
}

}  // namespace graft::ir

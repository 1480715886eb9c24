// What the fuzz harnesses share: the library as users get it, through the C interface. Everything that it answers is
// looked at; a defect (GRAFT_CODE_INTERNAL, an error without words) ends the process, which is how libFuzzer hears of
// it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <graft/compiler.h>

namespace graft::fuzz {

using Option = std::pair<std::string, std::string>;
using Options = std::vector<Option>;

// A folder that lives as long as the process, for what can't be given in memory.
const std::filesystem::path& scratch();
void write(const std::filesystem::path& file, std::string_view bytes);

// Opens a session and runs it on invented inputs, unless those or its outputs are large. What takes too long is
// cancelled.
void open_and_run(const std::filesystem::path& path, const Options& options);
void open_and_run(std::string_view model, const Options& options);

// Opens a model and asks for everything that is known of it, its partition and its refusals; then a package is written
// to `package`, or the partition verified, where that is asked for. True when a package was written.
struct Look {
  std::filesystem::path package;  // empty: none
  bool verify = false;
};
bool look_into(const std::filesystem::path& path, const Options& options, const Look& look);

}  // namespace graft::fuzz

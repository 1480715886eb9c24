// What the fuzz harnesses share: the library as users get it, through the C interface. Everything that it answers is
// looked at; a defect (GRAFT_CODE_INTERNAL, an error without words) ends the process, which is how libFuzzer hears of
// it.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <graft/graft.h>

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

// Runs one of the tool's verbs; true when it did its work with the answer "yes".
bool run_verb(const char* verb, const Options& options);

}  // namespace graft::fuzz

// Help pages, from the verbs' rows.
#pragma once

#include <string>

#include "verbs.h"

namespace cli {

std::string help_of(std::span<const Verb> verbs);
std::string help_of(const Verb& verb);

}  // namespace cli

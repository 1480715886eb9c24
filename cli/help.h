// Help pages, from the verbs' rows.
#pragma once

#include <string>

#include <graft/graft.hpp>

std::string help_of(const std::vector<graft::Verb>& verbs);
std::string help_of(const graft::Verb& verb);

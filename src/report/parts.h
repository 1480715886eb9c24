// Parts that several texts share. Private to src/report.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "report/text.h"
#include "session/session.h"
#include "tools/inputs.h"
#include "tools/inspect.h"

namespace graft::report {

std::string dims_text(const tools::PortInfo& p);
void ports_text(Page& page, std::string_view title, const std::vector<tools::PortInfo>& ports);
void operators_text(Page& page, const std::vector<tools::OperatorCount>& operators);
void verdict_text(Page& page, const tools::Inspection& r);
void refusals_text(Page& page, const tools::Inspection& r);
void findings_text(Page& page, const std::vector<Diag>& findings);
void placement_text(Page& page, const session::Placement& placement);
void inputs_text(Page& page, const std::vector<tools::InputTensor>& inputs, uint64_t seed);

}  // namespace graft::report

// Parts that several texts share. Private to cli/report.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "report/results.h"
#include "report/text.h"

namespace cli {

std::string dims_text(const PortInfo& p);
void ports_text(Page& page, std::string_view title, const std::vector<PortInfo>& ports);
void operators_text(Page& page, const std::vector<OperatorCount>& operators);
void verdict_text(Page& page, const Inspection& r);
void refusals_text(Page& page, const Inspection& r);
void findings_text(Page& page, const std::vector<Problem>& findings);
void placement_text(Page& page, const Placement& placement);
void diagnosis_text(Page& page, const Diagnosis& d);
void inputs_text(Page& page, const std::vector<InputTensor>& inputs, uint64_t seed);

}  // namespace cli

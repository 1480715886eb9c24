// What runs are fed with, looked at before they begin.
#pragma once

#include "base/bounds.h"
#include "base/list.h"
#include "ir/type.h"

namespace graft::engine {

// Every element against the type of what the list holds; a dim is checked where it is a number.
Status check_list(const ir::Type& type, const List& list);

// Whether NaN or infinity is among the elements, of fp32 or fp16. A run that is cancelled need not know.
bool not_all_finite(const TensorView& t, const CancelToken* cancel);

}  // namespace graft::engine

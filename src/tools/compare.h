// How far one tensor is from another that is taken as right.
#pragma once

#include <optional>

#include "base/tensor.h"

namespace graft::tools {

// What is still accurate enough. A classifier is judged by its decision and a lower SNR.
struct Tolerance {
  bool f32 = false;        // judge by max_abs relative to the range; else by SNR
  double relative = 1e-4;  // of the reference's range
  double snr_db = 45;
  double classifier_snr_db = 30;
};

struct Difference {
  bool same_type = true;  // dtype and shape agree; else nothing below is set
  int64_t count = 0;
  double range = 0;  // largest minus smallest finite reference value, or the largest magnitude if that is more
  double max_abs = 0, max_rel = 0;  // max_rel: where the reference is not tiny (above 1e-6 of the range)
  std::optional<double> snr_db;     // unset: no difference at all (infinite)
  double cosine = 1;
  int64_t nans = 0, infs = 0, reference_nans = 0, reference_infs = 0;
  bool same_special = true;  // NaN and infinities are in the same places
  // Rows of a classifier's scores (see is_classifier): how many agree in the first place, and the mean share of common
  // indices among the first five.
  int64_t rows = 0, top1_equal = 0;
  double top5_share = 0;
};

// [rows, classes] floats with at least 10 classes.
bool is_classifier(const TensorView& t);
// Accumulates in double. `classifier`: rank the rows too.
Difference compare(const TensorView& reference, const TensorView& got, bool classifier);
// Integer and bool results must be equal.
bool accurate(const Difference& d, DType dtype, const Tolerance& tolerance);

}  // namespace graft::tools

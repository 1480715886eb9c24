// The one place that knows which providers there are.
#include "engine/native/kernels.h"
#ifdef GRAFT_HAVE_ONEDNN
#include "engine/onednn/kernels.h"
#endif

namespace graft::engine {

std::vector<Provider> providers() {
  return {
      {stored_candidates(), [](const Options& o) { return !o.reference; }},
#ifdef GRAFT_HAVE_ONEDNN
      {onednn_candidates(), [](const Options& o) { return !o.reference && o.onednn; }},
#endif
      {native_candidates(), [](const Options& o) { return !o.reference; }},
  };
}

}  // namespace graft::engine

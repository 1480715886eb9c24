#include "engine/onednn/threads.h"

#include <dlfcn.h>

#include "base/env.h"

namespace graft::engine {
namespace {

// Looked up by name: oneDNN brings the runtime, and nothing here depends on which one it is.
struct Runtime {
  void (*set)(int) = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  int (*get)() = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
};
const Runtime& runtime() {
  static const Runtime kRuntime;
  return kRuntime;
}

}  // namespace

OpenMpTeam::OpenMpTeam(int threads) {
  const Runtime& r = runtime();
  if (r.set == nullptr || r.get == nullptr) return;
  const int now = r.get();
  if (now == threads) return;
  saved_ = now;
  r.set(threads);
}

bool OpenMpTeam::lost(int threads) {
  if (threads <= 1) return false;
  thread_local const uint64_t first_used = forks();
  return first_used != forks();
}

OpenMpTeam::~OpenMpTeam() {
  if (saved_ != 0) runtime().set(saved_);
}

}  // namespace graft::engine

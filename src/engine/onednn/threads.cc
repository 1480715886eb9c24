#include "engine/onednn/threads.h"

#include <dlfcn.h>

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

OneOpenMpThread::OneOpenMpThread() {
  const Runtime& r = runtime();
  if (r.set == nullptr || r.get == nullptr) return;
  saved_ = r.get();
  if (saved_ != 1) r.set(1);
}

OneOpenMpThread::~OneOpenMpThread() {
  if (saved_ != 1) runtime().set(saved_);
}

}  // namespace graft::engine

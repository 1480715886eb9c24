// oneDNN's own threads, which the engine does not use.
#pragma once

namespace graft::engine {

// While it lives, primitives made or executed by this thread use this thread alone: the engine's threads each take a
// piece of a step (common.h). An OpenMP team would wait for a member that has lost its core, cannot be shared by loops
// that run at once, and does not survive fork(). Nothing happens where the process has no OpenMP runtime (oneDNN built
// for another threading layer).
class OneOpenMpThread {
 public:
  OneOpenMpThread();
  ~OneOpenMpThread();
  OneOpenMpThread(const OneOpenMpThread&) = delete;
  OneOpenMpThread& operator=(const OneOpenMpThread&) = delete;

 private:
  int saved_ = 1;
};

}  // namespace graft::engine

// The OpenMP team of the calling thread, which oneDNN's kernels run on.
#pragma once

namespace graft::engine {

// Sets the team's size for its lifetime. Nothing happens where the process has no OpenMP runtime (oneDNN built for
// another threading layer).
class OpenMpTeam {
 public:
  explicit OpenMpTeam(int threads);
  ~OpenMpTeam();
  OpenMpTeam(const OpenMpTeam&) = delete;
  OpenMpTeam& operator=(const OpenMpTeam&) = delete;

 private:
  int saved_ = 0;
};

}  // namespace graft::engine

// The OpenMP team of the calling thread, which oneDNN's kernels run on.
#pragma once

#include <future>

namespace graft::engine {

// Sets the team's size for its lifetime. Nothing happens where the process has no OpenMP runtime (oneDNN built for
// another threading layer).
class OpenMpTeam {
 public:
  explicit OpenMpTeam(int threads);
  ~OpenMpTeam();
  OpenMpTeam(const OpenMpTeam&) = delete;
  OpenMpTeam& operator=(const OpenMpTeam&) = delete;

  // True in a child of fork() when the calling thread had a team of several before: the runtime would wait for members
  // that do not exist. A thread made since then can have a team.
  static bool lost(int threads);

 private:
  int saved_ = 0;
};

// body() with a team of that many threads.
template <class Body>
void with_openmp_team(int threads, const Body& body) {
  const auto run = [&] {
    const OpenMpTeam team(threads);
    body();
  };
  if (!OpenMpTeam::lost(threads)) return run();
  std::async(std::launch::async, run).get();
}

}  // namespace graft::engine

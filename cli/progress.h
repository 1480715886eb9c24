// Says on stderr what is being done, once it has taken more than a second.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace cli {

class Progress {
 public:
  explicit Progress(bool terminal);
  ~Progress() { stop(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  // From any thread. fraction: 0 to 1, negative when it is not known.
  void update(std::string_view stage, double fraction);
  void stop();  // clears what it wrote on a terminal

 private:
  void watch();
  void show();

  const bool terminal_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string stage_, shown_;
  double fraction_ = -1;
  bool stopped_ = false, drawn_ = false;
  std::thread thread_;
};

}  // namespace cli

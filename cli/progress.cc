#include "progress.h"

#include <chrono>
#include <cstdio>

namespace cli {

Progress::Progress(bool terminal) : terminal_(terminal), thread_([this] { watch(); }) {}

void Progress::update(std::string_view stage, double fraction) {
  std::lock_guard lock(mutex_);
  stage_ = stage;
  fraction_ = fraction;
}

void Progress::stop() {
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (drawn_ && terminal_) std::fputs("\r\x1b[K", stderr);
  drawn_ = false;
}

void Progress::watch() {
  using namespace std::chrono_literals;
  std::unique_lock lock(mutex_);
  for (auto wait = 1000ms; !changed_.wait_for(lock, wait, [this] { return stopped_; }); wait = 200ms) show();
}

// A line that is drawn over on a terminal; elsewhere a line for each new stage.
void Progress::show() {
  if (stage_.empty()) return;
  std::string text = "graft: " + stage_ + " …";
  if (terminal_ && fraction_ >= 0) text += " " + std::to_string(static_cast<int>(fraction_ * 100)) + " %";
  if (text == shown_) return;
  shown_ = text;
  std::fprintf(stderr, terminal_ ? "\r%s\x1b[K" : "%s\n", text.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace cli

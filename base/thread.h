// A joined thread with a name. The only way that the engine starts one.

#pragma once

#include <thread>
#include <utility>

#include "base/schedule_point.h"

namespace varve {

// Names the calling thread (first 15 bytes are kept) and lowers its priority by `nice` steps.
void set_current_thread(const char* name, int nice);
// For who looks again after a while at what nobody tells of.
void pause_for(uint64_t nanos);

class Thread {
 public:
  Thread() = default;
  template <typename Function>
  Thread(const char* name, int nice, Function function)
      : scheduled_(is_scheduled() ? internal::scheduled_spawn(name) : nullptr),
        thread_([name, nice, scheduled = scheduled_, function = std::move(function)]() mutable {
          set_current_thread(name, nice);
          if (scheduled != nullptr) internal::scheduled_begin(scheduled);
          function();
        }) {
    schedule_point();
  }
  Thread(Thread&&) = default;
  Thread& operator=(Thread&&) = default;
  ~Thread() { join(); }
  void join() {
    if (!thread_.joinable()) return;
    if (is_scheduled() && scheduled_ != nullptr) internal::scheduled_join(scheduled_);
    thread_.join();
  }

 private:
  internal::ScheduledThread* scheduled_ = nullptr;  // in builds with a scheduler, if it runs this
  std::thread thread_;
};

}  // namespace varve

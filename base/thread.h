// A joined thread with a name. The only way that the engine starts one.

#pragma once

#include <thread>
#include <utility>

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
      : thread_([name, nice, function = std::move(function)]() mutable {
          set_current_thread(name, nice);
          function();
        }) {}
  Thread(Thread&&) = default;
  Thread& operator=(Thread&&) = default;
  ~Thread() { join(); }
  void join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
};

}  // namespace varve

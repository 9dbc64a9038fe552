#ifndef INBETWEEN_CPU_WORKERS_H_
#define INBETWEEN_CPU_WORKERS_H_

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace inbetween {

/* Threads that share out numbered tasks. */
class Workers {
 public:
  /* 0 threads: one per processor. The calling thread is one of them. */
  explicit Workers(int threads);
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /* Runs task(0) to task(count - 1), in any order, and returns when all are done. Tasks must not
   * throw, and must not write what another one reads or writes. */
  void run(int count, const std::function<void(int)>& task);

 private:
  void serve();
  void take_tasks();
  void stop();

  std::mutex mutex_;
  std::condition_variable started_;
  std::condition_variable finished_;
  const std::function<void(int)>* task_ = nullptr;
  std::atomic<int> next_{0};
  int count_ = 0;
  int round_ = 0;
  int busy_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace inbetween

#endif  // INBETWEEN_CPU_WORKERS_H_

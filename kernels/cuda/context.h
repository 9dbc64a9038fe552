#ifndef INBETWEEN_CUDA_CONTEXT_H_
#define INBETWEEN_CUDA_CONTEXT_H_

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "common/call.h"
#include "inbetween/kernels.h"

namespace inbetween {

/* Throws OutOfMemory or std::runtime_error with a sentence unless the call succeeded. */
void check(cudaError_t result);
/* Of the kernel launch before it. */
void check_launch();

/* Device memory that grows when more is asked for and is otherwise used again. What is given up
 * is freed once the device has done all that was queued. */
class DeviceBuffer {
 public:
  DeviceBuffer() = default;
  DeviceBuffer(const DeviceBuffer&) = delete;
  DeviceBuffer& operator=(const DeviceBuffer&) = delete;
  ~DeviceBuffer() { release(); }

  template <typename T>
  T* reserve(std::size_t count) {
    return static_cast<T*>(reserve_bytes(count * sizeof(T)));
  }

 private:
  void* reserve_bytes(std::size_t bytes);
  void release() noexcept;

  void* memory_ = nullptr;
  std::size_t bytes_ = 0;
};

/* Working memory of one kind of call: made by the first one. */
struct SynthesisMemory;
struct ConfidenceMemory;
struct BlendMemory;
struct PoissonMemory;

}  // namespace inbetween

struct inbetween_context {
  explicit inbetween_context(const inbetween_device& parameters);
  ~inbetween_context();
  inbetween_context(const inbetween_context&) = delete;
  inbetween_context& operator=(const inbetween_context&) = delete;

  int device;
  std::shared_ptr<CUstream_st> own_stream; /* null where the caller gave one */
  cudaStream_t stream;
  std::shared_ptr<CUmemPoolHandle_st> pool;
  /* Shared pointers, since these destroy what only the file of the op knows in full. */
  std::shared_ptr<inbetween::SynthesisMemory> synthesis;
  std::shared_ptr<inbetween::ConfidenceMemory> confidence;
  std::shared_ptr<inbetween::BlendMemory> blend;
  std::shared_ptr<inbetween::PoissonMemory> poisson;
};

namespace inbetween {

/* As guarded(work), with the context's device as this thread's current one, also afterwards. */
template <typename Work>
std::int32_t guarded(inbetween_context* context, Work&& work) noexcept {
  return guarded([&] {
    check_given("context", context);
    check(cudaSetDevice(context->device));
    std::forward<Work>(work)();
  });
}

}  // namespace inbetween

#endif  // INBETWEEN_CUDA_CONTEXT_H_

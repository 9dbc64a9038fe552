#include <cstdio>
#include <stdexcept>
#include <string>

#include "common/call.h"
#include "common/sizes.h"
#include "context.h"

namespace inbetween {

namespace {

/* What a context keeps for its next pictures rather than give back to the driver: a dozen pictures
 * of 1920x1080. The rest of the card belongs to the diffusion model. */
constexpr std::uint64_t kKeptBytes = std::uint64_t(512) << 20;

/* A failed kernel takes the process's whole use of the device with it; the next call meets the same
 * error again. */
bool is_lost() {
  cudaGetLastError();
  return cudaGetLastError() != cudaSuccess;
}

std::string sentence(cudaError_t error) {
  if (error == cudaErrorNoDevice) return "There is no CUDA device.";
  if (error == cudaErrorInsufficientDriver) {
    return "There is no NVIDIA driver for CUDA " + std::to_string(CUDART_VERSION / 1000) +
           " or newer: install or update it.";
  }
  const std::string text = std::string("CUDA failed: ") + cudaGetErrorString(error);
  return is_lost() ? text + ". The device can be used again after a restart of this program."
                   : text + ".";
}

int device_count() {
  int count = 0;
  check(cudaGetDeviceCount(&count));
  return count;
}

void check_device(int index) { check_range("index", index, 0, device_count() - 1); }

std::shared_ptr<CUstream_st> new_stream() {
  cudaStream_t stream;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return {stream, [](cudaStream_t own) { cudaStreamDestroy(own); }};
}

/* Pictures come and go with every frame. Stream order lets them without the wait for the whole
 * device, diffusion model included, that cudaFree is; a pool of its own leaves the settings of the
 * process's default one alone. */
std::shared_ptr<CUmemPoolHandle_st> new_pool(int device) {
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location = {cudaMemLocationTypeDevice, device};
  cudaMemPool_t created;
  check(cudaMemPoolCreate(&created, &properties));
  std::shared_ptr<CUmemPoolHandle_st> pool(created,
                                           [](cudaMemPool_t own) { cudaMemPoolDestroy(own); });
  std::uint64_t kept = kKeptBytes;
  check(cudaMemPoolSetAttribute(created, cudaMemPoolAttrReleaseThreshold, &kept));
  return pool;
}

}  // namespace

void check(cudaError_t result) {
  if (result == cudaSuccess) return;
  cudaGetLastError(); /* or the next launch is blamed for it */
  if (result == cudaErrorMemoryAllocation) {
    throw OutOfMemory("The graphics card has too little memory for pictures of this size.");
  }
  throw std::runtime_error(sentence(result));
}

void check_launch() { check(cudaGetLastError()); }

void* DeviceBuffer::reserve_bytes(std::size_t bytes) {
  if (bytes <= bytes_) return memory_;
  release();
  check(cudaMalloc(&memory_, bytes));
  bytes_ = bytes;
  return memory_;
}

void DeviceBuffer::release() noexcept {
  cudaFree(memory_);
  memory_ = nullptr;
  bytes_ = 0;
}

}  // namespace inbetween

inbetween_context::inbetween_context(const inbetween_device& parameters)
    : device(parameters.index), stream(static_cast<cudaStream_t>(parameters.stream)) {
  using namespace inbetween;
  check(cudaSetDevice(device));
  if (!stream) {
    own_stream = new_stream();
    stream = own_stream.get();
  }
  pool = new_pool(device);
}

inbetween_context::~inbetween_context() {
  cudaSetDevice(device);
  cudaStreamSynchronize(stream);
}

int32_t inbetween_abi_version(void) { return INBETWEEN_ABI_VERSION; }

uint64_t inbetween_size_of(const char* name) { return name ? inbetween::size_of(name) : 0; }

const char* inbetween_last_error(void) { return inbetween::last_error().c_str(); }

int32_t inbetween_best_instruction_set(void) { return INBETWEEN_PLAIN; }

int32_t inbetween_device_count(void) {
  using namespace inbetween;
  int count = 0;
  guarded([&] { count = device_count(); });
  return count;
}

int32_t inbetween_device_name(int32_t index, char* name, int32_t size) {
  using namespace inbetween;
  return guarded([&] {
    check_device(index);
    check_given("name", name);
    check_range("size", size, 1, INT32_MAX);
    cudaDeviceProp properties;
    check(cudaGetDeviceProperties(&properties, index));
    std::snprintf(name, size, "%s", properties.name);
  });
}

int32_t inbetween_open(const inbetween_device* device, inbetween_context** context) {
  using namespace inbetween;
  return guarded([&] {
    check_given("device", device);
    check_given("context", context);
    check_device(device->index);
    *context = new inbetween_context(*device);
  });
}

void inbetween_close(inbetween_context* context) { delete context; }

int32_t inbetween_allocate(inbetween_context* context, uint64_t bytes, void** memory) {
  using namespace inbetween;
  return guarded(context, [&] {
    check_given("memory", memory);
    check(cudaMallocFromPoolAsync(memory, bytes, context->pool.get(), context->stream));
  });
}

void inbetween_release(inbetween_context* context, void* memory) {
  if (!context || !memory) return;
  cudaSetDevice(context->device);
  cudaFreeAsync(memory, context->stream);
}

int32_t inbetween_upload(inbetween_context* context, void* to, const void* from, uint64_t bytes) {
  using namespace inbetween;
  return guarded(context, [&] {
    if (bytes == 0) return;
    check_given("to", to);
    check_given("from", from);
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, context->stream));
    check(cudaStreamSynchronize(context->stream));
  });
}

int32_t inbetween_download(inbetween_context* context, void* to, const void* from, uint64_t bytes) {
  using namespace inbetween;
  return guarded(context, [&] {
    if (bytes == 0) return;
    check_given("to", to);
    check_given("from", from);
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, context->stream));
    check(cudaStreamSynchronize(context->stream));
  });
}

int32_t inbetween_finish(inbetween_context* context) {
  using namespace inbetween;
  return guarded(context, [&] { check(cudaStreamSynchronize(context->stream)); });
}

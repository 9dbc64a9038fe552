// What Debian's static archives cannot give to a shared library.
//
// The archives of Abseil and protobuf are compiled for executables. The few objects in them that
// hold a thread-local variable address it in a way that no shared library may (ld: "relocation
// R_X86_64_TPOFF32 ... can not be used when making a shared object"), and two read libc's stderr
// likewise. gRPC and the generated code need little of these objects. It is defined here, so the
// linker finds it before it looks into the archives and leaves those objects out.
//
// Measured with Abseil 20220623 and protobuf 3.21 (Debian 12, Ubuntu 24.04). CMake leaves this file
// out with any others, whose archives must then be position independent.

#include <absl/base/internal/sysinfo.h>
#include <absl/container/internal/raw_hash_set.h>
#include <absl/random/internal/pool_urbg.h>
#include <absl/strings/internal/cordz_functions.h>
#include <google/protobuf/arena.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <thread>
#include <typeinfo>
#include <utility>

// The symbol `stderr` for the code in this library; it writes where the host's does.
extern "C" __attribute__((visibility("hidden"))) FILE* inbetween_stderr __asm__("stderr");
FILE* inbetween_stderr = [] {
  FILE* file = fdopen(STDERR_FILENO, "w");
  if (file != nullptr) std::setvbuf(file, nullptr, _IONBF, 0);
  return file;
}();

namespace absl {
ABSL_NAMESPACE_BEGIN

namespace base_internal {

int NumCPUs() { return static_cast<int>(std::max(1u, std::thread::hardware_concurrency())); }

// Scales a clock that only profiling of mutexes reads, and nothing here profiles.
double NominalCPUFrequency() { return 1.0; }

}  // namespace base_internal

namespace container_internal {

// The control bytes of every empty table: a sentinel, then empty slots.
alignas(16) ABSL_CONST_INIT const ctrl_t kEmptyGroup[16] = {
    ctrl_t::kSentinel, ctrl_t::kEmpty, ctrl_t::kEmpty, ctrl_t::kEmpty,
    ctrl_t::kEmpty,    ctrl_t::kEmpty, ctrl_t::kEmpty, ctrl_t::kEmpty,
    ctrl_t::kEmpty,    ctrl_t::kEmpty, ctrl_t::kEmpty, ctrl_t::kEmpty,
    ctrl_t::kEmpty,    ctrl_t::kEmpty, ctrl_t::kEmpty, ctrl_t::kEmpty};

// Only shuffles the order of iteration, on which nothing here depends.
bool ShouldInsertBackwards(size_t, const ctrl_t*) { return false; }

void ConvertDeletedToEmptyAndFullToDeleted(ctrl_t* ctrl, size_t capacity) {
  for (size_t slot = 0; slot < capacity; ++slot) {
    ctrl[slot] = IsFull(ctrl[slot]) ? ctrl_t::kDeleted : ctrl_t::kEmpty;
  }
  // The bytes after the sentinel repeat the first ones; probing reads over the end.
  std::memcpy(ctrl + capacity + 1, ctrl, NumClonedBytes());
  ctrl[capacity] = ctrl_t::kSentinel;
}

}  // namespace container_internal

namespace cord_internal {

// Sampling of cords is off: the next sample is never due.
ABSL_CONST_INIT thread_local int64_t cordz_next_sample = std::numeric_limits<int64_t>::max();

bool cordz_should_profile_slow() {
  cordz_next_sample = std::numeric_limits<int64_t>::max();
  return false;
}

}  // namespace cord_internal

namespace random_internal {

// gRPC's random numbers spread retries; the kernel's serve as well.
template <typename T>
void RandenPool<T>::Fill(absl::Span<T> data) {
  constexpr size_t kMostAtOnce = 256;
  auto* bytes = reinterpret_cast<unsigned char*>(data.data());
  const size_t size = data.size() * sizeof(T);
  for (size_t at = 0; at < size; at += kMostAtOnce) {
    if (getentropy(bytes + at, std::min(kMostAtOnce, size - at)) != 0) std::abort();
  }
}
template void RandenPool<uint8_t>::Fill(absl::Span<uint8_t>);

}  // namespace random_internal

ABSL_NAMESPACE_END
}  // namespace absl

// Messages of this effect live on the stack or the heap, never on an arena: none of these is
// called.
namespace google::protobuf {

void* Arena::AllocateAlignedWithHook(size_t, const std::type_info*) { std::abort(); }
void* Arena::AllocateAlignedWithHookForArray(size_t, const std::type_info*) { std::abort(); }
std::pair<void*, internal::SerialArena::CleanupNode*> Arena::AllocateAlignedWithCleanup(
    size_t, const std::type_info*) {
  std::abort();
}

namespace internal {

thread_local ThreadSafeArena::ThreadCache ThreadSafeArena::thread_cache_ = {};
ThreadSafeArena::~ThreadSafeArena() { std::abort(); }
void ThreadSafeArena::AddCleanup(void*, void (*)(void*)) { std::abort(); }
uint64_t ThreadSafeArena::SpaceAllocated() const { std::abort(); }

}  // namespace internal
}  // namespace google::protobuf

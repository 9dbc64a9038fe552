#include "context.h"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>

#include "common/call.h"
#include "common/sizes.h"
#include "patch_distance.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace inbetween {

namespace {

/* A cache line, and a vector of AVX-512. */
constexpr std::align_val_t kAlignment{64};

std::string processor_name() {
#if defined(__x86_64__)
  unsigned words[12];
  bool told = true;
  for (unsigned i = 0; i < 3; ++i) {
    unsigned* part = words + 4 * i;
    told = told && __get_cpuid(0x80000002 + i, part, part + 1, part + 2, part + 3);
  }
  if (told) {
    char name[sizeof(words) + 1] = {};
    std::memcpy(name, words, sizeof(words));
    return name;
  }
#endif
  return "Processor";
}

void check_index(std::int32_t index) { check_range("index", index, 0, 0); }

/* What is computed with, INBETWEEN_BEST resolved. */
inbetween_device resolved(inbetween_device device) {
  check_index(device.index);
  check_range("threads", device.threads, 0, 1024);
  check_range("instruction_set", device.instruction_set, INBETWEEN_BEST, INBETWEEN_AVX512);
  const inbetween_instruction_set best = best_instruction_set();
  if (device.instruction_set > best) {
    throw InvalidValue("instruction_set is " + std::to_string(device.instruction_set) +
                       ", which this processor does not have: choose 0 for its best.");
  }
  if (device.instruction_set == INBETWEEN_BEST) device.instruction_set = best;
  return device;
}

}  // namespace

}  // namespace inbetween

int32_t inbetween_abi_version(void) { return INBETWEEN_ABI_VERSION; }

uint64_t inbetween_size_of(const char* name) { return name ? inbetween::size_of(name) : 0; }

const char* inbetween_last_error(void) { return inbetween::last_error().c_str(); }

int32_t inbetween_device_count(void) { return 1; }

int32_t inbetween_best_instruction_set(void) { return inbetween::best_instruction_set(); }

int32_t inbetween_device_name(int32_t index, char* name, int32_t size) {
  using namespace inbetween;
  return guarded([&] {
    check_index(index);
    check_given("name", name);
    check_range("size", size, 1, INT32_MAX);
    std::snprintf(name, size, "%s", processor_name().c_str());
  });
}

int32_t inbetween_open(const inbetween_device* device, inbetween_context** context) {
  using namespace inbetween;
  return guarded([&] {
    check_given("device", device);
    check_given("context", context);
    *context = new inbetween_context(resolved(*device));
  });
}

void inbetween_close(inbetween_context* context) { delete context; }

int32_t inbetween_allocate(inbetween_context* context, uint64_t bytes, void** memory) {
  using namespace inbetween;
  return guarded([&] {
    check_given("context", context);
    check_given("memory", memory);
    /* libstdc++ rounds up to the alignment, and would give no memory for the largest numbers. */
    if (bytes > PTRDIFF_MAX) throw std::bad_alloc();
    *memory = ::operator new(bytes, kAlignment);
  });
}

void inbetween_release(inbetween_context*, void* memory) {
  ::operator delete(memory, inbetween::kAlignment);
}

int32_t inbetween_upload(inbetween_context*, void* to, const void* from, uint64_t bytes) {
  using namespace inbetween;
  return guarded([&] {
    check_given("to", to);
    check_given("from", from);
    std::memcpy(to, from, bytes);
  });
}

int32_t inbetween_download(inbetween_context* context, void* to, const void* from, uint64_t bytes) {
  return inbetween_upload(context, to, from, bytes);
}

int32_t inbetween_finish(inbetween_context*) { return INBETWEEN_OK; }

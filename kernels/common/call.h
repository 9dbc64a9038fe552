#ifndef INBETWEEN_COMMON_CALL_H_
#define INBETWEEN_COMMON_CALL_H_

#include <cmath>
#include <cstdint>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>

#include "inbetween/kernels.h"

/* What stands between the C ABI and C++: exceptions become a status and a sentence. */
namespace inbetween {

class InvalidValue : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

class OutOfMemory : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline std::string& last_error() {
  thread_local std::string text;
  return text;
}

inline std::int32_t failed(inbetween_status status, const char* text) noexcept {
  try {
    last_error() = text;
  } catch (...) {
    last_error().clear();
  }
  return status;
}

template <typename Work>
std::int32_t guarded(Work&& work) noexcept {
  try {
    work();
    return INBETWEEN_OK;
  } catch (const InvalidValue& error) {
    return failed(INBETWEEN_INVALID_VALUE, error.what());
  } catch (const OutOfMemory& error) {
    return failed(INBETWEEN_OUT_OF_MEMORY, error.what());
  } catch (const std::bad_alloc&) {
    return failed(INBETWEEN_OUT_OF_MEMORY, "There is too little memory for pictures of this size.");
  } catch (const std::exception& error) {
    return failed(INBETWEEN_FAILED, error.what());
  } catch (...) {
    return failed(INBETWEEN_FAILED, "A kernel failed for an unknown reason.");
  }
}

inline void check_range(const char* name, long long value, long long lowest, long long highest) {
  if (value >= lowest && value <= highest) return;
  throw InvalidValue(std::string(name) + " is " + std::to_string(value) + ": choose " +
                     std::to_string(lowest) + " to " + std::to_string(highest) + ".");
}

inline void check_side(const char* name, std::int32_t value) {
  check_range(name, value, 1, INBETWEEN_MAX_SIDE);
}

inline void check_odd(const char* name, std::int32_t value, int lowest, int highest) {
  if (value >= lowest && value <= highest && value % 2 == 1) return;
  throw InvalidValue(std::string(name) + " is " + std::to_string(value) +
                     ": choose an odd number from " + std::to_string(lowest) + " to " +
                     std::to_string(highest) + ".");
}

inline void check_given(const char* name, const void* pointer) {
  if (!pointer) throw InvalidValue(std::string(name) + " is missing.");
}

inline void check_not_negative(const char* name, float value) {
  if (std::isfinite(value) && value >= 0.0f) return;
  throw InvalidValue(std::string(name) + " is " + std::to_string(value) +
                     ": choose a finite number of 0 or more.");
}

}  // namespace inbetween

#endif  // INBETWEEN_COMMON_CALL_H_

#include "inbetween/kernels.h"

#include <cmath>
#include <new>
#include <stdexcept>
#include <string>

#include "patch_distance.h"
#include "synthesis.h"

namespace {

thread_local std::string last_error;

class InvalidValue : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

void check_range(const char* name, long long value, long long lowest, long long highest) {
  if (value >= lowest && value <= highest) return;
  throw InvalidValue(std::string(name) + " is " + std::to_string(value) + ": choose " +
                     std::to_string(lowest) + " to " + std::to_string(highest) + ".");
}

void check_array(const char* name, const void* array) {
  if (!array) throw InvalidValue(std::string(name) + " is missing.");
}

void check_finite(const char* name, const float* values, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (!std::isfinite(values[i])) {
      throw InvalidValue(std::string(name) + " holds a value that is not finite.");
    }
  }
}

void check_not_negative(const char* name, float value) {
  if (std::isfinite(value) && value >= 0.0f) return;
  throw InvalidValue(std::string(name) + " is " + std::to_string(value) +
                     ": choose a finite number of 0 or more.");
}

void check(const inbetween_synthesis& p) {
  check_range("source_width", p.source_width, 1, INBETWEEN_MAX_SIDE);
  check_range("source_height", p.source_height, 1, INBETWEEN_MAX_SIDE);
  check_range("target_width", p.target_width, 1, INBETWEEN_MAX_SIDE);
  check_range("target_height", p.target_height, 1, INBETWEEN_MAX_SIDE);
  check_range("guide_channels", p.guide_channels, 1, INBETWEEN_MAX_GUIDE_CHANNELS);
  check_range("search_vote_iterations", p.search_vote_iterations, 1, 100);
  check_range("threads", p.threads, 0, 1024);
  if (p.patch_size < 3 || p.patch_size > 15 || p.patch_size % 2 == 0) {
    throw InvalidValue("patch_size is " + std::to_string(p.patch_size) +
                       ": choose an odd number from 3 to 15.");
  }
  check_range("instruction_set", p.instruction_set, INBETWEEN_BEST, INBETWEEN_AVX512);
  if (p.instruction_set > inbetween::best_instruction_set()) {
    throw InvalidValue("instruction_set is " + std::to_string(p.instruction_set) +
                       ", which this processor does not have: choose 0 for its best.");
  }
  check_not_negative("uniformity", p.uniformity);
  check_array("source_guides", p.source_guides);
  check_array("target_guides", p.target_guides);
  check_array("guide_weights", p.guide_weights);
  check_array("style", p.style);
  check_array("initial_xy", p.initial_xy);
  check_array("picture", p.picture);
  check_array("source_xy", p.source_xy);
  check_array("patch_error", p.patch_error);
  for (int i = 0; i < p.guide_channels; ++i)
    check_not_negative("guide_weights", p.guide_weights[i]);
  check_finite("style", p.style, std::size_t(p.source_width) * p.source_height * 3);
  check_finite("initial_xy", p.initial_xy, std::size_t(p.target_width) * p.target_height * 2);
}

int32_t failed(inbetween_status status, const char* text) noexcept {
  try {
    last_error = text;
  } catch (...) {
    last_error.clear();
  }
  return status;
}

}  // namespace

int32_t inbetween_abi_version(void) { return INBETWEEN_ABI_VERSION; }

int32_t inbetween_best_instruction_set(void) { return inbetween::best_instruction_set(); }

int32_t inbetween_synthesize(const inbetween_synthesis* parameters) {
  try {
    check_array("parameters", parameters);
    check(*parameters);
    inbetween::synthesize(*parameters);
    return INBETWEEN_OK;
  } catch (const InvalidValue& error) {
    return failed(INBETWEEN_INVALID_VALUE, error.what());
  } catch (const std::bad_alloc&) {
    return failed(INBETWEEN_OUT_OF_MEMORY, "There is too little memory for pictures of this size.");
  } catch (const std::exception& error) {
    return failed(INBETWEEN_FAILED, error.what());
  } catch (...) {
    return failed(INBETWEEN_FAILED, "The synthesis failed for an unknown reason.");
  }
}

const char* inbetween_last_error(void) { return last_error.c_str(); }

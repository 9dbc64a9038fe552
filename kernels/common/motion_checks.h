#ifndef INBETWEEN_COMMON_MOTION_CHECKS_H_
#define INBETWEEN_COMMON_MOTION_CHECKS_H_

#include "common/call.h"
#include "common/guides.h"
#include "common/motion.h"
#include "inbetween/kernels.h"

/* Calls that would harm memory, or mean nothing, are refused. */
namespace inbetween {

inline void check_call(const Warp* p) {
  check_given("parameters", p);
  check_side("image_width", p->image_width);
  check_side("image_height", p->image_height);
  check_side("width", p->width);
  check_side("height", p->height);
  check_range("channels", p->channels, 1, 64);
  check_given("image", p->image);
  check_given("displacement", p->displacement);
  check_given("warped", p->warped);
}

inline void check_call(const Composition* p) {
  check_given("parameters", p);
  check_side("width", p->width);
  check_side("height", p->height);
  check_given("first", p->first);
  check_given("first_confidence", p->first_confidence);
  check_given("second", p->second);
  check_given("second_confidence", p->second_confidence);
  check_given("composed", p->composed);
  check_given("confidence", p->confidence);
}

inline void check_call(const Confidence* p) {
  check_given("parameters", p);
  check_side("width", p->width);
  check_side("height", p->height);
  check_not_negative("relative_tolerance", p->relative_tolerance);
  check_not_negative("absolute_tolerance", p->absolute_tolerance);
  check_odd("widened", p->widened, 1, 63);
  check_given("forward", p->forward);
  check_given("backward", p->backward);
  check_given("confidence", p->confidence);
}

inline void check_call(const Guides* p) {
  check_given("parameters", p);
  check_side("width", p->width);
  check_side("height", p->height);
  check_given("source", p->source);
  check_given("temporal", p->temporal);
  check_given("guides", p->guides);
}

}  // namespace inbetween

#endif  // INBETWEEN_COMMON_MOTION_CHECKS_H_

// What can go wrong, by who has to hear of it.
#pragma once

#include <stdexcept>
#include <string>

#include "ofxCore.h"

namespace inbetween {

// Something the editor can do something about: one sentence with what to do.
class EffectError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The host refused what it must be able to do; its status goes back to it.
class HostError : public std::runtime_error {
 public:
  HostError(OfxStatus status, const std::string& what)
      : std::runtime_error(what), status_(status) {}
  OfxStatus status() const { return status_; }

 private:
  OfxStatus status_;
};

// The host or its user has no more use for the work.
class Aborted : public std::exception {};

inline void check(OfxStatus status, const char* what) {
  if (status != kOfxStatOK) throw HostError(status, what);
}

}  // namespace inbetween

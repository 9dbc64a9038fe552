#include "ledger.h"

#include <utility>

void Ledger::violation(const std::string& text) {
  const std::lock_guard lock(mutex_);
  violations_.push_back(text + " (in " + current_action().name + ")");
}

std::vector<std::string> Ledger::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(violations_, {});
}

void Ledger::lend(const void* handle) {
  const std::lock_guard lock(mutex_);
  lent_.insert(handle);
}

void Ledger::take_back(const void* handle) {
  const std::lock_guard lock(mutex_);
  lent_.erase(handle);
}

bool Ledger::is_lent(const void* handle, const char* kind) {
  {
    const std::lock_guard lock(mutex_);
    if (lent_.contains(handle)) return true;
  }
  violation(std::string("a bad handle was given for ") + kind);
  return false;
}

Ledger& ledger() {
  static Ledger ledger;
  return ledger;
}

Action& current_action() {
  thread_local Action action;
  return action;
}

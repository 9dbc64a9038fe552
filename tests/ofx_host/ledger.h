// What the plugin did wrong, and what it holds.
#pragma once

#include <mutex>
#include <set>
#include <string>
#include <vector>

// Rules of OpenFX that a plugin broke; the tests fail on any.
class Ledger {
 public:
  void violation(const std::string& text);
  std::vector<std::string> take();

  // Handles that were given out and not taken back.
  void lend(const void* handle);
  void take_back(const void* handle);
  // False, and a violation, for a handle that never was or is no more.
  bool is_lent(const void* handle, const char* kind);

 private:
  std::mutex mutex_;
  std::vector<std::string> violations_;
  std::set<const void*> lent_;
};

Ledger& ledger();

// What the thread is doing for which instance.
struct Action {
  std::string name;
  const void* effect = nullptr;
  double time = 0;
  // Images fetched and not yet released.
  int images = 0;
};
Action& current_action();

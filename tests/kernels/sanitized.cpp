// Calls the patch synthesis in every way that its ABI allows, for sanitizers to watch: every buffer
// is an allocation of its own and of exactly the size that the ABI asks for. With the word
// "threads" it does only what takes several threads.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "inbetween/kernels.h"

namespace {

struct Size {
  int width;
  int height;
};

constexpr Size kSizes[] = {{1, 1}, {1, 9}, {9, 1}, {2, 2}, {3, 17}, {16, 16}, {37, 23}, {64, 5}};

// What lies far outside a picture, where a composed flow may point.
constexpr float kPositions[] = {-1e30f, -1.5f, 0.0f, 0.49f, 7.5f, 40000.0f, 1e30f};

// One call with its arrays.
class Call {
 public:
  Call(Size source, Size target, int guide_channels, unsigned seed) : chance_(seed) {
    parameters_.source_width = source.width;
    parameters_.source_height = source.height;
    parameters_.target_width = target.width;
    parameters_.target_height = target.height;
    parameters_.guide_channels = guide_channels;
    parameters_.patch_size = 5;
    parameters_.search_vote_iterations = 2;
    parameters_.threads = 1;
    parameters_.uniformity = 1000.0f;
    parameters_.seed = seed;
    const std::size_t sources = std::size_t(source.width) * source.height;
    const std::size_t targets = std::size_t(target.width) * target.height;
    style_.resize(sources * 3);
    for (float& value : style_) value = float(chance_() % 3000) / 1000.0f - 1.0f;
    source_guides_ = noise(sources * guide_channels);
    target_guides_ = noise(targets * guide_channels);
    guide_weights_.assign(guide_channels, 1.0f / float(guide_channels));
    initial_xy_.resize(targets * 2);
    for (float& value : initial_xy_) value = kPositions[chance_() % std::size(kPositions)];
    picture_.resize(targets * 3);
    source_xy_.resize(targets * 2);
    patch_error_.resize(targets);
  }

  inbetween_synthesis& parameters() { return parameters_; }

  // Whether it went well, with positions inside the key frame.
  bool synthesize() {
    parameters_.style = style_.data();
    parameters_.source_guides = source_guides_.data();
    parameters_.target_guides = target_guides_.data();
    parameters_.guide_weights = guide_weights_.data();
    parameters_.initial_xy = initial_xy_.data();
    parameters_.picture = picture_.data();
    parameters_.source_xy = source_xy_.data();
    parameters_.patch_error = patch_error_.data();
    if (inbetween_synthesize(&parameters_) != INBETWEEN_OK) return false;
    for (std::size_t i = 0; i < source_xy_.size(); i += 2) {
      if (source_xy_[i] < 0 || source_xy_[i] >= parameters_.source_width) return false;
      if (source_xy_[i + 1] < 0 || source_xy_[i + 1] >= parameters_.source_height) return false;
    }
    return true;
  }

  bool gave_the_same_as(const Call& other) const {
    return picture_ == other.picture_ && source_xy_ == other.source_xy_;
  }

 private:
  std::vector<std::uint8_t> noise(std::size_t count) {
    std::vector<std::uint8_t> values(count);
    for (std::uint8_t& value : values) value = std::uint8_t(chance_());
    return values;
  }

  std::mt19937 chance_;
  inbetween_synthesis parameters_{};
  std::vector<float> style_, guide_weights_, initial_xy_, picture_, patch_error_;
  std::vector<std::uint8_t> source_guides_, target_guides_;
  std::vector<std::int32_t> source_xy_;
};

int failures = 0;

void expect(bool is_so, const std::string& what) {
  if (is_so) return;
  ++failures;
  std::fprintf(stderr, "%s: %s\n", what.c_str(), inbetween_last_error());
}

void every_size(int instruction_set) {
  for (const Size source : kSizes) {
    for (const Size target : kSizes) {
      for (const int patch_size : {3, 5, 15}) {
        Call call(source, target, 7, 1);
        call.parameters().patch_size = patch_size;
        call.parameters().threads = 3;
        call.parameters().instruction_set = instruction_set;
        expect(call.synthesize(), "sizes");
      }
    }
  }
}

void every_number_of_guides(int instruction_set) {
  for (int channels = 1; channels <= INBETWEEN_MAX_GUIDE_CHANNELS; ++channels) {
    Call call({29, 18}, {31, 17}, channels, unsigned(channels));
    call.parameters().threads = 2;
    call.parameters().instruction_set = instruction_set;
    expect(call.synthesize(), std::to_string(channels) + " guide channels");
  }
}

void threads_and_instruction_sets(int best) {
  Call reference({61, 43}, {67, 39}, 12, 5);
  reference.parameters().instruction_set = INBETWEEN_PLAIN;
  expect(reference.synthesize(), "one thread, plain");
  for (int instruction_set = INBETWEEN_PLAIN; instruction_set <= best; ++instruction_set) {
    for (const int threads : {0, 1, 2, 7, 64}) {
      Call call({61, 43}, {67, 39}, 12, 5);
      call.parameters().threads = threads;
      call.parameters().instruction_set = instruction_set;
      expect(call.synthesize() && call.gave_the_same_as(reference),
             std::to_string(threads) + " threads, set " + std::to_string(instruction_set));
    }
  }
}

void several_callers_at_once() {
  Call reference({40, 30}, {41, 29}, 5, 8);
  expect(reference.synthesize(), "a single caller");
  std::vector<Call> calls(4, Call({40, 30}, {41, 29}, 5, 8));
  std::vector<std::thread> callers;
  for (Call& call : calls) {
    call.parameters().threads = 2;
    callers.emplace_back([&call] { call.synthesize(); });
  }
  for (std::thread& caller : callers) caller.join();
  for (const Call& call : calls) expect(call.gave_the_same_as(reference), "callers at once");
}

void extreme_values() {
  for (const float uniformity : {0.0f, 1.0f, 3500.0f, std::numeric_limits<float>::max()}) {
    Call call({21, 13}, {19, 15}, 4, 3);
    call.parameters().uniformity = uniformity;
    call.parameters().search_vote_iterations = 6;
    call.parameters().seed = std::numeric_limits<std::uint32_t>::max();
    expect(call.synthesize(), "uniformity " + std::to_string(uniformity));
  }
}

void refused_values() {
  constexpr std::int32_t inbetween_synthesis::* kNumbers[] = {
      &inbetween_synthesis::source_width,           &inbetween_synthesis::source_height,
      &inbetween_synthesis::target_width,           &inbetween_synthesis::target_height,
      &inbetween_synthesis::guide_channels,         &inbetween_synthesis::patch_size,
      &inbetween_synthesis::search_vote_iterations, &inbetween_synthesis::threads,
      &inbetween_synthesis::instruction_set};
  for (const auto number : kNumbers) {
    for (const std::int32_t value : {std::numeric_limits<std::int32_t>::min(), -1, 1 << 30}) {
      Call call({5, 5}, {5, 5}, 2, 1);
      call.parameters().*number = value;
      expect(!call.synthesize() && std::strlen(inbetween_last_error()) > 0, "refused values");
    }
  }
  expect(inbetween_synthesize(nullptr) == INBETWEEN_INVALID_VALUE, "no parameters");
}

}  // namespace

int main(int count, char** words) {
  const int best = inbetween_best_instruction_set();
  const bool threads_only = count > 1 && std::strcmp(words[1], "threads") == 0;
  for (int set = INBETWEEN_PLAIN; set <= best && !threads_only; ++set) {
    every_size(set);
    every_number_of_guides(set);
  }
  threads_and_instruction_sets(best);
  several_callers_at_once();
  if (!threads_only) {
    extreme_values();
    refused_values();
  }
  std::printf("%d instruction sets, %d failures\n", best, failures);
  return failures == 0 ? 0 : 1;
}

// Calls every function of the kernels in every way that the ABI allows, for sanitizers to watch:
// every array is an allocation of its own and of exactly the size that the ABI asks for. With the
// word "threads" it does only what takes several threads.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "inbetween/kernels.h"

namespace {

constexpr std::int32_t kLeast = std::numeric_limits<std::int32_t>::min();
constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();
constexpr float kLargest = std::numeric_limits<float>::max();
constexpr float kSmallest = std::numeric_limits<float>::denorm_min();
constexpr float kInfinite = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

struct Size {
  int width;
  int height;
  std::size_t area() const { return std::size_t(width) * height; }
};

constexpr Size kSizes[] = {{1, 1}, {1, 9}, {9, 1}, {2, 2}, {3, 17}, {16, 16}, {37, 23}, {64, 5}};

// Where the kernels share out their work in another way, and their longest sides.
constexpr Size kLargeSizes[] = {{1030, 3}, {5, 130}, {300, 240}, {32767, 1}, {1, 32767}};

int failures = 0;

void expect(bool is_so, const std::string& what) {
  if (is_so) return;
  ++failures;
  std::fprintf(stderr, "%s: %s\n", what.c_str(), inbetween_last_error());
}

// What the numbers of a call are like.
enum class Kind {
  kOrdinary, /* as they should be */
  kWild,     /* many are infinite, no numbers or far too large */
};

constexpr float kWildNumbers[] = {kNaN,  kInfinite, -kInfinite, kLargest, -kLargest, kSmallest,
                                  -0.0f, -1e10f,    1e10f,      -1.5f,    40000.0f,  255.5f};

// The arrays of a call.
class Arrays {
 public:
  Arrays(Kind kind, unsigned seed) : kind_(kind), chance_(seed) {}

  const float* numbers(std::size_t count, float lowest, float highest) {
    float* values = added<float>(inputs_, count);
    std::uniform_real_distribution<float> ordinary(lowest, highest);
    for (std::size_t i = 0; i < count; ++i) {
      const bool is_wild = kind_ == Kind::kWild && chance_() % 4 == 0;
      values[i] = is_wild ? kWildNumbers[chance_() % std::size(kWildNumbers)] : ordinary(chance_);
    }
    return values;
  }

  const float* equal_numbers(std::size_t count, float value) {
    float* values = added<float>(inputs_, count);
    std::fill_n(values, count, value);
    return values;
  }

  const std::uint8_t* bytes(std::size_t count) {
    std::uint8_t* values = added<std::uint8_t>(inputs_, count);
    for (std::size_t i = 0; i < count; ++i) values[i] = std::uint8_t(chance_());
    return values;
  }

  // For what a call writes.
  template <typename T>
  T* result(std::size_t count) {
    return added<T>(results_, count);
  }

  bool gave_the_same_as(const Arrays& other) const { return results_ == other.results_; }

 private:
  using Memory = std::vector<std::uint8_t>;

  template <typename T>
  static T* added(std::vector<Memory>& arrays, std::size_t count) {
    return reinterpret_cast<T*>(arrays.emplace_back(count * sizeof(T), 0xff).data());
  }

  Kind kind_;
  std::mt19937 chance_;
  std::vector<Memory> inputs_;
  std::vector<Memory> results_;
};

template <typename Parameters, auto kFunction>
class Call {
 public:
  using Status = std::int32_t;

  Call(Kind kind, unsigned seed) : arrays_(kind, seed) {}
  Call(Call&&) = default;

  Parameters parameters{};

  Status run(inbetween_context* context) const { return kFunction(context, &parameters); }

  bool gave_the_same_as(const Call& other) const { return arrays_.gave_the_same_as(other.arrays_); }

 protected:
  const float* picture(Size size, int channels = 3) {
    return arrays_.numbers(size.area() * channels, -0.1f, 1.1f);
  }
  const float* share(Size size) { return arrays_.numbers(size.area(), 0.0f, 1.0f); }
  const float* flow(Size size) { return arrays_.numbers(size.area() * 2, -30.0f, 30.0f); }

  Arrays arrays_;
};

class Warp : public Call<struct inbetween_warp, inbetween_warp> {
 public:
  Warp(Size image, Size size, int channels, Kind kind = Kind::kOrdinary, unsigned seed = 1)
      : Call(kind, seed) {
    parameters = {image.width, image.height,
                  size.width,  size.height,
                  channels,    picture(image, channels),
                  flow(size),  arrays_.result<float>(size.area() * channels)};
  }
};

class Composition : public Call<inbetween_composition, inbetween_compose> {
 public:
  explicit Composition(Size size, Kind kind = Kind::kOrdinary, unsigned seed = 1)
      : Call(kind, seed) {
    parameters = {size.width,
                  size.height,
                  flow(size),
                  share(size),
                  flow(size),
                  share(size),
                  arrays_.result<float>(size.area() * 2),
                  arrays_.result<float>(size.area())};
  }
};

class Confidence : public Call<struct inbetween_confidence, inbetween_confidence> {
 public:
  explicit Confidence(Size size, int widened = 9, Kind kind = Kind::kOrdinary, unsigned seed = 1)
      : Call(kind, seed) {
    parameters = {size.width, size.height, 0.01f,      0.5f,
                  widened,    flow(size),  flow(size), arrays_.result<float>(size.area())};
  }
};

class Guides : public Call<struct inbetween_guides, inbetween_guides> {
 public:
  explicit Guides(Size size, Kind kind = Kind::kOrdinary, unsigned seed = 1) : Call(kind, seed) {
    parameters = {size.width, size.height, picture(size), picture(size),
                  arrays_.result<std::uint8_t>(size.area() * 9)};
  }
};

std::int32_t synthesize_one(inbetween_context* context, const inbetween_synthesis* parameters) {
  return inbetween_synthesize(context, parameters, 1);
}

class Halves : public Call<struct inbetween_halves, inbetween_nearest_half> {
 public:
  explicit Halves(Size size, Kind kind = Kind::kOrdinary, unsigned seed = 1) : Call(kind, seed) {
    const std::size_t count = size.area() * 3;
    parameters = {std::int64_t(count), picture(size), arrays_.result<float>(count)};
  }
};

class Synthesis : public Call<inbetween_synthesis, synthesize_one> {
 public:
  Synthesis(Size source, Size target, int guide_channels, Kind kind = Kind::kOrdinary,
            unsigned seed = 1)
      : Call(kind, seed) {
    parameters.source_width = source.width;
    parameters.source_height = source.height;
    parameters.target_width = target.width;
    parameters.target_height = target.height;
    parameters.guide_channels = guide_channels;
    parameters.patch_size = 5;
    parameters.search_vote_iterations = 3;
    parameters.stop_threshold = 5;
    parameters.seed = seed;
    parameters.uniformity = 1000.0f;
    parameters.position_weight = 2.0f;
    weigh_guides(1.0f / float(guide_channels));
    parameters.style = picture(source);
    parameters.source_guides = arrays_.bytes(source.area() * guide_channels);
    parameters.target_guides = arrays_.bytes(target.area() * guide_channels);
    parameters.to_source = flow(target);
    parameters.confidence = share(target);
    if (guide_channels >= 3) parameters.temporal_confidence = share(target);
    parameters.picture = arrays_.result<float>(target.area() * 3);
    parameters.source_xy = arrays_.result<std::int32_t>(target.area() * 2);
    parameters.patch_error = arrays_.result<float>(target.area());
  }

  void weigh_guides(float each) {
    parameters.guide_weights = arrays_.equal_numbers(parameters.guide_channels, each);
  }

  void trust_temporal_guide(float everywhere) {
    const Size size{parameters.target_width, parameters.target_height};
    parameters.temporal_confidence = arrays_.equal_numbers(size.area(), everywhere);
  }

  // Whether every patch comes from inside the key frame.
  bool stays_inside() const {
    const inbetween_synthesis& p = parameters;
    const std::size_t numbers = Size{p.target_width, p.target_height}.area() * 2;
    for (std::size_t i = 0; i < numbers; i += 2) {
      if (p.source_xy[i] < 0 || p.source_xy[i] >= p.source_width) return false;
      if (p.source_xy[i + 1] < 0 || p.source_xy[i + 1] >= p.source_height) return false;
    }
    return true;
  }
};

class Blend : public Call<struct inbetween_blend, inbetween_blend> {
 public:
  explicit Blend(Size size, Kind kind = Kind::kOrdinary, unsigned seed = 1) : Call(kind, seed) {
    parameters = {size.width,
                  size.height,
                  3,
                  4,
                  picture(size),
                  errors(size),
                  picture(size),
                  errors(size),
                  share(size),
                  arrays_.result<float>(size.area()),
                  arrays_.result<float>(size.area() * 3)};
  }

 private:
  const float* errors(Size size) { return arrays_.numbers(size.area(), 0.0f, 1e5f); }
};

class Poisson : public Call<struct inbetween_poisson, inbetween_poisson> {
 public:
  explicit Poisson(Size size, Kind kind = Kind::kOrdinary, unsigned seed = 1) : Call(kind, seed) {
    parameters = {
        size.width,    size.height,   0.1f,        picture(size),
        picture(size), picture(size), share(size), arrays_.result<float>(size.area() * 3)};
  }
};

class Context {
 public:
  explicit Context(int threads, int instruction_set = INBETWEEN_BEST) {
    const inbetween_device device{0, threads, instruction_set, nullptr};
    expect(inbetween_open(&device, &context_) == INBETWEEN_OK, "a context");
  }
  ~Context() { inbetween_close(context_); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  operator inbetween_context*() const { return context_; }

 private:
  inbetween_context* context_ = nullptr;
};

template <typename AnyCall>
void expect_done(inbetween_context* context, const AnyCall& call, const std::string& what) {
  expect(call.run(context) == INBETWEEN_OK, what);
}

void expect_done(inbetween_context* context, const Synthesis& call, const std::string& what) {
  expect(call.run(context) == INBETWEEN_OK && call.stays_inside(), what);
}

template <typename AnyCall>
AnyCall done(inbetween_context* context, AnyCall call) {
  expect_done(context, call, "a call");
  return call;
}

// One call of every function.
struct Everything {
  Everything(inbetween_context* context, Size size, Size other, unsigned seed)
      : warp(done(context, Warp(other, size, 3, Kind::kOrdinary, seed))),
        composition(done(context, Composition(size, Kind::kOrdinary, seed))),
        confidence(done(context, Confidence(size, 9, Kind::kOrdinary, seed))),
        guides(done(context, Guides(size, Kind::kOrdinary, seed))),
        synthesis(done(context, Synthesis(other, size, 9, Kind::kOrdinary, seed))),
        blend(done(context, Blend(size, Kind::kOrdinary, seed))),
        poisson(done(context, Poisson(size, Kind::kOrdinary, seed))) {}

  bool is_the_same_as(const Everything& other) const {
    return warp.gave_the_same_as(other.warp) && composition.gave_the_same_as(other.composition) &&
           confidence.gave_the_same_as(other.confidence) && guides.gave_the_same_as(other.guides) &&
           synthesis.gave_the_same_as(other.synthesis) && blend.gave_the_same_as(other.blend) &&
           poisson.gave_the_same_as(other.poisson);
  }

  Warp warp;
  Composition composition;
  Confidence confidence;
  Guides guides;
  Synthesis synthesis;
  Blend blend;
  Poisson poisson;
};

void every_size(inbetween_context* context, Kind kind) {
  for (const Size size : kSizes) {
    for (const Size other : kSizes) {
      expect_done(context, Warp(other, size, 3, kind), "a warp");
      for (const int patch_size : {3, 5, 15}) {
        Synthesis synthesis(other, size, 7, kind);
        synthesis.parameters.patch_size = patch_size;
        expect_done(context, synthesis, "a synthesis");
      }
    }
  }
  const auto calls_of = [&](Size size) {
    expect_done(context, Warp(size, size, 3, kind), "a warp");
    expect_done(context, Composition(size, kind), "a composition");
    expect_done(context, Confidence(size, 9, kind), "a confidence");
    expect_done(context, Guides(size, kind), "guides");
    expect_done(context, Halves(size, kind), "halves");
    expect_done(context, Blend(size, kind), "a blend");
    expect_done(context, Poisson(size, kind), "a Poisson equation");
  };
  for (const Size size : kSizes) calls_of(size);
  for (const Size size : kLargeSizes) calls_of(size);
}

void long_pictures(inbetween_context* context) {
  for (const Size source : {Size{32767, 1}, Size{1, 32767}, Size{3, 3}}) {
    for (const Size target : {Size{32767, 1}, Size{1, 32767}}) {
      Synthesis synthesis(source, target, 1);
      synthesis.parameters.search_vote_iterations = 1;
      expect_done(context, synthesis, "a long synthesis");
    }
  }
}

void several_syntheses(inbetween_context* context) {
  for (int count = 1; count <= INBETWEEN_MAX_SYNTHESES; ++count) {
    std::vector<Synthesis> calls;
    std::vector<inbetween_synthesis> parameters;
    for (int i = 0; i < count; ++i) {
      calls.emplace_back(Size{20 + i, 13}, Size{19, 15 + i}, 3 + i);
      parameters.push_back(calls.back().parameters);
    }
    expect(inbetween_synthesize(context, parameters.data(), count) == INBETWEEN_OK,
           "several syntheses");
  }
}

void every_number_of_channels(inbetween_context* context) {
  for (int channels = 1; channels <= 64; ++channels) {
    for (const Kind kind : {Kind::kOrdinary, Kind::kWild}) {
      expect_done(context, Warp({29, 18}, {71, 5}, channels, kind), "channels of a warp");
    }
  }
  for (int channels = 1; channels <= INBETWEEN_MAX_GUIDE_CHANNELS; ++channels) {
    expect_done(context, Synthesis({29, 18}, {31, 17}, channels), "guide channels");
  }
}

void every_patch_size(inbetween_context* context) {
  for (int patch_size = 3; patch_size <= 15; patch_size += 2) {
    for (const int channels : {1, 9, INBETWEEN_MAX_GUIDE_CHANNELS}) {
      Synthesis synthesis({70, 33}, {35, 66}, channels);
      synthesis.parameters.patch_size = patch_size;
      expect_done(context, synthesis, "a patch size");
    }
  }
}

void what_may_be_missing(inbetween_context* context) {
  for (const Size size : {Size{1, 1}, Size{37, 23}}) {
    Synthesis synthesis(size, size, 9);
    synthesis.parameters.confidence = nullptr;
    expect_done(context, synthesis, "a flow that is trusted");
    synthesis.parameters.temporal_confidence = nullptr;
    expect_done(context, synthesis, "a temporal guide that is trusted");
    Blend blend(size);
    blend.parameters.carried = nullptr;
    expect_done(context, blend, "a blend of the first frame");
    blend.parameters.picture = nullptr;
    expect_done(context, blend, "a choice");
  }
}

// The ends of the ranges of what a call can be told.
void extreme_parameters(inbetween_context* context) {
  for (int widened = 1; widened <= 63; widened += 2) {
    for (const Size size : {Size{1, 1}, Size{40, 3}, Size{70, 66}}) {
      expect_done(context, Confidence(size, widened), "a widened confidence");
    }
  }
  for (const float value : {0.0f, kSmallest, 1.0f, kLargest}) {
    Confidence confidence({37, 23});
    confidence.parameters.relative_tolerance = value;
    confidence.parameters.absolute_tolerance = value;
    expect_done(context, confidence, "a tolerance");
    Synthesis synthesis({21, 13}, {19, 15}, 4);
    for (float inbetween_synthesis::* weight :
         {&inbetween_synthesis::uniformity, &inbetween_synthesis::position_weight}) {
      const float usual = std::exchange(synthesis.parameters.*weight, value);
      expect_done(context, synthesis, "a weight");
      synthesis.parameters.*weight = usual;
    }
    synthesis.weigh_guides(value);
    expect_done(context, synthesis, "weights of guides");
  }
  for (const float trust : {0.0f, 0.5f, 1.0f, -1.0f, kNaN}) {
    for (const int channels : {3, 9, INBETWEEN_MAX_GUIDE_CHANNELS}) {
      Synthesis synthesis({21, 13}, {19, 15}, channels);
      synthesis.trust_temporal_guide(trust);
      expect_done(context, synthesis, "a trust");
    }
  }
  for (const int stop_threshold : {1, 255}) {
    Synthesis synthesis({21, 13}, {19, 15}, 4);
    synthesis.parameters.stop_threshold = stop_threshold;
    synthesis.parameters.search_vote_iterations = 100;
    synthesis.parameters.seed = std::numeric_limits<std::uint32_t>::max();
    expect_done(context, synthesis, "a stop threshold");
  }
  for (const int distance : {1, kMost}) {
    Blend blend({37, 23});
    blend.parameters.left_distance = distance;
    expect_done(context, blend, "a distance to the left");
    blend.parameters.right_distance = distance;
    expect_done(context, blend, "a distance to the right");
  }
  for (const float screening : {kSmallest, 1e-6f, 1.0f, kLargest}) {
    Poisson poisson({37, 23});
    poisson.parameters.screening = screening;
    expect_done(context, poisson, "a screening");
  }
}

void larger_and_smaller_pictures_in_turn(int instruction_set) {
  const Context used(3, instruction_set);
  for (unsigned round = 0; round < 2; ++round) {
    for (const Size size : {Size{1, 1}, Size{64, 48}, Size{7, 3}, Size{33, 90}, Size{64, 49}}) {
      const Size other = size.width > 1 ? Size{size.height, size.width - 1} : Size{40, 40};
      const Context fresh(1, instruction_set);
      expect(Everything(used, size, other, round)
                 .is_the_same_as(Everything(fresh, size, other, round)),
             "a context that was used before");
    }
  }
}

void threads_and_instruction_sets(int best) {
  const Context one(1, INBETWEEN_PLAIN);
  const Everything reference(one, {67, 39}, {61, 43}, 5);
  for (int set = INBETWEEN_PLAIN; set <= best; ++set) {
    for (const int threads : {0, 1, 2, 7, 64}) {
      const Context context(threads, set);
      expect(Everything(context, {67, 39}, {61, 43}, 5).is_the_same_as(reference),
             std::to_string(threads) + " threads, set " + std::to_string(set));
    }
  }
}

void several_contexts_at_once() {
  const Context one(1);
  const Everything reference(one, {41, 29}, {40, 30}, 8);
  std::array<bool, 4> same{};
  std::vector<std::thread> callers;
  for (bool& is_same : same) {
    callers.emplace_back([&] {
      is_same = true;
      for (int round = 0; round < 3; ++round) {
        const Context context(2);
        is_same &= Everything(context, {41, 29}, {40, 30}, 8).is_the_same_as(reference);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  for (const bool is_same : same) expect(is_same, "several contexts at once");
}

// One thread after the other uses it.
void a_context_that_is_handed_on() {
  const Context context(3);
  const Everything reference(context, {41, 29}, {40, 30}, 8);
  for (int i = 0; i < 3; ++i) {
    std::thread([&] {
      expect(Everything(context, {41, 29}, {40, 30}, 8).is_the_same_as(reference),
             "a context of another thread");
    }).join();
  }
}

void each_thread_has_its_own_error() {
  expect(inbetween_open(nullptr, nullptr) == INBETWEEN_INVALID_VALUE, "no device");
  const std::string own = inbetween_last_error();
  std::thread([] {
    Poisson poisson({5, 5});
    poisson.parameters.screening = -1.0f;
    const Context context(1);
    expect(poisson.run(context) == INBETWEEN_INVALID_VALUE, "a wrong screening");
    expect(std::string(inbetween_last_error()).starts_with("screening is -1"), "its sentence");
  }).join();
  expect(own == inbetween_last_error() && own.starts_with("device"), "the other thread's error");
}

void memory() {
  const Context context(1);
  for (const std::size_t bytes : {std::size_t(0), std::size_t(1), std::size_t(4097)}) {
    const std::vector<std::uint8_t> sent(bytes + 1, 7);
    std::vector<std::uint8_t> received(bytes + 1);
    void* memory = nullptr;
    expect(inbetween_allocate(context, bytes, &memory) == INBETWEEN_OK, "memory");
    expect(reinterpret_cast<std::uintptr_t>(memory) % 64 == 0, "its alignment");
    expect(inbetween_upload(context, memory, sent.data(), bytes) == INBETWEEN_OK, "an upload");
    expect(inbetween_download(context, received.data(), memory, bytes) == INBETWEEN_OK,
           "a download");
    expect(std::memcmp(sent.data(), received.data(), bytes) == 0, "what came back");
    inbetween_release(context, memory);
  }
  constexpr std::uint64_t kTooMuch = std::numeric_limits<std::uint64_t>::max();
  void* none = nullptr;
  expect(inbetween_allocate(context, kTooMuch, &none) == INBETWEEN_OUT_OF_MEMORY && !none,
         "too much memory");
  inbetween_release(context, nullptr);
  inbetween_close(nullptr);
  expect(inbetween_finish(context) == INBETWEEN_OK, "the end of all work");
}

void devices() {
  expect(inbetween_abi_version() == INBETWEEN_ABI_VERSION, "the version");
  expect(inbetween_device_count() == 1, "the number of devices");
  for (const std::size_t size : {1, 2, 256}) {
    std::vector<char> name(size, 'x');
    expect(inbetween_device_name(0, name.data(), int(size)) == INBETWEEN_OK, "a name");
    expect(std::memchr(name.data(), 0, size) != nullptr, "its end");
  }
}

bool is_refused(std::int32_t status) {
  return status == INBETWEEN_INVALID_VALUE && std::strlen(inbetween_last_error()) > 0;
}

template <typename Make, typename Value, typename... Fields>
void refuse(inbetween_context* context, Make make, std::initializer_list<Value> values,
            Fields... fields) {
  const auto refuse_field = [&](auto field) {
    for (const Value value : values) {
      auto call = make();
      call.parameters.*field = value;
      expect(is_refused(call.run(context)), "value " + std::to_string(value) + " is taken");
    }
  };
  (refuse_field(fields), ...);
}

template <typename Make, typename... Fields>
void refuse_missing(inbetween_context* context, Make make, Fields... fields) {
  const auto refuse_field = [&](auto field) {
    auto call = make();
    call.parameters.*field = nullptr;
    expect(is_refused(call.run(context)), "an array that is missing is taken");
  };
  (refuse_field(fields), ...);
  expect(is_refused(make().run(nullptr)), "no context is taken");
}

constexpr std::initializer_list<std::int32_t> kNoSides = {kLeast, -1, 0, INBETWEEN_MAX_SIDE + 1,
                                                          kMost};
constexpr std::initializer_list<float> kNoWeights = {-kSmallest, -1.0f, kInfinite, kNaN};

void refused_flows(inbetween_context* context) {
  using W = struct inbetween_warp;
  const auto warp = [] { return Warp({5, 5}, {4, 3}, 2); };
  refuse(context, warp, kNoSides, &W::image_width, &W::image_height, &W::width, &W::height);
  refuse(context, warp, {kLeast, -1, 0, 65, kMost}, &W::channels);
  refuse_missing(context, warp, &W::image, &W::displacement, &W::warped);

  using M = inbetween_composition;
  const auto composition = [] { return Composition({5, 5}); };
  refuse(context, composition, kNoSides, &M::width, &M::height);
  refuse_missing(context, composition, &M::first, &M::first_confidence, &M::second,
                 &M::second_confidence, &M::composed, &M::confidence);

  using C = struct inbetween_confidence;
  const auto confidence = [] { return Confidence({5, 5}); };
  refuse(context, confidence, kNoSides, &C::width, &C::height);
  refuse(context, confidence, {kLeast, -1, 0, 2, 64, 65, kMost}, &C::widened);
  refuse(context, confidence, kNoWeights, &C::relative_tolerance, &C::absolute_tolerance);
  refuse_missing(context, confidence, &C::forward, &C::backward, &C::confidence);
}

void refused_syntheses(inbetween_context* context) {
  using G = struct inbetween_guides;
  const auto guides = [] { return Guides({5, 5}); };
  refuse(context, guides, kNoSides, &G::width, &G::height);
  refuse_missing(context, guides, &G::source, &G::temporal, &G::guides);

  using S = inbetween_synthesis;
  const auto synthesis = [] { return Synthesis({5, 5}, {4, 3}, 2); };
  refuse(context, synthesis, kNoSides, &S::source_width, &S::source_height, &S::target_width,
         &S::target_height);
  refuse(context, synthesis, {kLeast, -1, 0, INBETWEEN_MAX_GUIDE_CHANNELS + 1, kMost},
         &S::guide_channels);
  refuse(context, synthesis, {kLeast, -1, 0, 1, 4, 16, 17, kMost}, &S::patch_size);
  refuse(context, synthesis, {kLeast, -1, 0, 101, kMost}, &S::search_vote_iterations);
  refuse(context, synthesis, {kLeast, -1, 0, 256, kMost}, &S::stop_threshold);
  refuse(context, synthesis, kNoWeights, &S::uniformity, &S::position_weight);
  for (const float weight : kNoWeights) {
    Synthesis call = synthesis();
    call.weigh_guides(weight);
    expect(is_refused(call.run(context)), "a wrong weight of a guide is taken");
  }
  Synthesis without_temporal_guide = synthesis();
  without_temporal_guide.trust_temporal_guide(1.0f);
  expect(is_refused(without_temporal_guide.run(context)), "a temporal guide of two channels");
  refuse_missing(context, synthesis, &S::guide_weights, &S::style, &S::source_guides,
                 &S::target_guides, &S::to_source, &S::picture, &S::source_xy, &S::patch_error);
}

void refused_blends(inbetween_context* context) {
  using B = struct inbetween_blend;
  const auto blend = [] { return Blend({5, 5}); };
  refuse(context, blend, kNoSides, &B::width, &B::height);
  refuse(context, blend, {kLeast, -1, 0}, &B::left_distance, &B::right_distance);
  refuse_missing(context, blend, &B::left_picture, &B::left_error, &B::right_picture,
                 &B::right_error, &B::choice);

  using P = struct inbetween_poisson;
  const auto poisson = [] { return Poisson({5, 5}); };
  refuse(context, poisson, kNoSides, &P::width, &P::height);
  refuse(context, poisson, {-1.0f, 0.0f, kInfinite, kNaN}, &P::screening);
  refuse_missing(context, poisson, &P::picture, &P::left_picture, &P::right_picture, &P::choice,
                 &P::solved);
}

void refused_devices(inbetween_context* context) {
  inbetween_context* opened = nullptr;
  for (const inbetween_device device :
       {inbetween_device{-1, 0, 0, nullptr}, inbetween_device{1, 0, 0, nullptr},
        inbetween_device{0, -1, 0, nullptr}, inbetween_device{0, 1025, 0, nullptr},
        inbetween_device{0, 0, -1, nullptr}, inbetween_device{0, 0, 4, nullptr}}) {
    expect(is_refused(inbetween_open(&device, &opened)) && !opened, "a wrong device");
  }
  const inbetween_device device{};
  expect(is_refused(inbetween_open(nullptr, &opened)), "no device");
  expect(is_refused(inbetween_open(&device, nullptr)), "no place for the context");
  char name[8];
  expect(is_refused(inbetween_device_name(1, name, 8)), "the name of no device");
  expect(is_refused(inbetween_device_name(0, nullptr, 8)), "no place for a name");
  expect(is_refused(inbetween_device_name(0, name, 0)), "too little place for a name");

  char byte = 0;
  expect(is_refused(inbetween_allocate(context, 1, nullptr)), "no place for the memory");
  expect(is_refused(inbetween_upload(context, nullptr, &byte, 1)), "an upload to nowhere");
  expect(is_refused(inbetween_upload(context, &byte, nullptr, 1)), "an upload of nothing");
  expect(is_refused(inbetween_download(context, nullptr, &byte, 1)), "a download to nowhere");
  expect(is_refused(inbetween_download(context, &byte, nullptr, 1)), "a download of nothing");

  expect(is_refused(inbetween_warp(context, nullptr)), "a warp of nothing");
  expect(is_refused(inbetween_compose(context, nullptr)), "a composition of nothing");
  expect(is_refused(inbetween_confidence(context, nullptr)), "a confidence of nothing");
  expect(is_refused(inbetween_guides(context, nullptr)), "guides of nothing");
  expect(is_refused(inbetween_synthesize(context, nullptr, 1)), "a synthesis of nothing");
  const Synthesis synthesis({5, 5}, {5, 5}, 1);
  for (const int count : {kLeast, 0, INBETWEEN_MAX_SYNTHESES + 1, kMost}) {
    expect(is_refused(inbetween_synthesize(context, &synthesis.parameters, count)),
           "a number of syntheses");
  }
  expect(is_refused(inbetween_nearest_half(context, nullptr)), "halves of nothing");
  expect(is_refused(inbetween_blend(context, nullptr)), "a blend of nothing");
  expect(is_refused(inbetween_poisson(context, nullptr)), "a Poisson equation of nothing");
}

void everything_else(int best) {
  for (int set = INBETWEEN_PLAIN; set <= best; ++set) {
    const Context context(3, set);
    every_size(context, Kind::kOrdinary);
    every_size(context, Kind::kWild);
    several_syntheses(context);
    every_number_of_channels(context);
    every_patch_size(context);
    what_may_be_missing(context);
    extreme_parameters(context);
    larger_and_smaller_pictures_in_turn(set);
  }
  const Context context(2);
  long_pictures(context);
  memory();
  devices();
  refused_flows(context);
  refused_syntheses(context);
  refused_blends(context);
  refused_devices(context);
}

}  // namespace

int main(int count, char** words) {
  const int best = inbetween_best_instruction_set();
  const bool threads_only = count > 1 && std::strcmp(words[1], "threads") == 0;
  threads_and_instruction_sets(best);
  several_contexts_at_once();
  a_context_that_is_handed_on();
  each_thread_has_its_own_error();
  if (!threads_only) everything_else(best);
  std::printf("%d instruction sets, %d failures\n", best, failures);
  return failures == 0 ? 0 : 1;
}

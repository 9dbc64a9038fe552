#include "common/blend.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "compiled.h"
#include "context.h"

namespace inbetween {
namespace {

/* Consecutive pixels of a picture, channel after channel, zero behind its last pixel. */
using Planes = float[3][kSumChunk];

/* What reads a chunk of a picture: `first` is its first pixel, `count` at most kSumChunk. */
struct Chunk {
  std::size_t first;
  int count;
};

Chunk chunk_of(std::size_t pixels, int index) {
  const std::size_t first = std::size_t(index) * kSumChunk;
  return {first, static_cast<int>(std::min<std::size_t>(pixels - first, kSumChunk))};
}

template <int kLanes>
double folded(double (&lanes)[kLanes]) {
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

double sum(const float* values) {
  double lanes[kSumLanes] = {};
  for (int i = 0; i < kSumChunk; i += kSumLanes) {
    for (int lane = 0; lane < kSumLanes; ++lane) lanes[lane] += double(values[i + lane]);
  }
  return folded(lanes);
}

double sum_of_products(const float* values, const float* others) {
  double lanes[kSumLanes] = {};
  for (int i = 0; i < kSumChunk; i += kSumLanes) {
    for (int lane = 0; lane < kSumLanes; ++lane) {
      lanes[lane] += double(values[i + lane]) * double(others[i + lane]);
    }
  }
  return folded(lanes);
}

/* The sums of all chunks, of which each holds `kSums`. */
template <int kSums>
void fold(const std::vector<double>& chunks, double (&totals)[kSums]) {
  const std::size_t count = chunks.size() / kSums;
  for (int sum = 0; sum < kSums; ++sum) {
    double lanes[kFoldLanes] = {};
    for (std::size_t i = 0; i < count; ++i) lanes[i % kFoldLanes] += chunks[i * kSums + sum];
    totals[sum] = folded(lanes);
  }
}

void sum_errors(const Blend& p, Chunk chunk, double* sums) {
  int side = 0;
  for (const float* error : {p.left_error, p.right_error}) {
    float values[kSumChunk] = {};
    std::copy_n(error + chunk.first, chunk.count, values);
    sums[side++] = sum(values);
  }
}

void to_lab(const float* picture, Chunk chunk, Planes& lab) {
  const float* rgb = picture + 3 * chunk.first;
  for (int i = 0; i < chunk.count; ++i) {
    const Lab color = lab_of_srgb({rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]});
    lab[0][i] = color.lightness;
    lab[1][i] = color.a;
    lab[2][i] = color.b;
  }
  for (float* channel : lab) std::fill(channel + chunk.count, channel + kSumChunk, 0.0f);
}

void sum_colors(const Blend& p, Chunk chunk, double* sums) {
  Planes left, right, chosen;
  to_lab(p.left_picture, chunk, left);
  to_lab(p.right_picture, chunk, right);
  const float* choice = p.choice + chunk.first;
  for (int channel = 0; channel < 3; ++channel) {
    const float* l = left[channel];
    const float* r = right[channel];
    float* c = chosen[channel];
    for (int i = 0; i < chunk.count; ++i) c[i] = choice[i] > 0.5f ? r[i] : l[i];
    std::fill(c + chunk.count, c + kSumChunk, 0.0f);
    double* of_channel = sums + channel * kChannelSums;
    of_channel[kSumLeft] = sum(l);
    of_channel[kSumLeftSquares] = sum_of_products(l, l);
    of_channel[kSumRight] = sum(r);
    of_channel[kSumRightSquares] = sum_of_products(r, r);
    of_channel[kSumProducts] = sum_of_products(l, r);
    of_channel[kSumChosen] = sum(c);
    of_channel[kSumChosenSquares] = sum_of_products(c, c);
  }
}

void mix(const Blend& p, const Statistics& statistics, const float* weights, Chunk chunk) {
  Planes left, right;
  to_lab(p.left_picture, chunk, left);
  to_lab(p.right_picture, chunk, right);
  const float* weight = weights + chunk.first;
  float* rgb = p.picture + 3 * chunk.first;
  for (int i = 0; i < chunk.count; ++i) {
    const Rgb color = srgb_of_lab({mixed(left[0][i], right[0][i], weight[i], statistics[0]),
                                   mixed(left[1][i], right[1][i], weight[i], statistics[1]),
                                   mixed(left[2][i], right[2][i], weight[i], statistics[2])});
    rgb[3 * i] = color.red;
    rgb[3 * i + 1] = color.green;
    rgb[3 * i + 2] = color.blue;
  }
}

/* Pixels of a row that are blurred together, and their neighbours at both ends. */
constexpr int kBlurred = 512;
using BlurredRow = float[kBlurred + 2 * kBlurRadius];

/* Pixels x to x + count - 1 of row y; outside the picture its border goes on. */
void blur(const float* values, int width, int height, int x, int y, int count, float* blurred) {
  const float* rows[2 * kBlurRadius + 1];
  for (int i = -kBlurRadius; i <= kBlurRadius; ++i) {
    rows[i + kBlurRadius] = values + std::size_t(std::clamp(y + i, 0, height - 1)) * width;
  }
  const float* const* middle = rows + kBlurRadius;
  BlurredRow column; /* column[i] is pixel x - kBlurRadius + i */
  const int first = std::max(x - kBlurRadius, 0);
  const int end = std::min(x + count + kBlurRadius, width);
  float* known = column + (first - (x - kBlurRadius));
  float* known_end = known + (end - first);
  for (int at = first; at < end; ++at) {
    float total = blur_weight(0) * middle[0][at];
    for (int i = 1; i <= kBlurRadius; ++i) {
      total += blur_weight(i) * (middle[-i][at] + middle[i][at]);
    }
    known[at - first] = total;
  }
  std::fill(column, known, known[0]);
  std::fill(known_end, column + count + 2 * kBlurRadius, known_end[-1]);
  for (int at = 0; at < count; ++at) {
    const float* here = column + kBlurRadius + at;
    float total = blur_weight(0) * here[0];
    for (int i = 1; i <= kBlurRadius; ++i) total += blur_weight(i) * (here[-i] + here[i]);
    blurred[at] = total;
  }
}

void choose(const Blend& p, float floor, int y, float* weights) {
  const float left_distance = static_cast<float>(p.left_distance);
  const float right_distance = static_cast<float>(p.right_distance);
  for (int x = 0; x < p.width; x += kBlurred) {
    const int count = std::min(kBlurred, p.width - x);
    const std::size_t first = std::size_t(y) * p.width + x;
    float left[kBlurred], right[kBlurred], carried[kBlurred];
    blur(p.left_error, p.width, p.height, x, y, count, left);
    blur(p.right_error, p.width, p.height, x, y, count, right);
    if (p.carried) {
      std::copy_n(p.carried + first, count, carried);
    } else {
      std::fill_n(carried, count, 0.5f);
    }
    float* choice = p.choice + first;
    float* weight = weights + first;
    for (int i = 0; i < count; ++i) {
      const float l = weighted_error(left[i], floor, left_distance);
      const float r = weighted_error(right[i], floor, right_distance);
      choice[i] = is_right_chosen(l, r, carried[i]) ? 1.0f : 0.0f;
      weight[i] = weight_of_right(l, r);
    }
  }
}

/* Runs the task for every chunk, and adds up what each of them sums. */
template <int kSums, typename Task>
void sum_chunks(Workers& workers, std::size_t pixels, double (&totals)[kSums], Task&& task) {
  const int chunks = chunk_count(pixels);
  std::vector<double> sums(std::size_t(chunks) * kSums);
  workers.run(chunks, [&](int i) { task(chunk_of(pixels, i), &sums[std::size_t(i) * kSums]); });
  fold(sums, totals);
}

void blend(inbetween_context& context, const Blend& p) {
  const auto set = context.instruction_set;
  Workers& workers = context.workers;
  const std::size_t pixels = std::size_t(p.width) * p.height;

  double errors[2];
  const auto sum = compiled_for<sum_errors>(set);
  sum_chunks(workers, pixels, errors, [&](Chunk chunk, double* sums) { sum(p, chunk, sums); });
  const float floor = error_floor(errors[0], errors[1], pixels);

  std::vector<float> weights(pixels);
  const auto choose_row = compiled_for<choose>(set);
  workers.run(p.height, [&](int y) { choose_row(p, floor, y, weights.data()); });
  if (!p.picture) return;

  double colors[kBlendSums];
  const auto sum_lab = compiled_for<sum_colors>(set);
  sum_chunks(workers, pixels, colors, [&](Chunk chunk, double* sums) { sum_lab(p, chunk, sums); });
  Statistics statistics;
  for (int channel = 0; channel < 3; ++channel) {
    statistics[channel] = channel_statistics(colors + channel * kChannelSums, pixels);
  }
  const auto mix_chunk = compiled_for<mix>(set);
  workers.run(chunk_count(pixels),
              [&](int i) { mix_chunk(p, statistics, weights.data(), chunk_of(pixels, i)); });
}

}  // namespace
}  // namespace inbetween

int32_t inbetween_blend(inbetween_context* context, const struct inbetween_blend* parameters) {
  using namespace inbetween;
  return guarded([&] {
    check_given("context", context);
    check_blend(parameters);
    blend(*context, *parameters);
  });
}

#include "common/poisson.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "context.h"

namespace inbetween {
namespace {

/* Rows that one task works on. Three smoothing steps go through them together, so that their rows
 * stay in the cache. */
constexpr int kBand = 32;

struct Grid {
  explicit Grid(const PoissonLevel& level)
      : level(level),
        row_length(3 * level.x.cells),
        correction(values()),
        smoothed(values()),
        right_side(values()) {}

  std::size_t values() const { return std::size_t(row_length) * level.y.cells; }
  int bands() const { return (level.y.cells + kBand - 1) / kBand; }
  std::size_t at_row(int y) const { return std::size_t(y) * row_length; }
  /* Outside the grid nothing couples: any row does. */
  int inside(int y) const { return std::clamp(y, 0, level.y.cells - 1); }

  PoissonLevel level;
  int row_length;
  std::vector<float> correction;
  std::vector<float> smoothed;
  std::vector<float> right_side;
};

/* out = operation(cell, right side, estimate, its neighbours) for the cells of a row. */
template <typename Operation>
void for_row(const PoissonLevel& level, int y, const float* right_side, const float* north,
             const float* here, const float* south, float* __restrict out, Operation operation) {
  const int width = level.x.cells;
  const auto at_end = [&](int x) {
    const Cell cell = cell_of(level, x, y);
    for (int i = 3 * x; i < 3 * x + 3; ++i) {
      const float west = here[x > 0 ? i - 3 : i];
      const float east = here[x < width - 1 ? i + 3 : i];
      out[i] = operation(cell, right_side[i], here[i], west, east, north[i], south[i]);
    }
  };
  at_end(0);
  if (width > 3) { /* the last two cells may couple differently */
    const Cell cell = cell_of(level, 1, y);
    for (int i = 3; i < 3 * (width - 2); ++i) {
      out[i] =
          operation(cell, right_side[i], here[i], here[i - 3], here[i + 3], north[i], south[i]);
    }
  }
  for (int x = std::max(1, width - 2); x < width; ++x) at_end(x);
}

constexpr int kLastStep = kSmoothingSteps - 1;
constexpr int kRecentRows = 3;                          /* of each step but the last */
constexpr int kSmoothingRows = kLastStep * kRecentRows; /* that a band needs as scratch */

/* All smoothing steps for a band: each step is a row behind the one before it, and wider than the
 * band by the rows that later steps need. */
void smooth_band(const Grid& grid, const float* from, float* to, int band, float* scratch) {
  const int rows = grid.level.y.cells;
  const int first = band * kBand;
  const int end = std::min(first + kBand, rows);
  const auto after = [&](int step, int y) {
    if (step == kLastStep) return to + grid.at_row(y);
    return scratch + std::size_t(step * kRecentRows + y % kRecentRows) * grid.row_length;
  };
  const auto before = [&](int step, int y) -> const float* {
    const int inside = grid.inside(y);
    return step == 0 ? from + grid.at_row(inside) : after(step - 1, inside);
  };
  for (int front = first - kLastStep; front < end + kLastStep; ++front) {
    for (int step = 0; step < kSmoothingSteps; ++step) {
      const int y = front - step;
      const int wider = kLastStep - step;
      if (y < std::max(first - wider, 0) || y >= std::min(end + wider, rows)) continue;
      for_row(grid.level, y, grid.right_side.data() + grid.at_row(y), before(step, y - 1),
              before(step, y), before(step, y + 1), after(step, y),
              [length = step_length(step)](const Cell& cell, float right_side, float here,
                                           float west, float east, float north, float south) {
                return here + step_of(cell, length) *
                                  residual(cell, right_side, here, west, east, north, south);
              });
    }
  }
}

constexpr int kResidualRows = 2; /* that a band needs as scratch */

/* The residual that smoothing left becomes the right side of the coarser level, a band of which is
 * made here. Its correction begins with zero. */
void restrict_band(const Grid& fine, Grid& coarse, int band, float* scratch) {
  const int first = band * kBand;
  const int end = std::min(first + kBand, coarse.level.y.cells);
  const int length = fine.row_length;
  for (int y = first; y < end; ++y) {
    std::fill_n(scratch, kResidualRows * length, 0.0f);
    for (int i = 0; i < 2 && 2 * y + i < fine.level.y.cells; ++i) {
      const int row = 2 * y + i;
      const auto estimate = [&](int at) {
        return fine.smoothed.data() + fine.at_row(fine.inside(at));
      };
      for_row(fine.level, row, fine.right_side.data() + fine.at_row(row), estimate(row - 1),
              estimate(row), estimate(row + 1), scratch + i * length,
              [](const auto&... values) { return residual(values...); });
    }
    const float* upper = scratch;
    const float* lower = scratch + length;
    float* sum = coarse.right_side.data() + coarse.at_row(y);
    for (int x = 0; x < coarse.level.x.cells; ++x) {
      for (int channel = 0; channel < 3; ++channel) {
        const int i = 6 * x + channel;
        const bool has_pair = i + 3 < length;
        sum[3 * x + channel] = (upper[i] + (has_pair ? upper[i + 3] : 0.0f)) +
                               (lower[i] + (has_pair ? lower[i + 3] : 0.0f));
      }
    }
    std::fill_n(coarse.correction.data() + coarse.at_row(y), coarse.row_length, 0.0f);
  }
}

constexpr int kInterpolationRows = 1; /* that a band needs as scratch */

/* Adds what the coarser level found to a band. */
void interpolate_band(const Grid& coarse, Grid& fine, int band, float* scratch) {
  const int first = band * kBand;
  const int end = std::min(first + kBand, fine.level.y.cells);
  const int width = fine.level.x.cells;
  for (int y = first; y < end; ++y) {
    const Between rows = between(fine.level.y, coarse.level.y, y);
    const float* own = coarse.correction.data() + coarse.at_row(rows.own);
    const float* other = coarse.correction.data() + coarse.at_row(rows.other);
    for (int i = 0; i < coarse.row_length; ++i) {
      scratch[i] = interpolated(own[i], other[i], rows.weight);
    }
    float* estimate = fine.smoothed.data() + fine.at_row(y);
    const auto add = [&](int x, const Between& cells) {
      for (int channel = 0; channel < 3; ++channel) {
        estimate[3 * x + channel] += interpolated(scratch[3 * cells.own + channel],
                                                  scratch[3 * cells.other + channel], cells.weight);
      }
    };
    /* Away from the ends every cell lies a quarter of the way to the other one. */
    const int inner_end = std::max(1, (width - 3) / 2 * 2 - 1);
    add(0, between(fine.level.x, coarse.level.x, 0));
    for (int x = 1; x < inner_end; x += 2) {
      const int cell = x / 2;
      add(x, {cell, cell + 1, 0.25f});
      add(x + 1, {cell + 1, cell, 0.25f});
    }
    for (int x = inner_end; x < width; ++x) add(x, between(fine.level.x, coarse.level.x, x));
  }
}

/* The right side of the finest level for a row: how the gradients want the picture changed. */
void set_row(const Poisson& p, Grid& grid, int y) {
  const auto change = [&](std::size_t here, std::size_t there) {
    const auto pixel = [&](std::size_t i) {
      return PoissonPixel{p.picture[i], p.left_picture[i], p.right_picture[i], p.choice[i / 3]};
    };
    return gradient_change(pixel(here), pixel(there));
  };
  const std::size_t row = grid.at_row(y);
  const std::size_t north = grid.at_row(grid.inside(y - 1));
  const std::size_t south = grid.at_row(grid.inside(y + 1));
  for (int i = 0; i < grid.row_length; ++i) {
    const std::size_t here = row + i;
    const std::size_t west = i < 3 ? here : here - 3;
    const std::size_t east = i < grid.row_length - 3 ? here + 3 : here;
    grid.right_side[here] = (change(here, west) + change(here, east)) +
                            (change(here, north + i) + change(here, south + i));
  }
}

void add_row(const Poisson& p, const Grid& grid, int y) {
  const std::size_t row = grid.at_row(y);
  for (int i = 0; i < grid.row_length; ++i) {
    p.solved[row + i] = p.picture[row + i] + grid.correction[row + i];
  }
}

class Multigrid {
 public:
  Multigrid(Workers& workers, const Poisson& p) : workers_(workers) {
    PoissonLevel level = finest_level(p);
    grids_.emplace_back(level);
    while (!is_coarsest(level)) grids_.emplace_back(level = coarser(level));
    scratch_.resize(std::size_t(finest().bands()) * kSmoothingRows * finest().row_length);
  }

  Grid& finest() { return grids_.front(); }

  /* A V-cycle from this level down. */
  void cycle(std::size_t number) {
    Grid& grid = grids_[number];
    smooth(grid, grid.correction, grid.smoothed);
    if (number + 1 < grids_.size()) {
      Grid& coarse = grids_[number + 1];
      for_bands(coarse, kResidualRows * grid.row_length,
                [&](int band, float* scratch) { restrict_band(grid, coarse, band, scratch); });
      cycle(number + 1);
      for_bands(grid, kInterpolationRows * coarse.row_length,
                [&](int band, float* scratch) { interpolate_band(coarse, grid, band, scratch); });
    }
    smooth(grid, grid.smoothed, grid.correction);
  }

 private:
  void smooth(const Grid& grid, const std::vector<float>& from, std::vector<float>& to) {
    for_bands(grid, kSmoothingRows * grid.row_length, [&](int band, float* scratch) {
      smooth_band(grid, from.data(), to.data(), band, scratch);
    });
  }

  template <typename Task>
  void for_bands(const Grid& grid, int scratch_length, Task&& task) {
    const auto run = [&](int band) {
      task(band, scratch_.data() + std::size_t(band) * scratch_length);
    };
    if (grid.bands() == 1) return run(0); /* waking threads would take longer */
    workers_.run(grid.bands(), run);
  }

  Workers& workers_;
  std::vector<Grid> grids_;
  std::vector<float> scratch_;
};

void solve(Workers& workers, const Poisson& p) {
  Multigrid multigrid(workers, p);
  Grid& finest = multigrid.finest();
  workers.run(p.height, [&](int y) { set_row(p, finest, y); });
  for (int i = 0; i < kCycles; ++i) multigrid.cycle(0);
  workers.run(p.height, [&](int y) { add_row(p, finest, y); });
}

}  // namespace
}  // namespace inbetween

int32_t inbetween_poisson(inbetween_context* context, const struct inbetween_poisson* parameters) {
  using namespace inbetween;
  return guarded([&] {
    check_given("context", context);
    check_poisson(parameters);
    solve(context->workers, *parameters);
  });
}

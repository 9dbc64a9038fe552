#ifndef INBETWEEN_COMMON_POISSON_H_
#define INBETWEEN_COMMON_POISSON_H_

#include <cmath>
#include <string>

#include "call.h"
#include "inbetween/kernels.h"
#include "portable.h"

/* Screened Poisson by multigrid; engine/native/reference/poisson.py says what is solved.
 *
 * The unknown is the correction of the picture. Each level has half the cells of the finer one in
 * both directions; an odd side leaves a last cell that is narrower. A cell's equation is integrated
 * over the cell (finite volumes): the screening over its area, and to each neighbour a flow of the
 * length of their border by the distance of their centres. So residuals are restricted by adding
 * them up, and sides of any length converge alike. Corrections are interpolated linearly. Errors
 * are smoothed by Jacobi steps whose lengths invert the roots of the Chebyshev polynomial over the
 * upper three quarters of the spectrum: unlike Gauss and Seidel's, they need no order of the cells.
 *
 * Additions, multiplications and divisions in one order: every backend finds the same bits. */
namespace inbetween {

/* The function of the same name hides the struct. */
using Poisson = struct inbetween_poisson;

inline constexpr int kMaxPoissonLevels = 16; /* halving INBETWEEN_MAX_SIDE until 1 is left */
inline constexpr int kCycles = 5;            /* each leaves about a tenth of the error */
inline constexpr int kSmoothingSteps = 3;

INBETWEEN_BOTH float step_length(int step) {
  constexpr float kLengths[kSmoothingSteps] = {0.52644896f, 0.8f, 1.6653323f};
  return kLengths[step];
}

/* The cells along one side of a level. */
struct Axis {
  int cells;
  float extent;        /* in pixels, of all but the last cell */
  float last_extent;   /* in pixels, of the last cell */
  float coupling;      /* 1 by the distance of the centres of neighbours */
  float last_coupling; /* of the last two cells */

  INBETWEEN_BOTH float extent_of(int cell) const { return cell < cells - 1 ? extent : last_extent; }

  /* Of a cell and the next one; none outside. */
  INBETWEEN_BOTH float coupling_of(int cell) const {
    if (cell < 0 || cell >= cells - 1) return 0.0f;
    return cell < cells - 2 ? coupling : last_coupling;
  }

  INBETWEEN_BOTH float center_of(int cell) const {
    return static_cast<float>(cell) * extent + 0.5f * extent_of(cell);
  }
};

struct PoissonLevel {
  Axis x;
  Axis y;
  float screening;
};

/* One cell's equation: what weighs its own value and the differences to its neighbours. */
struct Cell {
  float own, west, east, north, south;
};

INBETWEEN_BOTH Cell cell_of(const PoissonLevel& level, int x, int y) {
  const float width = level.x.extent_of(x);
  const float height = level.y.extent_of(y);
  return {level.screening * (width * height), height * level.x.coupling_of(x - 1),
          height * level.x.coupling_of(x), width * level.y.coupling_of(y - 1),
          width * level.y.coupling_of(y)};
}

/* What an estimate and its neighbours leave of the right side of an equation. */
INBETWEEN_BOTH float residual(const Cell& cell, float right_side, float here, float west,
                              float east, float north, float south) {
  const float across = cell.west * (here - west) + cell.east * (here - east);
  const float along = cell.north * (here - north) + cell.south * (here - south);
  return right_side - (cell.own * here + (across + along));
}

/* By how much of the residual a Jacobi step changes the estimate. */
INBETWEEN_BOTH float step_of(const Cell& cell, float length) {
  return length / (cell.own + ((cell.west + cell.east) + (cell.north + cell.south)));
}

/* A fine cell lies between the centres of the coarse one that holds it and another. */
struct Between {
  int own;
  int other;
  float weight; /* of the other */
};

INBETWEEN_BOTH Between between(const Axis& fine, const Axis& coarse, int cell) {
  const int own = cell / 2;
  const float away = fine.center_of(cell) - coarse.center_of(own);
  const int other = away < 0.0f ? own - 1 : own + 1;
  if (away == 0.0f || other < 0 || other >= coarse.cells) return {own, own, 0.0f};
  const float distance = coarse.center_of(other) - coarse.center_of(own);
  return {own, other, away / distance};
}

INBETWEEN_BOTH float interpolated(float own, float other, float weight) {
  return (1.0f - weight) * own + weight * other;
}

/* The gradient wanted between two pixels less that of the picture. Where they are of two sides it
 * is the mean of what both sides say: either knows both pixels, so no step is left there. */
struct PoissonPixel {
  float picture, left, right, choice;
};

INBETWEEN_BOTH float gradient_change(const PoissonPixel& here, const PoissonPixel& there) {
  const float left = here.left - there.left;
  const float right = here.right - there.right;
  const float share = 0.5f * (here.choice + there.choice);
  return (left + share * (right - left)) - (here.picture - there.picture);
}

inline Axis pixels_along(int side) { return {side, 1.0f, 1.0f, 1.0f, 1.0f}; }

inline Axis halved(const Axis& fine) {
  if (fine.cells == 1) return fine;
  const float extent = 2.0f * fine.extent;
  const float last = fine.cells % 2 == 0 ? fine.extent + fine.last_extent : fine.last_extent;
  return {(fine.cells + 1) / 2, extent, last, 1.0f / extent, 2.0f / (extent + last)};
}

inline PoissonLevel finest_level(const Poisson& p) {
  return {pixels_along(p.width), pixels_along(p.height), p.screening};
}

inline PoissonLevel coarser(const PoissonLevel& fine) {
  return {halved(fine.x), halved(fine.y), fine.screening};
}

INBETWEEN_BOTH bool is_coarsest(const PoissonLevel& level) {
  return level.x.cells == 1 && level.y.cells == 1;
}

inline void check_poisson(const Poisson* p) {
  check_given("parameters", p);
  check_side("width", p->width);
  check_side("height", p->height);
  if (!std::isfinite(p->screening) || p->screening <= 0.0f) {
    throw InvalidValue("screening is " + std::to_string(p->screening) +
                       ": choose a finite number above 0.");
  }
  check_given("picture", p->picture);
  check_given("left_picture", p->left_picture);
  check_given("right_picture", p->right_picture);
  check_given("choice", p->choice);
  check_given("solved", p->solved);
}

}  // namespace inbetween

#endif  // INBETWEEN_COMMON_POISSON_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "common/poisson.h"
#include "context.h"

namespace inbetween {

struct PoissonMemory {
  DeviceBuffer values; /* of all levels */
};

namespace {

constexpr int kThreads = 256;

/* One level: red, green and blue of each cell. Smoothing leads from `correction` to `smoothed` on
 * the way down, and back on the way up. */
struct Grid {
  PoissonLevel level;
  float* correction = nullptr;
  float* smoothed = nullptr;
  float* right_side = nullptr;

  INBETWEEN_BOTH std::size_t cells() const { return std::size_t(level.x.cells) * level.y.cells; }
};

/* The levels that one block works on: a launch for each of their steps would take longer. */
constexpr std::size_t kBlockCells = 4096;
constexpr int kBlockThreads = 1024;
struct CoarseGrids {
  int count;
  Grid at[kMaxPoissonLevels];
};

struct Position {
  int x, y;
};

__device__ Position position_of(const PoissonLevel& level, std::size_t cell) {
  const int at = static_cast<int>(cell);
  return {at % level.x.cells, at / level.x.cells};
}

__device__ std::size_t index_of(const PoissonLevel& level, int x, int y) {
  return std::size_t(y) * level.x.cells + x;
}

/* A cell and its neighbours; outside the grid nothing couples: the cell stands for them. */
struct Neighbourhood {
  std::size_t here, west, east, north, south;
};

__device__ Neighbourhood around(const PoissonLevel& level, int x, int y) {
  const std::size_t here = index_of(level, x, y);
  const std::size_t row = level.x.cells;
  return {here, x > 0 ? here - 1 : here, x < level.x.cells - 1 ? here + 1 : here,
          y > 0 ? here - row : here, y < level.y.cells - 1 ? here + row : here};
}

struct Values {
  float of[3];
};

__device__ Values residual_at(const Grid& grid, const Cell& cell, const float* estimate,
                              const Neighbourhood& at) {
  Values values;
  for (int i = 0; i < 3; ++i) {
    values.of[i] = residual(cell, grid.right_side[3 * at.here + i], estimate[3 * at.here + i],
                            estimate[3 * at.west + i], estimate[3 * at.east + i],
                            estimate[3 * at.north + i], estimate[3 * at.south + i]);
  }
  return values;
}

__device__ void smooth_cell(const Grid& grid, const float* from, float* to, int step, int x,
                            int y) {
  const Cell cell = cell_of(grid.level, x, y);
  const Neighbourhood at = around(grid.level, x, y);
  const Values left_over = residual_at(grid, cell, from, at);
  const float factor = step_of(cell, step_length(step));
  for (int i = 0; i < 3; ++i)
    to[3 * at.here + i] = from[3 * at.here + i] + factor * left_over.of[i];
}

__device__ void restrict_cell(const Grid& fine, const Grid& coarse, int x, int y) {
  Values rows[2] = {};
  for (int row = 0; row < 2 && 2 * y + row < fine.level.y.cells; ++row) {
    for (int column = 0; column < 2 && 2 * x + column < fine.level.x.cells; ++column) {
      const int fine_x = 2 * x + column;
      const int fine_y = 2 * y + row;
      const Values left_over = residual_at(fine, cell_of(fine.level, fine_x, fine_y), fine.smoothed,
                                           around(fine.level, fine_x, fine_y));
      for (int i = 0; i < 3; ++i) rows[row].of[i] += left_over.of[i];
    }
  }
  const std::size_t here = index_of(coarse.level, x, y);
  for (int i = 0; i < 3; ++i) {
    coarse.right_side[3 * here + i] = rows[0].of[i] + rows[1].of[i];
    coarse.correction[3 * here + i] = 0.0f;
  }
}

__device__ void interpolate_cell(const Grid& coarse, const Grid& fine, int x, int y) {
  const Between columns = between(fine.level.x, coarse.level.x, x);
  const Between rows = between(fine.level.y, coarse.level.y, y);
  const auto column = [&](int at, int channel) {
    const float own = coarse.correction[3 * index_of(coarse.level, at, rows.own) + channel];
    const float other = coarse.correction[3 * index_of(coarse.level, at, rows.other) + channel];
    return interpolated(own, other, rows.weight);
  };
  float* estimate = fine.smoothed + 3 * index_of(fine.level, x, y);
  for (int i = 0; i < 3; ++i) {
    estimate[i] += interpolated(column(columns.own, i), column(columns.other, i), columns.weight);
  }
}

/* task(x, y) for the cell of this thread. */
template <typename Task>
__device__ void for_own_cell(const Grid& grid, Task task) {
  const std::size_t cell = std::size_t(blockIdx.x) * kThreads + threadIdx.x;
  if (cell >= grid.cells()) return;
  const Position at = position_of(grid.level, cell);
  task(at.x, at.y);
}

__global__ void __launch_bounds__(kThreads) restrict_level(const Grid fine, const Grid coarse) {
  for_own_cell(coarse, [&](int x, int y) { restrict_cell(fine, coarse, x, y); });
}

__global__ void __launch_bounds__(kThreads) interpolate_level(const Grid coarse, const Grid fine) {
  for_own_cell(fine, [&](int x, int y) { interpolate_cell(coarse, fine, x, y); });
}

/* All smoothing steps for a tile: every step is right one cell less far around it. */
constexpr int kTileWidth = 32;
constexpr int kTileHeight = 16;
constexpr int kHaloedWidth = kTileWidth + 2 * kSmoothingSteps;
constexpr int kHaloedHeight = kTileHeight + 2 * kSmoothingSteps;
constexpr int kHaloedCells = kHaloedWidth * kHaloedHeight;
constexpr int kCellsPerThread = (kHaloedCells + kThreads - 1) / kThreads;

__global__ void __launch_bounds__(kThreads)
    smooth_level(const Grid grid, const float* __restrict__ from, float* __restrict__ to) {
  __shared__ float estimates[2][kHaloedCells][3];
  const PoissonLevel& level = grid.level;
  const int left = blockIdx.x * kTileWidth - kSmoothingSteps;
  const int top = blockIdx.y * kTileHeight - kSmoothingSteps;
  Values right_sides[kCellsPerThread];
  const auto for_cells = [&](auto task) {
#pragma unroll
    for (int n = 0; n < kCellsPerThread; ++n) {
      const int place = threadIdx.x + n * kThreads;
      if (place >= kHaloedCells) continue;
      const int column = place % kHaloedWidth;
      const int row = place / kHaloedWidth;
      const int x = left + column;
      const int y = top + row;
      const bool inside = x >= 0 && x < level.x.cells && y >= 0 && y < level.y.cells;
      task(n, place, column, row, x, y, inside);
    }
  };
  for_cells([&](int n, int place, int, int, int x, int y, bool inside) {
    const std::size_t here = inside ? index_of(level, x, y) : 0;
    for (int i = 0; i < 3; ++i) {
      right_sides[n].of[i] = inside ? grid.right_side[3 * here + i] : 0.0f;
      estimates[0][place][i] = estimates[1][place][i] = inside ? from[3 * here + i] : 0.0f;
    }
  });
#pragma unroll
  for (int step = 0; step < kSmoothingSteps; ++step) {
    __syncthreads();
    const auto& before = estimates[step % 2];
    auto& after = estimates[(step + 1) % 2];
    for_cells([&](int n, int place, int column, int row, int x, int y, bool inside) {
      const bool has_neighbours =
          column > 0 && column < kHaloedWidth - 1 && row > 0 && row < kHaloedHeight - 1;
      if (!inside || !has_neighbours) return;
      const Cell cell = cell_of(level, x, y);
      const float factor = step_of(cell, step_length(step));
      for (int i = 0; i < 3; ++i) {
        const float here = before[place][i];
        after[place][i] =
            here + factor * residual(cell, right_sides[n].of[i], here, before[place - 1][i],
                                     before[place + 1][i], before[place - kHaloedWidth][i],
                                     before[place + kHaloedWidth][i]);
      }
    });
  }
  __syncthreads();
  for_cells([&](int, int place, int column, int row, int x, int y, bool inside) {
    const bool in_tile = column >= kSmoothingSteps && column < kSmoothingSteps + kTileWidth &&
                         row >= kSmoothingSteps && row < kSmoothingSteps + kTileHeight;
    if (!inside || !in_tile) return;
    for (int i = 0; i < 3; ++i) {
      to[3 * index_of(level, x, y) + i] = estimates[kSmoothingSteps % 2][place][i];
    }
  });
}

/* task(x, y) for all cells, shared out among the threads of the only block. */
template <typename Task>
__device__ void for_all_cells(const Grid& grid, Task task) {
  for (std::size_t cell = threadIdx.x; cell < grid.cells(); cell += kBlockThreads) {
    const Position at = position_of(grid.level, cell);
    task(at.x, at.y);
  }
  __syncthreads();
}

__device__ void smooth_in_block(const Grid& grid, float* from, float* to) {
  static_assert(kSmoothingSteps % 2 == 1, "the last step ends in `to`");
  for (int step = 0; step < kSmoothingSteps; ++step) {
    const float* before = step % 2 == 0 ? from : to;
    float* after = step % 2 == 0 ? to : from;
    for_all_cells(grid, [&](int x, int y) { smooth_cell(grid, before, after, step, x, y); });
  }
}

/* What of a V-cycle is below the large levels. */
__global__ void __launch_bounds__(kBlockThreads)
    cycle_in_block(const __grid_constant__ CoarseGrids grids) {
  const int last = grids.count - 1;
  for (int n = 0; n <= last; ++n) {
    const Grid& grid = grids.at[n];
    smooth_in_block(grid, grid.correction, grid.smoothed);
    if (n == last) break;
    const Grid& coarse = grids.at[n + 1];
    for_all_cells(coarse, [&](int x, int y) { restrict_cell(grid, coarse, x, y); });
  }
  for (int n = last; n >= 0; --n) {
    const Grid& grid = grids.at[n];
    if (n < last) {
      const Grid& coarse = grids.at[n + 1];
      for_all_cells(grid, [&](int x, int y) { interpolate_cell(coarse, grid, x, y); });
    }
    smooth_in_block(grid, grid.smoothed, grid.correction);
  }
}

/* The right side of the finest level: how the gradients want the picture changed. */
__global__ void __launch_bounds__(kThreads) set_finest(const Poisson p, const Grid grid) {
  for_own_cell(grid, [&](int x, int y) {
    const Neighbourhood at = around(grid.level, x, y);
    for (int i = 0; i < 3; ++i) {
      const auto pixel = [&](std::size_t index) {
        return PoissonPixel{p.picture[3 * index + i], p.left_picture[3 * index + i],
                            p.right_picture[3 * index + i], p.choice[index]};
      };
      const PoissonPixel here = pixel(at.here);
      const auto change = [&](std::size_t there) { return gradient_change(here, pixel(there)); };
      grid.right_side[3 * at.here + i] =
          (change(at.west) + change(at.east)) + (change(at.north) + change(at.south));
      grid.correction[3 * at.here + i] = 0.0f;
    }
  });
}

__global__ void __launch_bounds__(kThreads)
    add_correction(const float* __restrict__ picture, const float* __restrict__ correction,
                   std::size_t count, float* __restrict__ solved) {
  const std::size_t i = std::size_t(blockIdx.x) * kThreads + threadIdx.x;
  if (i < count) solved[i] = picture[i] + correction[i];
}

int blocks_for(std::size_t count, int per_block = kThreads) {
  return static_cast<int>((count + per_block - 1) / per_block);
}

std::vector<Grid> grids_for(const Poisson& p, DeviceBuffer& memory) {
  std::vector<Grid> grids{{finest_level(p)}};
  while (!is_coarsest(grids.back().level)) grids.push_back({coarser(grids.back().level)});
  std::size_t total = 0;
  for (const Grid& grid : grids) total += 3 * 3 * grid.cells();
  float* next = memory.reserve<float>(total);
  for (Grid& grid : grids) {
    for (float** values : {&grid.correction, &grid.smoothed, &grid.right_side}) {
      *values = next;
      next += 3 * grid.cells();
    }
  }
  return grids;
}

class Multigrid {
 public:
  Multigrid(std::vector<Grid> grids, cudaStream_t stream) : stream_(stream) {
    for (const Grid& grid : grids) {
      if (grid.cells() > kBlockCells) {
        large_.push_back(grid);
      } else {
        coarse_.at[coarse_.count++] = grid;
      }
    }
  }

  /* A V-cycle from this level down. */
  void cycle(std::size_t number = 0) {
    if (number == large_.size()) {
      cycle_in_block<<<1, kBlockThreads, 0, stream_>>>(coarse_);
      return;
    }
    const Grid& grid = large_[number];
    const Grid& coarse = number + 1 < large_.size() ? large_[number + 1] : coarse_.at[0];
    smooth(grid, grid.correction, grid.smoothed);
    restrict_level<<<blocks_for(coarse.cells()), kThreads, 0, stream_>>>(grid, coarse);
    cycle(number + 1);
    interpolate_level<<<blocks_for(grid.cells()), kThreads, 0, stream_>>>(coarse, grid);
    smooth(grid, grid.smoothed, grid.correction);
  }

 private:
  void smooth(const Grid& grid, const float* from, float* to) {
    const dim3 tiles(blocks_for(grid.level.x.cells, kTileWidth),
                     blocks_for(grid.level.y.cells, kTileHeight));
    smooth_level<<<tiles, kThreads, 0, stream_>>>(grid, from, to);
  }

  cudaStream_t stream_;
  std::vector<Grid> large_;
  CoarseGrids coarse_{};
};

void solve(inbetween_context& context, const Poisson& p) {
  if (!context.poisson) context.poisson = std::make_shared<PoissonMemory>();
  const std::vector<Grid> grids = grids_for(p, context.poisson->values);
  const Grid& finest = grids.front();
  const cudaStream_t stream = context.stream;
  set_finest<<<blocks_for(finest.cells()), kThreads, 0, stream>>>(p, finest);
  Multigrid multigrid(grids, stream);
  for (int i = 0; i < kCycles; ++i) multigrid.cycle();
  const std::size_t count = 3 * finest.cells();
  add_correction<<<blocks_for(count), kThreads, 0, stream>>>(p.picture, finest.correction, count,
                                                             p.solved);
  check_launch();
}

}  // namespace
}  // namespace inbetween

int32_t inbetween_poisson(inbetween_context* context, const struct inbetween_poisson* parameters) {
  using namespace inbetween;
  return guarded(context, [&] {
    check_poisson(parameters);
    solve(*context, *parameters);
  });
}

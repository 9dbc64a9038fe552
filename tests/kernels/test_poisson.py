"""Screened Poisson: the native kernels against their twin, and what an editor would see."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from engine.errors import InvalidValueError
from engine.native.kernels import Kernels, Side, processor
from engine.native.reference import poisson as twin
from engine.types import FloatArray

SIZE = (48, 64)
SIZES = [(1, 1), (1, 2), (3, 2), (1, 300), (301, 1), (37, 53), (65, 65), (33, 129), (96, 64)]
"""Powers of two, and sides that halve badly at every level."""
LARGE = (131, 257)
"""Several levels that the GPU spreads over many blocks."""


@dataclass(frozen=True)
class Case:
    """The arrays of one call."""

    picture: FloatArray
    left: FloatArray
    right: FloatArray
    choice: FloatArray

    def solve(self, kernels: Kernels, screening: float) -> FloatArray:
        picture, left, right, choice = map(
            kernels.upload, (self.picture, self.left, self.right, self.choice)
        )
        # Of the sides, only the pictures count.
        solved = kernels.poisson(
            picture, Side(left, choice, 1), Side(right, choice, 1), choice, screening
        )
        return kernels.download(solved)

    def solve_twin(self, screening: float) -> FloatArray:
        return twin.solve(**vars(self), screening=screening)


def photo(height: int, width: int, seed: int) -> FloatArray:
    random = np.random.default_rng(seed)
    soft = cv2.resize(random.random((5, 7, 3), np.float32), (width, height))
    grain = random.normal(0, 0.1, (height, width, 3))
    return np.asarray((soft + grain).clip(0, 1), np.float32).reshape(height, width, 3)


def patchy_choice(height: int, width: int) -> FloatArray:
    random = np.random.default_rng(5).random((4, 6), np.float32)
    smooth = cv2.resize(random, (width, height)).reshape(height, width)
    return (smooth > 0.5).astype(np.float32)


def unlike_case(size: tuple[int, int]) -> Case:
    one, two, three = (photo(*size, seed) for seed in (1, 2, 3))
    return Case(one, two, three, patchy_choice(*size))


def step_case() -> Case:
    """Two paintings of one photo, the right one brighter; the picture takes half of each."""
    height, width = SIZE
    left = 0.3 + 0.3 * photo(height, width, seed=1)
    right = left + np.float32(0.2)
    choice = np.zeros(SIZE, np.float32)
    choice[:, width // 2 :] = 1
    return Case(np.where(choice[..., None] > 0.5, right, left), left, right, choice)


@pytest.mark.parametrize("size", [*SIZES, LARGE])
@pytest.mark.parametrize("screening", [0.001, 0.1, 100.0])
def test_the_solution_is_that_of_the_twin(
    kernels: Kernels, size: tuple[int, int], screening: float
) -> None:
    case = unlike_case(size)
    np.testing.assert_allclose(
        case.solve(kernels, screening), case.solve_twin(screening), rtol=0, atol=twin.TOLERANCE
    )


def test_every_backend_finds_the_same_bits(kernels: Kernels) -> None:
    case = unlike_case(LARGE)
    np.testing.assert_array_equal(case.solve(kernels, 0.01), case.solve(processor(), 0.01))


def wanted_gradient(case: Case, axis: int) -> FloatArray:
    """The chosen side's, and between the sides the mean of both."""
    left, right = np.diff(case.left, axis=axis), np.diff(case.right, axis=axis)
    changes = np.diff(case.choice, axis=axis) != 0
    choice = case.choice[:-1] if axis == 0 else case.choice[:, :-1]
    chosen = np.where(choice[..., None] > 0.5, right, left)
    return np.where(changes[..., None], (left + right) / 2, chosen)


def test_nothing_next_to_the_twins_solution_fits_better() -> None:
    case, screening = unlike_case((9, 12)), 0.05

    def misfit(solved: FloatArray) -> float:
        colors = screening * np.sum((solved - case.picture) ** 2, dtype=np.float64)
        gradients = sum(
            np.sum((np.diff(solved, axis=axis) - wanted_gradient(case, axis)) ** 2)
            for axis in (0, 1)
        )
        return float(colors + gradients)

    solved = case.solve_twin(screening)
    random = np.random.default_rng(0)
    for _ in range(20):
        nudge = random.normal(0, 0.01, solved.shape).astype(np.float32)
        assert misfit(solved) < min(misfit(solved + nudge), misfit(solved - nudge))


def test_the_step_between_the_sides_goes(kernels: Kernels) -> None:
    case = step_case()
    solved = case.solve(kernels, 0.001)
    edge = SIZE[1] // 2
    expected = case.left[:, edge] - case.left[:, edge - 1]
    found = solved[:, edge] - solved[:, edge - 1]
    assert np.abs(case.picture[:, edge] - case.picture[:, edge - 1] - expected).min() > 0.19
    assert np.abs(found - expected).max() < 0.01


def test_the_colours_as_a_whole_stay(kernels: Kernels) -> None:
    case = step_case()
    solved = case.solve(kernels, 0.01)
    np.testing.assert_allclose(solved.mean((0, 1)), case.picture.mean((0, 1)), atol=1e-4)


def test_two_equal_sides_leave_their_picture_unchanged(kernels: Kernels) -> None:
    same = photo(*SIZE, seed=1)
    case = Case(same, same, same, patchy_choice(*SIZE))
    np.testing.assert_array_equal(case.solve(kernels, 0.001), same)


def test_exchanging_the_sides_gives_the_same_picture(kernels: Kernels) -> None:
    case = unlike_case(SIZE)
    exchanged = Case(case.picture, case.right, case.left, 1 - case.choice)
    np.testing.assert_allclose(
        case.solve(kernels, 0.01), exchanged.solve(kernels, 0.01), rtol=0, atol=twin.TOLERANCE
    )


def test_strong_screening_leaves_the_picture_as_it_is(kernels: Kernels) -> None:
    case = unlike_case(SIZE)
    np.testing.assert_allclose(case.solve(kernels, 1e6), case.picture, atol=1e-5)


def test_flat_pictures_stay_flat(kernels: Kernels) -> None:
    flat = np.full((*SIZE, 3), 0.25, np.float32)
    case = Case(flat, np.zeros_like(flat), np.ones_like(flat), np.ones(SIZE, np.float32))
    np.testing.assert_array_equal(case.solve(kernels, 0.001), flat)


@pytest.mark.parametrize("screening", [0.0, -1.0, np.nan, np.inf])
def test_a_wrong_screening_is_named(kernels: Kernels, screening: float) -> None:
    with pytest.raises(InvalidValueError, match=r"screening is .*: choose a finite number above 0"):
        unlike_case((3, 2)).solve(kernels, screening)

import numpy as np
import pytest

from engine.motion.warp import warp
from engine.types import FloatArray, Flow


def noise(*shape: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def constant(height: int, width: int, x: float, y: float) -> Flow:
    return Flow(np.broadcast_to(np.array([x, y], np.float32), (height, width, 2)).copy())


def warp_slowly(image: FloatArray, flow: Flow) -> FloatArray:
    """The definition, pixel by pixel."""
    height, width = image.shape[:2]
    warped = np.empty((*flow.displacement.shape[:2], *image.shape[2:]), np.float64)
    for row, column in np.ndindex(*warped.shape[:2]):
        x = np.clip(column + float(flow.displacement[row, column, 0]), 0, width - 1)
        y = np.clip(row + float(flow.displacement[row, column, 1]), 0, height - 1)
        left, top = int(x), int(y)
        right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
        upper = (1 - x + left) * image[top, left] + (x - left) * image[top, right]
        lower = (1 - x + left) * image[bottom, left] + (x - left) * image[bottom, right]
        warped[row, column] = (1 - y + top) * upper + (y - top) * lower
    return warped.astype(np.float32)


def test_a_whole_step_fetches_the_neighbouring_pixel() -> None:
    image = noise(9, 7, 3)
    assert np.array_equal(warp(image, constant(9, 7, 1, 0))[:, :-1], image[:, 1:])
    assert np.array_equal(warp(image, constant(9, 7, 0, -1))[1:], image[:-1])


def test_no_motion_gives_the_same_bits() -> None:
    image = noise(5, 6, 3)
    assert np.array_equal(warp(image, constant(5, 6, 0, 0)), image)


@pytest.mark.parametrize("shape", [(1, 1, 3), (13, 17), (13, 17, 1), (31, 8, 11)])
def test_warping_is_bilinear_with_a_border_that_goes_on(shape: tuple[int, ...]) -> None:
    image = noise(*shape)
    flow = Flow((noise(*shape[:2], 2, seed=1) - 0.5) * 30)
    # Both interpolate in float; they differ by rounding only.
    np.testing.assert_allclose(warp(image, flow), warp_slowly(image, flow), atol=1e-5)


def test_flow_that_leaves_the_picture_by_far_ends_at_its_border() -> None:
    image = noise(4, 5)
    assert np.array_equal(warp(image, constant(4, 5, 1e30, 0)), np.repeat(image[:, -1:], 5, axis=1))

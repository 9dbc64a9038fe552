"""Numbers as pictures of half precision hold them: the native kernels against their twin."""

import numpy as np
import pytest

from engine.native.kernels import Kernels
from engine.native.reference import half as twin

EDGES = [0.0, 2.0**-24, 2.0**-25, 2.0**-14, 1.0, 2048.0, 65504.0, 65520.0, 1e38, np.inf, np.nan]


def test_every_value_is_rounded_as_the_twin_rounds_it(kernels: Kernels) -> None:
    """All halves, what lies in the middle between them, and the floats around each of these."""
    edges = np.array(EDGES, np.float32)
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    finite = np.sort(halves[np.isfinite(halves)])
    middles = (finite[1:] + finite[:-1]) / 2
    values = np.concatenate([halves, middles, edges, -edges])
    with np.errstate(invalid="ignore"):
        below, above = (np.nextafter(values, np.float32(to)) for to in (-np.inf, np.inf))
    values = np.concatenate([below, values, above])
    rounded = kernels.download(kernels.nearest_half(kernels.upload(values)))
    expected = twin.nearest_half(values)
    np.testing.assert_array_equal(rounded, expected)
    np.testing.assert_array_equal(np.signbit(rounded), np.signbit(expected))


@pytest.mark.parametrize("shape", [(0,), (1,), (7, 5), (33, 31, 3), (700, 500, 3)])
def test_pictures_of_every_size_are_rounded_as_a_whole(
    kernels: Kernels, shape: tuple[int, ...]
) -> None:
    values = np.random.default_rng(1).random(shape, np.float32)
    rounded = kernels.download(kernels.nearest_half(kernels.upload(values)))
    np.testing.assert_array_equal(rounded, twin.nearest_half(values))

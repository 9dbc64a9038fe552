"""Screened Poisson blending (the third step of EbSynth's blend; section 4.2.2).

Finds the picture f that minimises `screening` |f - picture|^2 + |grad f - g|^2 in each channel of
the painting space, where g is the gradient of the chosen picture: between two pixels of the same
side, that side's difference; between pixels of two sides, the mean of what both sides say. Either
side knows both pixels, so neither step nor preference is left there. Nothing flows across the
borders of the picture (Neumann).

Here it is solved exactly: the cosines of the DCT are the eigenvectors of the differences. The
backends' multigrid comes to within `TOLERANCE` for pictures in 0..1 and a screening of 0.001 or
more. The result is not clipped.
"""

import numpy as np
from numpy.typing import NDArray

from engine.types import FloatArray

TOLERANCE = 1e-4
"""Of a backend's picture: a fixed number of cycles leaves some 1e-5 of the correction."""


def solve(
    picture: FloatArray,
    left: FloatArray,
    right: FloatArray,
    choice: FloatArray,
    screening: float,
) -> FloatArray:
    """The picture [H, W, 3], of `picture` and both sides [H, W, 3] and the choice [H, W]: 0 is
    left, 1 is right. As engine.native.kernels.Kernels.poisson.
    """
    change = np.zeros(picture.shape)
    for axis in (0, 1):
        wanted = _wanted_difference(left, right, choice, axis) - _difference(picture, axis)
        change -= _divergence(wanted, axis)
    height, width = picture.shape[:2]
    rows, columns = _cosines(height), _cosines(width)
    spectrum = np.einsum("ky,yxc,lx->klc", rows, change, columns, optimize=True)
    spectrum /= (screening + _eigenvalues(height)[:, None] + _eigenvalues(width))[..., None]
    correction = np.einsum("ky,klc,lx->yxc", rows, spectrum, columns, optimize=True)
    return np.asarray(picture + correction, np.float32)


def _wanted_difference(
    left: FloatArray, right: FloatArray, choice: FloatArray, axis: int
) -> NDArray[np.float64]:
    both = np.moveaxis(choice.astype(np.float64)[..., None], axis, 0)
    share = np.moveaxis((both[1:] + both[:-1]) / 2, 0, axis)
    return (1 - share) * _difference(left, axis) + share * _difference(right, axis)


def _difference(image: FloatArray, axis: int) -> NDArray[np.float64]:
    return np.diff(image.astype(np.float64), axis=axis)


def _divergence(differences: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    return np.diff(differences, axis=axis, prepend=0, append=0)


def _cosines(count: int) -> NDArray[np.float64]:
    """[count, count] the orthonormal DCT-II, a frequency a row."""
    frequencies, positions = np.indices((count, count))
    waves = np.cos(np.pi / count * frequencies * (positions + 0.5))
    return np.asarray(waves / np.linalg.norm(waves, axis=1, keepdims=True))


def _eigenvalues(count: int) -> NDArray[np.float64]:
    """Of the squared differences along a side, for each row of `_cosines`."""
    return np.asarray(2 - 2 * np.cos(np.pi / count * np.arange(count)))

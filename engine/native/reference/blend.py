"""Joining what the key frames at both sides give (section 4.2.2).

Each pixel is chosen from the side with the smaller error; then both sides are mixed in CIE-LAB so
that colours and contrast become those of the chosen picture (Heitz and Neyret 2018, the linear
form of their histogram-preserving mix). Both steps treat the sides alike: exchanging them gives
the same picture.

Errors are blurred and compared in float32 by + - * / alone, in one order: every backend makes the
same choice. Colours are computed here as precisely as NumPy does; the backends, which take roots
by iteration in float32, give bits of their own, but all the same ones. They differ from these by
less than `TOLERANCE`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.types import FloatArray

TOLERANCE = 5e-5
"""Of a backend's picture, 0..1: some float32 roundings, which the curve of sRGB magnifies where it
is steep (dark colours) and a mix whose contrast is raised magnifies likewise."""

_PERSISTENCE = np.float32(0.25)
"""A pixel leaves the side that it had only where that side's error is larger by this share."""

_ERROR_FLOOR = 0.1
"""Of the mean error: below it, errors tell nothing and the distances decide."""

_BLUR_SIGMA = 1.5
"""In pixels: single pixels have noisy errors."""
_BLUR_RADIUS = 6

_FLAT = 1e-3
"""A deviation in units of CIE-LAB that is not stretched."""

_XYZ_OF_RGB = np.array(
    [
        [0.4123908, 0.3575843, 0.1804808],
        [0.2126390, 0.7151687, 0.0721923],
        [0.0193308, 0.1191948, 0.9505322],
    ]
)
_TO_WHITE = _XYZ_OF_RGB / _XYZ_OF_RGB.sum(axis=1, keepdims=True)
_FROM_WHITE = np.linalg.inv(_TO_WHITE)
_KNEE = 6 / 29

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """What one key frame gives for a frame."""

    picture: FloatArray
    """[H, W, 3], painting space."""
    patch_error: FloatArray
    """[H, W]."""
    distance: int
    """Frames to the key frame, 1 or more."""


def blend(
    left: Side, right: Side, carried: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """The choice [H, W], 0 is left, 1 is right, and the mix of both sides [H, W, 3] in 0..1.

    `carried` is the choice of the frame before this one, brought here along the flow: a pixel
    keeps its side until the other is clearly better, so that borders between the sides do not
    jump. As engine.native.kernels.Kernels.blend.
    """
    floor = _error_floor(left, right)
    against_left, against_right = _weighted_error(left, floor), _weighted_error(right, floor)
    choice = _chosen(against_left, against_right, carried)
    weight = against_left / (against_left + against_right)
    return choice, _mixed(left.picture, right.picture, weight[..., None], choice[..., None])


def _error_floor(left: Side, right: Side) -> np.float32:
    means = [side.patch_error.mean(dtype=np.float64) for side in (left, right)]
    return np.float32(_ERROR_FLOOR * sum(means) / 2 + 1e-6)


def _weighted_error(side: Side, floor: np.float32) -> FloatArray:
    """What speaks against a side, [H, W].

    With equal errors the other side's weight grows evenly on the way to its key frame.
    """
    blurred = _blurred(_blurred(side.patch_error, axis=0), axis=1)
    return np.asarray((blurred + floor) * np.float32(side.distance), np.float32)


def _blurred(image: FloatArray, axis: int) -> FloatArray:
    """Gaussian along an axis; outside the image its border goes on."""
    weights = np.exp(-(np.arange(_BLUR_RADIUS + 1) ** 2) / (2 * _BLUR_SIGMA**2))
    weights = (weights / (weights[0] + 2 * weights[1:].sum())).astype(np.float32)
    lines = np.moveaxis(image, axis, 0)
    padded = np.pad(lines, ((_BLUR_RADIUS, _BLUR_RADIUS), (0, 0)), mode="edge")
    total = weights[0] * lines
    for distance in range(1, _BLUR_RADIUS + 1):
        before = padded[_BLUR_RADIUS - distance :][: len(lines)]
        after = padded[_BLUR_RADIUS + distance :][: len(lines)]
        total += weights[distance] * (before + after)
    return np.moveaxis(total, 0, axis)


def _chosen(
    against_left: FloatArray, against_right: FloatArray, carried: FloatArray | None
) -> FloatArray:
    one = np.float32(1)
    had = np.float32(0.5) if carried is None else carried
    keep_right, keep_left = one + _PERSISTENCE * had, one + _PERSISTENCE * (one - had)
    return (against_left * keep_right > against_right * keep_left).astype(np.float32)


def _mixed(
    left: FloatArray, right: FloatArray, weight: FloatArray, choice: FloatArray
) -> FloatArray:
    """The mix of both pictures with mean and deviation of the chosen one, [H, W, 3] in 0..1."""
    lab_left, lab_right = srgb_to_lab(left), srgb_to_lab(right)
    lab_chosen = np.where(choice > 0.5, lab_right, lab_left)
    ours, theirs = _standardized(lab_left), _standardized(lab_right)
    # The deviation of a mix of two pictures that are alike by `likeness`; Heitz and Neyret mix
    # unrelated textures, whose likeness is 0.
    likeness = (ours * theirs).mean(axis=(0, 1)).clip(0, 1)
    deviation = np.sqrt((1 - weight) ** 2 + weight**2 + 2 * weight * (1 - weight) * likeness)
    standardized = ((1 - weight) * ours + weight * theirs) / deviation
    return lab_to_srgb(standardized * lab_chosen.std(axis=(0, 1)) + lab_chosen.mean(axis=(0, 1)))


def _standardized(lab: Doubles) -> Doubles:
    """With mean 0 and deviation 1 in each channel."""
    mean, deviation = lab.mean(axis=(0, 1)), lab.std(axis=(0, 1))
    return np.asarray((lab - mean) / np.maximum(deviation, _FLAT))


def srgb_to_lab(rgb: FloatArray) -> Doubles:
    """[H, W, 3] sRGB as CIE-LAB (D65): L in 0..100, a and b in the same unit."""
    rgb = rgb.astype(np.float64)
    curve = ((np.maximum(rgb, 0) + 0.055) / 1.055) ** 2.4
    ratio = np.where(rgb <= 0.04045, rgb / 12.92, curve) @ _TO_WHITE.T
    root = np.where(ratio > _KNEE**3, np.cbrt(ratio), ratio / (3 * _KNEE**2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lab_to_srgb(lab: Doubles) -> FloatArray:
    """[H, W, 3] in 0..1; colours outside sRGB are clipped."""
    lightness, a, b = np.moveaxis(lab, -1, 0)
    y = (lightness + 16) / 116
    root = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    ratio = np.where(root > _KNEE, root**3, 3 * _KNEE**2 * (root - 4 / 29))
    linear = (ratio @ _FROM_WHITE.T).clip(0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb.clip(0, 1).astype(np.float32)

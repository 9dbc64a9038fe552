"""Joining what the key frames at both sides give (section 4.2.2).

First each pixel is chosen from the side with the smaller error; then both sides are mixed so that
colours and contrast become those of the chosen picture (Heitz and Neyret 2018, the linear form of
their histogram-preserving mix), in CIE-LAB. Both steps treat the sides alike: exchanging them
gives the same picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from engine.propagation.lab import lab_to_srgb, srgb_to_lab
from engine.types import FloatArray

_PERSISTENCE = np.log(1.25)
"""A pixel changes its side only where the other error is smaller by this factor."""

_ERROR_FLOOR = 0.1
"""Of the mean error: below it, errors tell nothing and the distances decide."""

_ERROR_BLUR_SIGMA = 1.5
"""In pixels: single pixels have noisy errors."""


@dataclass(frozen=True)
class Side:
    """What one key frame gives for a frame."""

    picture: FloatArray
    """[H, W, 3], painting space."""
    patch_error: FloatArray
    """[H, W]."""
    distance: int
    """Frames to the key frame, 1 or more."""


def evidence(left: Side, right: Side) -> FloatArray:
    """How much speaks for the right side, [H, W]: the logarithm of the quotient of both errors,
    each weighted by the distance to its key frame. 0 is undecided; exchanging the sides changes
    the sign.
    """
    floor = _ERROR_FLOOR * (left.patch_error.mean() + right.patch_error.mean()) / 2 + 1e-6
    return np.asarray(_log_error(left, floor) - _log_error(right, floor), np.float32)


def _log_error(side: Side, floor: np.float32) -> FloatArray:
    smooth = cv2.GaussianBlur(
        side.patch_error, (0, 0), _ERROR_BLUR_SIGMA, borderType=cv2.BORDER_REPLICATE
    )
    return np.asarray(np.log((smooth + floor) * side.distance), np.float32)


def choose(for_right: FloatArray, carried: FloatArray | None) -> FloatArray:
    """The side of each pixel, [H, W]: 0 is left, 1 is right.

    `for_right` is the `evidence`. `carried` is the choice of the frame before this one, brought
    here along the flow: a pixel keeps its side until the other is clearly better, so that borders
    between the sides do not jump.
    """
    if carried is not None:
        for_right = for_right + np.float32(_PERSISTENCE) * (2 * carried - 1)
    return (for_right > 0).astype(np.float32)


def mix(left: Side, right: Side, for_right: FloatArray, choice: FloatArray) -> FloatArray:
    """The mix of both sides with mean and deviation of the chosen picture, [H, W, 3] in 0..1.

    With equal errors the weight of a side falls evenly from its key frame to the other one.
    """
    weight = (1 / (1 + np.exp(-for_right)))[..., None]
    chosen = srgb_to_lab(np.where(choice[..., None] > 0.5, right.picture, left.picture))
    ours = _standardized(srgb_to_lab(left.picture))
    theirs = _standardized(srgb_to_lab(right.picture))
    # The deviation of a mix of two pictures that are alike by `likeness`; Heitz and Neyret mix
    # unrelated textures, whose likeness is 0.
    likeness = (ours * theirs).mean(axis=(0, 1)).clip(0, 1)
    deviation = np.sqrt((1 - weight) ** 2 + weight**2 + 2 * weight * (1 - weight) * likeness)
    standardized = ((1 - weight) * ours + weight * theirs) / np.maximum(deviation, 1e-3)
    mixed = standardized * chosen.std(axis=(0, 1)) + chosen.mean(axis=(0, 1))
    return lab_to_srgb(mixed.astype(np.float32))


def _standardized(lab: FloatArray) -> FloatArray:
    """With mean 0 and deviation 1 in each channel."""
    mean, deviation = lab.mean(axis=(0, 1)), lab.std(axis=(0, 1))
    return np.asarray((lab - mean) / np.maximum(deviation, 1e-3), np.float32)

"""Figures by which results are compared (section 5.2)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import nan

import cv2
import numpy as np

from engine.motion.flow import FlowEstimator
from engine.motion.occlusion import occlusion_mask
from engine.motion.warp import warp
from engine.types import Drift, FloatArray, Flow

_OCCLUDED = 0.5
"""Pixels of an occlusion mask from this value on are left out."""
_COMMON_SHARE = 0.01
"""Of a frame; with less in common two frames cannot be compared."""


@dataclass(frozen=True)
class WarpError:
    """How much neighbouring frames differ once the motion of the source is taken out."""

    per_frame: tuple[float, ...]
    """Mean squared error, values 0..1, of each frame but the first against the one before it;
    NaN where all of a frame is occluded."""

    @property
    def mean(self) -> float:
        """Over the frames that have a value; NaN without any."""
        values = [value for value in self.per_frame if not np.isnan(value)]
        return sum(values) / len(values) if values else nan


def pixel_mse(
    results: Iterable[FloatArray], sources: Iterable[FloatArray], flow: FlowEstimator
) -> WarpError:
    """Pixel-MSE: each frame against its predecessor warped to it along the flow of the source,
    over unoccluded pixels only.

    `results` and `sources` are the same frames [H, W, 3] in painting space, in the order of time;
    two of each are held at once.
    """
    return WarpError(
        tuple(
            _warp_error(result, previous, source, previous_source, flow)
            for (previous, previous_source), (result, source) in pairwise(
                zip(results, sources, strict=True)
            )
        )
    )


def key_mse(
    results: Iterable[FloatArray],
    sources: Iterable[FloatArray],
    keys: Collection[int],
    flow: FlowEstimator,
) -> WarpError:
    """Key-MSE: Pixel-MSE between neighbouring key frames, which sees slow drift.

    `keys` are their positions among the frames; frames between them are passed over.
    """
    return pixel_mse(_at(results, keys), _at(sources, keys), flow)


def drift_from_anchor(
    take: FloatArray, anchor: FloatArray, flow: Flow, occlusion: FloatArray
) -> Drift | None:
    """The drift of a take from its anchor's, both [H, W, 3] in painting space; None where less than
    a hundredth of the frame is seen in both.

    `flow` leads from the frame of the take to that of the anchor, and `occlusion` [H, W] is 1 where
    the one shows what the other does not.
    """
    seen = occlusion < _OCCLUDED
    if seen.mean() < _COMMON_SHARE:
        return None
    ours, theirs = take[seen], warp(anchor, flow)[seen]
    return Drift(_color_distance(ours, theirs), _structure_difference(ours, theirs))


def _color_distance(ours: FloatArray, theirs: FloatArray) -> float:
    """Of pixels [N, 3] in painting space, measured in CIE-LAB: what a normal distribution with
    independent channels has to be moved to become the other one (2-Wasserstein).
    """
    (mean, deviation), (other_mean, other_deviation) = map(_lab_moments, (ours, theirs))
    moved = np.concatenate([mean - other_mean, deviation - other_deviation])
    return float(np.linalg.norm(moved))


def _structure_difference(ours: FloatArray, theirs: FloatArray) -> float:
    """Mean squared difference of pixels [N, 3], once each channel of theirs has our mean and
    deviation.
    """
    scale = ours.std(axis=0) / np.maximum(theirs.std(axis=0), np.float32(1e-6))
    matched = (theirs - theirs.mean(axis=0)) * scale + ours.mean(axis=0)
    return float(np.mean(np.square(ours - matched, dtype=np.float64)))


def _lab_moments(pixels: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and deviation [3] of pixels [N, 3]."""
    lab = np.asarray(cv2.cvtColor(pixels[None], cv2.COLOR_RGB2LAB), np.float32)[0]
    return lab.mean(axis=0), lab.std(axis=0)


def _at(frames: Iterable[FloatArray], positions: Collection[int]) -> Iterable[FloatArray]:
    return (frame for position, frame in enumerate(frames) if position in positions)


def _warp_error(
    result: FloatArray,
    previous: FloatArray,
    source: FloatArray,
    previous_source: FloatArray,
    flow: FlowEstimator,
) -> float:
    to_previous = flow.estimate(source, previous_source)
    from_previous = flow.estimate(previous_source, source)
    seen = occlusion_mask(to_previous, from_previous) < _OCCLUDED
    if not seen.any():
        return nan
    difference = result - warp(previous, to_previous)
    return float(np.mean(np.square(difference[seen], dtype=np.float64)))

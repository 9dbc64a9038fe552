"""Figures by which results are compared (section 5.2)."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import nan

import numpy as np

from engine.motion.flow import FlowEstimator
from engine.motion.occlusion import occlusion_mask
from engine.motion.warp import warp
from engine.types import FloatArray

_OCCLUDED = 0.5
"""Pixels of an occlusion mask from this value on are left out."""


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

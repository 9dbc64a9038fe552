"""Figures by which results are compared (section 5.2)."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Embeddings:
    """What CLIP makes of pictures and of the two prompts: vectors of length 1."""

    embed: Callable[[FloatArray], FloatArray]
    """Of a picture [H, W, 3] in painting space."""
    prompt: FloatArray | None = None
    source_prompt: FloatArray | None = None


@dataclass(frozen=True)
class FrameFigures:
    """The figures of one frame; None where there are none: nothing before it, all occluded."""

    frame: int
    is_key: bool
    pixel_mse: float | None = None
    """Against the frame before it."""
    key_mse: float | None = None
    """Of a key frame, against the key frame before it."""
    likeness: float | None = None
    """Cosine of its CLIP embedding and that of the frame before it."""
    prompt_likeness: float | None = None
    """Cosine of its CLIP embedding and that of the prompt."""
    source_prompt_likeness: float | None = None
    source: "FrameFigures | None" = None
    """Those of the source's own frame."""

    @property
    def margin(self) -> float | None:
        """By how much it is closer to the prompt than to the source's prompt."""
        if self.prompt_likeness is None or self.source_prompt_likeness is None:
            return None
        return self.prompt_likeness - self.source_prompt_likeness


@dataclass(frozen=True)
class Figures:
    """The figures of a result; None where no frame has one."""

    fram_acc: float | None
    """Fram-Acc: share of frames closer to the prompt than to the source's prompt."""
    tem_con: float | None
    """Tem-Con: mean cosine of neighbouring frames' embeddings."""
    pixel_mse: float | None
    key_mse: float | None

    @classmethod
    def of(cls, frames: Collection[FrameFigures]) -> "Figures":
        margins = [frame.margin for frame in frames if frame.margin is not None]
        return cls(
            fram_acc=_mean(float(margin > 0) for margin in margins),
            tem_con=_mean(frame.likeness for frame in frames),
            pixel_mse=_mean(frame.pixel_mse for frame in frames),
            key_mse=_mean(frame.key_mse for frame in frames),
        )


def pixel_mse(
    results: Iterable[FloatArray], sources: Iterable[FloatArray], flow: FlowEstimator
) -> WarpError:
    """Pixel-MSE: each frame against its predecessor warped to it along the flow of the source,
    over unoccluded pixels only.

    `results` and `sources` are the same frames [H, W, 3] in painting space, in the order of time;
    two of each are held at once.
    """
    errors = (
        _errors(now, before, flow)[0]
        for before, now in pairwise(zip(results, sources, strict=True))
    )
    return WarpError(tuple(nan if error is None else error for error in errors))


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


def warp_error(
    result: FloatArray, previous: FloatArray, to_previous: Flow, from_previous: Flow
) -> float:
    """Mean squared error of a result [H, W, 3] and the one before it, warped to it along the flow,
    over unoccluded pixels only; NaN where there is none.
    """
    seen = occlusion_mask(to_previous, from_previous) < _OCCLUDED
    if not seen.any():
        return nan
    difference = result - warp(previous, to_previous)
    return float(np.mean(np.square(difference[seen], dtype=np.float64)))


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


def frame_figures(
    frames: Iterable[tuple[int, FloatArray, FloatArray]],
    keys: Collection[int],
    flow: FlowEstimator,
    embeddings: Embeddings | None = None,
) -> Iterator[FrameFigures]:
    """The figures of each frame, and of its source, as soon as they are known, which those before
    it decide.

    `frames` are number, result and source, [H, W, 3] in painting space, in the order of time; two
    frames and a key frame are held at once. Fram-Acc and Tem-Con need `embeddings`.
    """
    likenesses = _Likenesses(embeddings), _Likenesses(embeddings)
    before, key_before = None, None
    for frame, result, source in frames:
        now, is_key = (result, source), frame in keys
        errors = _errors(now, before, flow)
        key_errors = _errors(now, key_before, flow) if is_key else (None, None)
        ours, theirs = (
            FrameFigures(frame, is_key, errors[at], key_errors[at], *likenesses[at].of(now[at]))
            for at in (0, 1)
        )
        yield replace(ours, source=theirs)
        before = now
        if is_key:
            key_before = now


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


class _Likenesses:
    """What CLIP says of the frames of a movie, one after the other."""

    def __init__(self, embeddings: Embeddings | None) -> None:
        self._embeddings = embeddings
        self._before: FloatArray | None = None

    def of(self, picture: FloatArray) -> tuple[float | None, float | None, float | None]:
        """To the frame before, to the prompt and to the source's prompt."""
        if self._embeddings is None:
            return None, None, None
        embedded = self._embeddings.embed(picture)
        before, self._before = self._before, embedded
        others = before, self._embeddings.prompt, self._embeddings.source_prompt
        to_before, to_prompt, to_source_prompt = (_cosine(embedded, other) for other in others)
        return to_before, to_prompt, to_source_prompt


def _errors(
    now: tuple[FloatArray, FloatArray],
    before: tuple[FloatArray, FloatArray] | None,
    flow: FlowEstimator,
) -> tuple[float | None, float | None]:
    """Of result and source against those before; None where nothing is before or seen again."""
    if before is None:
        return None, None
    to_previous = flow.estimate(now[1], before[1])
    from_previous = flow.estimate(before[1], now[1])
    result, source = (
        warp_error(picture, previous, to_previous, from_previous)
        for picture, previous in zip(now, before, strict=True)
    )
    return (None, None) if np.isnan(result) else (result, source)


def _cosine(one: FloatArray, other: FloatArray | None) -> float | None:
    return None if other is None else float(np.dot(one, other))


def _mean(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if there else None


def _at(frames: Iterable[FloatArray], positions: Collection[int]) -> Iterable[FloatArray]:
    return (frame for position, frame in enumerate(frames) if position in positions)

"""One key frame carried to one frame, and a frame made from both of its key frames: how fast, and
how well. NumPy and the kernels are all that this needs.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from statistics import median

import numpy as np

from benchmarks.situation import Picture8, Situation, Way
from engine.native.kernels import (
    DeviceArray,
    DeviceFlow,
    DeviceSynthesis,
    Kernels,
    Side,
    SynthesisTask,
)
from engine.native.parameters import SynthesisParameters
from engine.propagation.parameters import synthesis_parameters
from engine.settings import PropagationSettings
from engine.types import FloatArray


@dataclass(frozen=True)
class Taken:
    """The time that a piece of work takes: medians."""

    seconds: float
    processor_seconds: float
    """Of all threads of this process."""


@dataclass(frozen=True)
class Carried:
    """A key frame's picture at another frame."""

    picture: FloatArray
    """[H, W, 3]."""
    mean_error: float
    """Of its patches."""


def parameters_of(quality: str) -> SynthesisParameters:
    """What the product searches with at this quality."""
    return synthesis_parameters(PropagationSettings(quality=quality))


class Propagation:
    """The left key frame carried to the frame in one step, its data resident on the device.

    The picture before this one, which the temporal guide shows, is the style along the flow.
    """

    def __init__(self, situation: Situation, style: Picture8, kernels: Kernels) -> None:
        self._kernels = kernels
        self._style = kernels.upload(in_floats(style))
        way = _ResidentWay(situation.left, kernels)
        self._to_key = kernels.compose(kernels.trusted(*way.step), way.previous_to_key)
        self._at_key = kernels.guides(way.key_source, self._style)
        source = kernels.upload(in_floats(situation.source))
        self._at_frame = kernels.guides(source, self._warped)

    @cached_property
    def _warped(self) -> DeviceArray:
        return self._kernels.warp(self._style, self._to_key.displacement)

    def begin(self, parameters: SynthesisParameters) -> DeviceSynthesis:
        """The patch synthesis, queued."""
        task = SynthesisTask(
            self._style,
            self._at_key,
            self._at_frame,
            self._to_key,
            parameters,
            temporal_confidence=self._to_key.confidence,
        )
        return self._kernels.synthesize([task])[0]

    def carried(self, parameters: SynthesisParameters) -> Carried:
        made = self.begin(parameters)
        errors = self._kernels.download(made.patch_error)
        return Carried(self._kernels.download(made.picture), float(errors.mean(dtype=np.float64)))

    def warped(self) -> FloatArray:
        """What a bilinear warp along the composed flow gives instead."""
        return self._kernels.download(self._warped)

    def taken(self, parameters: SynthesisParameters, repeats: int) -> Taken:
        """The wall time around the patch synthesis, until the device is done with it."""

        def work() -> None:
            self.begin(parameters)
            self._kernels.finish()

        return taken(work, repeats)


class Between:
    """A frame made from both of its key frames, its data resident on the device.

    As engine.propagation.carry and engine.pipeline do it, without reading, finding flow and saving.
    The sources serve as paintings.
    """

    def __init__(self, situation: Situation, kernels: Kernels) -> None:
        self._kernels = kernels
        self._sides = [
            _BetweenSide(situation, way, kernels) for way in (situation.left, situation.right)
        ]
        left_key, right_key = situation.keys
        self._distances = situation.target - left_key, right_key - situation.target
        self._choice = kernels.upload(np.zeros(situation.source.shape[:2], np.float32))

    def make(self, parameters: SynthesisParameters) -> DeviceArray:
        """Both directions side by side, and their blend."""
        kernels = self._kernels
        carried = kernels.synthesize([side.task(parameters) for side in self._sides])
        left, right = (
            Side(made.picture, made.patch_error, distance)
            for made, distance in zip(carried, self._distances, strict=True)
        )
        choice = kernels.warp(self._choice, self._sides[0].to_previous)
        _, picture = kernels.blend(left, right, choice)
        kernels.finish()
        return picture

    def taken(self, parameters: SynthesisParameters, repeats: int) -> Taken:
        return taken(lambda: self.make(parameters), repeats)


class _BetweenSide:
    """One key frame, carried frame by frame, at the frame before."""

    def __init__(self, situation: Situation, way: Way, kernels: Kernels) -> None:
        self._kernels = kernels
        self._way = _ResidentWay(way, kernels)
        self._source = kernels.upload(in_floats(situation.source))
        self._style = self._way.key_source
        self._at_key = kernels.guides(self._style, self._style)
        self._previous = kernels.warp(self._style, self._way.previous_to_key.displacement)

    @property
    def to_previous(self) -> DeviceArray:
        return self._way.step[0]

    def task(self, parameters: SynthesisParameters) -> SynthesisTask:
        kernels = self._kernels
        step = kernels.trusted(*self._way.step)
        to_key = kernels.compose(step, self._way.previous_to_key)
        temporal = kernels.warp(self._previous, step.displacement)
        at_frame = kernels.guides(self._source, temporal)
        return SynthesisTask(
            self._style, self._at_key, at_frame, to_key, parameters, step.confidence
        )


class _ResidentWay:
    """A way in the memory of the kernels."""

    def __init__(self, way: Way, kernels: Kernels) -> None:
        self.key_source = kernels.upload(in_floats(way.key_source))
        self.step = kernels.upload(way.to_previous), kernels.upload(way.from_previous)
        self.previous_to_key = DeviceFlow(
            kernels.upload(way.previous_to_key), kernels.upload(way.confidence)
        )


def taken(work: Callable[[], object], repeats: int) -> Taken:
    """Medians over some repeats, after one that does not count."""
    work()
    walls, processors = zip(*(_once(work) for _ in range(repeats)), strict=True)
    return Taken(median(walls), median(processors))


def _once(work: Callable[[], object]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def in_floats(picture: Picture8) -> FloatArray:
    """From 0..255 to 0..1."""
    return np.divide(picture, 255, dtype=np.float32)


def psnr_db(picture: FloatArray, expected: FloatArray) -> float:
    """Of values 0..1, not rounded to 8 bits."""
    return float(-10 * np.log10(np.mean((picture - expected) ** 2, dtype=np.float64)))

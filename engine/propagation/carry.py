"""A key frame's take carried to the frames at one side of it (section 4.2.1)."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from engine.errors import InvalidValueError
from engine.native.kernels import DeviceArray, DeviceFlow, Kernels, SynthesisTask
from engine.native.parameters import SynthesisParameters
from engine.plan import Direction
from engine.types import FloatArray, Flow


class PicturesAndFlow(Protocol):
    """The frames of the source and how they move; engine.footage has both."""

    def rgb(self, index: int) -> FloatArray:
        """The frame [H, W, 3] in painting space."""

    def flow(self, first: int, second: int) -> Flow:
        """The flow from one frame to another."""


@dataclass(frozen=True)
class Ways:
    """From a frame to a key frame."""

    to_key: DeviceFlow
    to_previous: DeviceFlow
    """To the frame next to it on the way there."""


class FlowChain:
    """The way from the frames at one side of a key frame to that key frame.

    It is composed of float flows frame by frame, never through pictures in between, so a frame far
    away costs one flow for each frame on the way; frames are asked for in the order of work.
    """

    def __init__(
        self, key_frame: int, direction: Direction, footage: PicturesAndFlow, kernels: Kernels
    ) -> None:
        self._frame = key_frame
        self._direction = direction
        self._footage = footage
        self._kernels = kernels
        self._ways: Ways | None = None

    def ways_from(self, frame: int) -> Ways:
        """From `frame`, which lies beyond the one asked for before."""
        while self._ways is None or self._frame != frame:
            self._frame += self._direction.value
            step = self._to_previous(self._frame)
            to_key = step if self._ways is None else self._kernels.compose(step, self._ways.to_key)
            self._ways = Ways(to_key, step)
        return self._ways

    def _to_previous(self, frame: int) -> DeviceFlow:
        previous = frame - self._direction.value
        forward, backward = (
            self._kernels.upload(self._footage.flow(*way).displacement)
            for way in ((frame, previous), (previous, frame))
        )
        return self._kernels.trusted(forward, backward)


@dataclass(frozen=True)
class Carrier:
    """Carries the take of one key frame, frame by frame."""

    key_frame: int
    direction: Direction
    take: FloatArray
    """[H, W, 3], painting space."""
    parameters: SynthesisParameters
    footage: PicturesAndFlow
    kernels: Kernels

    def task(self, frame: int, previous: DeviceArray) -> SynthesisTask:
        """What makes the take at `frame`; `previous` [H, W, 3] is what it is at the frame before.

        Raises InvalidValueError for a take of another size than the clip.
        """
        style, at_key = self._key_frame
        ways = self._flows.ways_from(frame)
        temporal = self.kernels.warp(previous, ways.to_previous.displacement)
        source = self.kernels.upload(self.footage.rgb(frame))
        guides = self.kernels.guides(source, temporal)
        return SynthesisTask(
            style, at_key, guides, ways.to_key, self.parameters, ways.to_previous.confidence
        )

    @cached_property
    def _flows(self) -> FlowChain:
        """Composed again from the key frame on where a render goes on in the middle."""
        return FlowChain(self.key_frame, self.direction, self.footage, self.kernels)

    @cached_property
    def _key_frame(self) -> tuple[DeviceArray, DeviceArray]:
        """The style and the guides at the key frame, whose temporal guide is the take itself."""
        source = self.footage.rgb(self.key_frame)
        if self.take.shape != source.shape:
            raise InvalidValueError(
                f"The take of key frame {self.key_frame} is {self.take.shape[1]}x"
                f"{self.take.shape[0]} and the clip {source.shape[1]}x{source.shape[0]}: import or "
                "paint it again in the size of the clip."
            )
        style = self.kernels.upload(self.take)
        return style, self.kernels.guides(self.kernels.upload(source), style)

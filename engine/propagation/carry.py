"""The way from each frame to its key frame, as float flow and never through pictures in between."""

from collections.abc import Callable

import numpy as np

from engine.motion.warp import compose
from engine.plan import Direction
from engine.types import FloatArray, Flow

FlowBetween = Callable[[int, int], Flow]
"""Flow from one frame to another, by their indices."""


class FlowChain:
    """Flow from the frames at one side of a key frame to that key frame.

    It is composed frame by frame, so a frame far away costs one flow for each frame on the way,
    however far the chain has come; frames are asked for in the order of work.
    """

    def __init__(self, key_frame: int, direction: Direction, flow_between: FlowBetween) -> None:
        self._frame = key_frame
        self._toward_key = -direction.value
        self._flow_between = flow_between
        self._to_key: Flow | None = None

    def to_key(self, frame: int) -> Flow:
        """Flow from `frame`, which lies beyond the frame asked for before, to the key frame."""
        while self._to_key is None or self._frame != frame:
            self._frame -= self._toward_key
            step = self._flow_between(self._frame, self._frame + self._toward_key)
            self._to_key = step if self._to_key is None else compose(step, self._to_key)
        return self._to_key


def positions(flow: Flow) -> FloatArray:
    """Where each pixel arrives by `flow`, [H, W, 2], x then y."""
    height, width = flow.displacement.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([x, y], axis=-1) + flow.displacement

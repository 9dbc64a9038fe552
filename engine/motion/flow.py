"""Optical flow."""

from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.types import FloatArray, Flow


class FlowEstimator(Protocol):
    """Finds how one picture moves into another."""

    @property
    def name(self) -> str:
        """What to call it in messages and in what is written beside a render."""

    @property
    def recipe(self) -> str:
        """All that its flows depend on besides the two pictures, for the addresses of a plan.

        Cheap, and imports no torch. Raises InbetweenError where it cannot work: a package that is
        not installed, a weights file that does not exist.
        """

    def prepare(self) -> None:
        """Loads what it needs, which the first flow would do as well: whoever has long work to do
        first learns of what is missing before it. Raises InbetweenError.
        """

    def estimate(self, first: FloatArray, second: FloatArray) -> Flow:
        """The flow from `first` to `second`, both [H, W, 3] of any size, in painting space."""


class DisFlow:
    """Dense inverse search (Kroeger et al. 2016) as OpenCV has it, medium preset.

    The same two pictures give the same bits, on any number of threads.
    """

    name = "dis"
    recipe = "dis"

    _SMALLEST_SIDE = 32
    """OpenCV 5.0 refuses pictures of less than 12 pixels a side and crashes at 40x12: smaller ones
    are continued by their border."""

    def prepare(self) -> None:
        pass

    def estimate(self, first: FloatArray, second: FloatArray) -> Flow:
        """The flow from `first` to `second`, both [H, W, 3] in painting space."""
        height, width = first.shape[:2]
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        no_start = None  # a flow given here would be where the search starts
        displacement = search.calc(  # type: ignore[call-overload]
            self._gray(first), self._gray(second), no_start
        )
        return Flow(np.ascontiguousarray(displacement[:height, :width], np.float32))

    def _gray(self, rgb: FloatArray) -> NDArray[np.uint8]:
        """What the search takes: luminance in 8 bits, large enough."""
        gray = np.rint(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).clip(0, 1) * 255).astype(np.uint8)
        below, right = (max(0, self._SMALLEST_SIDE - side) for side in gray.shape)
        padded = cv2.copyMakeBorder(gray, 0, below, 0, right, cv2.BORDER_REPLICATE)
        return np.asarray(padded, np.uint8)

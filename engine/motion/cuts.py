"""Where one shot ends and the next begins."""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect import FrameTimecode  # type: ignore[import-untyped]
from scenedetect.detectors import ContentDetector  # type: ignore[import-untyped]

from engine.types import FloatArray

_COMPARED_WIDTH = 256
_RATE = 25.0
"""The detector wants times; only their order counts here."""


def find_cuts(frames: Iterable[tuple[int, FloatArray]]) -> list[int]:
    """First frames of the shots after the first one, of frames [H, W, 3] in painting space.

    Frames come with their index, in the order of time. Whether a frame begins a shot is decided
    from it and the frame before it alone (the mean change of hue, saturation and brightness), so
    any part of a clip that holds both frames gives the same answer, and a part's first frame or
    one after a gap is never a cut.
    """
    cuts: list[int] = []
    detector = _detector()
    previous: int | None = None
    for index, rgb in frames:
        if previous is not None and index != previous + 1:
            detector = _detector()
        if detector.process_frame(FrameTimecode(index, _RATE), _compared(rgb)):
            cuts.append(index)
        previous = index
    return cuts


def _detector() -> ContentDetector:
    """Without a shortest shot: it would make a cut depend on cuts far away."""
    return ContentDetector(min_scene_len=0)


def _compared(rgb: FloatArray) -> NDArray[np.uint8]:
    """The picture as the detector compares it: small, 8 bits, BGR."""
    height, width = rgb.shape[:2]
    small = (min(width, _COMPARED_WIDTH), max(1, round(height * min(1, _COMPARED_WIDTH / width))))
    bgr = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA)[..., ::-1]
    return np.ascontiguousarray(np.rint(bgr.clip(0, 1) * 255), np.uint8)

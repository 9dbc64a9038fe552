"""Pictures made smaller, or made for the eye: what is sent besides frames."""

from dataclasses import replace

import cv2
import numpy as np

from engine.errors import InvalidValueError
from engine.types import FloatArray, Frame, FrameSize

LARGEST_SIDE = 16_384


def check_size(size: FrameSize) -> None:
    """Raises InvalidValueError for a size without pixels or with too many."""
    if not (0 < size.width <= LARGEST_SIDE and 0 < size.height <= LARGEST_SIDE):
        raise InvalidValueError(
            f"The frame size is {size}: each side must be from 1 to {LARGEST_SIDE} pixels."
        )


def opaque(index: int, rgb: FloatArray) -> Frame:
    """A picture [H, W, 3] of painting space as a frame."""
    return Frame(index, np.dstack([rgb, np.ones(rgb.shape[:2], np.float32)]))


def resized(frame: Frame, size: FrameSize) -> Frame:
    """The frame at another size: the mean of the pixels it covers where it becomes smaller."""
    if frame.size == size:
        return frame
    check_size(size)
    smaller = size.width <= frame.size.width and size.height <= frame.size.height
    interpolation = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    pixels = cv2.resize(frame.pixels, (size.width, size.height), interpolation=interpolation)
    return replace(frame, pixels=np.asarray(pixels, np.float32))


def fitting(size: FrameSize, within: FrameSize) -> FrameSize:
    """The largest size of the same aspect inside `within`, never larger than `size`."""
    check_size(within)
    scale = min(1.0, within.width / size.width, within.height / size.height)
    return FrameSize(max(1, round(size.width * scale)), max(1, round(size.height * scale)))


def to_jpeg(frame: Frame) -> bytes:
    """The frame as an opaque picture file."""
    bgr = np.rint(frame.pixels[..., 2::-1].clip(0, 1) * 255).astype(np.uint8)
    return bytes(cv2.imencode(".jpg", bgr)[1])

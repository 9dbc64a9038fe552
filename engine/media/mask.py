"""A mask: which part of each frame is painted, told by the pictures of another clip."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.errors import InvalidValueError
from engine.media.source import FrameSource, open_source
from engine.types import Alpha, Clip, FloatArray, Frame, FrameRange
from engine.wording import plural

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
"""Of Rec.709."""

_log = logging.getLogger(__name__)


class ClipMask:
    """The mask of a clip: white is painted; black, and what is transparent, stays source.

    Its first picture belongs to the first frame of the clip; a single one belongs to all of them.
    """

    def __init__(self, source: FrameSource, clip: Clip) -> None:
        """Raises InvalidValueError for a mask of another size or length than the clip."""
        _check(source.clip, clip)
        self._source = source
        mask, own = clip.frame_range, source.clip.frame_range
        self._shift = own.first - mask.first
        self._is_still = len(own) == 1

    def check(self, frames: FrameRange) -> None:
        """Raises NotFoundError where a picture for one of `frames` is missing."""
        for index in frames.indices:
            self._source.digest(self._number(index))

    def coverage(self, index: int) -> FloatArray:
        """[H, W], 0..1, of a frame of the clip. Raises as FrameSource.read."""
        return _coverage(self._source.read(self._number(index)))

    def close(self) -> None:
        self._source.close()

    def _number(self, index: int) -> int:
        return self._source.clip.frame_range.first if self._is_still else index + self._shift


def open_mask(path: Path, clip: Clip, notice: Callable[[str], None] = _log.warning) -> ClipMask:
    """Opens the mask of `clip`: a movie, numbered pictures, or one picture for all frames.

    Raises as open_source, and InvalidValueError for a mask of another size or length.
    """
    source = open_source(path, notice)
    try:
        return ClipMask(source, clip)
    except InvalidValueError:
        source.close()
        raise


def through_mask(made: Frame, source: Frame, coverage: FloatArray) -> Frame:
    """What is seen of `made`: all of it where coverage [H, W] is 1; the source, to the bit, where
    it is 0; between them a linear mix of the pixels as they stand. Both have the same alpha.
    """
    share = coverage[..., np.newaxis]
    with np.errstate(invalid="ignore"):  # A source may hold what is no number.
        mixed = share * made.pixels + (1 - share) * source.pixels
    mixed[..., 3] = source.pixels[..., 3]
    pixels = np.where(share == 0, source.pixels, np.where(share == 1, made.pixels, mixed))
    return replace(made, pixels=pixels)


def _coverage(frame: Frame) -> FloatArray:
    """Luminance as it stands in the file, over black. What is no number counts as 0."""
    luminance = frame.pixels[..., :3] @ _LUMINANCE
    if frame.alpha is Alpha.STRAIGHT:
        luminance *= frame.pixels[..., 3]
    return np.asarray(np.nan_to_num(luminance).clip(0.0, 1.0), np.float32)


def _check(mask: Clip, clip: Clip) -> None:
    if mask.size != clip.size:
        raise InvalidValueError(
            f"The mask {mask.source} is {mask.size} but the clip is {clip.size}: save it in the "
            "size of the clip."
        )
    frames = len(mask.frame_range)
    if frames not in (1, len(clip.frame_range)):
        raise InvalidValueError(
            f"The mask {mask.source} has {plural(frames, 'frame')} but the clip has "
            f"{len(clip.frame_range)}: give it as many, or give one picture for all of them."
        )

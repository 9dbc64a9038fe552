"""A few frames in memory: a clip's, scaled, or those of a pattern that moves."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from benchmarks.situation import Picture8
from engine.errors import InvalidValueError, NotFoundError
from engine.media.color import to_painting_space
from engine.media.source import open_source
from engine.types import Clip, Frame, FrameRange, FrameSize

_FRAME_RATE = Fraction(25)


@dataclass(frozen=True)
class Pictures:
    """A source of frames that were read already."""

    name: str
    pictures: Mapping[int, Picture8]
    """By frame, without gaps."""

    @property
    def clip(self) -> Clip:
        first, last = min(self.pictures), max(self.pictures)
        height, width = self.pictures[first].shape[:2]
        return Clip(self.name, FrameRange(first, last), FrameSize(width, height), _FRAME_RATE)

    def read(self, index: int) -> Frame:
        if index not in self.pictures:
            raise NotFoundError(f"There is no frame {index} in {self.name}.")
        rgb = self.pictures[index] / np.float32(255)
        opaque = np.ones((*rgb.shape[:2], 1), np.float32)
        return Frame(index, np.concatenate([rgb, opaque], axis=2))

    def digest(self, index: int) -> str:
        return f"{self.name} {self.clip.size} {index}"

    def close(self) -> None:
        pass


def read_pictures(path: Path, frames: FrameRange, size: FrameSize, interpolation: int) -> Pictures:
    """Frames of a clip in 8 bits, scaled to fill `size` and cut to their middle.

    A range that goes on beyond the clip ends with it. Raises InvalidValueError for one that begins
    beyond it, and what opening and reading a clip raises.
    """
    with closing(open_source(path)) as source:
        whole = source.clip.frame_range
        if frames.first not in whole:
            raise InvalidValueError(
                f"Frame {frames.first} lies outside {path.name}: choose from {whole.first} to "
                f"{whole.last}."
            )
        kept = FrameRange(frames.first, min(frames.last, whole.last))
        pictures = {
            index: filled(in_8_bits(source.read(index)), size, interpolation)
            for index in kept.indices
        }
    return Pictures(path.name, pictures)


def in_8_bits(frame: Frame) -> Picture8:
    """Its colours in painting space."""
    return np.rint(to_painting_space(frame) * 255).astype(np.uint8)


def filled(picture: Picture8, size: FrameSize, interpolation: int) -> Picture8:
    """The middle of the picture, scaled to fill the size."""
    height, width = picture.shape[:2]
    scale = max(size.width / width, size.height / height)
    fitting = (max(size.width, round(width * scale)), max(size.height, round(height * scale)))
    scaled = cv2.resize(picture, fitting, interpolation=interpolation)
    top, left = (fitting[1] - size.height) // 2, (fitting[0] - size.width) // 2
    cut = scaled[top : top + size.height, left : left + size.width]
    return np.ascontiguousarray(cut, np.uint8)


def moving_pattern(size: FrameSize, count: int) -> Pictures:
    """Frames in which soft and sharp spots move to the right by 1.5 pixels a frame."""
    random = np.random.default_rng(0)
    wide = (size.width + 2 * count, size.height)
    soft, sharp = (
        cv2.resize(random.integers(0, 256, (rows, 2 * rows, 3), np.uint8), wide, interpolation=how)
        for rows, how in ((8, cv2.INTER_CUBIC), (24, cv2.INTER_NEAREST))
    )
    pattern = cv2.addWeighted(soft, 0.6, sharp, 0.4, 0)
    pictures = {}
    for index in range(count):
        moved = np.array([[1, 0, 1.5 * (count - index)], [0, 1, 0]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        picture = cv2.warpAffine(pattern, moved, (size.width, size.height), flags=flags)
        pictures[index] = np.asarray(picture, np.uint8)
    return Pictures("moving pattern", pictures)

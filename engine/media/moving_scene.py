"""A made-up clip whose motion is known exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import cv2
import numpy as np

from engine.errors import NotFoundError
from engine.types import Clip, FloatArray, Flow, Frame, FrameRange, FrameSize

_RATE = Fraction(25)
_GROUND_MOVES = (-0.6, 0.2)
"""Pixels a frame, x then y."""
_SUBJECT_MOVES = (1.2, -0.2)
_GROUND_COLORS = ((60, 90, 50), (120, 140, 80), (150, 120, 80), (90, 70, 60), (170, 175, 160))
_SUBJECT_COLORS = ((225, 150, 70), (190, 70, 50), (245, 220, 170))
_LIGHT_FALLS = 0.006
"""Of the light, a frame."""
_SUBJECT_BEGINS = (0.25, 0.55)
"""Its centre in the first frame, in sides of the picture."""
_SUBJECT_RADIUS = 0.28
"""In heights of the picture."""
_STONES = 60
"""Patches of one colour each, to a texture."""


@dataclass(frozen=True)
class MovingScene:
    """A textured disc in front of a textured ground, each moving at its own even pace, in a light
    that slowly falls.

    A FrameSource. The textures repeat beyond their borders, so a scene may be of any length.
    """

    size: FrameSize
    frames: int

    @property
    def clip(self) -> Clip:
        return Clip("moving scene", FrameRange(0, self.frames - 1), self.size, _RATE)

    def read(self, index: int) -> Frame:
        if index not in self.clip.frame_range:
            raise NotFoundError(f"The moving scene has no frame {index}.")
        coverage = self._coverage(index)[..., None]
        ground = _moved(self._ground, _GROUND_MOVES, index)
        subject = _moved(self._subject, _SUBJECT_MOVES, index)
        light = max(0.0, 1 - _LIGHT_FALLS * index)
        rgb = light * (coverage * subject + (1 - coverage) * ground)
        # As a picture file holds it.
        rounded = np.rint(rgb.clip(0, 1) * 255) / np.float32(255)
        return Frame(index, np.dstack([rounded, np.ones(rgb.shape[:2], np.float32)]))

    def digest(self, index: int) -> str:
        return f"moving scene {self.size} {index}"

    def close(self) -> None:
        """Nothing is held open."""

    def flow(self, first: int, second: int) -> Flow:
        """Exactly where what `first` shows is in `second`."""
        on_subject = self._coverage(first)[..., None] >= 0.5
        subject, ground = (
            np.asarray(moves, np.float32) * (second - first)
            for moves in (_SUBJECT_MOVES, _GROUND_MOVES)
        )
        return Flow(np.where(on_subject, subject, ground).astype(np.float32))

    def _coverage(self, index: int) -> FloatArray:
        """How much of each pixel the disc covers, [H, W]."""
        width, height = self.size.width, self.size.height
        x, y = (
            start * side + move * index
            for start, side, move in zip(
                _SUBJECT_BEGINS, (width, height), _SUBJECT_MOVES, strict=True
            )
        )
        rows, columns = np.indices((height, width), np.float32)
        distance = np.hypot(columns - x, rows - y)
        return np.asarray((_SUBJECT_RADIUS * height - distance + 0.5).clip(0, 1), np.float32)

    @cached_property
    def _ground(self) -> FloatArray:
        return _texture(self.size, _GROUND_COLORS, seed=1)

    @cached_property
    def _subject(self) -> FloatArray:
        return _texture(self.size, _SUBJECT_COLORS, seed=2)


def _texture(size: FrameSize, colors: Sequence[tuple[int, int, int]], seed: int) -> FloatArray:
    """Patches of colours with grain of all sizes, that go on beyond the borders: [H, W, 3]."""
    random = np.random.default_rng(seed)
    rows, columns = np.indices((size.height, size.width), np.float32)
    nearest = np.full((size.height, size.width), np.inf, np.float32)
    patches = np.zeros((size.height, size.width, 3), np.float32)
    for number, (x, y) in enumerate(random.random((_STONES, 2), np.float32)):
        across, down = np.abs(columns / size.width - x), np.abs(rows / size.height - y)
        distance = np.hypot(
            np.minimum(across, 1 - across) * size.width, np.minimum(down, 1 - down) * size.height
        )
        patches[distance < nearest] = colors[number % len(colors)]
        np.minimum(nearest, distance, out=nearest)
    grain = _grain(random.standard_normal((size.height, size.width), np.float32))
    return np.asarray(patches / 255 * (0.6 + 0.8 * grain[..., None]), np.float32)


def _grain(white: FloatArray) -> FloatArray:
    """Noise as strong at every scale, 0..1."""
    height, width = white.shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    frequency[0, 0] = np.inf
    noise = np.fft.ifft2(np.fft.fft2(white) / frequency).real
    return np.asarray((noise - noise.min()) / np.ptp(noise), np.float32)


def _moved(texture: FloatArray, moves: tuple[float, float], frames: int) -> FloatArray:
    x, y = (move * frames for move in moves)
    height, width = texture.shape[:2]
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float64)
    moved = cv2.warpAffine(
        texture, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP
    )
    return np.asarray(moved, np.float32)

"""The nouns of Inbetween. docs/conventions.md states the conventions they follow."""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidValueError

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class FrameRange:
    """Source frames from first to last, both included."""

    first: int
    last: int

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise InvalidValueError(
                f"The frame range {self.first}-{self.last} is empty: its last frame must not "
                "come before its first."
            )

    def __contains__(self, index: int) -> bool:
        return self.first <= index <= self.last

    def __len__(self) -> int:
        return self.last - self.first + 1

    @property
    def indices(self) -> range:
        return range(self.first, self.last + 1)


@dataclass(frozen=True)
class FrameSize:
    """Width and height in pixels."""

    width: int
    height: int

    @classmethod
    def parse(cls, text: str) -> "FrameSize":
        """640x360 as a size."""
        width, _, height = text.partition("x")
        if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
            raise InvalidValueError(
                f"The size is {text!r}: give width and height, for example 640x360."
            )
        return cls(int(width), int(height))

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class Alpha(Enum):
    """What the fourth channel of a frame means for the other three."""

    OPAQUE = "opaque"
    PREMULTIPLIED = "premultiplied"
    STRAIGHT = "straight"


class Precision(Enum):
    """The precision a picture came in, which its results keep on disk."""

    HALF = "half"
    """16-bit float: holds every value of an 8-bit picture."""
    FLOAT = "float"
    """32-bit float: for 10-bit, 16-bit and float pictures."""


@dataclass(frozen=True)
class Frame:
    """One picture of a clip, in the clip's own colour space."""

    index: int
    pixels: FloatArray
    """RGBA, [H, W, 4], 0..1 for integer sources."""
    color_space: str = "srgb"
    alpha: Alpha = Alpha.OPAQUE
    precision: Precision = Precision.HALF

    @property
    def size(self) -> FrameSize:
        return FrameSize(self.pixels.shape[1], self.pixels.shape[0])


@dataclass(frozen=True)
class Clip:
    """The moving picture that is rendered, without its pixels."""

    source: str
    """A media path, or the name a host gives its clip."""
    frame_range: FrameRange
    size: FrameSize
    frame_rate: Fraction
    pixel_aspect: Fraction = Fraction(1)


@dataclass(frozen=True)
class Flow:
    """Optical flow: what is at p in the one frame is at p + displacement in the other."""

    displacement: FloatArray
    """[H, W, 2], x then y, in pixels of this image."""


@dataclass(frozen=True)
class KeyFrame:
    """A painted frame. What is None follows the settings of the clip."""

    index: int
    prompt: str | None = None
    """In place of the clip's."""
    negative_prompt: str | None = None
    strength: float | None = None
    seed: int | None = None
    controlnet_weight: float | None = None
    controlnet_2_weight: float | None = None
    prompt_addition: str = ""
    """Words after the prompt."""
    take: str | None = None
    """The address of a take to use as it is; None: the take that the settings ask for."""
    anchor: bool = False
    """The key frames after it are painted against it, up to the next one marked so."""


@dataclass(frozen=True)
class Drift:
    """How far a take has gone from the take of its anchor, over what both frames show."""

    color: float
    """Distance of the colours in CIE-LAB: about 2 can just be seen, 10 is another colour."""
    structure: float
    """Mean squared difference, values 0..1, once the colours are matched."""

    @property
    def is_large(self) -> bool:
        """Whether an editor should look at the take beside that of its anchor."""
        return self.color > LARGE_COLOR_DRIFT or self.structure > LARGE_STRUCTURE_DRIFT


LARGE_COLOR_DRIFT = 6.0
LARGE_STRUCTURE_DRIFT = 0.005
"""Key frames painted by the built-in model against each other stay below both: up to 5.5 and 0.002
over 60 to 120 frames of three clips; those that nothing held together had 0.008 and more."""

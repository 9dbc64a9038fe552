"""Small movies made on the spot, whose frames can be told apart."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.types import FrameSize

MakeMovie = Callable[..., Path]

SIZE = FrameSize(64, 48)
RATE = Fraction(25)


def level(index: int) -> float:
    """How bright frame `index` of a made movie is."""
    return (20 + 8 * index) / 255


def gray(index: int, size: FrameSize) -> NDArray[np.uint8]:
    """A picture of that brightness, with a white mark in its upper left quarter."""
    picture = np.full((size.height, size.width, 3), round(level(index) * 255), np.uint8)
    picture[: size.height // 2, : size.width // 2] = 255
    return picture


def _grays(count: int, size: FrameSize) -> Iterator[av.VideoFrame]:
    for index in range(count):
        yield av.VideoFrame.from_ndarray(gray(index, size), format="rgb24")


@pytest.fixture
def make_movie(tmp_path: Path) -> MakeMovie:
    def make(
        name: str,
        *,
        codec: str = "libx264",
        pixel_format: str = "yuv420p",
        size: FrameSize = SIZE,
        count: int = 12,
        rate: Fraction = RATE,
        times: Sequence[int] | None = None,
        rotation: float | None = None,
        pictures: Sequence[av.VideoFrame] | None = None,
        options: dict[str, str] | None = None,
    ) -> Path:
        """Frames of `gray`, or `pictures`, at `times` in milliseconds or at `rate`."""
        path = tmp_path / name
        with av.open(str(path), "w") as output:
            stream = output.add_stream(codec, rate, options=options or {"g": "5"})
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = size.width, size.height, pixel_format
            stream.codec_context.time_base = Fraction(1, 1000) if times else 1 / rate
            if rotation is not None:
                stream.set_display_rotation(rotation)
            for position, frame in enumerate(pictures or _grays(count, size)):
                frame = frame.reformat(format=pixel_format)
                frame.pts = times[position] if times else position
                frame.time_base = stream.codec_context.time_base
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        return path

    return make

"""The command line against a real server with a home of its own, and small movies of any kind."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from server import cli
from server.launcher import stop_server

RATE = Fraction(25)
Command = Callable[..., Result]


class MovieMaker(Protocol):
    def __call__(
        self,
        name: str,
        size: tuple[int, int] = (96, 54),
        count: int = 5,
        codec: str = "libx264",
        pixel_format: str = "yuv420p",
        times: Sequence[int] | None = None,
    ) -> Path: ...


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """A short path, because a socket lies under it; the server that is started there is ended."""
    with (
        tempfile.TemporaryDirectory(prefix="inbetween-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        runtime = Path(folder) / "run"
        runtime.mkdir(mode=0o700)
        patch.setenv("INBETWEEN_RUNTIME_DIR", str(runtime))
        patch.setenv("INBETWEEN_HOME", str(Path(folder) / "home"))
        yield Path(folder)
        stop_server()


@pytest.fixture
def inbetween(home: Path) -> Command:
    """Runs the command line in this process: `inbetween("render", clip, ...)`. What is rendered is
    painted by the quickest painter, unless another one is named.
    """

    def run(*arguments: object) -> Result:
        if arguments[0] == "render" and "--painter" not in arguments:
            prompt = () if "--prompt" in arguments else ("--prompt", "mosaic")
            arguments = (*arguments, "--painter", "style", *prompt)
        return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def movie(tmp_path: Path) -> MovieMaker:
    """Writes a movie of a texture that moves two pixels a frame."""

    def make(
        name: str,
        size: tuple[int, int] = (96, 54),
        count: int = 5,
        codec: str = "libx264",
        pixel_format: str = "yuv420p",
        times: Sequence[int] | None = None,
    ) -> Path:
        path = tmp_path / name
        frames = [picture(size, index) for index in range(count)]
        write_movie(path, frames, codec, pixel_format, times or range(count))
        return path

    return make


def write_movie(
    path: Path,
    frames: Sequence[NDArray[np.uint8]],
    codec: str,
    pixel_format: str,
    times: Sequence[int],
) -> None:
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=RATE)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixel_format
        for time, pixels in zip(times, frames, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgba")
            frame.pts, frame.time_base = time, 1 / RATE
            output.mux(stream.encode(frame.reformat(format=pixel_format)))
        output.mux(stream.encode(None))


def picture(size: tuple[int, int], index: int) -> NDArray[np.uint8]:
    """RGBA [H, W, 4] with structure to follow, and half transparent on its left half."""
    width, height = size
    noise = np.random.default_rng(7).random((height + 64, width + 64, 3), np.float32)
    texture = cv2.GaussianBlur(noise, (0, 0), 3)
    low, high = texture.min(), texture.max()
    window = (texture[:height, 2 * index : 2 * index + width] - low) / (high - low)
    alpha = np.full((height, width, 1), 255, np.uint8)
    alpha[:, : width // 2] = 128
    return np.concatenate([(window * 255).astype(np.uint8), alpha], axis=2)


@pytest.fixture
def two_shots(tmp_path: Path) -> Path:
    """20 dark frames, then 20 bright ones, losslessly."""
    path = tmp_path / "two-shots.mkv"
    dark = [picture((96, 54), index) // 3 for index in range(20)]
    bright = [frame + np.uint8(150) for frame in dark]
    write_movie(path, [*dark, *bright], "ffv1", "bgr0", range(40))
    return path


@pytest.fixture
def fresh_home(home: Path) -> Iterator[Path]:
    """No server runs here yet, and the one that the test starts serves no other test."""
    stop_server()
    yield home
    stop_server()

"""Files that were damaged on their way, thousands of them: each is read, or refused by a sentence.

They are read in processes of their own, so that a codec that crashes is told by its seed.
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from engine.media.picture import write_picture
from engine.types import Alpha, Frame, FrameSize, Precision

from .conftest import MakeMovie, gray

PROGRAM = Path(__file__).with_name("read_damaged.py")
PICTURES = 2000
MOVIES = 2000
MOVIE_KINDS: dict[str, dict[str, object]] = {
    "h264.mp4": {},
    "h264.mkv": {},
    "h264.ts": {},
    "mpeg4.avi": {"codec": "mpeg4"},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "5", "cpu-used": "8"}},
    "prores.mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le"},
    "ffv1.mkv": {"codec": "ffv1", "pixel_format": "yuva420p"},
    "mjpeg.mov": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
}


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".exr"])
def test_a_damaged_picture_is_read_or_refused(tmp_path: Path, suffix: str) -> None:
    pixels = np.dstack([gray(3, FrameSize(64, 48)) / 255, np.full((48, 64), 0.5)])
    path = tmp_path / f"whole{suffix}"
    write_picture(path, Frame(0, pixels.astype(np.float32), alpha=Alpha.STRAIGHT))
    deep = tmp_path / f"deep{suffix}"
    precise = Frame(0, pixels.astype(np.float32), precision=Precision.FLOAT)
    write_picture(deep, precise)
    _read_damaged("picture", [path, deep], PICTURES)


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", MOVIE_KINDS)
def test_a_damaged_movie_is_read_or_refused(make_movie: MakeMovie, kind: str) -> None:
    _read_damaged("movie", [make_movie(kind, **MOVIE_KINDS[kind])], MOVIES)


def _read_damaged(kind: str, files: Sequence[Path], count: int) -> None:
    """Reads `count` damaged copies of each file in a process that may die of it."""
    for file in files:
        command = [sys.executable, str(PROGRAM), kind, str(file), str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        last = done.stdout.strip().rpartition("\n")[2]
        told = f"{file.name}, {last}, exit code {done.returncode}: {done.stderr[-2000:]}"
        assert done.returncode == 0, told

"""How movies are looked through: as seldom as can be, and always with the same result."""

import pickle
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from engine.media import movie_index
from engine.media.container import open_movie, video_stream
from engine.media.movie import MovieSource
from engine.media.movie_index import MovieIndex, index_of
from engine.types import FrameSize
from server.work.tasks import MediaFile

from .conftest import MakeMovie

INTRA_ONLY: dict[str, dict[str, object]] = {
    "prores.mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le"},
    "dnxhr.mov": {
        "codec": "dnxhd",
        "pixel_format": "yuv422p",
        "size": FrameSize(256, 128),
        "options": {"profile": "dnxhr_sq"},
    },
    "mjpeg.mov": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "mjpeg.mp4": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "varied.mov": {
        "codec": "prores_ks",
        "pixel_format": "yuv422p10le",
        "times": [0, 40, 50, 90, 200, 210],
        "count": 6,
    },
    "late.mov": {
        "codec": "mjpeg",
        "pixel_format": "yuvj420p",
        "times": [400, 440, 480, 520],
        "count": 4,
    },
}
LARGE = FrameSize(640, 360)
LARGE_COUNT = 60
READ_ANYWAY_BYTES = 6 << 20
"""Both ends of the file for its fingerprint, its header, what decoders want for the first frame."""
OPENS_IN_ANOTHER_PROCESS = """
import pickle, psutil, sys
media = pickle.load(sys.stdin.buffer)
process = psutil.Process()
before = process.io_counters().read_chars
clip = media.open().clip
print(len(clip.frame_range), process.io_counters().read_chars - before)
"""


@pytest.fixture
def make_large(make_movie: MakeMovie) -> Callable[..., Path]:
    """Makes movies of noise, larger by half than what is read of any."""

    def make(name: str, **kind: object) -> Path:
        random = np.random.default_rng(1)
        pictures = [
            av.VideoFrame.from_ndarray(
                random.integers(0, 256, (LARGE.height, LARGE.width, 3), np.uint8), format="rgb24"
            )
            for _ in range(LARGE_COUNT)
        ]
        path = make_movie(name, size=LARGE, pictures=pictures, **kind)
        assert path.stat().st_size > 1.5 * READ_ANYWAY_BYTES
        return path

    return make


def bytes_read(work: Callable[[], object]) -> int:
    process = psutil.Process()
    before = process.io_counters().read_chars
    work()
    return int(process.io_counters().read_chars - before)


def index_by_packets(path: Path) -> MovieIndex:
    with open_movie(path) as container:
        return movie_index._index_by_packets(container, video_stream(container, path), str(path))


def test_a_movie_is_read_to_its_end_once_in_a_process(make_large: Callable[..., Path]) -> None:
    path = make_large("noise.mp4", options={"g": "5", "qp": "10"})
    assert bytes_read(lambda: MovieSource(path)) > path.stat().st_size
    assert bytes_read(lambda: MovieSource(path)) < READ_ANYWAY_BYTES
    assert bytes_read(lambda: index_of(path)) < READ_ANYWAY_BYTES


def test_the_worker_is_told_which_frames_a_movie_holds(make_large: Callable[..., Path]) -> None:
    path = make_large("noise.mp4", options={"g": "5", "qp": "10"})
    MovieSource(path)
    command = [sys.executable, "-c", OPENS_IN_ANOTHER_PROCESS]
    told = pickle.dumps(MediaFile(path))
    done = subprocess.run(command, input=told, capture_output=True, check=True)
    frames, read = map(int, done.stdout.split())
    assert frames == LARGE_COUNT
    assert read < READ_ANYWAY_BYTES


def test_what_was_known_of_a_file_is_forgotten_when_it_changes(make_movie: MakeMovie) -> None:
    assert len(index_of(make_movie("clip.mp4")).times) == 12
    assert len(index_of(make_movie("clip.mp4", count=7)).times) == 7


def test_a_movie_of_frames_that_need_no_others_is_not_read_to_its_end(
    make_large: Callable[..., Path],
) -> None:
    path = make_large("noise.mov", codec="prores_ks", pixel_format="yuv422p10le")
    assert bytes_read(lambda: MovieSource(path)) < READ_ANYWAY_BYTES


@pytest.mark.parametrize("name", INTRA_ONLY)
def test_the_list_of_a_file_says_what_its_packets_say(make_movie: MakeMovie, name: str) -> None:
    path = make_movie(name, **INTRA_ONLY[name])
    with open_movie(path) as container:
        assert movie_index._listed_index(container, video_stream(container, path)) is not None
    assert index_of(path) == index_by_packets(path)


def test_frames_of_a_varying_rate_are_shown_when_the_list_says(make_movie: MakeMovie) -> None:
    index = index_of(make_movie("varied.mov", **INTRA_ONLY["varied.mov"]))
    shown = [index.seconds(frame) * 1000 for frame in range(6)]
    assert [time - shown[0] for time in shown] == [Fraction(t) for t in (0, 40, 50, 90, 200, 210)]


def test_a_list_that_goes_on_after_the_end_of_the_file_is_not_believed(
    make_movie: MakeMovie, tmp_path: Path
) -> None:
    """As in a copy that was interrupted, of a movie whose index stands first."""
    path = tmp_path / "cut.mov"
    whole = make_movie("whole.mov", codec="mjpeg", pixel_format="yuvj420p")
    options = {"movflags": "faststart"}
    with av.open(str(whole)) as movie, av.open(str(path), "w", options=options) as output:
        stream = output.add_stream_from_template(movie.streams.video[0])
        for packet in movie.demux(movie.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    path.write_bytes(path.read_bytes()[:-1500])
    index = index_of(path)
    assert index.missing > 0
    assert index == index_by_packets(path)

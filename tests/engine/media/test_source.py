"""What holds for every source of frames, and what movies and stills add."""

import gc
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engine.errors import NotFoundError, UnreadableMediaError
from engine.media.movie import MovieSource
from engine.media.picture import write_picture
from engine.media.source import FrameSource, open_source
from engine.types import Alpha, Frame, FrameRange, FrameSize, Precision
from tests.patience import wait_until

from .conftest import MakeMovie, gray, level

Backend = Callable[[Path, MakeMovie], Path]


def still_frame(index: int, precision: Precision = Precision.HALF) -> Frame:
    rgb = gray(index, FrameSize(64, 48)).astype(np.float32) / 255
    pixels = np.dstack([rgb, np.ones((48, 64), np.float32)])
    return Frame(index, pixels, precision=precision)


def pictures(name: str) -> Backend:
    def make(folder: Path, make_movie: MakeMovie) -> Path:
        for index in range(12):
            write_picture(folder / (name % index), still_frame(index))
        return folder / name

    return make


def movie(name: str, **how: object) -> Backend:
    return lambda folder, make_movie: make_movie(name, **how)


BACKENDS = {
    "mp4": movie("clip.mp4"),
    "mkv": movie("clip.mkv"),
    "webm": movie("clip.webm", codec="libvpx-vp9", options={"g": "5", "cpu-used": "8"}),
    "prores": movie("clip.mov", codec="prores_ks", pixel_format="yuv422p10le"),
    "avi with reordered frames": movie("clip.avi"),
    "transport stream": movie("clip.ts"),
    "variable rate": movie(
        "vfr.mp4", times=[0, 40, 50, 90, 200, 210, 300, 340, 350, 390, 500, 540]
    ),
    "png": pictures("clip.%04d.png"),
    "exr": pictures("clip.%03d.exr"),
}


@pytest.fixture(params=BACKENDS)
def source(request: pytest.FixtureRequest, tmp_path: Path, make_movie: MakeMovie) -> FrameSource:
    return open_source(BACKENDS[request.param](tmp_path, make_movie))


def brightness(frame: Frame) -> float:
    """Of the part without the mark, as sRGB."""
    value = float(frame.pixels[30:, 40:, :3].mean())
    if frame.color_space == "linear-rec709":
        value = 1.055 * float(value ** (1 / 2.4)) - 0.055
    return value


def test_every_frame_is_there_in_any_order(source: FrameSource) -> None:
    assert source.clip.frame_range == FrameRange(0, 11)
    for index in [0, 1, 2, 7, 3, 11, 10, 9, 0, 5, 6, 11, 4]:
        assert brightness(source.read(index)) == pytest.approx(level(index), abs=0.01), index


def test_a_frame_is_the_same_however_it_is_reached(source: FrameSource) -> None:
    forwards = [source.read(index).pixels for index in range(12)]
    backwards = [source.read(index).pixels for index in reversed(range(12))]
    for one, other in zip(forwards, reversed(backwards), strict=True):
        assert np.array_equal(one, other)


def test_frames_can_be_read_from_several_threads(source: FrameSource) -> None:
    indices = [3, 9, 0, 11, 6, 1, 8, 4] * 3
    with ThreadPoolExecutor(4) as pool:
        frames = list(pool.map(source.read, indices))
    assert [frame.index for frame in frames] == indices
    assert all(brightness(frame) == pytest.approx(level(frame.index), abs=0.01) for frame in frames)


def test_frames_fit_the_clip(source: FrameSource) -> None:
    frame = source.read(2)
    assert frame.size == source.clip.size == FrameSize(64, 48)
    assert frame.pixels.dtype == np.float32
    assert frame.pixels.flags.c_contiguous
    assert (frame.pixels[..., 3] == 1).all()


def test_digests_tell_frames_apart_and_last(source: FrameSource) -> None:
    digests = [source.digest(index) for index in range(12)]
    assert len(set(digests)) == 12
    assert source.digest(5) == digests[5]


@pytest.mark.parametrize("index", [-1, 12])
def test_outside_the_clip_there_is_nothing(source: FrameSource, index: int) -> None:
    with pytest.raises(NotFoundError, match=str(index)):
        source.read(index)


def test_closing_twice_is_no_error(source: FrameSource) -> None:
    source.close()
    source.close()


def test_a_closed_movie_leaves_no_threads_behind(make_movie: MakeMovie) -> None:
    path = make_movie("clip.mp4")
    before = threads()
    gc.disable()  # a server that rests collects no garbage either
    try:
        for _ in range(5):
            open_source(path).close()
        wait_until(lambda: not threads() - before)  # the system lists one a moment longer
    finally:
        gc.enable()


def test_a_closed_movie_says_so(make_movie: MakeMovie) -> None:
    source = open_source(make_movie("clip.mp4"))
    source.read(1)
    source.close()
    with pytest.raises(NotFoundError, match="was closed"):
        source.read(1)


def threads() -> set[str]:
    return {task.name for task in Path("/proc/self/task").iterdir()}


def test_a_real_clip_is_what_it_is(bunny: Path, carphone: Path) -> None:
    clip = MovieSource(bunny).clip
    assert (clip.size, clip.frame_rate) == (FrameSize(1280, 720), Fraction(25))
    assert clip.frame_range == FrameRange(0, 131)
    clip = MovieSource(carphone).clip
    assert (clip.frame_rate, clip.pixel_aspect) == (Fraction(30000, 1001), Fraction(128, 117))


def test_a_changed_file_has_other_digests(make_movie: MakeMovie) -> None:
    path = make_movie("clip.mp4")
    before = MovieSource(path).digest(0)
    os.utime(path, ns=(1, 1))
    assert MovieSource(path).digest(0) != before


@pytest.mark.parametrize(("rotation", "corner"), [(90, (-1, 0)), (-90, (0, -1)), (180, (-1, -1))])
def test_a_turned_recording_stands_upright(
    make_movie: MakeMovie, rotation: int, corner: tuple[int, int]
) -> None:
    """The white mark moves from the upper left to the corner where FFmpeg's own player shows it."""
    source = MovieSource(make_movie("phone.mp4", rotation=rotation))
    size = FrameSize(48, 64) if rotation in (90, -90) else FrameSize(64, 48)
    frame = source.read(0)
    assert frame.size == source.clip.size == size
    assert frame.pixels[corner][:3].min() > 0.95


def test_ten_bits_are_kept(make_movie: MakeMovie) -> None:
    ramp = np.linspace(64, 940, 64).round().astype(np.uint16)
    picture = av.VideoFrame(64, 48, "yuv444p10le")
    for plane, row in zip(picture.planes, (ramp, ramp * 0 + 512, ramp * 0 + 512), strict=True):
        plane.update(np.tile(row, (48, plane.line_size // 128)).tobytes())
    path = make_movie("deep.mkv", codec="ffv1", pixel_format="yuv444p10le", pictures=[picture])
    frame = MovieSource(path).read(0)
    assert frame.precision is Precision.FLOAT
    np.testing.assert_allclose(frame.pixels[10, :, 1], (ramp - 64) / 876, atol=0.5 / 876)


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("alpha.mov", "prores_ks", "yuva444p10le"),
        ("alpha.mov", "qtrle", "argb"),
        ("alpha.mov", "png", "rgba"),
        ("alpha.webm", "libvpx-vp9", "yuva420p"),
    ],
)
def test_alpha_is_kept(make_movie: MakeMovie, name: str, codec: str, pixel_format: str) -> None:
    rgba = np.full((48, 64, 4), (200, 100, 50, 255), np.uint8)
    rgba[:, 32:, 3] = 51
    picture = av.VideoFrame.from_ndarray(rgba, format="rgba")
    options = {"prores_ks": {"profile": "4444"}, "libvpx-vp9": {"auto-alt-ref": "0"}}.get(codec, {})
    path = make_movie(
        name, codec=codec, pixel_format=pixel_format, pictures=[picture], options=options
    )
    frame = MovieSource(path).read(0)
    assert frame.alpha is Alpha.STRAIGHT
    assert frame.pixels[20, 60, 3] == pytest.approx(0.2, abs=0.01)
    assert frame.pixels[20, 3, 3] == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("matrix", "luma_of_green"), [(1, 0.7152), (5, 0.587), (9, 0.678)], ids=["709", "601", "2020"]
)
@pytest.mark.parametrize("is_full", [False, True], ids=["limited", "full"])
def test_colours_follow_the_matrix_and_the_range(
    tmp_path: Path, matrix: int, luma_of_green: float, is_full: bool
) -> None:
    """Luma of pure green alone, with the chroma of grey, tells matrix and range."""
    path = tmp_path / "colour.mkv"
    value = 0.5
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", 25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv444p"
        stream.codec_context.colorspace = matrix
        stream.codec_context.color_range = 2 if is_full else 1
        red, blue = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 9: (0.2627, 0.0593)}[matrix]
        y = value * luma_of_green
        scale, offset = ((255, 0), (219, 16))[not is_full]
        chroma = 255 if is_full else 224
        yuv = [
            y * scale + offset,
            -y / (2 * (1 - blue)) * chroma + 128,
            -y / (2 * (1 - red)) * chroma + 128,
        ]
        planes = np.broadcast_to(np.round(yuv).astype(np.uint8)[:, None, None], (3, 16, 16))
        frame = av.VideoFrame.from_ndarray(planes.copy(), format="yuv444p")
        frame.colorspace, frame.color_range, frame.pts = matrix, 2 if is_full else 1, 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    np.testing.assert_allclose(
        MovieSource(path).read(0).pixels[8, 8, :3], (0, value, 0), atol=2.5 / 255
    )


@pytest.mark.parametrize("size", [FrameSize(1, 1), FrameSize(85, 47), FrameSize(48, 64)])
def test_any_size_is_read(make_movie: MakeMovie, size: FrameSize) -> None:
    source = MovieSource(make_movie("clip.mkv", pixel_format="yuv444p", size=size, count=2))
    assert source.clip.size == source.read(1).size == size


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_of_a_movie_cut_short_the_rest_is_used(
    tmp_path: Path, small_clip: Path, suffix: str
) -> None:
    """As a copy that was interrupted, of a movie whose index stands first."""
    path = tmp_path / f"cut{suffix}"
    options = {"movflags": "faststart"} if suffix == ".mp4" else {}
    with av.open(str(small_clip)) as movie, av.open(str(path), "w", options=options) as output:
        stream = output.add_stream_from_template(movie.streams.video[0])
        for packet in movie.demux(movie.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                output.mux(packet)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 3 // 4])
    notices: list[str] = []
    source, intact = open_source(path, notices.append), open_source(small_clip)
    count = len(source.clip.frame_range)
    assert 10 < count < 24
    assert len(notices) == 1
    assert f"first {count} frames" in notices[0]
    for index in source.clip.frame_range.indices:
        assert np.array_equal(source.read(index).pixels, intact.read(index).pixels)


def test_pictures_with_a_gap_are_used_and_the_gap_is_told(tmp_path: Path) -> None:
    for index in (1001, 1002, 1004):
        write_picture(tmp_path / f"shot.{index}.png", still_frame(0))
    notices: list[str] = []
    source = open_source(tmp_path / "shot.####.png", notices.append)
    assert source.clip.frame_range == FrameRange(1001, 1004)
    assert "1003" in notices[0]
    with pytest.raises(NotFoundError, match="1003"):
        source.read(1003)


def test_pictures_of_another_size_are_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "shot.0.png", still_frame(0))
    smaller = replace(still_frame(1), pixels=still_frame(1).pixels[:10])
    write_picture(tmp_path / "shot.1.png", smaller)
    with pytest.raises(UnreadableMediaError, match="64x10"):
        open_source(tmp_path / "shot.#.png").read(1)


def test_a_still_is_a_clip_of_one_frame(tmp_path: Path) -> None:
    write_picture(tmp_path / "still.png", still_frame(3, Precision.FLOAT))
    source = open_source(tmp_path / "still.png")
    assert source.clip.frame_range == FrameRange(0, 0)
    assert source.read(0).precision is Precision.FLOAT


def test_what_is_no_clip_is_refused_in_one_sentence(tmp_path: Path, make_movie: MakeMovie) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "notes.txt").write_text("no video " * 200)
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    whole = make_movie("headless.mp4").read_bytes()
    (tmp_path / "headless.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "folder").mkdir()
    expected = {
        "absent.mp4": (NotFoundError, "does not exist"),
        "shot.####.png": (NotFoundError, "does not exist"),
        "folder": (UnreadableMediaError, "is a folder"),
        "empty.mp4": (UnreadableMediaError, "is empty"),
        "notes.txt": (UnreadableMediaError, "video"),
        "noise.mp4": (UnreadableMediaError, "no video"),
        "headless.mp4": (UnreadableMediaError, "not written to its end"),
    }
    for name, (error, text) in expected.items():
        with pytest.raises(error, match=text) as raised:
            open_source(tmp_path / name)
        assert str(tmp_path) in str(raised.value)


def test_sound_alone_is_no_clip(tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as output:
        stream = output.add_stream("aac", 48000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.sample_rate = 48000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with pytest.raises(UnreadableMediaError, match="no moving picture"):
        open_source(path)

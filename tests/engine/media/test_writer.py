import resource
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from engine.errors import InvalidValueError, StorageError
from engine.media.movie import MovieSource
from engine.media.movie_index import index_of
from engine.media.source import open_source
from engine.media.writer import FrameWriter, check_output, open_writer
from engine.types import Alpha, Clip, Frame, FrameRange, FrameSize, Precision

from .conftest import MakeMovie

MOVIES = ["out.mp4", "out.m4v", "out.mov", "out.mkv", "out.webm", "out.avi", "out.ts", "out.m2ts"]


def made_clip(size: FrameSize, count: int = 4) -> Clip:
    return Clip("made", FrameRange(0, count - 1), size, Fraction(30000, 1001), Fraction(4, 3))


def made_frame(
    index: int,
    size: FrameSize,
    precision: Precision = Precision.HALF,
    alpha: Alpha = Alpha.OPAQUE,
) -> Frame:
    """A ramp in three colours, shifted by the index."""
    x = np.linspace(0.1, 0.8, size.width, dtype=np.float32) + 0.02 * index
    ramp = np.tile(x, (size.height, 1))
    pixels = np.dstack([ramp, 1 - ramp, np.full_like(ramp, 0.5), np.ones_like(ramp)])
    if alpha is not Alpha.OPAQUE:
        pixels[: size.height // 2, :, 3] = 0.25
    return Frame(index, pixels, alpha=alpha, precision=precision)


def write(path: Path, clip: Clip, **how: object) -> list[str]:
    """Writes made frames; returns what was told."""
    told: list[str] = []
    writer = open_writer(path, clip, clip.frame_range, None, told.append)
    for index in clip.frame_range.indices:
        writer.write(made_frame(index, clip.size, **how))  # type: ignore[arg-type]
    writer.close()
    return told


def sound(path: Path) -> tuple[np.ndarray, Fraction]:
    """All samples of the first sound stream and when they begin, in seconds after the picture."""
    with av.open(str(path)) as movie:
        stream, video = movie.streams.audio[0], movie.streams.video[0]
        frames = list(movie.decode(stream))
        begins = Fraction(frames[0].pts or 0) * (frames[0].time_base or 1)
        begins -= (video.start_time or 0) * (video.time_base or 1)
        samples = np.concatenate([frame.to_ndarray().astype(np.float32) for frame in frames], 1)
        return samples[0] / max(1e-9, np.abs(samples).max()), begins


@pytest.mark.parametrize("name", MOVIES)
def test_a_clip_keeps_size_rate_count_and_sound(
    tmp_path: Path, small_clip: Path, name: str
) -> None:
    source, path = open_source(small_clip), tmp_path / name
    frames = FrameRange(6, 17)
    writer = open_writer(path, source.clip, frames, small_clip)
    for index in frames.indices:
        writer.write(source.read(index))
    writer.close()
    written = open_source(path)
    assert written.clip.size == source.clip.size
    assert written.clip.frame_rate == source.clip.frame_rate
    assert written.clip.frame_range == FrameRange(0, 11)
    for position in (0, 11):
        error = written.read(position).pixels - source.read(6 + position).pixels
        assert np.abs(error).mean() < 0.02
        assert np.abs(error.mean(axis=(0, 1))).max() < 0.005  # no shift of colours
    samples, begins = sound(path)
    seconds = len(frames) / source.clip.frame_rate
    assert len(samples) / 48000 == pytest.approx(float(seconds), abs=0.05)
    assert 0 <= begins < 0.03
    spectrum = np.abs(np.fft.rfft(samples[4800:19200]))
    assert np.argmax(spectrum) * 48000 / 14400 == pytest.approx(440, abs=4)


def test_sound_that_the_container_takes_is_not_encoded_again(
    tmp_path: Path, small_clip: Path
) -> None:
    source, path = open_source(small_clip), tmp_path / "out.mkv"
    writer = open_writer(path, source.clip, FrameRange(0, 23), small_clip)
    for index in range(24):
        writer.write(source.read(index))
    writer.close()

    def packets(of: Path) -> list[bytes]:
        with av.open(str(of)) as movie:
            return [bytes(packet) for packet in movie.demux(movie.streams.audio[0]) if packet.size]

    copied = packets(path)
    assert len(copied) > 40
    assert set(copied) <= set(packets(small_clip))


def test_variable_times_come_out_as_they_were(tmp_path: Path, make_movie: MakeMovie) -> None:
    times = [0, 40, 50, 90, 200, 210, 300, 340, 350, 390, 500, 540]
    source, path = open_source(make_movie("vfr.mp4", times=times)), tmp_path / "out.mp4"
    writer = open_writer(path, source.clip, FrameRange(3, 9), None)
    for index in range(3, 10):
        writer.write(source.read(index))
    writer.close()
    written = index_of(path)
    assert [1000 * (written.seconds(frame) - written.seconds(0)) for frame in range(7)] == [
        time - 90 for time in times[3:10]
    ]


@pytest.mark.parametrize("name", MOVIES)
@pytest.mark.parametrize("size", [FrameSize(1, 1), FrameSize(85, 47), FrameSize(36, 64)], ids=str)
@pytest.mark.parametrize("precision", Precision)
def test_a_movie_of_any_size_has_exactly_that_size(
    tmp_path: Path, name: str, size: FrameSize, precision: Precision
) -> None:
    clip, path = made_clip(size), tmp_path / name
    told = write(path, clip, precision=precision)
    written = open_source(path)
    assert (written.clip.size, written.clip.frame_rate) == (size, clip.frame_rate)
    assert written.clip.frame_range == clip.frame_range
    error = written.read(2).pixels - made_frame(2, size).pixels
    assert np.abs(error).mean() < 0.02
    if size.width % 2 and name in {"out.mp4", "out.mkv"}:
        assert f"{size} is an odd size" in told[0]


@pytest.mark.parametrize(
    ("name", "pixel_format"),
    [("out.mp4", "yuv420p10le"), ("out.mkv", "yuv420p10le"), ("out.mov", "yuv422p10le")],
)
def test_deep_sources_make_deep_movies(tmp_path: Path, name: str, pixel_format: str) -> None:
    write(tmp_path / name, made_clip(FrameSize(96, 64)), precision=Precision.FLOAT)
    with av.open(str(tmp_path / name)) as movie:
        assert movie.streams.video[0].pix_fmt == pixel_format
    assert open_source(tmp_path / name).read(0).precision is Precision.FLOAT


def test_webm_tells_that_it_has_eight_bits(tmp_path: Path) -> None:
    told = write(tmp_path / "out.webm", made_clip(FrameSize(64, 48)), precision=Precision.FLOAT)
    assert "8 bits" in told[0]


@pytest.mark.parametrize("name", ["out.mov", "out.mkv", "out.webm", "out.%d.png", "out.%d.exr"])
@pytest.mark.parametrize("precision", Precision)
def test_alpha_is_kept_where_it_can_be(tmp_path: Path, name: str, precision: Precision) -> None:
    clip = made_clip(FrameSize(64, 48))
    write(tmp_path / name, clip, alpha=Alpha.STRAIGHT, precision=precision)
    frame = open_source(tmp_path / name).read(1)
    assert frame.alpha is not Alpha.OPAQUE
    assert frame.pixels[5, 5, 3] == pytest.approx(0.25, abs=0.01)
    assert frame.pixels[40, 5, 3] == pytest.approx(1, abs=0.01)


def test_without_alpha_the_movie_is_laid_over_black_and_that_is_told(tmp_path: Path) -> None:
    clip = made_clip(FrameSize(64, 48))
    told = write(tmp_path / "out.mp4", clip, alpha=Alpha.STRAIGHT)
    assert "keeps no alpha" in told[0]
    pixels, given = (
        MovieSource(tmp_path / "out.mp4").read(0).pixels,
        made_frame(0, clip.size).pixels,
    )
    assert pixels[5, 32, 2] == pytest.approx(0.125, abs=0.03)
    assert pixels[40, 32, 0] == pytest.approx(float(given[40, 32, 0]), abs=0.03)


def test_a_gif_has_all_frames_in_its_own_colours_and_tells_what_it_lacks(
    tmp_path: Path, small_clip: Path
) -> None:
    source, path, told = open_source(small_clip), tmp_path / "out.gif", list[str]()
    writer = open_writer(path, source.clip, FrameRange(3, 8), small_clip, told.append)
    for index in range(3, 9):
        writer.write(source.read(index))
    writer.close()
    gif = open_source(path)
    assert (gif.clip.frame_range, gif.clip.frame_rate) == (FrameRange(0, 5), Fraction(25))
    error = np.abs(gif.read(4).pixels - source.read(7).pixels)[..., :3]
    assert error.mean() < 0.03
    assert "256 colours a frame and no sound" in told[0]


def test_a_varying_rate_is_not_squeezed_into_a_movie_of_one_rate(
    tmp_path: Path, make_movie: MakeMovie
) -> None:
    source = open_source(make_movie("vfr.mp4", times=[0, 40, 50, 90, 200, 210], count=6))
    writer = open_writer(tmp_path / "out.avi", source.clip, source.clip.frame_range, None)
    with pytest.raises(InvalidValueError, match=r"\.avi has one frame rate"):
        writer.write(source.read(0))
    writer.close()


def test_movies_carry_their_colour_tags_and_pixel_aspect(tmp_path: Path) -> None:
    write(tmp_path / "out.mp4", made_clip(FrameSize(64, 48)))
    with av.open(str(tmp_path / "out.mp4")) as movie:
        context = movie.streams.video[0].codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc)
        assert tags == (1, 1, 1)
        assert context.color_range == 1
        assert movie.streams.video[0].sample_aspect_ratio == Fraction(4, 3)


@pytest.mark.parametrize(
    ("name", "first"),
    [("out.%04d.exr", "out.0007.exr"), ("o.##.png", "o.07.png"), ("shot", "shot/shot.0007.exr")],
)
def test_pictures_carry_the_numbers_of_their_frames(tmp_path: Path, name: str, first: str) -> None:
    size = FrameSize(8, 6)
    writer = open_writer(tmp_path / name, made_clip(size, 20), FrameRange(7, 9), None)
    for index in (9, 7, 8):
        writer.write(made_frame(index, size))
    writer.close()
    assert (tmp_path / first).is_file()
    assert len(list((tmp_path / first).parent.iterdir())) == 3


def test_an_abandoned_movie_leaves_nothing(tmp_path: Path) -> None:
    clip = made_clip(FrameSize(64, 48))
    writer = open_writer(tmp_path / "out.mp4", clip, clip.frame_range, None)
    writer.write(made_frame(0, clip.size))
    writer.close()
    writer.close(partial=True)
    assert list(tmp_path.iterdir()) == []


def test_a_movie_that_was_stopped_keeps_what_is_finished_if_asked(
    tmp_path: Path, small_clip: Path
) -> None:
    source, path = open_source(small_clip), tmp_path / "out.mp4"
    writer = open_writer(path, source.clip, source.clip.frame_range, small_clip)
    for index in range(9):
        writer.write(source.read(index))
    writer.close(partial=True)
    assert list(tmp_path.iterdir()) == [path]
    assert open_source(path).clip.frame_range == FrameRange(0, 8)
    assert len(sound(path)[0]) / 48000 == pytest.approx(9 / 25, abs=0.05)


def test_until_a_movie_is_finished_the_old_one_stays(tmp_path: Path) -> None:
    path, clip = tmp_path / "out.mp4", made_clip(FrameSize(64, 48))
    path.write_bytes(b"old")
    writer = open_writer(path, clip, clip.frame_range, None)
    for index in range(4):
        writer.write(made_frame(index, clip.size))
        assert path.read_bytes() == b"old"
    writer.close()
    assert open_source(path).clip.frame_range == clip.frame_range


def write_noise(writer: FrameWriter, clip: Clip) -> None:
    rng = np.random.default_rng(0)
    for index in clip.frame_range.indices:
        noise = rng.random((clip.size.height, clip.size.width, 4), dtype=np.float32)
        writer.write(replace(made_frame(index, clip.size), pixels=noise))
    writer.close()


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    clip = made_clip(FrameSize(64, 48), 60)
    writer = open_writer(tmp_path / "out.mkv", clip, clip.frame_range, None)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    try:
        with pytest.raises(StorageError, match=r"out\.mkv cannot be written"):
            write_noise(writer, clip)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        writer.close()
    assert list(tmp_path.iterdir()) == []


def test_frames_out_of_order_or_of_another_size_are_refused(tmp_path: Path) -> None:
    clip = made_clip(FrameSize(64, 48))
    writer = open_writer(tmp_path / "out.mp4", clip, FrameRange(1, 2), None)
    with pytest.raises(InvalidValueError, match=r"Frame 2 .*in their order"):
        writer.write(made_frame(2, clip.size))
    with pytest.raises(InvalidValueError, match=r"32x48.*64x48"):
        writer.write(made_frame(1, FrameSize(32, 48)))
    writer.close()


def test_an_unknown_suffix_is_refused_with_the_list(tmp_path: Path) -> None:
    clip = made_clip(FrameSize(64, 48))
    for name in ("out.xyz", "out.png", "out.%04d.bmp"):
        with pytest.raises(InvalidValueError, match=r"\.mp4, \.m4v|\.exr, \.png"):
            open_writer(tmp_path / name, clip, clip.frame_range, None)


def test_what_exists_is_overwritten_only_if_allowed(tmp_path: Path) -> None:
    path, sequence = tmp_path / "out.mp4", tmp_path / "out.%d.png"
    check_output(path, overwrite=False)
    check_output(sequence, overwrite=False)
    path.touch()
    (tmp_path / "out.3.png").touch()
    for taken in (path, sequence):
        check_output(taken, overwrite=True)
        with pytest.raises(InvalidValueError, match="exists"):
            check_output(taken, overwrite=False)


@pytest.mark.parametrize("name", ["clip.mp4", "link.mp4"])
def test_no_movie_replaces_the_movie_it_is_made_from(tmp_path: Path, name: str) -> None:
    clip = tmp_path / "clip.mp4"
    clip.touch()
    (tmp_path / "link.mp4").hardlink_to(clip)
    with pytest.raises(InvalidValueError, match="would replace"):
        check_output(tmp_path / name, overwrite=True, sources=[clip])


def test_no_pictures_replace_the_pictures_they_are_made_from(tmp_path: Path) -> None:
    for index in range(3):
        (tmp_path / f"shot.{index:04}.png").touch()
    clip = tmp_path / "shot.%04d.png"
    check_output(tmp_path / "other.%04d.png", overwrite=True, sources=[clip])
    for name in ("shot.####.png", "shot.%04d.png"):
        with pytest.raises(InvalidValueError, match="would replace"):
            check_output(tmp_path / name, overwrite=True, sources=[clip])


def test_a_movie_may_have_any_name_that_the_disk_takes(tmp_path: Path) -> None:
    clip = made_clip(FrameSize(64, 48))
    for name in ("take #2.mp4", "100%d.mp4", f"{'n' * 251}.mp4"):
        write(tmp_path / name, clip)
        assert MovieSource(tmp_path / name).clip.frame_range == clip.frame_range

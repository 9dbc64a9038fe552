import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InvalidValueError, NotFoundError, StorageError, UnreadableMediaError
from engine.media.picture import (
    SizeRule,
    fit_picture,
    read_exr,
    read_frame,
    read_picture,
    write_exr,
    write_picture,
)
from engine.types import Alpha, FloatArray, Frame, Precision


@contextmanager
def full_disk(free_bytes: int) -> Iterator[None]:
    """No file can grow beyond `free_bytes` while this lasts."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (free_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def noise(*shape: int) -> FloatArray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def picture(levels: int, alpha: Alpha = Alpha.STRAIGHT) -> Frame:
    pixels = np.rint(noise(7, 5, 4) * levels) / np.float32(levels)
    if alpha is Alpha.OPAQUE:
        pixels[..., 3] = 1
    precision = Precision.HALF if levels == 255 else Precision.FLOAT
    return Frame(3, pixels.astype(np.float32), alpha=alpha, precision=precision)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.tiff"])
@pytest.mark.parametrize("levels", [255, 65535])
@pytest.mark.parametrize("alpha", [Alpha.OPAQUE, Alpha.STRAIGHT])
def test_integer_files_keep_every_value(
    tmp_path: Path, name: str, levels: int, alpha: Alpha
) -> None:
    frame = picture(levels, alpha)
    write_picture(tmp_path / name, frame)
    read = read_frame(tmp_path / name, 3)
    np.testing.assert_allclose(read.pixels, frame.pixels, atol=1e-7)
    assert (read.alpha, read.precision) == (alpha, frame.precision)


@pytest.mark.parametrize("alpha", Alpha)
@pytest.mark.parametrize("space", ["srgb", "linear-rec709", "acescg"])
def test_exr_files_are_linear_and_come_back_as_the_same_picture(
    tmp_path: Path, alpha: Alpha, space: str
) -> None:
    frame = replace(picture(65535, alpha), color_space=space)
    frame.pixels[..., 3] = frame.pixels[..., 3].clip(0.25, 1)
    write_picture(tmp_path / "a.exr", frame)
    read = read_frame(tmp_path / "a.exr", 3)
    assert read.color_space == ("acescg" if space == "acescg" else "linear-rec709")
    assert read.alpha is (Alpha.OPAQUE if alpha is Alpha.OPAQUE else Alpha.PREMULTIPLIED)
    write_picture(tmp_path / "b.png", frame)
    np.testing.assert_allclose(
        read_picture(tmp_path / "a.exr")[..., :3],
        read_picture(tmp_path / "b.png")[..., :3],
        atol=1e-4,
    )


def test_linear_light_above_white_is_kept(tmp_path: Path) -> None:
    bright = Frame(0, np.full((2, 2, 4), 8, np.float32), color_space="linear-rec709")
    write_picture(tmp_path / "a.exr", bright)
    assert read_frame(tmp_path / "a.exr", 0).pixels[0, 0, 0] == 8


def test_jpeg_is_close(tmp_path: Path) -> None:
    smooth = np.dstack([np.tile(np.linspace(0, 1, 32, dtype=np.float32), (32, 1))] * 3)
    frame = Frame(0, np.dstack([smooth, np.ones((32, 32), np.float32)]))
    write_picture(tmp_path / "a.jpg", frame)
    np.testing.assert_allclose(read_picture(tmp_path / "a.jpg"), frame.pixels, atol=0.03)


def test_a_suffix_that_is_no_picture_is_refused_with_the_list(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=r"\.png"):
        write_picture(tmp_path / "a.gif", picture(255))


@pytest.mark.parametrize("name", ["a.png", "a.exr", "a.jpg"])
def test_what_is_no_picture_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFoundError, match=name):
        read_picture(tmp_path / name)
    for content in (b"", b"no picture at all"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UnreadableMediaError, match=name):
            read_picture(tmp_path / name)


@pytest.mark.parametrize("precision", Precision)
def test_planes_come_back_by_their_names(tmp_path: Path, precision: Precision) -> None:
    planes = {"R": noise(6, 4), "B": noise(6, 4) * 3, "patch_error": noise(6, 4) * 1e4}
    write_exr(tmp_path / "a.exr", planes, precision)
    read = read_exr(tmp_path / "a.exr")
    assert read.keys() == planes.keys()
    for name, plane in planes.items():
        kept = plane.astype(np.float16) if precision is Precision.HALF else plane
        assert np.array_equal(read[name], kept.astype(np.float32))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_exr_file_is_told(tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.exr"
    write_exr(path, {"R": noise(64, 64)}, Precision.FLOAT)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(UnreadableMediaError, match=r"a\.exr is damaged"):
        read_exr(path)


@pytest.mark.parametrize("name", ["a.exr", "a.png"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_picture(path, picture(255))
    before = path.read_bytes()
    large = Frame(0, noise(200, 200, 4), precision=Precision.FLOAT)
    with full_disk(20_000), pytest.raises(StorageError, match="cannot be written"):
        write_picture(path, large)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        write_picture(tmp_path / "file" / "a.png", picture(255))


SOURCE = np.full((40, 60, 3), 0.25, np.float32)


def painting(height: int, width: int, alpha: float = 1) -> FloatArray:
    return np.broadcast_to(np.array([1, 0.5, 0, alpha], np.float32), (height, width, 4)).copy()


@pytest.mark.parametrize("rule", SizeRule)
def test_a_painting_of_the_right_size_comes_back_as_it_is(rule: SizeRule) -> None:
    pixels = np.dstack([noise(40, 60, 3), np.ones((40, 60), np.float32)])
    assert np.array_equal(fit_picture(pixels, SOURCE, rule), pixels[..., :3])


def test_another_size_is_refused_with_both_sizes() -> None:
    with pytest.raises(InvalidValueError, match=r"30x40.*60x40"):
        fit_picture(painting(40, 30), SOURCE, SizeRule.REFUSE)


def test_fit_shows_the_whole_painting_and_the_source_beside_it() -> None:
    fitted = fit_picture(painting(80, 80), SOURCE, SizeRule.FIT)
    np.testing.assert_allclose(fitted[:, 10:50], painting(40, 40)[..., :3], atol=1e-6)
    assert (fitted[:, :10] == 0.25).all()
    assert (fitted[:, 50:] == 0.25).all()


def test_crop_covers_the_frame_and_keeps_the_middle() -> None:
    pixels = painting(20, 20)
    pixels[:2], pixels[-2:] = (0, 0, 1, 1), (0, 0, 1, 1)
    cropped = fit_picture(pixels, SOURCE, SizeRule.CROP)
    np.testing.assert_allclose(cropped, painting(40, 60)[..., :3], atol=1e-6)


def test_where_the_painting_is_transparent_the_source_shows() -> None:
    half = fit_picture(painting(40, 60, alpha=0.5), SOURCE, SizeRule.REFUSE)
    np.testing.assert_allclose(half[0, 0], (0.625, 0.375, 0.125), atol=1e-6)
    hole = painting(80, 120)
    hole[20:60, 30:90, 3] = 0
    assert (fit_picture(hole, SOURCE, SizeRule.FIT)[15:25, 20:40] == 0.25).all()


def test_a_painting_of_one_pixel_fills_the_frame() -> None:
    cropped = fit_picture(painting(1, 1), SOURCE, SizeRule.CROP)
    np.testing.assert_allclose(cropped, painting(40, 60)[..., :3], atol=1e-6)

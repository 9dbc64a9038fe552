"""What a mask covers, and what is seen of a frame through it."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InvalidValueError, NotFoundError
from engine.media.mask import open_mask, through_mask
from engine.media.picture import write_picture
from engine.types import Alpha, Clip, FloatArray, Frame, FrameRange, FrameSize, Precision

SIZE = FrameSize(3, 2)


def clip(first: int, last: int, size: FrameSize = SIZE) -> Clip:
    return Clip("shot.mov", FrameRange(first, last), size, Fraction(24))


def write(path: Path, value: object, alpha: float | None = None) -> Path:
    """A picture of one grey, of one colour, or of the greys [H, W]."""
    pixels = np.ones((SIZE.height, SIZE.width, 4), np.float32)
    values = np.asarray(value, np.float32)
    pixels[..., :3] = values[..., np.newaxis] if values.ndim == 2 else values
    space = "linear-rec709" if path.suffix == ".exr" else "srgb"
    frame = Frame(0, pixels, color_space=space, precision=Precision.FLOAT)
    if alpha is not None:
        pixels[..., 3] = alpha
        frame = Frame(0, pixels, alpha=Alpha.STRAIGHT)
    write_picture(path, frame)
    return path


def coverage(path: Path, index: int = 0) -> FloatArray:
    return open_mask(path, clip(0, 0)).coverage(index)


def test_white_covers_black_does_not_and_values_count_as_they_stand(tmp_path: Path) -> None:
    values = np.array([[0, 0.25, 1], [0.5, 0.75, 1]], np.float32)
    assert np.array_equal(coverage(write(tmp_path / "mask.exr", values)), values)
    eight_bit = coverage(write(tmp_path / "mask.png", values))
    np.testing.assert_allclose(eight_bit, values, atol=1e-5)
    assert eight_bit[0, 0] == 0
    assert eight_bit[0, 2] == 1


def test_colours_cover_by_their_luminance(tmp_path: Path) -> None:
    green = coverage(write(tmp_path / "mask.exr", (0, 1, 0)))
    np.testing.assert_allclose(green, 0.7152, atol=1e-6)


def test_what_is_transparent_does_not_cover(tmp_path: Path) -> None:
    assert coverage(write(tmp_path / "mask.png", 1, alpha=0)).max() == 0
    np.testing.assert_allclose(coverage(write(tmp_path / "half.png", 1, alpha=0.2)), 0.2, atol=1e-6)


def test_what_is_no_number_or_out_of_range_is_limited(tmp_path: Path) -> None:
    values = np.array([[np.nan, -1, 7], [np.inf, -np.inf, 0.5]])
    expected = [[0, 0, 1], [1, 0, 0.5]]
    assert coverage(write(tmp_path / "mask.exr", values)).tolist() == expected


def test_its_first_picture_belongs_to_the_first_frame_of_the_clip(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path / f"mask.{number + 1001}.exr", number / 2)
    mask = open_mask(tmp_path / "mask.####.exr", clip(10, 12))
    assert [mask.coverage(index).max() for index in (10, 11, 12)] == [0, 0.5, 1]


def test_one_picture_covers_every_frame(tmp_path: Path) -> None:
    mask = open_mask(write(tmp_path / "mask.exr", 0.5), clip(10, 12))
    mask.check(FrameRange(10, 12))
    assert mask.coverage(12).max() == 0.5


def test_a_mask_of_another_size_or_length_is_refused_with_both(tmp_path: Path) -> None:
    for number in range(2):
        write(tmp_path / f"mask.{number}.exr", 1)
    with pytest.raises(InvalidValueError, match=r"mask\.#\.exr has 2 frames but the clip has 5"):
        open_mask(tmp_path / "mask.#.exr", clip(0, 4))
    with pytest.raises(InvalidValueError, match="is 3x2 but the clip is 4x4"):
        open_mask(tmp_path / "mask.#.exr", clip(0, 1, FrameSize(4, 4)))


def test_a_missing_picture_is_told_before_it_is_needed(tmp_path: Path) -> None:
    for number in (0, 2):
        write(tmp_path / f"mask.{number}.exr", 1)
    mask = open_mask(tmp_path / "mask.#.exr", clip(0, 2), notice=lambda _: None)
    with pytest.raises(NotFoundError, match="no frame 1"):
        mask.check(FrameRange(0, 2))


def test_a_source_that_is_no_number_stays_where_nothing_is_painted() -> None:
    source = Frame(0, np.array([[[np.nan, np.inf, -0.0, 0.3]] * 3], np.float32))
    made = Frame(0, np.array([[[0.5, 0.5, 0.5, 0.3]] * 3], np.float32))
    seen = through_mask(made, source, np.array([[0, 1, 0.5]], np.float32)).pixels
    assert seen[0, 0].tobytes() == source.pixels[0, 0].tobytes()
    assert seen[0, 1].tobytes() == made.pixels[0, 1].tobytes()
    assert seen[0, 2, 3] == np.float32(0.3)

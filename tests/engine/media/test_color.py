import numpy as np
import pytest

from engine.errors import InvalidValueError
from engine.media.color import from_painting_space, to_painting_space
from engine.types import Alpha, FloatArray, Frame

SPACES = ["srgb", "linear-rec709", "acescg"]


def frame(space: str, alpha: Alpha) -> Frame:
    """Colours of sRGB's gamut, as they are in that space, with every kind of alpha."""
    rng = np.random.default_rng(0)
    opaque = Frame(4, np.ones((8, 9, 4), np.float32), color_space=space)
    pixels = from_painting_space(rng.random((8, 9, 3), dtype=np.float32), opaque).pixels.copy()
    pixels[..., 3] = rng.random((8, 9))
    pixels[0, :, 3], pixels[1, :, 3] = 0, 1
    if alpha is Alpha.PREMULTIPLIED:
        pixels[..., :3] *= pixels[..., 3:]
    return Frame(4, pixels, color_space=space, alpha=alpha)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("alpha", Alpha)
def test_there_and_back_changes_nothing(space: str, alpha: Alpha) -> None:
    before = frame(space, alpha)
    after = from_painting_space(to_painting_space(before), before)
    # 1e-5: powers and a matrix in float32, there and back.
    np.testing.assert_allclose(after.pixels, before.pixels, atol=1e-5)
    assert np.array_equal(after.pixels[..., 3], before.pixels[..., 3])
    assert (after.index, after.color_space, after.alpha) == (4, space, alpha)


def test_opaque_srgb_keeps_its_bits() -> None:
    before = frame("srgb", Alpha.OPAQUE)
    assert np.array_equal(to_painting_space(before), before.pixels[..., :3])


def gray(space: str, value: float) -> FloatArray:
    pixels = np.array([[[value, value, value, 1]]], np.float32)
    return np.asarray(to_painting_space(Frame(0, pixels, color_space=space))[0, 0])


@pytest.mark.parametrize("space", ["linear-rec709", "acescg"])
def test_linear_mid_grey_becomes_srgb_mid_grey(space: str) -> None:
    np.testing.assert_allclose(gray(space, 0.18), 0.46135, atol=1e-4)


def test_acescg_has_wider_primaries_than_srgb() -> None:
    red = Frame(0, np.array([[[0.6131, 0.0702, 0.0206, 1]]], np.float32), color_space="acescg")
    np.testing.assert_allclose(to_painting_space(red)[0, 0], (1, 0, 0), atol=0.02)


def test_painting_space_ends_at_black_and_white() -> None:
    assert gray("linear-rec709", 7.5).tolist() == [1, 1, 1]
    assert gray("acescg", -0.2).tolist() == [0, 0, 0]
    assert gray("srgb", np.nan).tolist() == [0, 0, 0]


def test_no_alpha_at_all_stays_finite() -> None:
    pixels = np.zeros((3, 3, 4), np.float32)
    pixels[1, 1] = (0.5, 0.5, 0.5, 0)
    empty = Frame(0, pixels, alpha=Alpha.PREMULTIPLIED)
    painted = from_painting_space(np.ones((3, 3, 3), np.float32), empty)
    assert np.isfinite(to_painting_space(empty)).all()
    assert not painted.pixels.any()


@pytest.mark.parametrize("space", SPACES)
def test_what_a_straight_alpha_hides_keeps_its_bits(space: str) -> None:
    before = frame(space, Alpha.STRAIGHT)
    after = from_painting_space(np.zeros((8, 9, 3), np.float32), before)
    hidden = before.pixels[..., 3] == 0
    assert before.pixels[hidden][:, :3].any()
    assert np.array_equal(after.pixels[hidden], before.pixels[hidden])
    assert not after.pixels[~hidden][:, :3].any()


def test_an_unknown_colour_space_is_refused_with_the_list() -> None:
    with pytest.raises(InvalidValueError, match=r"'rec2100'.*acescg"):
        to_painting_space(Frame(0, np.ones((1, 1, 4), np.float32), color_space="rec2100"))


def test_a_painting_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"5x4.*9x8"):
        from_painting_space(np.ones((4, 5, 3), np.float32), frame("srgb", Alpha.OPAQUE))

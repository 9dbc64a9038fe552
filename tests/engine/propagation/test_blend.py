from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.propagation.blend import Side, choose, evidence, mix
from engine.propagation.lab import lab_to_srgb, srgb_to_lab
from engine.types import FloatArray

if TYPE_CHECKING:
    from tests.engine.conftest import Photo

SIZE = (48, 64)


def noise(seed: int, mean: float = 0.5, deviation: float = 0.1) -> FloatArray:
    random = np.random.default_rng(seed)
    gray = random.normal(mean, deviation, (*SIZE, 1)).clip(0, 1)
    return np.repeat(gray, 3, axis=2).astype(np.float32)


def side(picture: FloatArray, distance: int, error: float = 100.0) -> Side:
    return Side(picture, np.full(picture.shape[:2], error, np.float32), distance)


def blended(left: Side, right: Side) -> FloatArray:
    for_right = evidence(left, right)
    return mix(left, right, for_right, choose(for_right, None))


def likeness(one: FloatArray, other: FloatArray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.mark.parametrize("distance", [1, 3, 9])
def test_the_frame_before_the_right_key_weighs_it_as_the_frame_after_the_left_key_weighs_that(
    distance: int,
) -> None:
    left, right = noise(1), noise(2)
    near_left = blended(side(left, distance), side(right, 10 - distance))
    near_right = blended(side(left, 10 - distance), side(right, distance))
    assert likeness(near_left, left) == pytest.approx(likeness(near_right, right), abs=0.02)
    assert likeness(near_left, right) == pytest.approx(likeness(near_right, left), abs=0.02)


def test_exchanging_the_sides_gives_the_same_picture(photo: "Photo") -> None:
    random = np.random.default_rng(0)
    one = Side(photo(*SIZE), random.random(SIZE, np.float32), 2)
    other = Side(photo(*SIZE, seed=1), random.random(SIZE, np.float32), 5)
    assert np.allclose(blended(one, other), blended(other, one), atol=1e-5)


def test_next_to_a_key_frame_its_picture_prevails() -> None:
    left, right = noise(1), noise(2)
    assert likeness(blended(side(left, 1), side(right, 9)), left) > 0.98


def test_a_side_that_does_not_fit_is_left_out_there(photo: "Photo") -> None:
    """What only one key frame shows is taken from it, without a ghost of the other."""
    left, right = photo(*SIZE), photo(*SIZE)
    right = right.copy()
    right[10:30, 10:30] = 0
    errors = np.full(SIZE, 10.0, np.float32)
    errors[10:30, 10:30] = 1e5
    result = blended(Side(left, np.full(SIZE, 10.0, np.float32), 9), Side(right, errors, 1))
    assert np.abs(result - left)[14:26, 14:26].mean() < 0.02


def test_mixing_unrelated_textures_keeps_their_contrast() -> None:
    left, right = noise(1), noise(2)
    result = blended(side(left, 5), side(right, 5))
    assert result.std() == pytest.approx(left.std(), rel=0.03)
    assert ((left + right) / 2).std() < 0.75 * left.std()


def test_the_mix_takes_the_colours_of_the_chosen_picture() -> None:
    dark, bright = noise(1, mean=0.3, deviation=0.05), noise(2, mean=0.7, deviation=0.1)
    result = blended(side(dark, 2), side(bright, 8))
    assert result.mean() == pytest.approx(dark.mean(), abs=0.01)
    assert result.std() == pytest.approx(dark.std(), abs=0.01)


def test_two_equal_pictures_stay_as_they_are(photo: "Photo") -> None:
    picture = photo(*SIZE)
    assert np.abs(blended(side(picture, 4), side(picture, 6)) - picture).max() < 1e-4


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_flat_pictures_stay_flat(level: float) -> None:
    flat = np.full((*SIZE, 3), level, np.float32)
    assert np.abs(blended(side(flat, 4, error=0), side(flat, 6, error=0)) - flat).max() < 1e-4


def test_the_result_stays_within_0_and_1() -> None:
    random = np.random.default_rng(0)
    extremes = [random.integers(0, 2, (*SIZE, 3)).astype(np.float32) for _ in range(2)]
    result = blended(side(extremes[0], 1), side(extremes[1], 1))
    assert result.min() >= 0
    assert result.max() <= 1
    assert result.dtype == np.float32


def test_an_undecided_pixel_keeps_the_side_it_had() -> None:
    slightly_right = np.full(SIZE, 0.1, np.float32)
    clearly_right = np.full(SIZE, 1.0, np.float32)
    was_left = np.zeros(SIZE, np.float32)
    assert choose(slightly_right, None).all()
    assert not choose(slightly_right, was_left).any()
    assert choose(clearly_right, was_left).all()
    assert not choose(-slightly_right, None).any()
    assert choose(-slightly_right, 1 - was_left).all()


def test_colours_come_back_from_lab_unchanged() -> None:
    random = np.random.default_rng(0)
    rgb = random.random((64, 64, 3), np.float32)
    rgb[0, :3] = [[0, 0, 0], [1, 1, 1], [1, 0, 0]]
    assert np.abs(lab_to_srgb(srgb_to_lab(rgb)) - rgb).max() < 1e-5
    assert np.allclose(srgb_to_lab(rgb)[0, 1], [100, 0, 0], atol=1e-3)
    assert np.allclose(srgb_to_lab(rgb)[0, 2], [53.24, 80.09, 67.20], atol=0.02)

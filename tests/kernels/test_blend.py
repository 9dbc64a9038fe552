"""The blend of two sides: the native kernels against their twin, and what an editor would see."""

import cv2
import numpy as np
import pytest

from engine.errors import InvalidValueError
from engine.native.kernels import (
    InstructionSet,
    Kernels,
    Side,
    best_instruction_set,
    processor,
)
from engine.native.reference import blend as twin
from engine.native.reference.blend import lab_to_srgb, srgb_to_lab
from engine.types import FloatArray

SIZE = (48, 64)
SIZES = [(1, 1), (1, 2), (7, 1), (1, 700), (700, 1), (3, 171), (37, 53), (48, 64), (65, 1027)]


def picture(height: int, width: int, seed: int) -> FloatArray:
    """Soft areas with grain, black and white among them."""
    random = np.random.default_rng(seed)
    soft = cv2.resize(random.random((5, 7, 3), np.float32), (width, height))
    grain = random.normal(0, 0.2, (height, width, 3))
    return np.asarray((1.4 * soft - 0.2 + grain).clip(0, 1), np.float32).reshape(height, width, 3)


def errors(height: int, width: int, seed: int) -> FloatArray:
    """Of all magnitudes."""
    return np.float32(1e5) * np.random.default_rng(seed).random((height, width), np.float32) ** 4


def noise(seed: int, mean: float = 0.5, deviation: float = 0.1) -> FloatArray:
    gray = np.random.default_rng(seed).normal(mean, deviation, (*SIZE, 1)).clip(0, 1)
    return np.repeat(gray, 3, axis=2).astype(np.float32)


def side(picture: FloatArray, distance: int, error: float = 100.0) -> twin.Side:
    return twin.Side(picture, np.full(picture.shape[:2], error, np.float32), distance)


def wild_side(size: tuple[int, int], distance: int, seed: int) -> twin.Side:
    return twin.Side(picture(*size, seed), errors(*size, seed), distance)


def uploaded(kernels: Kernels, side: twin.Side) -> Side:
    return Side(kernels.upload(side.picture), kernels.upload(side.patch_error), side.distance)


def blended(
    kernels: Kernels, left: twin.Side, right: twin.Side, carried: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Choice and picture."""
    on_device = None if carried is None else kernels.upload(carried)
    choice, mix = kernels.blend(uploaded(kernels, left), uploaded(kernels, right), on_device)
    return kernels.download(choice), kernels.download(mix)


def mixed(kernels: Kernels, left: twin.Side, right: twin.Side) -> FloatArray:
    return blended(kernels, left, right)[1]


def likeness(one: FloatArray, other: FloatArray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("has_carried", [False, True])
def test_choice_and_picture_are_those_of_the_twin(
    kernels: Kernels, size: tuple[int, int], has_carried: bool
) -> None:
    left, right = wild_side(size, 3, seed=1), wild_side(size, 4, seed=2)
    carried = np.random.default_rng(3).random(size, np.float32) if has_carried else None
    choice, mix = blended(kernels, left, right, carried)
    twin_choice, twin_mix = twin.blend(left, right, carried)
    np.testing.assert_array_equal(choice, twin_choice)
    np.testing.assert_allclose(mix, twin_mix, rtol=0, atol=twin.TOLERANCE)


def test_every_backend_makes_the_same_bits(kernels: Kernels) -> None:
    left, right = wild_side((65, 1027), 1, seed=1), wild_side((65, 1027), 2, seed=2)
    for here, there in zip(
        blended(kernels, left, right), blended(processor(), left, right), strict=True
    ):
        np.testing.assert_array_equal(here, there)


def test_every_instruction_set_makes_the_same_bits() -> None:
    left, right = wild_side((37, 53), 1, seed=1), wild_side((37, 53), 2, seed=2)
    sets = range(InstructionSet.PLAIN, best_instruction_set() + 1)
    results = [mixed(Kernels.processor(1, InstructionSet(n)), left, right) for n in sets]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_the_choice_alone_is_that_of_the_blend(kernels: Kernels) -> None:
    left, right = wild_side(SIZE, 2, seed=1), wild_side(SIZE, 2, seed=2)
    alone = kernels.choose(uploaded(kernels, left), uploaded(kernels, right))
    np.testing.assert_array_equal(kernels.download(alone), blended(kernels, left, right)[0])


@pytest.mark.parametrize("distance", [1, 3, 9])
def test_the_frame_before_the_right_key_weighs_it_as_the_frame_after_the_left_key_weighs_that(
    kernels: Kernels, distance: int
) -> None:
    left, right = noise(1), noise(2)
    near_left = mixed(kernels, side(left, distance), side(right, 10 - distance))
    near_right = mixed(kernels, side(left, 10 - distance), side(right, distance))
    assert likeness(near_left, left) == pytest.approx(likeness(near_right, right), abs=0.02)
    assert likeness(near_left, right) == pytest.approx(likeness(near_right, left), abs=0.02)


def test_exchanging_the_sides_gives_the_same_picture(kernels: Kernels) -> None:
    one, other = wild_side(SIZE, 2, seed=1), wild_side(SIZE, 5, seed=2)
    carried = np.random.default_rng(3).integers(0, 2, SIZE).astype(np.float32)
    choice, mix = blended(kernels, one, other, carried)
    exchanged_choice, exchanged_mix = blended(kernels, other, one, 1 - carried)
    np.testing.assert_array_equal(choice, 1 - exchanged_choice)
    np.testing.assert_allclose(mix, exchanged_mix, rtol=0, atol=twin.TOLERANCE)


def test_next_to_a_key_frame_its_picture_prevails(kernels: Kernels) -> None:
    left, right = noise(1), noise(2)
    assert likeness(mixed(kernels, side(left, 1), side(right, 9)), left) > 0.98


def test_a_side_that_does_not_fit_is_left_out_there(kernels: Kernels) -> None:
    """What only one key frame shows is taken from it, without a ghost of the other."""
    left = np.float32(0.3) + np.float32(0.4) * picture(*SIZE, seed=1)
    right, error = left.copy(), np.full(SIZE, 10.0, np.float32)
    right[10:30, 10:30] = 0
    error[10:30, 10:30] = 1e5
    result = mixed(kernels, side(left, 9, error=10.0), twin.Side(right, error, 1))
    assert np.abs(result - left)[14:26, 14:26].mean() < 0.02


def test_mixing_unrelated_textures_keeps_their_contrast(kernels: Kernels) -> None:
    left, right = noise(1), noise(2)
    result = mixed(kernels, side(left, 5), side(right, 5))
    assert result.std() == pytest.approx(left.std(), rel=0.03)
    assert ((left + right) / 2).std() < 0.75 * left.std()


def test_the_mix_takes_the_colours_and_contrast_of_the_chosen_picture(kernels: Kernels) -> None:
    dark, bright = noise(1, mean=0.3, deviation=0.05), noise(2, mean=0.7, deviation=0.1)
    result = mixed(kernels, side(dark, 2), side(bright, 8))
    assert result.mean() == pytest.approx(dark.mean(), abs=0.01)
    assert result.std() == pytest.approx(dark.std(), abs=0.01)


def test_two_equal_pictures_stay_as_they_are(kernels: Kernels) -> None:
    same = picture(*SIZE, seed=1)
    assert np.abs(mixed(kernels, side(same, 4), side(same, 6)) - same).max() < 1e-4


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", [(1, 1), SIZE])
def test_flat_pictures_without_errors_stay_flat(
    kernels: Kernels, level: float, size: tuple[int, int]
) -> None:
    flat = np.full((*size, 3), level, np.float32)
    assert np.abs(mixed(kernels, side(flat, 4, error=0), side(flat, 6, error=0)) - flat).max() < (
        1e-4
    )


def test_the_result_stays_within_0_and_1(kernels: Kernels) -> None:
    random = np.random.default_rng(0)
    extremes = [random.integers(0, 2, (*SIZE, 3)).astype(np.float32) for _ in range(2)]
    result = mixed(kernels, side(extremes[0], 1), side(extremes[1], 1))
    assert result.min() >= 0
    assert result.max() <= 1
    assert result.dtype == np.float32


def test_an_undecided_pixel_keeps_the_side_it_had(kernels: Kernels) -> None:
    gray, was_left = noise(1), np.zeros(SIZE, np.float32)
    right, slightly_worse, clearly_worse = (side(gray, 1, error=e) for e in (100, 110, 200))
    assert blended(kernels, slightly_worse, right)[0].all()
    assert not blended(kernels, slightly_worse, right, was_left)[0].any()
    assert blended(kernels, clearly_worse, right, was_left)[0].all()
    assert not blended(kernels, right, slightly_worse)[0].any()
    assert blended(kernels, right, slightly_worse, 1 - was_left)[0].all()


def test_values_that_are_no_numbers_do_no_harm(kernels: Kernels) -> None:
    broken = twin.Side(
        np.full((*SIZE, 3), np.nan, np.float32), np.full(SIZE, np.inf, np.float32), 1
    )
    assert mixed(kernels, broken, broken).shape == (*SIZE, 3)
    sound = mixed(kernels, side(noise(1), 1), side(noise(2), 1))
    assert np.isfinite(sound).all()


def test_a_wrong_distance_is_named(kernels: Kernels) -> None:
    gray = noise(1)
    with pytest.raises(InvalidValueError, match="left_distance is 0: choose 1 to"):
        blended(kernels, side(gray, 0), side(gray, 1))


def test_colours_come_back_from_lab_unchanged() -> None:
    random = np.random.default_rng(0)
    rgb = random.random((64, 64, 3), np.float32)
    rgb[0, :3] = [[0, 0, 0], [1, 1, 1], [1, 0, 0]]
    assert np.abs(lab_to_srgb(srgb_to_lab(rgb)) - rgb).max() < 1e-6
    assert np.allclose(srgb_to_lab(rgb)[0, 1], [100, 0, 0], atol=1e-3)
    assert np.allclose(srgb_to_lab(rgb)[0, 2], [53.24, 80.09, 67.20], atol=0.02)

"""Which steps run, and what acts in which of them (method: shares of the steps really run)."""

from typing import Any

import pytest

from engine.errors import InvalidValueError
from engine.settings import TranslationSettings
from engine.translation.method.schedule import Schedule, schedule_of
from engine.translation.stable_diffusion.times import sampled_times


def schedule(strength: float = 0.75, **changed: Any) -> Schedule:
    return schedule_of(TranslationSettings(strength=strength, **changed))


def test_only_the_last_share_of_the_steps_is_run() -> None:
    assert schedule(1.0).count == 20
    assert schedule(0.5).steps == range(10)
    assert schedule(0.0).count == 0
    assert sampled_times(20, 20, 1000) == tuple(range(951, 0, -50))
    assert sampled_times(20, 10, 1000) == tuple(range(451, 0, -50))
    assert sampled_times(20, 0, 1000) == ()


@pytest.mark.parametrize(
    ("strength", "shape", "pixel", "color"),
    [
        (1.0, [0, 1], [10, 11, 12, 13, 14, 15], [16, 17, 18, 19]),
        (0.75, [0, 1], [8, 9, 10, 11], [12, 13, 14]),  # of 15 steps: 1.5, 7.5, 12, 12
        (0.6, [0, 1], [6, 7, 8, 9], [10, 11]),  # of 12 steps: 1.2, 6, 9.6, 9.6
    ],
)
def test_windows_are_shares_of_the_steps_that_are_run(
    strength: float, shape: list[int], pixel: list[int], color: list[int]
) -> None:
    found = schedule(strength)
    assert list(found.shape) == shape
    assert list(found.pixel) == pixel
    assert list(found.color) == color


def test_shapes_are_fused_at_low_strength_too_but_not_where_it_would_blur() -> None:
    assert list(schedule(0.6, shape_fusion_end=1.0).shape) == [0, 1]  # t = 551, 501
    assert list(schedule(0.5).shape) == []


@pytest.mark.parametrize("steps", range(5, 51))
@pytest.mark.parametrize("strength", [0.6, 0.75, 0.9])
def test_shapes_are_fused_above_half_of_the_strength_whatever_the_number_of_steps(
    steps: int, strength: float
) -> None:
    """And never where less than half of the way to pure noise was gone."""
    found = schedule(strength, steps=steps, shape_fusion_end=1.0)
    assert found.shape
    assert found.count - found.shape[-1] > steps / 2
    assert schedule(strength, steps=steps).shape[0] == 0


def test_a_window_can_be_moved_and_each_constraint_left_out() -> None:
    moved = schedule(pixel_fusion_begin=0.2, pixel_fusion_end=0.4, adain_begin=0.0)
    assert list(moved.pixel) == [3, 4, 5]
    assert moved.color == moved.steps
    without = schedule(shape_fusion=False, pixel_fusion=False, adain=False)
    assert not [*without.shape, *without.pixel, *without.color]


def test_a_first_key_frame_has_nothing_to_be_constrained_to() -> None:
    alone = schedule_of(TranslationSettings(), against_others=False)
    assert not [*alone.shape, *alone.pixel, *alone.color]


def test_an_empty_window_of_pixel_fusion_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"pixel_fusion_begin is 0\.9: choose less than"):
        TranslationSettings(pixel_fusion_begin=0.9)
    TranslationSettings(pixel_fusion_begin=0.9, pixel_fusion=False)

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from engine.media.color import to_painting_space
from engine.media.movie import MovieSource
from engine.metrics import key_mse, pixel_mse
from engine.motion.flow import DisFlow
from engine.types import FloatArray, Flow


@pytest.fixture(scope="module")
def clip(small_clip: Path) -> list[FloatArray]:
    source = MovieSource(small_clip)
    return [to_painting_space(source.read(index)) for index in range(6)]


class Still(DisFlow):
    """Nothing moves."""

    name = "still"

    def estimate(self, first: FloatArray, second: FloatArray) -> Flow:
        return Flow(np.zeros((*first.shape[:2], 2), np.float32))


class Chaos(DisFlow):
    """Nothing matches."""

    name = "chaos"

    def estimate(self, first: FloatArray, second: FloatArray) -> Flow:
        return Flow(np.full((*first.shape[:2], 2), 50, np.float32))


def flat(*values: float) -> list[FloatArray]:
    return [np.full((4, 4, 3), value, np.float32) for value in values]


def test_there_is_a_value_for_each_frame_that_has_a_predecessor() -> None:
    errors = pixel_mse(flat(0.5, 0.5, 0.7), flat(0, 0, 0), Still())
    assert errors.per_frame == pytest.approx((0.0, 0.04))
    assert errors.mean == pytest.approx(0.02)


def test_key_frames_show_a_drift_that_neighbours_hardly_see() -> None:
    drift = flat(*np.linspace(0, 0.5, 11))
    still = flat(*[0] * 11)
    between_keys = key_mse(drift, still, {0, 5, 10}, Still())
    assert between_keys.per_frame == pytest.approx((0.0625, 0.0625))
    assert between_keys.mean > 20 * pixel_mse(drift, still, Still()).mean


def test_occluded_pixels_do_not_count() -> None:
    errors = pixel_mse(flat(0, 1), flat(0, 0), Chaos())
    assert np.isnan(errors.per_frame[0])
    assert np.isnan(errors.mean)


def test_the_motion_of_a_real_clip_is_taken_out(clip: list[FloatArray]) -> None:
    unwarped = np.mean([np.mean((b - a) ** 2) for a, b in pairwise(clip)])
    assert pixel_mse(clip, clip, DisFlow()).mean < 0.5 * unwarped


def test_flicker_raises_pixel_mse_by_its_square(clip: list[FloatArray]) -> None:
    flickering = [frame + 0.1 * (position % 2) for position, frame in enumerate(clip)]
    raised = pixel_mse(flickering, clip, DisFlow()).mean - pixel_mse(clip, clip, DisFlow()).mean
    assert raised == pytest.approx(0.01, rel=0.1)

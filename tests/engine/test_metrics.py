from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
import pytest

from engine.media.color import to_painting_space
from engine.media.movie import MovieSource
from engine.metrics import (
    Embeddings,
    Figures,
    drift_from_anchor,
    frame_figures,
    key_mse,
    pixel_mse,
)
from engine.motion.flow import DisFlow
from engine.motion.occlusion import occlusion_mask
from engine.types import Drift, FloatArray, Flow


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


def drift_between(
    take: FloatArray, anchor: FloatArray, source: FloatArray, anchor_source: FloatArray
) -> Drift:
    flow = DisFlow()
    there, back = flow.estimate(source, anchor_source), flow.estimate(anchor_source, source)
    drift = drift_from_anchor(take, anchor, there, occlusion_mask(there, back))
    assert drift is not None
    return drift


def test_a_take_equal_to_its_anchor_has_not_drifted(clip: list[FloatArray]) -> None:
    drift = drift_between(clip[0], clip[0], clip[0], clip[0])
    assert drift.color == 0
    assert drift.structure < 1e-12


def test_the_motion_of_the_source_is_no_drift(clip: list[FloatArray]) -> None:
    moved = drift_between(clip[5], clip[0], clip[5], clip[0])
    assert moved.color < 2
    assert moved.structure < 0.3 * np.mean((clip[5] - clip[0]) ** 2)
    assert not moved.is_large


def test_another_colour_is_drift_in_colour_alone(clip: list[FloatArray]) -> None:
    warmer = (0.7 * clip[0] + np.array([0.25, 0.1, 0.0])).astype(np.float32)
    drift = drift_between(warmer, clip[0], clip[0], clip[0])
    assert drift.color > 10
    assert drift.structure < 1e-8
    assert drift.is_large


def test_another_structure_is_drift_in_structure_alone(clip: list[FloatArray]) -> None:
    mirrored = np.ascontiguousarray(clip[0][:, ::-1])
    drift = drift_between(mirrored, clip[0], clip[0], clip[0])
    assert drift.color < 1e-3
    assert drift.structure > 0.01
    assert drift.is_large


def test_a_grey_of_another_lightness_has_drifted_by_their_distance_in_lab() -> None:
    dark, bright = flat(0.3, 0.6)
    flow, seen = Flow(np.zeros((4, 4, 2), np.float32)), np.zeros((4, 4), np.float32)
    drift = drift_from_anchor(bright, dark, flow, seen)
    assert drift is not None
    assert drift.color == pytest.approx(63.22 - 32.53, abs=0.1)  # L* of both greys
    assert drift.structure == pytest.approx(0, abs=1e-9)


def test_what_only_one_of_two_frames_shows_does_not_count_as_drift() -> None:
    take, anchor = flat(0.5, 0.5)
    take[:, :2] = 0.9
    hidden = np.zeros((4, 4), np.float32)
    hidden[:, :2] = 1
    flow = Flow(np.zeros((4, 4, 2), np.float32))
    assert drift_from_anchor(take, anchor, flow, hidden) == Drift(0.0, 0.0)
    assert drift_from_anchor(take, anchor, flow, np.ones((4, 4), np.float32)) is None


def numbered(results: list[FloatArray]) -> list[tuple[int, FloatArray, FloatArray]]:
    """Frames 5, 6, … of a clip that stands still."""
    return [(5 + at, result, np.zeros_like(result)) for at, result in enumerate(results)]


def test_each_frame_has_its_figures_by_its_number() -> None:
    figures = list(frame_figures(numbered(flat(0.5, 0.5, 0.7, 0.8)), {5, 7}, Still()))
    assert [frame.frame for frame in figures] == [5, 6, 7, 8]
    assert [frame.is_key for frame in figures] == [True, False, True, False]
    assert [frame.pixel_mse for frame in figures] == [None, *map(close_to, (0.0, 0.04, 0.01))]
    assert [frame.key_mse for frame in figures] == [None, None, close_to(0.04), None]
    total = Figures.of(figures)
    assert total.pixel_mse == close_to(0.05 / 3)
    assert total.key_mse == close_to(0.04)
    assert total.fram_acc is None
    assert total.tem_con is None


def close_to(value: float) -> Any:
    return pytest.approx(value, abs=1e-7)


def test_clip_figures_are_cosines_and_the_share_of_frames_closer_to_the_prompt() -> None:
    """Embedded as unit vectors of two dimensions by their angle, which is the frame's gray."""

    def vector(angle: float) -> FloatArray:
        return np.array([np.cos(angle), np.sin(angle)], np.float32)

    embeddings = Embeddings(lambda picture: vector(picture.mean()), vector(0.0), vector(1.0))
    figures = list(frame_figures(numbered(flat(0.1, 0.3, 0.9)), (), Still(), embeddings))
    assert [frame.likeness for frame in figures] == [
        None, *map(close_to, (np.cos(0.2), np.cos(0.6)))
    ]  # fmt: skip
    total = Figures.of(figures)
    assert total.fram_acc == close_to(2 / 3)
    assert total.tem_con == close_to((np.cos(0.2) + np.cos(0.6)) / 2)


def test_a_frame_of_which_nothing_is_seen_again_has_no_figure_and_does_not_count() -> None:
    figures = list(frame_figures(numbered(flat(0, 1)), {5, 6}, Chaos()))
    assert [frame.pixel_mse for frame in figures] == [None, None]
    assert Figures.of(figures) == Figures(None, None, None, None)


def test_a_long_clip_is_never_in_memory_as_a_whole() -> None:
    alive: WeakSet[Any] = WeakSet()
    most = 0

    class Watched(np.ndarray[Any, Any]):
        """An array that a WeakSet takes."""

        __hash__ = object.__hash__  # type: ignore[assignment]

    def frames() -> Iterator[tuple[int, FloatArray, FloatArray]]:
        nonlocal most
        for index in range(40):
            picture = np.full((4, 4, 3), index / 40, np.float32).view(Watched)
            alive.add(picture)
            most = max(most, len(alive))
            yield index, picture, np.zeros((4, 4, 3), np.float32)

    assert len(list(frame_figures(frames(), {0, 13, 39}, Still()))) == 40
    assert most <= 4

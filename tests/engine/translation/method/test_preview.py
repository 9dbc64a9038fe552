"""What is seen of a painting before it is finished."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from engine.media.color import to_painting_space
from engine.media.source import open_source
from engine.report import Stage
from engine.settings import TranslationSettings
from engine.translation.method.schedule import schedule_of
from engine.types import FloatArray

if TYPE_CHECKING:
    from tests.engine.conftest import Photo, Recorder
    from tests.engine.translation.conftest import Shot


@pytest.fixture
def moving(photo: "Photo") -> list[FloatArray]:
    """A large picture that moves by 4 pixels a frame."""
    large = photo(80, 140)
    return [np.ascontiguousarray(large[8:72, 4 * n : 4 * n + 96]) for n in range(2)]


def test_every_step_of_both_passes_can_be_seen(
    shot: "Shot", report: "Recorder", moving: list[FloatArray], tiny_settings: TranslationSettings
) -> None:
    report.watches = True
    for frame, source in enumerate(moving):
        report.previews.clear()
        report.seen.clear()
        shot.paint(source, tiny_settings)
        steps = sum(step > 0 for _, step, _ in report.steps_of(Stage.PAINTING))
        assert [index for index, _ in report.previews] == [frame] * steps
        assert {picture.shape for _, picture in report.previews} == {(16, 24, 3)}


def test_the_drawing_that_gives_a_shot_its_colours_is_not_taken_for_the_key_frame(
    shot: "Shot", report: "Recorder", moving: list[FloatArray], tiny_settings: TranslationSettings
) -> None:
    report.watches = True
    shot.paint(moving[0], replace(tiny_settings, match_colors=True, strength=0.5))
    assert len(report.steps_of(Stage.PAINTING)) > len(report.previews)
    schedule = schedule_of(replace(tiny_settings, strength=0.5), against_others=False)
    assert len(report.previews) == schedule.count


def test_watching_changes_no_bit(
    shot: "Shot", report: "Recorder", moving: list[FloatArray], tiny_settings: TranslationSettings
) -> None:
    settings = replace(tiny_settings, match_colors=True)
    for watches in (False, True):
        report.watches = watches
        for source in moving:
            shot.paint(source, settings, () if source is moving[0] else None)
        if not watches:
            unwatched = shot.takes, shot.trajectories
            shot.sources, shot.takes, shot.trajectories = [], [], []
    assert report.previews
    assert all(map(np.array_equal, unwatched[0], shot.takes))
    for one, other in zip(unwatched[1], shot.trajectories, strict=True):
        assert one is not None
        assert other is not None
        assert np.array_equal(one.latents, other.latents)


def test_the_last_preview_looks_like_the_painting(
    shot: "Shot", report: "Recorder", bunny: Path, pocket_settings: TranslationSettings
) -> None:
    """Also where the picture was padded for the networks: 180 is no multiple of what they need."""
    with closing(open_source(bunny)) as source:
        whole = to_painting_space(source.read(0))
    frame = np.asarray(cv2.resize(whole, (320, 180)), np.float32)
    report.watches = True
    painted = shot.paint(frame, replace(pocket_settings, steps=4))
    _, seen = report.previews[-1]
    assert seen.shape == (45, 80, 3)
    expected = cv2.resize(painted, (80, 45), interpolation=cv2.INTER_AREA)
    difference = np.sqrt(np.mean((seen - expected) ** 2))
    assert difference < 0.25 * expected.std()

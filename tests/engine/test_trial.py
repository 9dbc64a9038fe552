"""A made-up clip, and renders that are measured against its motion."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine.media.color import to_painting_space
from engine.media.moving_scene import MovingScene
from engine.motion.occlusion import occlusion_mask
from engine.native.kernels import Kernels
from engine.settings import RenderSettings, TranslationSettings
from engine.trial import Trial, color_distance, sharpness
from engine.types import FloatArray, FrameSize

if TYPE_CHECKING:
    from tests.engine.conftest import Recorder

SCENE = MovingScene(FrameSize(96, 64), 21)
QUICK = RenderSettings(translation=TranslationSettings(painter="style", prompt="mosaic"))


def frame(index: int) -> FloatArray:
    return to_painting_space(SCENE.read(index))


def trial(*keys: int) -> Trial:
    return Trial(SCENE, keys, Kernels.open("cpu"))


@pytest.mark.parametrize(("first", "second"), [(0, 1), (10, 0), (3, 20)])
def test_the_motion_of_the_scene_is_known_exactly(first: int, second: int) -> None:
    """Once the falling light is taken out, nothing is left but what resampling blurs."""
    light = frame(first).mean() / frame(second).mean()
    pictures = {second: frame(second) * light, first: frame(first)}
    unmoved = np.mean((pictures[first] - pictures[second]) ** 2)
    assert trial(0, 20).warp_error(pictures).mean < 0.2 * unmoved
    there, back = SCENE.flow(first, second), SCENE.flow(second, first)
    assert (occlusion_mask(there, back) < 0.5).mean() > 0.4


def test_key_frames_are_painted_once_for_all_frames(report: "Recorder") -> None:
    scene = trial(0, 4)
    takes = scene.paint(QUICK, report)
    frames = scene.render(QUICK, report)
    assert list(takes) == [0, 4]
    assert list(frames) == [0, 1, 2, 3, 4]
    assert all(np.array_equal(frames[key], takes[key]) for key in takes)
    assert [step.frame for step, reused in report.finished if reused] == [0, 4]


def test_colours_and_sharpness_are_told_against_the_first_key_frame() -> None:
    first = frame(0)
    assert color_distance({0: first, 1: first, 2: first + 0.1}) == pytest.approx(0.05, abs=1e-3)
    assert sharpness({0: first, 1: 0.5 * first}) == pytest.approx(0.5)

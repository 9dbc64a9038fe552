"""Key frames of a shot painted against each other: section 4.1 as a whole."""

from collections.abc import Sequence
from dataclasses import replace
from math import hypot
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch

from engine.errors import CancelledError
from engine.metrics import pixel_mse
from engine.motion.flow import DisFlow
from engine.report import Stage
from engine.settings import TranslationSettings
from engine.translation.diffusion import DiffusionPainter
from engine.translation.method import sampler
from engine.translation.method.level import Level
from engine.translation.method.schedule import schedule_of
from engine.translation.painter import PaintRequest
from engine.types import FloatArray

if TYPE_CHECKING:
    from tests.engine.conftest import Photo, Recorder
    from tests.engine.translation.conftest import PaintShot, Shot


def smooth(picture: FloatArray, sigma: float) -> FloatArray:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), np.float32)


VISIBLE = 1e-4
"""A hundred times what the size of a batch changes; random weights react weakly."""
INDEPENDENT: dict[str, Any] = {
    "cross_frame_attention": "off",
    "shape_fusion": False,
    "pixel_fusion": False,
    "adain": False,
}


def alone(settings: TranslationSettings, **changed: Any) -> TranslationSettings:
    """With no constraint but those that are given."""
    return replace(settings, **(INDEPENDENT | changed))


@pytest.fixture
def moving(photo: "Photo") -> list[FloatArray]:
    """Three frames of a picture that moves to the left, at uneven distances."""
    wide = smooth(photo(64, 128), 1.5)
    return [np.ascontiguousarray(wide[:, left : left + 64]) for left in (0, 4, 14)]


@pytest.mark.parametrize(
    "constraint",
    [
        {"cross_frame_attention": "decoder"},
        {"cross_frame_attention": "everywhere"},
        {"shape_fusion": True},
        {"pixel_fusion": True},
        {"adain": True},
    ],
    ids=str,
)
def test_each_constraint_acts_alone_and_leaves_the_first_key_frame(
    paint_shot: "PaintShot",
    moving: list[FloatArray],
    tiny_settings: TranslationSettings,
    constraint: dict[str, Any],
) -> None:
    free = paint_shot(moving[:2], alone(tiny_settings))
    bound = paint_shot(moving[:2], alone(tiny_settings, **constraint))
    assert np.array_equal(bound[0], free[0])
    assert np.abs(bound[1] - free[1]).max() > VISIBLE


@pytest.mark.parametrize(("strength", "steps"), [(0.6, 20), (0.6, 12), (0.6, 5), (0.75, 6)])
def test_shape_fusion_acts_at_low_strength_whatever_the_number_of_steps(
    paint_shot: "PaintShot",
    moving: list[FloatArray],
    tiny_settings: TranslationSettings,
    strength: float,
    steps: int,
) -> None:
    settings = replace(tiny_settings, strength=strength, steps=steps)
    free = paint_shot(moving[:2], alone(settings))
    bound = paint_shot(moving[:2], alone(settings, shape_fusion=True))
    assert np.abs(bound[1] - free[1]).max() > VISIBLE


def test_where_all_is_seen_again_full_strength_keeps_nothing_of_its_own(
    shot: "Shot", moving: list[FloatArray], tiny_settings: TranslationSettings
) -> None:
    """Eq. 11 with an empty mask, up to the last step: what the key frame would be is replaced."""
    settings = alone(
        tiny_settings,
        pixel_fusion=True,
        fusion_strength=1.0,
        pixel_fusion_begin=0.5,
        pixel_fusion_end=1.0,
    )
    shot.paint(moving[0], settings)
    (reference,) = shot.references(moving[0])
    seen = (replace(reference, occlusion=np.zeros_like(reference.occlusion)),)
    one, other = (
        shot.painter.paint(PaintRequest(1, moving[0], own, seen), shot.report)
        for own in (settings, replace(settings, prompt="a dog", guidance_scale=1.5))
    )
    assert np.array_equal(one, other)


def test_equal_frames_give_equal_key_frames_without_pixel_fusion(
    paint_shot: "PaintShot", photo: "Photo", pocket_settings: TranslationSettings
) -> None:
    settings = replace(pocket_settings, pixel_fusion=False)
    takes = paint_shot([photo(64, 96)] * 3, settings)
    assert all(np.abs(take - takes[0]).max() < 1e-3 for take in takes)


def test_equal_frames_do_not_drift_over_twenty_key_frames(
    shot: "Shot", photo: "Photo", pocket_settings: TranslationSettings
) -> None:
    """Though each takes its texture from the one before it alone: the anchor is out of sight."""
    settings = replace(pocket_settings, steps=4, controlnet="")
    source = smooth(photo(96, 96), 1)
    shot.paint(source, settings)
    shot.paint(source, settings)
    for _ in range(18):
        anchor, previous = shot.references(source)
        hidden = replace(anchor, occlusion=np.ones_like(anchor.occlusion))
        shot.paint(source, settings, (hidden, previous))
    away = [float(np.abs(take - shot.takes[0]).mean()) for take in shot.takes]
    assert max(away) < 2 / 255
    assert abs(away[19] - away[10]) < 0.1 / 255


def test_each_constraint_makes_neighbouring_key_frames_agree(
    paint_shot: "PaintShot", photo: "Photo", pocket_settings: TranslationSettings
) -> None:
    """By Key-MSE, at the strength that leaves most to chance; AdaIN by colours instead, in the test
    after this one.
    """
    together = replace(pocket_settings, strength=1.0)
    wide = smooth(photo(96, 160), 1)
    sources = [np.ascontiguousarray(wide[:, left : left + 96]) for left in (0, 6, 18)]

    def key_mse(settings: TranslationSettings) -> float:
        return pixel_mse(paint_shot(sources, settings), sources, DisFlow()).mean

    independent = key_mse(alone(together))
    assert key_mse(alone(together, cross_frame_attention="decoder")) < independent
    assert key_mse(alone(together, shape_fusion=True)) < 0.8 * independent
    rough = key_mse(replace(together, pixel_fusion=False))
    assert rough < independent
    assert key_mse(together) < 0.7 * rough
    assert key_mse(pocket_settings) < 0.5 * key_mse(alone(pocket_settings))


def test_adain_keeps_the_colours_of_the_anchor(
    paint_shot: "PaintShot", photo: "Photo", pocket_settings: TranslationSettings
) -> None:
    source = photo(64, 64)
    darker = source * np.array([0.6, 0.8, 1.0], np.float32)

    def color_distance(settings: TranslationSettings) -> float:
        first, second = paint_shot([source, darker], settings)
        return float(np.abs(first.mean((0, 1)) - second.mean((0, 1))).mean())

    free = color_distance(alone(pocket_settings))
    assert color_distance(alone(pocket_settings, adain=True)) < 0.3 * free


def test_where_nothing_is_seen_again_no_fusion_changes_anything(
    painter: DiffusionPainter,
    report: "Recorder",
    shot: "Shot",
    moving: list[FloatArray],
    tiny_settings: TranslationSettings,
) -> None:
    shot.paint(moving[0], tiny_settings)
    hidden = tuple(
        replace(reference, occlusion=np.ones_like(reference.occlusion))
        for reference in shot.references(moving[1])
    )
    request = PaintRequest(1, moving[1], alone(tiny_settings), hidden)
    free = painter.paint(request, report)
    fused = alone(tiny_settings, shape_fusion=True, pixel_fusion=True, fusion_strength=1.0)
    bound = painter.paint(replace(request, settings=fused), report)
    assert np.abs(bound - free).max() < VISIBLE / 10  # the anchor in the batch moves the last bits


def test_a_key_frame_painted_by_hand_is_kept_to_where_it_is_seen_again(
    shot: "Shot", photo: "Photo", pocket_settings: TranslationSettings
) -> None:
    """It has no latents: it is encoded, and can be anchor as well as previous key frame."""
    source = smooth(photo(128, 128), 2)
    painting = source[..., ::-1] * 0.8 + 0.1
    shot.add(source, np.ascontiguousarray(painting))
    bound = shot.paint(source, pocket_settings)
    free = shot.painter.paint(PaintRequest(1, source, pocket_settings), shot.report)
    assert np.abs(bound - painting).mean() < 0.6 * np.abs(free - painting).mean()


def test_a_take_of_another_model_is_encoded_instead_of_retraced(
    shot: "Shot", moving: list[FloatArray], tiny_settings: TranslationSettings
) -> None:
    """Its latents mean something else."""
    shot.paint(moving[0], tiny_settings)
    (kept,) = shot.trajectories
    assert kept is not None
    paintings = []
    for trajectory in (kept, replace(kept, model="another"), None):
        shot.trajectories[0] = trajectory
        request = PaintRequest(1, moving[1], tiny_settings, shot.references(moving[1]))
        paintings.append(shot.painter.paint(request, shot.report))
    assert not np.array_equal(paintings[0], paintings[1])
    assert np.array_equal(paintings[1], paintings[2])


@pytest.mark.parametrize("changed", [{"strength": 0.5}, {"steps": 7}, {"seed": 4}], ids=str)
def test_key_frames_with_settings_of_their_own_live_in_one_shot(
    shot: "Shot",
    moving: list[FloatArray],
    tiny_settings: TranslationSettings,
    changed: dict[str, Any],
) -> None:
    shot.paint(moving[0], tiny_settings)
    own = shot.paint(moving[1], replace(tiny_settings, **changed))
    assert own.shape == moving[1].shape
    assert np.isfinite(shot.paint(moving[2], tiny_settings)).all()


def test_the_second_pass_ends_as_if_it_had_begun_at_the_first_step(
    paint_shot: "PaintShot",
    moving: list[FloatArray],
    tiny_settings: TranslationSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What comes before the window of pixel-aware fusion is the same in both passes."""
    resumed = paint_shot(moving, tiny_settings)
    run = sampler._Sampling.run

    def from_the_start(
        self: Any, x: torch.Tensor, steps: range, target: Any = None
    ) -> torch.Tensor:
        if target is None:
            return run(self, x, steps)
        return run(self, self.way[0], self.schedule.steps, target)

    monkeypatch.setattr(sampler._Sampling, "run", from_the_start)
    assert all(map(np.array_equal, paint_shot(moving, tiny_settings), resumed))


def test_progress_counts_both_passes_and_cancelling_ends_either_within_one_step(
    shot: "Shot", report: "Recorder", moving: list[FloatArray], tiny_settings: TranslationSettings
) -> None:
    schedule = schedule_of(tiny_settings)
    first, second = schedule.count, schedule.count - schedule.pixel.start
    shot.paint(moving[0], tiny_settings)
    assert report.steps_of(Stage.PAINTING)[1:] == [(0, step, first) for step in range(2, first + 1)]
    report.seen.clear()
    shot.paint(moving[1], tiny_settings)
    both = first + second
    assert report.steps_of(Stage.PAINTING) == [(1, step, both) for step in range(1, both + 1)]
    report.cancel_at = (Stage.PAINTING, both - 1)
    with pytest.raises(CancelledError):
        shot.paint(moving[2], tiny_settings)
    assert report.steps_of(Stage.PAINTING)[-1] == (2, both - 1, both)


def test_a_constraint_without_a_step_to_act_in_is_told(
    shot: "Shot", report: "Recorder", moving: list[FloatArray], tiny_settings: TranslationSettings
) -> None:
    weak = replace(tiny_settings, strength=0.4)
    shot.paint(moving[0], weak)
    assert not report.notices
    shot.paint(moving[1], weak)
    (notice,) = report.notices
    assert "2 steps" in notice
    assert "in the window of shape fusion or colour adjustment, which has no effect" in notice


@pytest.mark.parametrize("size", [(70, 45), (33, 130)])
def test_a_key_frame_painted_against_others_has_exactly_the_size_of_its_frame(
    paint_shot: "PaintShot",
    photo: "Photo",
    tiny_settings: TranslationSettings,
    size: tuple[int, int],
) -> None:
    takes = paint_shot([photo(*size), photo(*size, 1)], tiny_settings)
    assert [take.shape for take in takes] == [(*size, 3)] * 2


class FlowMatching:
    """A model in the form of flow matching: its latents divided by alpha + sigma."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def levels(self, settings: TranslationSettings) -> list[Level]:
        return [
            Level(level.time, *(each / _sum(level) for each in (level.alpha, level.sigma)))
            for level in self._model.levels(settings)
        ]

    def predict(self, x: torch.Tensor, level: Level, *rest: Any) -> Any:
        scale, own = _of_the_model(level)
        return self._model.predict(scale * x, own, *rest)

    def see(self, x: torch.Tensor, levels: Sequence[Level], conditions: Any) -> Any:
        scales, own = zip(*map(_of_the_model, levels), strict=True)
        return self._model.see(torch.tensor(scales).view(-1, 1, 1, 1) * x, own, conditions)


def _sum(level: Level) -> float:
    return level.alpha + level.sigma


def _of_the_model(level: Level) -> tuple[float, Level]:
    """What its latents are to be multiplied by, and its own level, of variance 1."""
    scale = 1 / hypot(level.alpha, level.sigma)
    return scale, Level(level.time, scale * level.alpha, scale * level.sigma)


@pytest.mark.parametrize("sampler_name", ["ddim", "lcm"])
def test_a_model_of_flow_matching_paints_the_same_pictures_under_all_constraints(
    shot: "Shot",
    moving: list[FloatArray],
    tiny_settings: TranslationSettings,
    sampler_name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sampler asks for alpha and sigma and takes no schedule for granted."""
    settings = replace(tiny_settings, sampler=sampler_name, match_colors=True)
    as_flow = replace(shot, painter=DiffusionPainter(), sources=[], takes=[], trajectories=[])
    for source in moving[:3]:
        shot.paint(source, settings)
    translate = sampler.translate
    monkeypatch.setattr(
        sampler, "translate", lambda model, *rest: translate(FlowMatching(model), *rest)
    )
    for source in moving[:3]:
        as_flow.paint(source, settings)
    for one, other in zip(shot.takes, as_flow.takes, strict=True):
        assert np.abs(one - other).max() < 1e-3
    ways = [each.trajectories[0] for each in (shot, as_flow)]
    assert ways[0] is not None
    assert ways[1] is not None
    assert np.abs(ways[0].latents - ways[1].latents).max() > 0.1  # they went another way

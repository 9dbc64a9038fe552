"""The LCM sampler: few steps, as diffusers takes them."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
import torch
from diffusers import LCMScheduler

from engine.errors import InvalidValueError
from engine.settings import TranslationSettings
from engine.translation.painter import PaintRequest
from engine.translation.stable_diffusion.lcm import consistent
from engine.translation.stable_diffusion.times import consistency_times

if TYPE_CHECKING:
    from tests.engine.conftest import Photo
    from tests.engine.translation.conftest import Shot


@pytest.fixture
def settings(tiny_settings: TranslationSettings) -> TranslationSettings:
    return replace(tiny_settings, sampler="lcm", steps=4, guidance_scale=1.5, controlnet="")


def scheduler_of(steps: int) -> Any:
    scheduler: Any = LCMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
    )
    scheduler.set_timesteps(steps)
    return scheduler


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 7, 8, 20, 50])
def test_its_times_are_those_of_diffusers(steps: int) -> None:
    times = consistency_times(steps, steps, 1000)
    assert list(times) == scheduler_of(steps).timesteps.tolist()
    half = consistency_times(steps, round(0.5 * steps), 1000)
    assert len(half) == round(0.5 * steps)
    assert list(half) == scheduler_of(steps).timesteps.tolist()[steps - len(half) :]


def test_more_steps_than_it_was_made_for_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="steps is 51: the LCM sampler takes at most 50"):
        consistency_times(51, 20, 1000)


def test_a_painting_is_that_of_diffusers_with_the_same_noise(
    shot: "Shot",
    photo: "Photo",
    settings: TranslationSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same network, asked by their scheduler from the same start and with the same noise."""
    from engine.translation.canvas import Canvas, picture_of
    from engine.translation.method.noise import shared_noise

    source = photo(64, 64)
    painted = shot.paint(source, settings, ())
    model: Any = shot.painter._loaded and shot.painter._loaded.model
    scheduler = scheduler_of(settings.steps)
    shape = (1, model.channels, 64 // model.cell, 64 // model.cell)
    noises = iter(
        [shared_noise(settings.seed, f"after {t}", shape) for t in scheduler.timesteps.tolist()]
    )
    monkeypatch.setattr(
        "diffusers.schedulers.scheduling_lcm.randn_tensor", lambda *_, **__: next(noises)
    )
    with torch.inference_mode():
        text = model._encoded_text(settings)
        x0 = model.encode(Canvas(model.multiple, model.device).pixels(source))
        start = shared_noise(settings.seed, "start", shape)
        x = scheduler.add_noise(x0, start, scheduler.timesteps[:1])
        for t in scheduler.timesteps:
            without, with_prompt = model.unet(
                torch.cat([x, x]), t, encoder_hidden_states=text
            ).sample.chunk(2)
            guided = without + settings.guidance_scale * (with_prompt - without)
            x, _ = scheduler.step(guided, t, x, return_dict=False)
        expected = picture_of(model.decode(x), 64, 64)
    assert np.abs(painted - expected).max() < 1e-3


def test_near_the_end_a_consistency_model_keeps_what_is_there() -> None:
    x, x0 = torch.ones(1), torch.zeros(1)
    assert consistent(x, x0, 0) == 1
    assert consistent(x, x0, 999) < 1e-6


def test_a_key_frame_painted_again_alone_has_the_same_bits(
    shot: "Shot", photo: "Photo", settings: TranslationSettings
) -> None:
    """With all constraints in force, against the same references."""
    sources = [photo(64, 64, seed) for seed in (0, 1, 2)]
    takes = [shot.paint(source, settings) for source in sources[:2]]
    references = shot.references(sources[2])
    third = shot.paint(sources[2], settings)
    again = shot.painter.paint(PaintRequest(2, sources[2], settings, references), shot.report)
    assert np.array_equal(again, third)
    assert not np.array_equal(takes[0], takes[1])


@pytest.mark.parametrize(
    "changed",
    [
        {"shape_fusion": False},
        {"pixel_fusion": False},
        {"fusion_detail": 0.0},
        {"adain": False},
        {"cross_frame_attention": "off"},
    ],
    ids=str,
)
def test_the_constraints_act_in_few_steps_too(
    shot: "Shot", photo: "Photo", settings: TranslationSettings, changed: dict[str, Any]
) -> None:
    settings = replace(settings, steps=8, shape_fusion_end=0.3)
    wide = np.asarray(cv2.GaussianBlur(photo(64, 128), (0, 0), 1.5), np.float32)
    first, other = (np.ascontiguousarray(wide[:, left : left + 64]) for left in (0, 4))
    shot.paint(first, settings)
    references = shot.references(other)
    bound, free = (
        shot.paint(other, each, references) for each in (settings, replace(settings, **changed))
    )
    assert np.abs(bound - free).max() > 1e-4


def test_it_needs_no_guidance_and_says_that_a_negative_prompt_does_nothing_then(
    shot: "Shot", photo: "Photo", settings: TranslationSettings
) -> None:
    settings = replace(settings, guidance_scale=0.0, negative_prompt="blurred")
    usual = shot.paint(photo(64, 64), settings, ())
    alone = replace(settings, guidance_scale=1.0, negative_prompt="")
    assert np.array_equal(usual, shot.paint(photo(64, 64), alone, ()))
    assert [notice for notice in shot.report.notices if "negative prompt has no effect" in notice]  # type: ignore[attr-defined]


def test_the_built_in_model_refuses_it(shot: "Shot") -> None:
    with pytest.raises(InvalidValueError, match="sampler is lcm: the built-in model was not made"):
        shot.painter.recipe(TranslationSettings(sampler="lcm"))

"""Painting by Stable Diffusion 1.5 with a ControlNet: which model, and what a painting depends on.

The sampler is in `sampler.py`, which is imported with torch when the first key frame is painted.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from hashlib import blake2b
from importlib.metadata import version
from typing import TYPE_CHECKING

from engine.errors import InvalidValueError
from engine.graphics_card import graphics_card
from engine.plan import Recipe
from engine.report import Report, Stage
from engine.settings import TranslationSettings
from engine.translation.model_files import BASE, CONTROLNET, POCKET, find_files, identity
from engine.translation.painter import PaintRequest
from engine.translation.vocabulary import vocabulary_of
from engine.types import FloatArray

if TYPE_CHECKING:
    from engine.translation.stable_diffusion import StableDiffusion

_OF_MODELS = ("painter", "model", "controlnet")
"""Settings for which the files of the models stand."""
_LIBRARIES = ("torch", "diffusers", "transformers")
_USUAL_GUIDANCE_SCALE = 7.5
"""Of Stable Diffusion."""


class DiffusionPainter:
    """Paints with Stable Diffusion 1.5, one key frame at a time, and keeps its model loaded."""

    def __init__(self) -> None:
        self._model: StableDiffusion | None = None
        self._loaded: Mapping[str, object] = {}

    def recipe(self, settings: TranslationSettings) -> Recipe:
        settings = _as_the_model_takes_them(settings)
        values = {name: value for name, value in asdict(settings).items() if name not in _OF_MODELS}
        if not settings.controlnet:
            del values["controlnet_weight"]
        return Recipe(
            json.dumps(
                {
                    "painter": "diffusion",
                    **values,
                    "models": _identities(settings),
                    "device": graphics_card() or "cpu",
                    "libraries": {name: version(name) for name in _LIBRARIES},
                }
            ),
            paints_against_others=_paints_against_others(settings),
        )

    def paint(self, request: PaintRequest, report: Report) -> FloatArray:
        report.check_cancelled()
        vocabulary = vocabulary_of(request.settings.model)
        if vocabulary and (advice := vocabulary.advice(request.settings.prompt)):
            report.notice(advice)
        request = replace(request, settings=_as_the_model_takes_them(request.settings))
        model = self._model_for(request, report)
        from engine.translation.sampler import translate

        return translate(model, request, report)

    def _model_for(self, request: PaintRequest, report: Report) -> "StableDiffusion":
        wanted = _identities(request.settings)
        if self._model is None or self._loaded != wanted:
            report.progress(Stage.LOADING_MODEL, request.frame)
            self._model = None  # first: its memory is needed for the next one
            self._model = _load(request.settings)
            self._loaded = wanted
        return self._model


def _load(settings: TranslationSettings) -> "StableDiffusion":
    model = find_files(BASE, settings.model)
    controlnets = [find_files(CONTROLNET, settings.controlnet)] if settings.controlnet else []
    from engine.translation.loading import load_stable_diffusion

    name = blake2b(json.dumps(identity(BASE, settings.model)).encode(), digest_size=16).hexdigest()
    return load_stable_diffusion(name, model, controlnets, card=graphics_card())


def _paints_against_others(settings: TranslationSettings) -> bool:
    constrained = settings.shape_fusion or settings.pixel_fusion or settings.adain
    return constrained or settings.cross_frame_attention != "off" or settings.match_colors


def _as_the_model_takes_them(settings: TranslationSettings) -> TranslationSettings:
    """With the words that the model understands, and its own guidance scale in place of 0."""
    vocabulary = vocabulary_of(settings.model)
    usual = vocabulary.guidance_scale if vocabulary else _USUAL_GUIDANCE_SCALE
    return replace(
        settings,
        prompt=vocabulary.understood(settings.prompt) if vocabulary else settings.prompt,
        guidance_scale=settings.guidance_scale or usual,
    )


def _identities(settings: TranslationSettings) -> Mapping[str, object]:
    """Of the models; InvalidValueError where they do not belong together."""
    identities = {"model": identity(BASE, settings.model)}
    if settings.controlnet:
        identities["controlnet"] = identity(CONTROLNET, settings.controlnet)
        if (settings.controlnet == POCKET) != (settings.model == POCKET):
            raise InvalidValueError(
                f'The ControlNet "{settings.controlnet}" does not fit the model '
                f'"{settings.model}": choose {POCKET} for both, or Stable Diffusion 1.5 for both, '
                "or no ControlNet."
            )
    return identities

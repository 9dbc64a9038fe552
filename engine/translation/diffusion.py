"""Painting by Stable Diffusion 1.5 with a ControlNet: which model, and what a painting depends on.

The sampler is in `stable_diffusion.py`, which is imported with torch when the first key frame is
painted.
"""

import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

from engine.graphics_card import graphics_card
from engine.plan import Recipe
from engine.report import Report, Stage
from engine.settings import TranslationSettings
from engine.translation.model_files import BASE, CONTROLNET, find_files, identity
from engine.translation.painter import PaintRequest
from engine.types import FloatArray

if TYPE_CHECKING:
    from engine.translation.stable_diffusion import StableDiffusion

_SETTINGS = ("prompt", "negative_prompt", "strength", "seed", "steps", "guidance_scale")
_LIBRARIES = ("torch", "diffusers", "transformers")


class DiffusionPainter:
    """Paints with Stable Diffusion 1.5, one key frame at a time, and keeps its model loaded."""

    def __init__(self) -> None:
        self._model: StableDiffusion | None = None
        self._loaded: Mapping[str, object] = {}

    def recipe(self, settings: TranslationSettings) -> Recipe:
        values = {name: getattr(settings, name) for name in _SETTINGS}
        if settings.controlnet:
            values["controlnet_weight"] = settings.controlnet_weight
        return Recipe(
            json.dumps(
                {
                    "painter": "diffusion",
                    **values,
                    "models": _identities(settings),
                    "device": graphics_card() or "cpu",
                    "libraries": {name: version(name) for name in _LIBRARIES},
                }
            )
        )

    def paint(self, request: PaintRequest, report: Report) -> FloatArray:
        report.check_cancelled()
        return self._model_for(request, report).paint(request, report)

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
    controlnet = find_files(CONTROLNET, settings.controlnet) if settings.controlnet else None
    from engine.translation.stable_diffusion import load_stable_diffusion

    return load_stable_diffusion(model, controlnet, card=graphics_card())


def _identities(settings: TranslationSettings) -> Mapping[str, object]:
    identities = {"model": identity(BASE, settings.model)}
    if settings.controlnet:
        identities["controlnet"] = identity(CONTROLNET, settings.controlnet)
    return identities

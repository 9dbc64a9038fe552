"""Painting by Stable Diffusion 1.5: which models, and what a painting depends on.

The sampler is in `sampler.py`, which is imported with torch when the first key frame is painted.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, astuple, dataclass, replace
from functools import cache
from gc import collect
from hashlib import blake2b
from importlib.metadata import version
from typing import TYPE_CHECKING

from engine.errors import InvalidValueError
from engine.graphics_card import can_build_kernels, graphics_card
from engine.plan import Recipe
from engine.report import Report, Stage
from engine.settings import CONTROLNETS, MOVIE, TranslationSettings
from engine.translation.controls.registry import image_identity
from engine.translation.models.add_ons import identity_of_loras, inversions_of
from engine.translation.models.files import (
    BASE,
    CONTROLNET,
    POCKET,
    VAE,
    file_facts,
    find_files,
    identity,
)
from engine.translation.painter import PaintRequest
from engine.translation.words.vocabulary import vocabulary_of
from engine.types import FloatArray

if TYPE_CHECKING:
    from engine.translation.stable_diffusion.networks import StableDiffusion

_OF_MODELS = (
    "painter",
    "model",
    "vae",
    "loras",
    "embeddings",
    "depth_model",
    "person_detector",
    "pose_model",
    "control_movie",
)
"""Settings for which the files that they name stand."""
_LIBRARIES = ("torch", "diffusers", "transformers")
_USUAL_GUIDANCE_SCALE = {"ddim": 7.5, "lcm": 1.0}
"""Of Stable Diffusion."""


@dataclass(frozen=True)
class _Loaded:
    """A model in memory."""

    networks: Mapping[str, object]
    """What identifies it."""
    model: "StableDiffusion"


class DiffusionPainter:
    """Paints with Stable Diffusion 1.5, one key frame at a time, and keeps its model loaded."""

    def __init__(self) -> None:
        self._loaded: _Loaded | None = None

    def recipe(self, settings: TranslationSettings) -> Recipe:
        settings = _as_the_model_takes_them(settings)
        _check_choices(settings)
        values = {
            name: value
            for name, value in asdict(settings).items()
            if name not in _OF_MODELS and not name.startswith(CONTROLNETS)
        }
        return Recipe(
            json.dumps(
                {
                    "painter": "diffusion",
                    **values,
                    "models": _networks(settings),
                    "controls": [
                        [*astuple(control)[2:], image_identity(control.image, settings)]
                        for control in settings.controls
                    ],
                    "loras": identity_of_loras(settings),
                    "inversions": {
                        word: file_facts(file) for word, file in inversions_of(settings).items()
                    },
                    "device": graphics_card() or "cpu",
                    "fused": graphics_card() is not None and can_build_kernels(),
                    "libraries": _library_versions(),
                }
            ),
            paints_against_others=_paints_against_others(settings),
            depends_on_frame=any(control.image == MOVIE for control in settings.controls),
        )

    def advice(self, settings: TranslationSettings) -> str:
        vocabulary = vocabulary_of(settings.model)
        if vocabulary is None:
            return ""
        guidance_scale = settings.guidance_scale or vocabulary.guidance_scale
        if guidance_scale == 1:  # the negative prompt has no effect, and another note says so
            return vocabulary.advice(settings.prompt)
        return vocabulary.advice(settings.prompt, settings.negative_prompt)

    def paint(self, request: PaintRequest, report: Report) -> FloatArray:
        report.check_cancelled()
        recipe = self.recipe(request.settings)
        request = replace(request, settings=_as_the_model_takes_them(request.settings))
        model = self._model_for(request, report)
        model.begin(recipe.text, request.settings)
        from engine.translation.method.sampler import translate

        return translate(model, request, report)

    def _model_for(self, request: PaintRequest, report: Report) -> "StableDiffusion":
        settings = request.settings
        _check_choices(settings)
        wanted = _networks(settings)
        if self._loaded is None or self._loaded.networks != wanted:
            report.progress(Stage.LOADING_MODEL, request.frame)
            self._loaded = None  # first: its memory is needed for the next one
            collect()  # its networks refer to themselves
            self._loaded = _load(settings, request.frame, report)
            report.progress(Stage.PAINTING, request.frame)
        return self._loaded.model


@cache
def _library_versions() -> Mapping[str, str]:
    return {name: version(name) for name in _LIBRARIES}


def _load(settings: TranslationSettings, frame: int, report: Report) -> _Loaded:
    networks = _networks(settings)
    model = find_files(BASE, settings.model)
    vae = find_files(VAE, settings.vae) if settings.vae else None
    controlnets = [find_files(CONTROLNET, control.controlnet) for control in settings.controls]
    weight_bytes = model.weight_bytes(BASE) + (vae.weight_bytes(VAE) if vae else 0)
    weight_bytes += sum(controlnet.weight_bytes(CONTROLNET) for controlnet in controlnets)
    report.progress(Stage.LOADING_MODEL, frame, 0, max(1, round(weight_bytes / 1e6)))
    from engine.translation.stable_diffusion.loading import load_stable_diffusion

    latents = json.dumps([networks["model"], networks["vae"]])
    name = blake2b(latents.encode(), digest_size=16).hexdigest()
    report.check_cancelled()
    loaded = load_stable_diffusion(name, model, vae, controlnets, card=graphics_card())
    return _Loaded(networks, loaded)


def _paints_against_others(settings: TranslationSettings) -> bool:
    constrained = settings.shape_fusion or settings.pixel_fusion or settings.adain
    return constrained or settings.cross_frame_attention != "off" or settings.match_colors


def _as_the_model_takes_them(settings: TranslationSettings) -> TranslationSettings:
    """With the words that the model understands, and its own guidance scale in place of 0."""
    vocabulary = vocabulary_of(settings.model)
    if vocabulary is None:
        usual = _USUAL_GUIDANCE_SCALE[settings.sampler]
        return replace(settings, guidance_scale=settings.guidance_scale or usual)
    guidance_scale = settings.guidance_scale or vocabulary.guidance_scale
    negative = settings.negative_prompt
    return replace(
        settings,
        prompt=vocabulary.understood(settings.prompt),
        negative_prompt=negative if guidance_scale == 1 else vocabulary.known(negative),
        guidance_scale=guidance_scale,
    )


def _networks(settings: TranslationSettings) -> Mapping[str, object]:
    """What identifies all that has to be loaded."""
    return {
        "model": identity(BASE, settings.model),
        "vae": identity(VAE, settings.vae) if settings.vae else None,
        "controlnets": [identity(CONTROLNET, control.controlnet) for control in settings.controls],
    }


def _check_choices(settings: TranslationSettings) -> None:
    """Raises InvalidValueError for what contradicts, or does not suit the built-in model."""
    for control in settings.controls:
        if control.image == MOVIE and not settings.control_movie:
            raise InvalidValueError(
                f"{control.name}_image is {MOVIE}, and control_movie is empty: name a movie or "
                "numbered pictures, or choose another image."
            )
        if (control.controlnet == POCKET) != (settings.model == POCKET):
            raise InvalidValueError(
                f'The ControlNet "{control.controlnet}" does not fit the model '
                f'"{settings.model}": choose {POCKET} for both, or Stable Diffusion 1.5 for both, '
                "or no ControlNet."
            )
        if control.controlnet == POCKET and control.image != "canny":
            raise InvalidValueError(
                f"{control.name}_image is {control.image}: the built-in ControlNet looks at canny "
                "edges, choose canny."
            )
    if settings.model == POCKET and settings.sampler == "lcm":
        raise InvalidValueError(
            "sampler is lcm: the built-in model was not made for it, choose ddim. A draft is "
            "8 steps of that."
        )

"""The painters there are. Nothing here imports torch or diffusers before a picture is painted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from types import MappingProxyType

from engine.errors import NotFoundError
from engine.plan import Recipe
from engine.settings import TranslationSettings
from engine.translation.diffusion import DiffusionPainter
from engine.translation.models.facts import ModelFacts
from engine.translation.models.facts import models_of as diffusion_models
from engine.translation.painted import HandPainter
from engine.translation.painter import KeyFramePainter
from engine.translation.style import LOOKS, StylePainter
from engine.translation.words.vocabulary import Look, built_in_vocabulary


@dataclass(frozen=True)
class PainterDescription:
    """A painter as it is shown to the editor."""

    name: str
    label: str
    description: str
    available: bool
    reason: str = ""
    """Where it is not available: why, and what to do."""
    looks: tuple[Look, ...] = ()
    """What its prompt can ask for by name."""
    modifiers: tuple[Look, ...] = ()
    """What changes a look: its light and its colours."""
    names_only: bool = False
    """It understands the names of its looks and no other words."""


_PAINTERS: Mapping[str, Callable[[], KeyFramePainter]] = MappingProxyType(
    {"diffusion": DiffusionPainter, "style": StylePainter, "painted": HandPainter}
)


@cache
def painter_named(name: str) -> KeyFramePainter:
    """The painter of that name, with the model it has loaded; NotFoundError for an unknown one."""
    if name not in _PAINTERS:
        raise NotFoundError(f'There is no painter "{name}": choose {" or ".join(_PAINTERS)}.')
    return _PAINTERS[name]()


def recipe_of(settings: TranslationSettings) -> Recipe:
    """What the pictures of these settings depend on, for `make_plan`."""
    return painter_named(settings.painter).recipe(settings)


def models_of(settings: TranslationSettings) -> tuple[ModelFacts, ...]:
    """The models that paint with these settings, for what is kept beside a take."""
    return diffusion_models(settings) if settings.painter == "diffusion" else ()


def describe_painters() -> tuple[PainterDescription, ...]:
    """All painters, in the order in which they are offered."""
    vocabulary = built_in_vocabulary()
    return (
        PainterDescription(
            name="diffusion",
            label="Diffusion",
            description=(
                "A diffusion model that reads the prompt. The built-in one is small: it knows the "
                "looks below and no subjects, and paints a key frame in some ten seconds without "
                "a graphics card. With Model and ControlNet, Stable Diffusion 1.5 from files that "
                "you have or from a hub; that takes minutes without a graphics card."
            ),
            available=not _missing("torch", "diffusers", "transformers"),
            reason=_missing("torch", "diffusers", "transformers"),
            looks=vocabulary.looks,
            modifiers=vocabulary.modifiers,
        ),
        PainterDescription(
            name="style",
            label="Quick style",
            description=(
                "A small style transfer network with packaged looks (Magenta, Apache-2.0): paints "
                "in a second without a graphics card. The prompt names a look; other words change "
                "nothing."
            ),
            available=True,
            looks=tuple(Look(name, (name,)) for name in LOOKS),
            names_only=True,
        ),
        PainterDescription(
            name="painted",
            label="Painted by hand",
            description="The pictures that you import for each key frame. Nothing is generated.",
            available=True,
        ),
    )


def _missing(*packages: str) -> str:
    """A sentence about the packages that are not installed; empty where all are."""
    absent = [package for package in packages if find_spec(package) is None]
    return f"Not installed: {', '.join(absent)}. Install Inbetween again." if absent else ""

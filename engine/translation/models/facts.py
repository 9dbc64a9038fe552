"""What is to be kept of the models that painted: which they were, whence, under what licence."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from engine.settings import TranslationSettings
from engine.translation.models.add_ons import inversions_of, loras_of
from engine.translation.models.files import (
    BASE,
    CARD,
    CONTROLNET,
    DEPTH,
    LORA,
    PERSON_DETECTOR,
    POCKET,
    POSE,
    VAE,
    ModelKind,
    find_files,
    find_weights,
    pocket_folder,
)
from engine.translation.stable_diffusion.file_checks import read_header

_LICENCE_OF_CARD = re.compile(r"\A---\n(?:.*\n)*?license:\s*(\S.*)\n(?:.*\n)*?---", re.M)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LICENCES = ("modelspec.license", "license")
_TITLES = ("modelspec.title", "ss_output_name")
_AUTHORS = ("modelspec.author",)


@dataclass(frozen=True)
class ModelFacts:
    """One model that a painting was made with."""

    setting: str
    """Which setting named it."""
    name: str
    """As it was named: the built-in one, a file, a folder or a hub name."""
    sha256: Mapping[str, str]
    """Of each file of weights."""
    licence: str
    """As its card or its file tells it; empty where neither does."""
    title: str
    author: str


def models_of(settings: TranslationSettings) -> tuple[ModelFacts, ...]:
    """All models that paint with these settings of the diffusion painter."""
    return tuple(_all_of(settings))


def _all_of(settings: TranslationSettings) -> Iterator[ModelFacts]:
    yield _network(BASE, settings.model)
    if settings.vae:
        yield _network(VAE, settings.vae)
    for control in settings.controls:
        yield replace(_network(CONTROLNET, control.controlnet), setting=control.name)
    if any(control.image == "depth" for control in settings.controls):
        yield _network(DEPTH, settings.depth_model)
    if any(control.image == "pose" for control in settings.controls):
        yield _network(PERSON_DETECTOR, settings.person_detector)
        yield _network(POSE, settings.pose_model)
    for lora in loras_of(settings):
        weights = find_weights(LORA, lora.name)
        yield _facts("loras", lora.name, weights.parent, [weights])
    for path in inversions_of(settings).values():
        yield _facts("embeddings", str(path), path.parent, [path])


def _network(kind: ModelKind, name: str) -> ModelFacts:
    found = find_files(kind, name)
    folder = found.single_file.parent if found.single_file else found.folder
    return _facts(kind.setting, name, folder, found.weights(kind))


def _facts(setting: str, name: str, folder: Path, weights: list[Path]) -> ModelFacts:
    told = read_header(weights[0])[1]
    return ModelFacts(
        setting=setting,
        name=name,
        sha256={str(file.relative_to(folder)): _sha256(file) for file in weights},
        licence=_first(told, _LICENCES)
        or _licence_of(pocket_folder() if name == POCKET else folder),
        title=_first(told, _TITLES),
        author=_first(told, _AUTHORS),
    )


def _first(told: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((told[name] for name in names if told.get(name)), "")


def _licence_of(folder: Path) -> str:
    """What the model card in a folder says."""
    card = folder / CARD
    if not card.is_file():
        return ""
    found = _LICENCE_OF_CARD.match(card.read_text("utf-8", errors="replace"))
    return found[1].strip() if found else ""


def _sha256(file: Path) -> str:
    """A hub's file is kept under its digest; that of another one is worked out once."""
    kept_as = file.resolve().name
    if _SHA256.fullmatch(kept_as):
        return kept_as
    facts = file.stat()
    return _digest(file, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(file: Path, _size: int, _changed: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

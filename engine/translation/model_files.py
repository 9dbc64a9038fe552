"""Where the files of a diffusion model lie, checked before anything is loaded.

Only .safetensors are loaded: other weight files can run code.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path

from engine.errors import ModelUnavailableError

POCKET = "pocket"
"""The name of the model that comes with Inbetween; as a ControlNet, the one that belongs to it."""

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_SUFFIXES = (".json", ".txt", ".safetensors")
_CONFIGS = ("*.json", "*.txt")
_OTHER_WEIGHTS = ("*.fp16.*", "*.non_ema.*")


@dataclass(frozen=True)
class ModelKind:
    """One of the two models a painting needs."""

    setting: str
    """The name of its setting."""
    parts: tuple[str, ...]
    """The folders inside its folder in diffusers layout that hold weights."""
    others: tuple[str, ...]
    """The folders beside them that hold none."""
    standard: str
    """The hub name whose configuration fits the single files of this kind."""


BASE = ModelKind(
    "model",
    ("unet", "vae", "text_encoder"),
    ("tokenizer", "scheduler"),
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
)
CONTROLNET = ModelKind("controlnet", (".",), (), "lllyasviel/control_v11p_sd15_canny")


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model."""

    folder: Path
    """In diffusers layout; its configuration only where there is a single file of weights."""
    single_file: Path | None = None


def identity(kind: ModelKind, model: str) -> object:
    """What identifies a model in an address: its files by name, size and time of change, or its
    hub name, which stands for itself so that downloading it changes no address. The built-in model
    is identified by what its files hold, so that installing it again changes none either.

    Raises ModelUnavailableError for what can be none of them.
    """
    if model == POCKET:
        return [POCKET, _pocket_digest(kind)]
    path = Path(model).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES)
        return [str(path), *(_file_facts(file) for file in files)]
    if path.is_file():
        return [str(path), _file_facts(path)]
    if _HUB_NAME.fullmatch(model):
        return model
    raise ModelUnavailableError(
        f'The {kind.setting} "{model}" does not exist: give a folder in diffusers layout, a '
        f".safetensors file, a hub name such as owner/name, or {POCKET}, the built-in one."
    )


def find_files(kind: ModelKind, model: str) -> ModelFiles:
    """The files of the model, downloaded where it is a hub name that is not here yet.

    Raises ModelUnavailableError for a model that is missing or incomplete.
    """
    path = Path(model).expanduser()
    if model == POCKET:
        found = ModelFiles(_pocket_folder(kind))
    elif path.is_dir():
        found = ModelFiles(path)
    elif path.is_file():
        found = _beside(kind, path)
    else:
        identity(kind, model)
        found = ModelFiles(_from_hub(kind, model, (*_CONFIGS, "*.safetensors")))
    _check_complete(kind, model, found)
    return found


def pocket_folder() -> Path:
    """Where the built-in model lies."""
    return Path(str(files("engine.translation") / "pocket_model"))


def _pocket_folder(kind: ModelKind) -> Path:
    return pocket_folder() / "controlnet" if kind is CONTROLNET else pocket_folder()


@cache
def _pocket_digest(kind: ModelKind) -> str:
    """Of all files that a painting depends on, with their names."""
    folder = _pocket_folder(kind)
    digest = blake2b(digest_size=16)
    for part in (*kind.parts, *kind.others):
        for file in sorted(path for path in (folder / part).glob("*") if path.is_file()):
            digest.update(f"{part}/{file.name} {file.stat().st_size} ".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _file_facts(file: Path) -> list[object]:
    facts = file.stat()
    return [str(file), facts.st_size, facts.st_mtime_ns]


def _beside(kind: ModelKind, weights: Path) -> ModelFiles:
    """A single file holds weights only: its configuration lies in the folder of the same name, or
    is that of the standard model.
    """
    if weights.suffix != ".safetensors":
        raise ModelUnavailableError(
            f'The {kind.setting} "{weights}" is not a .safetensors file: convert it first, other '
            "weight files can run code and are not loaded."
        )
    folder = weights.with_suffix("")
    if folder.is_dir():
        return ModelFiles(folder, weights)
    try:
        return ModelFiles(_from_hub(kind, kind.standard, _CONFIGS), weights)
    except ModelUnavailableError as error:
        wanted = ", ".join(kind.others + kind.parts) if kind.others else "config.json"
        raise ModelUnavailableError(
            f'The {kind.setting} "{weights}" holds weights only, and its configuration could not '
            f"be had from {kind.standard}: connect to the internet once, or put a folder "
            f'"{folder}" beside it with the configuration ({wanted}) of that model.'
        ) from error


def _from_hub(kind: ModelKind, name: str, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    folders = [f"{part}/" if part != "." else "" for part in (*kind.parts, *kind.others)]
    try:
        return Path(
            snapshot_download(
                name,
                allow_patterns=[f"{folder}{pattern}" for folder in folders for pattern in patterns]
                + ["model_index.json"],
                ignore_patterns=list(_OTHER_WEIGHTS),
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        raise ModelUnavailableError(
            f'The {kind.setting} "{name}" is not on this machine and could not be downloaded: '
            "check the name and the connection, or give the folder of a model that you have."
        ) from error


def _check_complete(kind: ModelKind, model: str, files: ModelFiles) -> None:
    missing = [
        str(Path(part) / "config.json")
        for part in kind.parts
        if not (files.folder / part / "config.json").is_file()
    ]
    if files.single_file is None:
        missing += [
            str(Path(part) / "*.safetensors")
            for part in kind.parts
            if not any((files.folder / part).glob("*.safetensors"))
        ]
    missing += [f"{part}/" for part in kind.others if not (files.folder / part).is_dir()]
    if missing:
        raise ModelUnavailableError(
            f'The {kind.setting} "{model}" is incomplete: {files.folder} lacks '
            f"{', '.join(missing)}. Give a Stable Diffusion 1.5 model in diffusers layout, with "
            "weights as .safetensors."
        )

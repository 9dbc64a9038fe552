"""Where the files of a diffusion model lie, checked before anything is loaded.

Only .safetensors are loaded: other weight files can run code.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from glob import escape
from hashlib import blake2b
from importlib.resources import files
from pathlib import Path

from engine.errors import ModelUnavailableError

POCKET = "pocket"
"""The name of the model that comes with Inbetween; as a ControlNet, the one that belongs to it."""

_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_HUB_FILE = re.compile(rf"({_HUB_NAME.pattern})/(.+\.safetensors)")
_NUMBER = re.compile(r"%0?\d*d|#+")
_SUFFIXES = (".json", ".txt", ".safetensors")
_FILES = ("*.json", "*.txt", "*.safetensors")
CARD = "README.md"
_OTHER_WEIGHTS = ("*.fp16.*", "*.non_ema.*")


@dataclass(frozen=True)
class ModelKind:
    """What a model is there for."""

    setting: str
    """The name of its setting."""
    parts: tuple[str, ...] = (".",)
    """The folders inside its folder in diffusers layout that hold weights."""
    others: tuple[str, ...] = ()
    """The folders beside them that hold none."""
    configuration: str = ""
    """Where in `sd15` the configuration of its single files lies; empty: it has no single files."""
    built_in: str = ""
    """Where in `pocket_model` the built-in one lies; empty: there is none."""


BASE = ModelKind(
    "model", ("unet", "vae", "text_encoder"), ("tokenizer", "scheduler"), ".", built_in="."
)
CONTROLNET = ModelKind("controlnet", configuration="controlnet", built_in="controlnet")
VAE = ModelKind("vae", configuration="vae")
DEPTH = ModelKind("depth_model")
PERSON_DETECTOR = ModelKind("person_detector")
POSE = ModelKind("pose_model")
LORA = ModelKind("LoRA", configuration=".")


@dataclass(frozen=True)
class ModelFiles:
    """The files of one model."""

    folder: Path
    """In diffusers layout; its configuration only where there is a single file of weights."""
    single_file: Path | None = None

    def weight_bytes(self, kind: ModelKind) -> int:
        """How much there is to load."""
        return sum(file.stat().st_size for file in self.weights(kind))

    def weights(self, kind: ModelKind) -> list[Path]:
        """The files that are loaded."""
        if self.single_file is not None:
            return [self.single_file]
        found = (
            file
            for part in kind.parts
            for file in sorted((self.folder / part).glob("*.safetensors"))
        )
        return [file for file in found if not any(map(file.match, _OTHER_WEIGHTS))]


def identity(kind: ModelKind, model: str) -> object:
    """What identifies a model in an address: its files by name, size and time of change, or its
    hub name, which stands for itself so that downloading it changes no address. The built-in model
    is identified by what its files hold, so that installing it again changes none either.

    Raises ModelUnavailableError for what can be none of them, and for an incomplete folder.
    """
    if model == POCKET and kind.built_in:
        return [POCKET, _pocket_digest(kind)]
    path = Path(model).expanduser()
    if path.is_dir():
        if kind is LORA:
            _only_weights(kind, model, path)
        else:
            _check_complete(kind, model, ModelFiles(path))
        files = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES)
        return [str(path), *(file_facts(file) for file in files)]
    if path.is_file():
        check_safe(kind.setting, path)
        return [str(path), file_facts(path)]
    if _HUB_NAME.fullmatch(model) or (kind.configuration and _HUB_FILE.fullmatch(model)):
        return model
    raise ModelUnavailableError(
        f'The {kind.setting} "{model}" does not exist: give a folder in diffusers layout, a '
        ".safetensors file, or a hub name such as owner/name"
        + (f", or {POCKET}, the built-in one." if kind.built_in else ".")
    )


def pictures_identity(name: str) -> object:
    """What identifies a movie, or numbered pictures such as pose.%04d.png: its files by name, size
    and time of change.
    """
    path = Path(name).expanduser()
    pieces = _NUMBER.split(path.name)
    found = sorted(path.parent.glob("*".join(map(escape, pieces))))
    return [str(path), *(file_facts(file) for file in found)]


def find_files(kind: ModelKind, model: str) -> ModelFiles:
    """The files of the model, downloaded where it is a hub name that is not here yet.

    Raises ModelUnavailableError for a model that is missing or incomplete.
    """
    path = Path(model).expanduser()
    if model == POCKET and kind.built_in:
        found = ModelFiles(pocket_folder() / kind.built_in)
    elif path.is_dir():
        found = ModelFiles(path)
    elif path.is_file():
        found = _beside(kind, path)
    elif in_hub := _HUB_FILE.fullmatch(model):
        identity(kind, model)
        found = _beside(kind, _file_from_hub(kind, *in_hub.groups()))
    else:
        identity(kind, model)
        found = ModelFiles(_from_hub(kind, model))
    _check_complete(kind, model, found)
    return found


def find_weights(kind: ModelKind, name: str) -> Path:
    """The one file of a model that has no configuration, downloaded where it is a hub name.

    Raises ModelUnavailableError where there is none or more than one.
    """
    identity(kind, name)
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if in_hub := _HUB_FILE.fullmatch(name):
        return _file_from_hub(kind, *in_hub.groups())
    return _only_weights(kind, name, path if path.is_dir() else _from_hub(kind, name))


def _only_weights(kind: ModelKind, name: str, folder: Path) -> Path:
    found = sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "no .safetensors file"
        raise ModelUnavailableError(
            f'The {kind.setting} "{name}" is to be one file, and {folder} holds {names}: name one '
            "file."
        )
    return found[0]


def check_safe(what: str, weights: Path) -> None:
    """Raises ModelUnavailableError for a kind of file that can run code."""
    if weights.suffix != ".safetensors":
        raise ModelUnavailableError(
            f'The {what} "{weights}" is not a .safetensors file: convert it first, other weight '
            "files can run code and are not loaded."
        )


def standard_folder() -> Path:
    """The configuration of Stable Diffusion 1.5, without weights."""
    return Path(str(files("engine.translation") / "sd15"))


def pocket_folder() -> Path:
    """Where the built-in model lies."""
    return Path(str(files("engine.translation") / "pocket_model"))


@cache
def _pocket_digest(kind: ModelKind) -> str:
    """Of all files that a painting depends on, with their names."""
    folder = pocket_folder() / kind.built_in
    digest = blake2b(digest_size=16)
    for part in (*kind.parts, *kind.others):
        for file in sorted(path for path in (folder / part).glob("*") if path.is_file()):
            digest.update(f"{part}/{file.name} {file.stat().st_size} ".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()


def file_facts(file: Path) -> list[object]:
    facts = file.stat()
    return [str(file), facts.st_size, facts.st_mtime_ns]


def _beside(kind: ModelKind, weights: Path) -> ModelFiles:
    """A single file holds weights only: its configuration lies in the folder of the same name, or
    is that of Stable Diffusion 1.5.
    """
    if not kind.configuration:
        raise ModelUnavailableError(
            f'The {kind.setting} "{weights}" is a file: give the folder with its configuration.'
        )
    check_safe(kind.setting, weights)
    folder = weights.with_suffix("")
    return ModelFiles(
        folder if folder.is_dir() else standard_folder() / kind.configuration, weights
    )


def _from_hub(kind: ModelKind, name: str) -> Path:
    from huggingface_hub import snapshot_download

    folders = [f"{part}/" if part != "." else "" for part in (*kind.parts, *kind.others)]
    patterns = [f"{folder}{pattern}" for folder in folders for pattern in _FILES]
    with _hub_errors(kind, name):
        return Path(
            snapshot_download(
                name,
                allow_patterns=[*patterns, "model_index.json", CARD],
                ignore_patterns=list(_OTHER_WEIGHTS),
            )
        )


def _file_from_hub(kind: ModelKind, name: str, file: str) -> Path:
    from huggingface_hub import snapshot_download

    with _hub_errors(kind, f"{name}/{file}"):
        found = Path(snapshot_download(name, allow_patterns=[file, CARD])) / file
        if not found.is_file():
            raise FileNotFoundError(file)
        return found


@contextmanager
def _hub_errors(kind: ModelKind, name: str) -> Iterator[None]:
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        yield
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
            f"{', '.join(missing)}. Give a model in diffusers layout, with weights as .safetensors."
        )

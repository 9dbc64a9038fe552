"""LoRAs and textual inversions as the settings name them: which files, how strongly."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InvalidValueError, ModelUnavailableError
from engine.settings import TranslationSettings
from engine.translation.models.files import LORA, check_safe, identity
from engine.translation.words.weights import plain_text

_SEPARATOR = re.compile(r"[;\n]")
_WITH_WEIGHT = re.compile(r"(.*\S)\s+([+-]?(?:\d+\.?\d*|\.\d+))")
_UNSAFE = (".pt", ".bin", ".ckpt", ".pth")


@dataclass(frozen=True)
class Lora:
    """A LoRA in use."""

    name: str
    """A file, a folder with one, or a hub name."""
    weight: float


def loras_of(settings: TranslationSettings) -> tuple[Lora, ...]:
    """The LoRAs that act: those of weight 0 are left out. InvalidValueError for one named twice."""
    loras = [_lora(entry) for entry in _entries(settings.loras)]
    names = [lora.name for lora in loras]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidValueError(
            f'loras names "{twice[0]}" twice: name it once, with the sum of both weights.'
        )
    return tuple(lora for lora in loras if lora.weight)


def _lora(entry: str) -> Lora:
    found = _WITH_WEIGHT.fullmatch(entry)
    if found is None or Path(entry).expanduser().exists():
        return Lora(entry, 1.0)
    return Lora(found[1], float(found[2]))


def inversions_of(settings: TranslationSettings) -> Mapping[str, Path]:
    """The files of the textual inversions that the prompts use, by their word in lower case.

    Raises ModelUnavailableError for a file that is missing or that could run code.
    """
    prompts = f"{plain_text(settings.prompt)} {plain_text(settings.negative_prompt)}"
    used: dict[str, Path] = {}
    for file in _embedding_files(settings):
        word = file.stem.casefold()
        if not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", prompts, re.I):
            continue
        if file.suffix != ".safetensors":
            raise ModelUnavailableError(
                f'The textual inversion "{file}" is not a .safetensors file: convert it first, '
                "other weight files can run code and are not loaded."
            )
        if used.setdefault(word, file) != file:
            raise ModelUnavailableError(
                f'The word "{word}" of the prompt stands for two textual inversions, {used[word]} '
                f"and {file}: rename one of them."
            )
    return used


def _embedding_files(settings: TranslationSettings) -> Iterator[Path]:
    for entry in _entries(settings.embeddings):
        path = Path(entry).expanduser()
        if path.is_dir():
            found = {file.stem: file for file in sorted(path.iterdir()) if file.suffix in _UNSAFE}
            found |= {file.stem: file for file in sorted(path.glob("*.safetensors"))}
            yield from found.values()
        elif path.is_file():
            check_safe("embedding", path)
            yield path
        else:
            raise ModelUnavailableError(
                f'The embedding "{entry}" does not exist: give a .safetensors file, or a folder '
                "of them."
            )


def _entries(text: str) -> list[str]:
    return [entry for part in _SEPARATOR.split(text) if (entry := part.strip())]


def identity_of_loras(settings: TranslationSettings) -> list[object]:
    """Identifies the LoRAs that act, with their weights. Raises ModelUnavailableError."""
    return [[identity(LORA, lora.name), lora.weight] for lora in loras_of(settings)]

"""One frame between two key frames, with all that carrying them to it takes.

It imports NumPy alone, and can be written into a file: a machine with a graphics card measures it
without the packages that decode, find motion and paint.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from engine.errors import NotFoundError, UnreadableMediaError
from engine.types import FloatArray

Picture8 = NDArray[np.uint8]
"""[H, W, 3], sRGB."""

FLOW_STEPS_PER_PIXEL = 64
"""To which a file rounds flows: a quarter of their size, and far below what flow is sure of."""
CONFIDENCE_STEPS = 255

_WAYS = ("left", "right")


@dataclass(frozen=True)
class Way:
    """From the frame to one of its key frames, over the frame next to it."""

    key_source: Picture8
    to_previous: FloatArray
    """[H, W, 2] from the frame to the one next to it."""
    from_previous: FloatArray
    """[H, W, 2] back."""
    previous_to_key: FloatArray
    """[H, W, 2] composed from there to the key frame; 0 where it is the key frame itself."""
    confidence: FloatArray
    """[H, W] of the composed flow."""


@dataclass(frozen=True)
class Situation:
    """A frame, its source and the ways to the key frames at both sides."""

    clip: str
    target: int
    keys: tuple[int, int]
    source: Picture8
    left: Way
    right: Way
    paintings: Mapping[str, Picture8]
    """Of the left key frame, by their names."""

    @property
    def size(self) -> str:
        return f"{self.source.shape[1]}x{self.source.shape[0]}"

    def save(self, path: Path) -> None:
        """Writes an .npz file, with pictures and flows as differences of neighbouring pixels."""
        arrays = {"source": self.source, **_named("painting", self.paintings)}
        for name in _WAYS:
            way: Way = getattr(self, name)
            arrays[f"{name}.key_source"] = way.key_source
            arrays[f"{name}.confidence"] = _rounded(way.confidence, CONFIDENCE_STEPS, np.uint8)
            for flow in ("to_previous", "from_previous", "previous_to_key"):
                arrays[f"{name}.{flow}"] = _rounded(
                    getattr(way, flow), FLOW_STEPS_PER_PIXEL, np.int16
                )
        facts = np.array([self.clip, str(self.target), *map(str, self.keys)])
        packed = {name: _differences(array) for name, array in arrays.items()}
        np.savez_compressed(path, allow_pickle=False, facts=facts, **packed)

    @staticmethod
    def load(path: Path) -> "Situation":
        """What `save` wrote. Raises NotFoundError and UnreadableMediaError."""
        if not path.is_file():
            raise NotFoundError(f"{path} does not exist: write it by --prepare.")
        try:
            with np.load(path) as file:
                facts = file["facts"].tolist()
                arrays = {name: _sums(file[name]) for name in file.files if name != "facts"}
        except (OSError, ValueError, TypeError, LookupError, EOFError, BadZipFile) as error:
            raise UnreadableMediaError(
                f"{path} was not written by --prepare, or not to its end: write it again."
            ) from error
        paintings = dict(_of_kind("painting", arrays))
        left, right = (_way(dict(_of_kind(name, arrays))) for name in _WAYS)
        keys = (int(facts[2]), int(facts[3]))
        return Situation(facts[0], int(facts[1]), keys, arrays["source"], left, right, paintings)


def _way(arrays: Mapping[str, NDArray[Any]]) -> Way:
    flows = {
        name: np.divide(arrays[name], FLOW_STEPS_PER_PIXEL, dtype=np.float32)
        for name in ("to_previous", "from_previous", "previous_to_key")
    }
    confidence = np.divide(arrays["confidence"], CONFIDENCE_STEPS, dtype=np.float32)
    return Way(key_source=arrays["key_source"], confidence=confidence, **flows)


def _named(kind: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"{kind}.{name}": array for name, array in arrays.items()}


def _of_kind(kind: str, arrays: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, array in arrays.items():
        if name.startswith(f"{kind}."):
            yield name.removeprefix(f"{kind}."), array


def _rounded(array: FloatArray, steps: int, kind: type[np.integer[Any]]) -> NDArray[Any]:
    return np.rint(array * steps).astype(kind)


def _differences(array: NDArray[Any]) -> NDArray[Any]:
    """Each pixel less its left neighbour; integers wrap around."""
    return np.diff(array, axis=1, prepend=array.dtype.type(0))


def _sums(differences: NDArray[Any]) -> NDArray[Any]:
    return np.cumsum(differences, axis=1, dtype=differences.dtype)

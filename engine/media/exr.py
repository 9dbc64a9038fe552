"""EXR files: named float planes, whole or not there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import OpenEXR  # type: ignore[import-not-found]
from numpy.typing import NDArray

from engine.errors import NotFoundError, StorageError, UnreadableMediaError
from engine.media.files import replacing
from engine.types import FloatArray, Precision

UNCOMPRESSED: Mapping[str, Any] = MappingProxyType({"compression": OpenEXR.NO_COMPRESSION})
"""For what is soon read again: written six times as fast, half as large again."""


@dataclass(frozen=True)
class ExrFile:
    """An EXR file as it stands."""

    planes: Mapping[str, NDArray[np.generic]]
    """[H, W] each, in the precision of the file, by channel name."""
    header: Mapping[str, Any]


def read_exr(path: Path) -> dict[str, FloatArray]:
    """The channels of an EXR file, each [H, W], by name.

    Raises NotFoundError, and UnreadableMediaError where the file is damaged or no EXR.
    """
    return {name: plane.astype(np.float32) for name, plane in load_exr(path).planes.items()}


def load_exr(path: Path) -> ExrFile:
    """As read_exr, with the precision and the header of the file."""
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist: check its name.")
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            planes = {name: channel.pixels for name, channel in file.channels().items()}
            return ExrFile(planes, dict(file.header()))
    except (RuntimeError, ValueError) as error:
        raise UnreadableMediaError(
            f"{path} is damaged or no EXR file: copy or export it again."
        ) from error


def write_exr(
    path: Path,
    planes: Mapping[str, FloatArray],
    precision: Precision,
    header: Mapping[str, Any] | None = None,
) -> None:
    """Writes planes [H, W] of one size under their names: whole, or not at all.

    Raises StorageError.
    """
    dtype = np.float16 if precision is Precision.HALF else np.float32
    with np.errstate(over="ignore"):
        channels = {name: np.ascontiguousarray(plane, dtype) for name, plane in planes.items()}
    attributes = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        **(header or {}),
    }
    with replacing(path) as temporary:
        try:
            with OpenEXR.File(attributes, channels) as file:
                file.write(str(temporary))
        except RuntimeError as error:
            reason = str(error).rpartition('". ')[2].rstrip(".").lower()
            raise StorageError(
                f"{path} cannot be written ({reason}): free some space or choose another place."
            ) from error

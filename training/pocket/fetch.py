"""Fetches the pictures of pictures.csv from Debian packages and writes them as JPEG files.

    python -m training.pocket.fetch .pocket_data/pictures

Every row names its author, licence and source; a licence that is not in FREE_LICENCES stops the
run. Needs apt-get, dpkg-deb and PySide6 (GCompris keeps its pictures in Qt resource files).
"""

import csv
import io
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps
from PySide6.QtCore import QFile, QIODevice, QResource

LEDGER = Path(__file__).parent / "pictures.csv"
FREE_LICENCES = frozenset(
    {"public-domain", "CC0-1.0"}
    | {f"CC-BY-{version}" for version in ("1.0", "2.0", "3.0", "4.0")}
    | {f"CC-BY-SA-{version}" for version in ("2.0", "3.0", "4.0")}
)
LONGEST_SIDE = 1920
JPEG_QUALITY = 88


@dataclass(frozen=True)
class Picture:
    """One row of the ledger."""

    package: str
    path: str
    """In the package; for GCompris in its Qt resources, below gcompris/src."""
    author: str
    licence: str
    source: str
    split: str
    """train or held-out."""

    @property
    def file_name(self) -> str:
        path = Path(self.path)
        return f"{path.parent.parent.name}-{path.stem}.jpg"


def read_ledger() -> list[Picture]:
    """The pictures; ValueError for a licence that does not let the model be passed on."""
    with LEDGER.open(newline="", encoding="utf-8") as file:
        pictures = [Picture(**row) for row in csv.DictReader(file)]
    for picture in pictures:
        if picture.licence not in FREE_LICENCES:
            raise ValueError(f"{picture.path} is under {picture.licence}: take it out of {LEDGER}.")
    return pictures


def fetch(folder: Path) -> None:
    pictures = read_ledger()
    with tempfile.TemporaryDirectory() as scratch:
        roots = {
            package: _unpack(package, Path(scratch))
            for package in sorted({picture.package for picture in pictures})
        }
        for picture in pictures:
            image = Image.open(io.BytesIO(_read(picture, roots[picture.package])))
            target = folder / picture.split / picture.file_name
            target.parent.mkdir(parents=True, exist_ok=True)
            _shrunk(image).save(target, quality=JPEG_QUALITY)


def _unpack(package: str, scratch: Path) -> Path:
    """Downloads a Debian package and unpacks it; registers its Qt resources."""
    folder = scratch / package
    folder.mkdir()
    subprocess.run(["apt-get", "download", package], cwd=folder, check=True)  # noqa: S603, S607
    archive = next(folder.glob("*.deb"))
    subprocess.run(["dpkg-deb", "-x", archive, folder], check=True)  # noqa: S603, S607
    for resources in _qt_resources(folder):
        QResource.registerResource(str(resources))
    return folder


def _qt_resources(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.rglob("*.rcc"))


def _read(picture: Picture, root: Path) -> bytes:
    if picture.package != "gcompris-qt-data":
        return (root / picture.path).read_bytes()
    file = QFile(f":/gcompris/src/{picture.path}")
    if not file.open(QIODevice.OpenModeFlag.ReadOnly):
        raise FileNotFoundError(f"{picture.path} is not in {picture.package}.")
    return bytes(file.readAll().data())


def _shrunk(image: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(image).convert("RGB")
    upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return upright


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))

"""Where frames go: movies and numbered pictures."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from engine.errors import InvalidValueError
from engine.media.encoding import MOVIE_SUFFIXES, check_movie_suffix
from engine.media.movie_writer import MovieWriter
from engine.media.numbered import NumberedFiles
from engine.media.picture import PICTURE_SUFFIXES, write_picture
from engine.types import Clip, Frame, FrameRange

Notice = Callable[[str], None]

_log = logging.getLogger(__name__)


class FrameWriter(Protocol):
    """Takes the finished frames of a range."""

    def write(self, frame: Frame) -> None:
        """Raises StorageError where the disk fails."""

    def close(self, *, partial: bool = False) -> None:
        """Finishes what was written, if it is complete or `partial` is asked for; otherwise
        nothing stays of a movie. Closing again does nothing.
        """


def open_writer(
    path: Path,
    clip: Clip,
    frames: FrameRange,
    sound_from: Path | None,
    notice: Notice = _log.warning,
    comment: str = "",
) -> FrameWriter:
    """A writer of `frames` with the size and the rate of `clip`.

    A movie, by the suffix, takes its frames in their order and the sound of the range from
    `sound_from`, unless that names pictures; where the rate of the source varies it keeps the
    source's own times. `comment` is kept with it, except by GIF and MPEG-TS. Pictures go to names
    as in out.%04d.exr or out.####.png, or into a folder, as EXR; they carry the number of their
    frame and may come in any order.

    Raises InvalidValueError for other names.
    """
    check_output(path, overwrite=True)
    numbered = _numbered(path)
    if numbered is not None:
        return _PicturesWriter(numbered)
    if sound_from is not None and not _is_movie(sound_from):
        sound_from = None
    return MovieWriter(path, clip, frames, sound_from, notice, comment)


def check_output(path: Path, *, overwrite: bool, sources: Iterable[Path] = ()) -> None:
    """Whether that can be written, before any work is done for it.

    Raises InvalidValueError for a name that is neither a movie nor pictures, for one that would
    replace a file of `sources`, which are clips and pictures, and where a file has the name and
    `overwrite` is not set.
    """
    numbered = _numbered(path)
    if numbered is None:
        check_movie_suffix(path)
    elif numbered.suffix not in PICTURE_SUFFIXES:
        raise InvalidValueError(
            f"{path.name} are no pictures that can be written: "
            f"end the name in one of {', '.join(PICTURE_SUFFIXES)}."
        )
    present = _files(path, numbered)
    for source in sources:
        if not present.isdisjoint(_files(source, NumberedFiles.parse(source))):
            raise InvalidValueError(
                f"{path} would replace {source}, which it is made from: choose another name."
            )
    if not overwrite and present:
        raise InvalidValueError(
            f"{path} exists: choose another name, or replace it by --overwrite."
        )


def _numbered(path: Path) -> NumberedFiles | None:
    """None for a movie: its name may hold what would be the place of a number."""
    if path.is_dir() or not path.suffix:
        return NumberedFiles(path, f"{path.name}.", 4, ".exr")
    return None if path.suffix.lower() in MOVIE_SUFFIXES else NumberedFiles.parse(path)


def _files(path: Path, numbered: NumberedFiles | None) -> set[tuple[int, int]]:
    """The files that have the name, whatever other names they have: device and inode."""
    files = numbered.existing().values() if numbered else [path] if path.is_file() else []
    return {(status.st_dev, status.st_ino) for status in (file.stat() for file in files)}


def _is_movie(path: Path) -> bool:
    return NumberedFiles.parse(path) is None and path.suffix.lower() not in PICTURE_SUFFIXES


class _PicturesWriter:
    def __init__(self, files: NumberedFiles) -> None:
        self._files = files

    def write(self, frame: Frame) -> None:
        write_picture(self._files.path(frame.index), frame)

    def close(self, *, partial: bool = False) -> None:
        """Every picture is finished when it is written, and stays."""

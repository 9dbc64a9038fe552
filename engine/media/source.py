"""Where frames come from."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from engine.errors import NotFoundError, UnreadableMediaError
from engine.media.movie import MovieSource
from engine.media.numbered import NumberedFiles
from engine.media.picture import PICTURE_SUFFIXES
from engine.media.stills import StillsSource
from engine.types import Clip, Frame

Notice = Callable[[str], None]
"""Told what the editor should know although the work goes on."""

_log = logging.getLogger(__name__)


class FrameSource(Protocol):
    """The frames of a clip, in any order and from any thread."""

    @property
    def clip(self) -> Clip:
        """What is known of the clip without its pixels."""

    def read(self, index: int) -> Frame:
        """Raises NotFoundError outside the clip, UnreadableMediaError for a damaged frame."""

    def digest(self, index: int) -> str:
        """Identifies the pixels of a frame; cheap: nothing is decoded for it."""

    def close(self) -> None:
        """Lets go of the file; closing twice is no error."""


def open_source(path: Path, notice: Notice = _log.warning) -> FrameSource:
    """Opens a movie, a still, or numbered pictures (`shot.%04d.exr`, `shot.####.png`).

    `notice` is told what is missing from a damaged clip that can still be used.

    Raises NotFoundError where there is no such file, UnreadableMediaError where it is no clip or
    may not be read.
    """
    try:
        return _opened(path, notice)
    except OSError as error:
        raise UnreadableMediaError(
            f"{path} cannot be read ({error.strerror}): check its name and its permissions."
        ) from error


def _opened(path: Path, notice: Notice) -> FrameSource:
    numbered = NumberedFiles.parse(path)
    if numbered is not None:
        return StillsSource.of_sequence(numbered, notice)
    if path.is_dir():
        raise UnreadableMediaError(
            f"{path} is a folder: name a movie, or pictures as in {path / 'shot.%04d.exr'}."
        )
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist: check its name.")
    if path.stat().st_size == 0:
        raise UnreadableMediaError(f"{path} is empty: copy or export it again.")
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return StillsSource.of_still(path)
    return MovieSource(path, notice)

"""Pictures as a clip: one still, or numbered files."""

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

from engine.errors import NotFoundError, UnreadableMediaError
from engine.media.fingerprint import file_fingerprint
from engine.media.numbered import NumberedFiles
from engine.media.picture import PICTURE_SUFFIXES, read_frame
from engine.types import Clip, Frame, FrameRange
from engine.wording import plural

SEQUENCE_RATE = Fraction(24)
"""Picture files do not tell their rate; this is film's."""

_MOST_FRAMES = 1_000_000
_LARGEST_NUMBER = 2**31 - 1


class StillsSource:
    """Picture files, each the frame of its number; a still alone is frame 0.

    Integer files are sRGB, EXR files linear.
    """

    def __init__(self, name: str, files: Mapping[int, Path]) -> None:
        """`files` by source frame; at least one."""
        self._files = files
        first = next(iter(files))
        self.clip = Clip(
            source=name,
            frame_range=FrameRange(first, max(files)),
            size=read_frame(files[first], first).size,
            frame_rate=SEQUENCE_RATE,
        )

    @classmethod
    def of_still(cls, path: Path) -> "StillsSource":
        """One picture, as a clip of one frame."""
        return cls(str(path), {0: path})

    @classmethod
    def of_sequence(cls, numbered: NumberedFiles, notice: Callable[[str], None]) -> "StillsSource":
        """All files with such a name; `notice` is told of gaps.

        Raises NotFoundError where there is none, UnreadableMediaError for other files.
        """
        if numbered.suffix not in PICTURE_SUFFIXES:
            raise UnreadableMediaError(
                f"{numbered} are no pictures: choose one of {', '.join(PICTURE_SUFFIXES)}."
            )
        files = numbered.existing()
        if not files:
            raise NotFoundError(f"{numbered} does not exist: check the folder and the name.")
        span = FrameRange(min(files), max(files))
        if span.last > _LARGEST_NUMBER or len(span) > _MOST_FRAMES:
            raise UnreadableMediaError(
                f"{numbered} is numbered from {span.first} to {span.last}: number at most "
                f"{_MOST_FRAMES} pictures one after the other, up to {_LARGEST_NUMBER}."
            )
        gaps = [index for index in span.indices if index not in files]
        if gaps:
            notice(
                f"{numbered} lacks {plural(len(gaps), 'picture')}, the first is number {gaps[0]}."
            )
        return cls(str(numbered), files)

    def read(self, index: int) -> Frame:
        """Raises NotFoundError outside the clip, UnreadableMediaError for a damaged file."""
        frame = read_frame(self._path(index), index)
        if frame.size != self.clip.size:
            raise UnreadableMediaError(
                f"{self._path(index)} is {frame.size} but the clip is {self.clip.size}: all "
                "pictures of a sequence must have one size."
            )
        return frame

    def digest(self, index: int) -> str:
        """Of the picture file: its size, its time and both its ends."""
        return file_fingerprint(self._path(index))

    def close(self) -> None:
        """Files are open only while they are read."""

    def _path(self, index: int) -> Path:
        path = self._files.get(index)
        if path is None:
            where = self.clip.frame_range
            raise NotFoundError(
                f"{self.clip.source} has no frame {index}: it has {where.first} to {where.last}"
                f"{'' if index not in where else ' with gaps: put the missing pictures back'}."
            )
        return path

"""What the server and its worker say to each other over a pipe."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InbetweenError
from engine.media.movie_index import KNOWN_INDEXES, KnownIndex
from engine.media.source import FrameSource, open_source
from engine.plan import Address, Plan
from engine.report import Stage
from engine.settings import RenderSettings
from engine.store import Step
from engine.types import Clip
from server.records import DeliveredFrame, HostFrame
from server.session_folder import HostSource, SessionFolder


@dataclass(frozen=True)
class MediaFile:
    """A clip that the worker reads itself. To another process it takes along which frames the movie
    holds, as far as that is known: the worker need not look through it too.
    """

    path: Path

    def __reduce__(self) -> tuple[object, ...]:
        return _received, (self.path, KNOWN_INDEXES.get(self.path))

    def open(self) -> FrameSource:
        return open_source(self.path)


def _received(path: Path, known: KnownIndex | None) -> MediaFile:
    if known is not None:
        KNOWN_INDEXES.keep(path, known)
    return MediaFile(path)


@dataclass(frozen=True)
class HostFrames:
    """A clip whose frames a host has sent."""

    folder: SessionFolder
    clip: Clip
    frames: Mapping[int, HostFrame]
    color_space: str

    def open(self) -> FrameSource:
        return HostSource(self.folder, self.clip, self.frames, self.color_space)


@dataclass(frozen=True)
class FindCuts:
    """Look for cuts in those frames."""

    source: MediaFile | HostFrames
    indices: tuple[int, ...]


@dataclass(frozen=True)
class Render:
    """Carry out a plan."""

    source: MediaFile | HostFrames
    plan: Plan
    settings: RenderSettings
    folder: SessionFolder
    delivered: Mapping[int, Address]
    """What the sequence holds already."""


Task = FindCuts | Render


@dataclass(frozen=True)
class Cancel:
    """End the task."""


@dataclass(frozen=True)
class Watch:
    """Make previews, or none any more."""

    previews: bool


Order = FindCuts | Render | Cancel | Watch


@dataclass(frozen=True)
class Progress:
    stage: Stage
    frame: int
    step: int
    steps: int


@dataclass(frozen=True)
class Preview:
    """How a key frame will look, as far as its painting has come."""

    frame: int
    picture: bytes
    """JPEG."""


@dataclass(frozen=True)
class StepDone:
    step: Step
    seconds: float
    reused: bool


@dataclass(frozen=True)
class Notice:
    text: str


@dataclass(frozen=True)
class Delivered:
    """A finished frame has arrived beside the sequence."""

    index: int
    frame: DeliveredFrame


@dataclass(frozen=True)
class CutsFound:
    cuts: tuple[int, ...]


News = Progress | Preview | StepDone | Notice | Delivered | CutsFound


@dataclass(frozen=True)
class Ended:
    """The task is over; without an error, it is done."""

    error: InbetweenError | None = None
    details: str = ""
    """For the log."""

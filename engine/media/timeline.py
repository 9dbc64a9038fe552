"""When the frames of a movie that is written are shown."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from engine.errors import InbetweenError
from engine.media.movie_index import MovieIndex, index_of
from engine.types import Clip, FrameRange


@dataclass(frozen=True)
class Timeline:
    """Times of the frames of a range."""

    time_base: Fraction
    """Seconds a tick."""
    ticks: tuple[int, ...]
    """When each frame is shown, from 0 on, and last of all the end of the last one."""
    start: Fraction
    """When the first one is shown in the source, in seconds on the clock of its file."""

    def seconds(self, position: int) -> Fraction:
        """When the frame at that position of the range is shown; after the last one, its end."""
        return self.ticks[position] * self.time_base


def timeline_of(clip: Clip, frames: FrameRange) -> Timeline:
    """The times of the source where its rate varies, otherwise exactly the clip's rate."""
    index = _index_of_source(clip)
    offset = frames.first - clip.frame_range.first
    if index is None or not index.is_variable:
        start = index.seconds(offset) if index else offset / clip.frame_rate
        return Timeline(1 / clip.frame_rate, tuple(range(len(frames) + 1)), start)
    start = index.seconds(offset)
    times = [index.seconds(offset + position) - start for position in range(len(frames) + 1)]
    return Timeline(index.time_base, tuple(round(time / index.time_base) for time in times), start)


def _index_of_source(clip: Clip) -> MovieIndex | None:
    """None where the source is no movie, or another one than the clip's frames come from."""
    try:
        index = index_of(Path(clip.source))
    except (InbetweenError, OSError):
        return None
    return index if len(index.times) == len(clip.frame_range) else None

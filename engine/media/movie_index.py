"""Which frames a movie holds, and when each is shown."""

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from threading import Lock

import av
from av.container import InputContainer
from av.index import IndexEntries
from av.stream import Stream

from engine.errors import UnreadableMediaError
from engine.media.container import open_movie, video_stream
from engine.media.fingerprint import file_fingerprint

_UNKNOWN_RATE = Fraction(25)

_MATROSKA_TOLERANCE = 2
"""Frames by which what a Matroska file says of its length may differ from what it holds."""

_WITH_WHOLE_INDEX = "mp4"
"""Among the names of the formats (QuickTime's, MP4's) that list every frame of the file."""

_KNOWN_MOVIES = 8
"""Whose indexes are kept, those asked for last: an hour of film takes some MiB."""


@dataclass(frozen=True)
class MovieIndex:
    """The frames of a video stream in the order in which they are shown."""

    times: tuple[int, ...]
    """When each frame is shown, in ticks of the time base."""
    entries: tuple[int, ...]
    """The frames at which decoding can begin, the first frame always among them."""
    decode_times: dict[int, int]
    """When each of these is decoded, in ticks of the time base."""
    time_base: Fraction
    """Seconds a tick."""
    frame_rate: Fraction
    missing: int
    """Frames that the file promises but does not hold, as far as it can be told."""

    def entry_before(self, frame: int) -> int:
        """The last frame up to `frame` at which decoding can begin."""
        return self.entries[bisect_right(self.entries, frame) - 1]

    def seconds(self, frame: int) -> Fraction:
        """When `frame` is shown, on the clock of the file; after the last frame, its end."""
        if frame < len(self.times):
            return self.times[frame] * self.time_base
        return self.times[-1] * self.time_base + 1 / self.frame_rate

    @property
    def is_variable(self) -> bool:
        """Some frame is shown more than a tick and a half away from where its rate puts it.

        A container that counts in milliseconds rounds the times of any rate to a tick.
        """
        tolerance = Fraction(3, 2) * self.time_base
        return any(
            abs((time - self.times[0]) * self.time_base - frame / self.frame_rate) > tolerance
            for frame, time in enumerate(self.times)
        )


@dataclass(frozen=True)
class KnownIndex:
    """The index of a file as long as the file has that fingerprint."""

    fingerprint: str
    index: MovieIndex


class _KnownIndexes:
    """Indexes by the paths of their movies. A movie is looked through once in a process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: OrderedDict[Path, KnownIndex] = OrderedDict()

    def get(self, path: Path) -> KnownIndex | None:
        with self._lock:
            if path in self._known:
                self._known.move_to_end(path)
            return self._known.get(path)

    def keep(self, path: Path, known: KnownIndex) -> None:
        with self._lock:
            self._known[path] = known
            self._known.move_to_end(path)
            while len(self._known) > _KNOWN_MOVIES:
                self._known.popitem(last=False)


KNOWN_INDEXES = _KnownIndexes()


@dataclass
class _Packets:
    """What a look at the packets of a movie gives, without decoding."""

    times: set[int] = field(default_factory=set)
    """When frames are shown."""
    entries: dict[int, int] = field(default_factory=dict)
    """Those of frames at which decoding can begin, and when these are decoded."""
    count: int = 0
    """Of frames, those included that are not to be shown."""
    time_base: Fraction = Fraction(1)
    end: int = 0
    """The decoding time after the last whole frame."""
    end_seconds: Fraction = Fraction(0)
    """When the last whole packet of any stream ends."""
    is_broken_off: bool = False

    def add(self, packet: "av.Packet[Stream]", name: str) -> None:
        """Takes up a packet of the video stream."""
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None:
            raise UnreadableMediaError(
                f"{name} does not tell when its frames are shown: wrap it into an MP4 or MKV file."
            )
        decoded = time if packet.dts is None else packet.dts
        if not packet.is_discard:
            self.times.add(time)
            if packet.is_keyframe:
                self.entries[time] = decoded
        self.count += 1
        self.time_base = packet.time_base
        self.end = decoded + max(packet.duration or 0, 1)


def index_of(path: Path, fingerprint: str | None = None) -> MovieIndex:
    """The index of the movie, which is looked through where the file is not known yet.

    `fingerprint` is the file's, where the caller has it.

    Raises NotFoundError, and UnreadableMediaError where the file is no movie, holds no frame or
    does not tell their times.
    """
    fingerprint = fingerprint or file_fingerprint(path)
    known = KNOWN_INDEXES.get(path)
    if known is None or known.fingerprint != fingerprint:
        known = KnownIndex(fingerprint, _index_anew(path))
        KNOWN_INDEXES.keep(path, known)
    return known.index


def _index_anew(path: Path) -> MovieIndex:
    with open_movie(path) as container:
        listed = _listed_index(container, video_stream(container, path))
    if listed is not None:
        return listed
    with open_movie(path) as container:
        return _index_by_packets(container, video_stream(container, path), str(path))


def _listed_index(container: InputContainer, stream: av.VideoStream) -> MovieIndex | None:
    """What the file itself lists: as good as its packets, and read in no time, where every frame
    can be decoded alone. None where that is not so, or the list is not borne out.
    """
    entries = stream.index_entries
    if not (
        _WITH_WHOLE_INDEX in container.format.name.split(",")
        and stream.time_base is not None
        and stream.codec_context.codec.intra_only
        and 0 < len(entries) == stream.frames
        and all(entry.is_keyframe and entry.size and not entry.is_discard for entry in entries)
        and _holds_all_listed(container)
    ):
        return None
    times = tuple(entry.timestamp for entry in entries)
    if list(times) != sorted(set(times)) or not _is_borne_out(container, stream, entries):
        return None
    frames = range(len(times))
    return MovieIndex(
        times=times,
        entries=tuple(frames),
        decode_times=dict(zip(frames, times, strict=True)),
        time_base=stream.time_base,
        frame_rate=_frame_rate(stream),
        missing=0,
    )


def _holds_all_listed(container: InputContainer) -> bool:
    """Whether no stream goes on after the end of the file: the list of one cut short is whole."""
    return all(
        entry.pos + entry.size <= container.size
        for stream in container.streams
        for entry in stream.index_entries
    )


def _is_borne_out(container: InputContainer, stream: av.VideoStream, entries: IndexEntries) -> bool:
    """Whether the first and the last frame are shown when the list has them decoded."""
    for time in (entries[-1].timestamp, entries[0].timestamp):
        try:
            container.seek(time, stream=stream)
            packet = next(container.demux(stream))
        except (av.FFmpegError, StopIteration):
            return False
        if not packet.pts == packet.dts == time:
            return False
    return True


def _frame_rate(stream: av.VideoStream) -> Fraction:
    return stream.average_rate or stream.guessed_rate or _UNKNOWN_RATE


def _index_by_packets(container: InputContainer, stream: av.VideoStream, name: str) -> MovieIndex:
    """Reads the packets of a whole movie, so that variable frame rates come out right."""
    packets = _read_packets(container, stream, name)
    frame_rate = _frame_rate(stream)
    missing = _missing_frames(container, stream, packets, frame_rate)
    times = sorted(packets.times)
    if missing:
        # Frames that were to come later may belong before these: what is left has no holes.
        times = [time for time in times if time < packets.end]
    if not times:
        raise UnreadableMediaError(f"{name} holds no frames: copy or export it again.")
    decode_times = {
        frame: packets.entries.get(time, time)
        for frame, time in enumerate(times)
        if frame == 0 or time in packets.entries
    }
    return MovieIndex(
        times=tuple(times),
        entries=tuple(decode_times),
        decode_times=decode_times,
        time_base=packets.time_base,
        frame_rate=frame_rate,
        missing=missing + len(packets.times) - len(times),
    )


def _read_packets(container: InputContainer, stream: av.VideoStream, name: str) -> _Packets:
    packets = _Packets()
    try:
        for packet in container.demux():
            if packet.is_corrupt:
                packets.is_broken_off = True
                break
            if packet.pts is not None:
                end = (packet.pts + (packet.duration or 0)) * packet.time_base
                packets.end_seconds = max(packets.end_seconds, end)
            if packet.size and packet.stream_index == stream.index:
                packets.add(packet, name)
    except av.FFmpegError:
        packets.is_broken_off = True
    return packets


def _missing_frames(
    container: InputContainer, stream: av.VideoStream, packets: _Packets, frame_rate: Fraction
) -> int:
    """By the number of frames or, in Matroska, the seconds that the file says it has."""
    missing = max(stream.frames - packets.count, int(packets.is_broken_off))
    if not missing and "matroska" in container.format.name and container.duration:
        seconds = Fraction(container.duration, av.time_base) - packets.end_seconds
        missing = int(seconds * frame_rate) if seconds * frame_rate > _MATROSKA_TOLERANCE else 0
    return missing

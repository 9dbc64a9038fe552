"""Which frames a movie holds, and when each is shown."""

from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Stream

from engine.errors import UnreadableMediaError
from engine.media.container import open_movie, video_stream

_UNKNOWN_RATE = Fraction(25)

_MATROSKA_TOLERANCE = 2
"""Frames by which what a Matroska file says of its length may differ from what it holds."""


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


def index_of(path: Path) -> MovieIndex:
    """Raises NotFoundError, and UnreadableMediaError where the file is no movie."""
    container = open_movie(path)
    try:
        return index_movie(container, video_stream(container, path), str(path))
    finally:
        container.close()


def index_movie(container: InputContainer, stream: av.VideoStream, name: str) -> MovieIndex:
    """Reads the packets of a whole movie, so that variable frame rates come out right.

    Raises UnreadableMediaError where there is no frame or there are no times.
    """
    packets = _read_packets(container, stream, name)
    frame_rate = stream.average_rate or stream.guessed_rate or _UNKNOWN_RATE
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

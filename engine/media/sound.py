"""The sound of a movie, brought into another one."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.container import OutputContainer

from engine.media.container import open_movie

if TYPE_CHECKING:
    AudioPacket = av.Packet[av.AudioStream]

_LAYOUTS = {1: "mono", 6: "5.1", 8: "7.1"}
"""By the number of channels; every other one is encoded as stereo."""

_OPUS_RATE_HZ = 48_000

_ALSO_COPIED = {"mpegts": {"aac", "ac3", "eac3", "mp3"}}
"""Codecs that a format takes although FFmpeg does not list them for it."""


@dataclass(frozen=True)
class _Track:
    """One stream of sound on its way."""

    target: av.AudioStream
    is_copied: bool


class SoundTracks:
    """The sound of a movie between two times: copied where the new container takes it as it is,
    encoded anew otherwise.

    Packets stay whole, so sound begins up to one packet (about 20 ms) after its range does; it is
    never moved against the picture.
    """

    def __init__(self, source: Path, output: OutputContainer, start: Fraction) -> None:
        """Adds its streams to `output`. `start`: seconds on the clock of `source`.

        Raises NotFoundError, and UnreadableMediaError where `source` is no movie.
        """
        self._container = open_movie(source)
        self._start = start
        self._tracks = {
            stream.index: _add_track(stream, output) for stream in self._container.streams.audio
        }
        self._packets = self._packets_from_start()

    def write_until(self, time: Fraction) -> Iterator["AudioPacket"]:
        """What is to be heard before `time`, in seconds after the start, in its order."""
        for packet in self._packets:
            if _seconds(packet) - self._start >= time:
                self._packets = chain([packet], self._packets)
                return
            yield from self._converted(packet)

    def finish(self) -> Iterator["AudioPacket"]:
        """What the encoders still hold."""
        for track in self._tracks.values():
            if not track.is_copied:
                yield from track.target.encode(None)

    def close(self) -> None:
        """Lets go of the source."""
        self._container.close()

    def _packets_from_start(self) -> Iterator["AudioPacket"]:
        if not self._tracks:
            return
        self._container.seek(int(self._start * av.time_base))
        for packet in self._container.demux(self._container.streams.audio):
            if packet.pts is not None and _seconds(packet) >= self._start:
                yield packet

    def _converted(self, packet: "AudioPacket") -> Iterator["AudioPacket"]:
        track = self._tracks[packet.stream.index]
        if track.is_copied:
            yield _moved(packet, self._start, track.target)
            return
        for frame in packet.decode():
            if frame.pts is not None and frame.time_base is not None:
                frame.pts -= round(self._start / frame.time_base)
            yield from track.target.encode(frame)


def _add_track(stream: av.AudioStream, output: OutputContainer) -> _Track:
    copied = output.supported_codecs | _ALSO_COPIED.get(output.format.name, set())
    if stream.codec_context.name in copied:
        return _Track(output.add_stream_from_template(stream), is_copied=True)
    layout = _LAYOUTS.get(stream.layout.nb_channels, "stereo")
    if output.format.name == "webm":
        return _Track(output.add_stream("libopus", _OPUS_RATE_HZ, layout=layout), is_copied=False)
    return _Track(output.add_stream("aac", stream.rate, layout=layout), is_copied=False)


def _seconds(packet: "AudioPacket") -> Fraction:
    return (packet.pts or 0) * packet.time_base


def _moved(packet: "AudioPacket", start: Fraction, target: av.AudioStream) -> "AudioPacket":
    """The packet on the clock of the new movie."""
    ticks = round(start / packet.time_base)
    packet.pts = None if packet.pts is None else packet.pts - ticks
    packet.dts = None if packet.dts is None else packet.dts - ticks
    packet.stream = target
    return packet

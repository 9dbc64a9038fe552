"""Movies, read by PyAV in any order."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from threading import Lock
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition

from engine.errors import NotFoundError, UnreadableMediaError
from engine.media.fingerprint import file_fingerprint
from engine.media.movie_index import index_movie
from engine.media.video_frames import from_video
from engine.types import Clip, Frame, FrameRange, FrameSize

_KEPT_BYTES = 128 << 20
"""Decoded pictures that are kept, so that reading backwards does not decode each of them anew."""

_TEXT_AS_VIDEO = {"tty"}
"""Formats by which FFmpeg shows text files as moving pictures."""

_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoders of these drop the alpha channel."""

_WITHOUT_SHOW_TIMES = {"avi"}
"""Formats that tell when to decode a frame but not when to show it: FFmpeg's guess is wrong where
frames are reordered, so frames are counted from the entry point on."""

_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""By their number in ITU-T H.273."""

_log = logging.getLogger(__name__)


class MovieSource:
    """The frames of a movie, from 0 on, upright and with the alpha and the depth of the file."""

    def __init__(self, path: Path, notice: Callable[[str], None] = _log.warning) -> None:
        """Opens the movie and looks through its packets.

        `notice` is told what is missing from a damaged movie.

        Raises NotFoundError, and UnreadableMediaError where the file is no movie or holds no frame.
        """
        self._path = path
        self._lock = Lock()
        self._fingerprint = file_fingerprint(path)
        self._container = open_movie(path)
        self._stream = _video_stream(self._container, path)
        self._decoder = _decoder(self._stream)
        self._index = index_movie(self._container, self._stream, str(path))
        self._frame_at: dict[int | None, int] = {
            time: frame for frame, time in enumerate(self._index.times)
        }
        self._recent: OrderedDict[int, av.VideoFrame] = OrderedDict()
        self._pictures: Iterator[av.VideoFrame] = iter(())
        self._position: int | None = None
        """The frame decoded last; None: nothing can go on from here."""
        self._counted = -1
        self.clip = self._describe(notice)

    def read(self, index: int) -> Frame:
        """Raises NotFoundError outside the clip, UnreadableMediaError for a damaged frame."""
        if index not in self.clip.frame_range:
            raise NotFoundError(
                f"{self._path} has no frame {index}: its frames are 0 to "
                f"{self.clip.frame_range.last}."
            )
        with self._lock:
            picture = self._picture(index)
            pixels = from_video(picture)
        return Frame(
            index,
            np.ascontiguousarray(np.rot90(pixels.rgba, _quarter_turns(picture))),
            alpha=pixels.alpha,
            precision=pixels.precision,
        )

    def digest(self, index: int) -> str:
        """Of the file (its size, its time and both its ends) and the index."""
        return f"{self._fingerprint}-{index}"

    def close(self) -> None:
        """Lets go of the file; closing twice is no error."""
        with self._lock:
            self._recent.clear()
            self._pictures, self._position = iter(()), None
            self._container.close()

    def _describe(self, notice: Callable[[str], None]) -> Clip:
        first = self._picture(0)
        count = len(self._index.times)
        if self._index.missing:
            notice(
                f"{self._path} is cut short: its first {count} frames are used, at least "
                f"{self._index.missing} are missing."
            )
        if first.color_trc in _HDR_TRANSFERS:
            notice(
                f"{self._path} is HDR video ({_HDR_TRANSFERS[first.color_trc]}): its values are "
                "taken as they are for sRGB, so colours will look flat."
            )
        aspect = self._stream.sample_aspect_ratio or Fraction(1)
        size = FrameSize(first.width, first.height)
        if _quarter_turns(first) % 2:
            size, aspect = FrameSize(first.height, first.width), 1 / aspect
        return Clip(str(self._path), FrameRange(0, count - 1), size, self._index.frame_rate, aspect)

    def _picture(self, index: int) -> av.VideoFrame:
        if index in self._recent:
            return self._recent[index]
        if not self._goes_on_to(index):
            self._seek(self._index.entry_before(index))
        picture = self._decode_to(index)
        if picture is None:
            # Some containers seek past the place that was asked for.
            self._seek(0)
            picture = self._decode_to(index)
        if picture is None:
            raise UnreadableMediaError(
                f"Frame {index} of {self._path} is damaged: leave it out or export the movie again."
            )
        return picture

    def _goes_on_to(self, index: int) -> bool:
        """Decoding on is at least as quick as a jump to an entry point."""
        return (
            self._position is not None
            and self._index.entry_before(index) <= self._position + 1
            and self._position < index
        )

    def _seek(self, entry: int) -> None:
        self._container.seek(self._index.times[entry], stream=self._stream)
        self._decoder.flush_buffers()
        self._pictures, self._position = self._decode(), None
        self._counted = entry - 1

    def _decode_to(self, index: int) -> av.VideoFrame | None:
        for picture in self._pictures:
            frame = self._frame_of(picture)
            if frame is None:
                continue
            self._position = frame
            self._keep(frame, picture)
            if frame >= index:
                return picture if frame == index else None
        self._position = None
        return None

    def _frame_of(self, picture: av.VideoFrame) -> int | None:
        """None for a picture that is not to be shown."""
        if self._container.format.name in _WITHOUT_SHOW_TIMES:
            self._counted += 1
            return self._counted
        return self._frame_at.get(picture.pts)

    def _decode(self) -> Iterator[av.VideoFrame]:
        try:
            for packet in self._container.demux(self._stream):
                yield from self._decode_packet(packet)
        except av.FFmpegError:
            yield from self._decode_packet(None)  # cut short: what the decoder still holds

    def _decode_packet(self, packet: "av.Packet[av.VideoStream] | None") -> list[av.VideoFrame]:
        """No pictures of a damaged packet: the next intact one goes on."""
        try:
            return self._decoder.decode(packet)
        except av.FFmpegError:
            return []

    def _keep(self, frame: int, picture: av.VideoFrame) -> None:
        self._recent[frame] = picture
        self._recent.move_to_end(frame)
        most = max(1, _KEPT_BYTES // sum(plane.buffer_size for plane in picture.planes))
        while len(self._recent) > most:
            self._recent.popitem(last=False)


def open_movie(path: Path) -> InputContainer:
    """Opens a file that FFmpeg reads; nothing but local files is followed from it.

    Raises NotFoundError, and UnreadableMediaError where it is none.
    """
    try:
        container = av.open(str(path), options={"protocol_whitelist": "file"})
    except FileNotFoundError as error:
        raise NotFoundError(f"{path} does not exist: check its name.") from error
    except (av.FFmpegError, OSError) as error:
        raise UnreadableMediaError(
            f"{path} is no video, or was not written to its end: copy or export it again."
        ) from error
    if container.format.name in _TEXT_AS_VIDEO:
        container.close()
        raise UnreadableMediaError(f"{path} is a text file, not a video: choose another file.")
    return container


def _video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    """The first that is no cover picture."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            stream.thread_type = "AUTO"
            return stream
    raise UnreadableMediaError(f"{path} holds no moving picture: choose a video.")


def _decoder(stream: av.VideoStream) -> av.VideoCodecContext:
    name = _ALPHA_DECODERS.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return stream.codec_context
    return cast("av.VideoCodecContext", av.CodecContext.create(name, "r"))


def _quarter_turns(picture: av.VideoFrame) -> int:
    """How often to turn the picture counter-clockwise."""
    return round(picture.rotation / 90) % 4

"""Movies, read by PyAV in any order."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from itertools import chain, islice
from pathlib import Path
from threading import Lock
from typing import cast

import av
import cv2
import numpy as np

from engine.errors import NotFoundError, UnreadableMediaError
from engine.media.container import open_movie, video_stream
from engine.media.fingerprint import file_fingerprint
from engine.media.movie_index import index_of
from engine.media.video_frames import from_video
from engine.types import Clip, FloatArray, Frame, FrameRange, FrameSize
from engine.wording import plural

_KEPT_BYTES = 128 << 20
"""Decoded pictures that are kept, so that reading backwards does not decode each of them anew."""

_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
"""FFmpeg's own decoders of these drop the alpha channel."""

_WITHOUT_SHOW_TIMES = {"avi"}
"""Formats that tell when to decode a frame but not when to show it: FFmpeg's guess is wrong where
frames are reordered, so frames are counted from the entry point on."""

_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
"""By their number in ITU-T H.273."""

_NOWHERE = -2
"""The position of a decoder that cannot go on to any frame."""

_log = logging.getLogger(__name__)


class MovieSource:
    """The frames of a movie, from 0 on, upright and with the alpha and the depth of the file."""

    def __init__(self, path: Path, notice: Callable[[str], None] = _log.warning) -> None:
        """Opens the movie; one that is not known yet is looked through.

        `notice` is told what is missing from a damaged movie.

        Raises NotFoundError, and UnreadableMediaError where the file is no movie or holds no frame.
        """
        self._path = path
        self._lock = Lock()
        self._is_closed = False
        self._fingerprint = file_fingerprint(path)
        self._index = index_of(path, self._fingerprint)
        self._open()
        self._frame_at: dict[int | None, int] = {
            time: frame for frame, time in enumerate(self._index.times)
        }
        self._recent: OrderedDict[int, av.VideoFrame] = OrderedDict()
        self.clip = self._describe(notice)

    def read(self, index: int) -> Frame:
        """Raises NotFoundError outside the clip and after closing, UnreadableMediaError for a
        damaged frame.
        """
        if index not in self.clip.frame_range:
            raise NotFoundError(
                f"{self._path} has no frame {index}: its frames are 0 to "
                f"{self.clip.frame_range.last}."
            )
        with self._lock:
            if self._is_closed:
                raise NotFoundError(f"{self._path} was closed: open it again.")
            picture = self._picture(index)
            pixels = from_video(picture)
        return Frame(
            index,
            _at_size(np.rot90(pixels.rgba, _quarter_turns(picture)), self.clip.size),
            alpha=pixels.alpha,
            precision=pixels.precision,
        )

    def digest(self, index: int) -> str:
        """Of the file (its size, its time and both its ends) and the index."""
        return f"{self._fingerprint}-{index}"

    def close(self) -> None:
        """Lets go of the file; closing twice is no error."""
        with self._lock:
            self._is_closed = True
            self._recent.clear()
            # It refers to this object: its decoder and threads would stay until a collection.
            self._pictures: Iterator[tuple[int, av.VideoFrame]] = iter(())
            self._container.close()

    def _open(self) -> None:
        self._container = open_movie(self._path)
        self._stream = video_stream(self._container, self._path)
        self._decoder = _decoder(self._stream)
        self._is_counted = self._container.format.name in _WITHOUT_SHOW_TIMES
        self._pictures = self._pictures_from(0)
        self._position = _NOWHERE

    def _describe(self, notice: Callable[[str], None]) -> Clip:
        first = self._picture(0)
        count = len(self._index.times)
        if self._index.missing:
            notice(
                f"{self._path} is cut short after its first {plural(count, 'frame')}: at "
                f"least {self._index.missing:,} more are missing."
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
        if self._goes_on_to(index) and (picture := self._decode_to(index)):
            return picture
        for begin in self._ways_to(index):
            begin()
            if picture := self._decode_to(index):
                return picture
        raise UnreadableMediaError(
            f"Frame {index} of {self._path} is damaged: leave it out or export the movie again."
        )

    def _ways_to(self, index: int) -> Iterator[Callable[[], None]]:
        """The quickest first. MPEG-TS seeks by decoding times, others by the times of showing."""
        entry = self._index.entry_before(index)
        if not self._is_counted:
            yield partial(self._seek, self._index.times[entry], entry)
        yield partial(self._seek, self._index.decode_times[entry], entry)
        yield self._begin_again

    def _goes_on_to(self, index: int) -> bool:
        """Decoding on is at least as quick as a jump to an entry point."""
        return self._index.entry_before(index) - 1 <= self._position < index

    def _seek(self, time: int, entry: int) -> None:
        """After this there are pictures from the entry point on, or none if it was missed."""
        self._position = _NOWHERE
        self._pictures = iter(())
        try:
            self._container.seek(time, stream=self._stream)
        except av.FFmpegError:
            return
        self._decoder.flush_buffers()
        pictures = self._pictures_from(entry)
        landed = [(frame, picture) for frame, picture in islice(pictures, 1) if frame == entry]
        self._pictures = chain(landed, pictures if landed else ())

    def _begin_again(self) -> None:
        self._container.close()
        self._open()

    def _decode_to(self, index: int) -> av.VideoFrame | None:
        for frame, picture in self._pictures:
            self._position = frame
            self._keep(frame, picture)
            if frame >= index:
                return picture if frame == index else None
        self._position = _NOWHERE
        return None

    def _pictures_from(self, entry: int) -> Iterator[tuple[int, av.VideoFrame]]:
        """What is decoded from here on, without what belongs before the entry point."""
        for number, picture in enumerate(self._decode(), entry):
            frame = number if self._is_counted else self._frame_at.get(picture.pts)
            if frame is not None and frame >= entry:
                yield frame, picture

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


def _decoder(stream: av.VideoStream) -> av.VideoCodecContext:
    name = _ALPHA_DECODERS.get(stream.codec_context.name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return stream.codec_context
    return cast("av.VideoCodecContext", av.CodecContext.create(name, "r"))


def _quarter_turns(picture: av.VideoFrame) -> int:
    """How often to turn the picture counter-clockwise."""
    return round(picture.rotation / 90) % 4


def _at_size(pixels: FloatArray, size: FrameSize) -> FloatArray:
    """Recordings of calls and streams change their size on the way; a clip has one."""
    pixels = np.ascontiguousarray(pixels)
    if pixels.shape[:2] == (size.height, size.width):
        return pixels
    resized = cv2.resize(pixels, (size.width, size.height), interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.float32)

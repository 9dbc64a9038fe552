"""Movies, written by PyAV."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import OutputContainer

from engine.errors import InvalidValueError, StorageError
from engine.media.color import to_painting_space
from engine.media.encoding import PALETTE, Encoding, choose_encoding
from engine.media.files import storage_errors, temporary_name
from engine.media.palette import Palettes
from engine.media.sound import SoundTracks
from engine.media.timeline import Timeline, timeline_of
from engine.media.video_frames import BT709, LIMITED_RANGE, to_video
from engine.types import Alpha, Clip, FloatArray, Frame, FrameRange


class MovieWriter:
    """A range of frames with its sound as a movie.

    It is written under a temporary name; the first frame decides the encoding.
    """

    def __init__(
        self,
        path: Path,
        clip: Clip,
        frames: FrameRange,
        sound_from: Path | None,
        notice: Callable[[str], None],
        comment: str = "",
    ) -> None:
        self._path = path
        self._temporary = temporary_name(path)
        self._clip = clip
        self._frames = frames
        self._sound_from = sound_from
        self._notice = notice
        self._comment = comment
        self._timeline = timeline_of(clip, frames)
        self._written = 0
        self._movie: _OpenMovie | None = None
        self._is_closed = False

    def write(self, frame: Frame) -> None:
        """Raises InvalidValueError for a frame out of order or of another size, StorageError."""
        self._check(frame)
        with _storage_errors(self._path):
            if self._movie is None:
                self._movie = self._begin(frame)
            self._movie.write(frame, self._written)
            self._written += 1

    def close(self, *, partial: bool = False) -> None:
        """Gives the movie its name if it is complete, or `partial` is asked for and it holds a
        frame; otherwise nothing stays of it.
        """
        if self._is_closed:
            return
        self._is_closed = True
        is_wanted = partial or self._written == len(self._frames)
        try:
            if self._movie is None:
                return
            if not is_wanted:
                self._movie.abandon()
                return
            with _storage_errors(self._path):
                self._movie.finish(self._written)
                self._temporary.replace(self._path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def _check(self, frame: Frame) -> None:
        expected = self._frames.first + self._written
        if frame.index != expected or self._written == len(self._frames):
            raise InvalidValueError(
                f"Frame {frame.index} cannot be written to {self._path.name}: "
                f"it takes frames {self._frames.first} to {self._frames.last} in their order."
            )
        if frame.size != self._clip.size:
            raise InvalidValueError(
                f"Frame {frame.index} is {frame.size} but the clip is {self._clip.size}: all "
                "frames of a movie must have its size."
            )

    def _begin(self, frame: Frame) -> "_OpenMovie":
        has_alpha = frame.alpha is not Alpha.OPAQUE
        encoding = choose_encoding(self._path, frame.size, frame.precision, has_alpha=has_alpha)
        if not encoding.keeps_times and self._timeline.time_base != 1 / self._clip.frame_rate:
            raise InvalidValueError(
                f"{self._path.name} cannot be written: {self._path.suffix} has one frame rate and "
                "that of the clip varies. Choose .mp4, .mov or .mkv."
            )
        if encoding.remark:
            self._notice(encoding.remark)
        if has_alpha and not encoding.keeps_alpha:
            self._notice(
                f"{self._path.suffix} keeps no alpha, so the movie is laid over black: choose "
                ".mov, .mkv, .webm or pictures to keep it."
            )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        sound_from = self._sound_from if encoding.keeps_sound else None
        movie = _OpenMovie(self._temporary, encoding, self._clip, self._timeline, sound_from)
        movie.comment(self._comment)
        return movie


class _OpenMovie:
    """A container with its streams."""

    def __init__(
        self,
        path: Path,
        encoding: Encoding,
        clip: Clip,
        timeline: Timeline,
        sound_from: Path | None,
    ) -> None:
        self._encoding = encoding
        self._timeline = timeline
        self._container = av.open(str(path), "w", format=encoding.container)
        self._video = _add_video(self._container, encoding, clip, timeline)
        self._palettes = Palettes(clip.size) if encoding.pixel_format == PALETTE else None
        self._sound: SoundTracks | None = None
        if sound_from is not None:
            self._sound = SoundTracks(sound_from, self._container, timeline.start)

    def comment(self, text: str) -> None:
        """Is kept with the movie, where its kind keeps one; to be set before the first frame."""
        if text:
            self._container.metadata["comment"] = text

    def write(self, frame: Frame, position: int) -> None:
        """Adds the frame at that position of the range, and the sound before its end."""
        shown, end = self._timeline.ticks[position : position + 2]
        picture = self._picture(_opaque_or_straight(frame, self._encoding))
        picture.pts, picture.duration = shown, end - shown
        picture.time_base = self._timeline.time_base
        self._container.mux(self._video.encode(picture))
        self._write_sound(position + 1)

    def _picture(self, pixels: FloatArray) -> av.VideoFrame:
        if self._palettes is not None:
            return self._palettes.reduce(to_video(pixels, "rgb24"))
        return to_video(pixels, self._encoding.pixel_format)

    def finish(self, count: int) -> None:
        """Writes what the encoders hold after `count` frames, and the end of the file."""
        try:
            self._container.mux(self._video.encode(None))
            self._write_sound(count)
            if self._sound is not None:
                self._container.mux(list(self._sound.finish()))
        finally:
            self._close()

    def abandon(self) -> None:
        """Lets go of the files; what is in them is of no use."""
        with suppress(av.FFmpegError, OSError):
            self._close()

    def _close(self) -> None:
        if self._sound is not None:
            self._sound.close()
        self._container.close()

    def _write_sound(self, position: int) -> None:
        if self._sound is not None:
            self._container.mux(list(self._sound.write_until(self._timeline.seconds(position))))


def _add_video(
    container: OutputContainer, encoding: Encoding, clip: Clip, timeline: Timeline
) -> av.VideoStream:
    """With its size, its times and its colours: BT.709 for matrix, primaries and transfer, in
    limited range.
    """
    video = cast(
        "av.VideoStream",
        container.add_stream(encoding.codec, clip.frame_rate, options=dict(encoding.options)),
    )
    video.width, video.height = clip.size.width, clip.size.height
    video.pix_fmt = encoding.pixel_format
    if encoding.codec_tag:
        video.codec_tag = encoding.codec_tag
    context = video.codec_context
    context.time_base = timeline.time_base
    context.sample_aspect_ratio = clip.pixel_aspect
    if encoding.pixel_format != PALETTE and not av.VideoFormat(encoding.pixel_format).is_rgb:
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = LIMITED_RANGE
    return video


def _opaque_or_straight(frame: Frame, encoding: Encoding) -> FloatArray:
    """RGBA where alpha is kept; otherwise RGB, over black where the frame is transparent."""
    rgb = to_painting_space(frame)
    if encoding.keeps_alpha:
        return np.dstack([rgb, frame.pixels[..., 3]])
    return rgb if frame.alpha is Alpha.OPAQUE else rgb * frame.pixels[..., 3:]


@contextmanager
def _storage_errors(path: Path) -> Iterator[None]:
    """An encoder's complaint too becomes StorageError: there is no movie then either."""
    with storage_errors(path):
        try:
            yield
        except av.FFmpegError as error:
            if isinstance(error, OSError):
                raise
            raise StorageError(
                f"{path} cannot be written: {error.strerror}. Choose another kind of file."
            ) from error

"""Movie files as PyAV opens them."""

from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition

from engine.errors import NotFoundError, UnreadableMediaError

_TEXT_AS_VIDEO = {"tty"}
"""Formats by which FFmpeg shows text files as moving pictures."""


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


def video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    """The first that is no cover picture.

    Raises UnreadableMediaError where there is none.
    """
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            stream.thread_type = "AUTO"
            return stream
    raise UnreadableMediaError(f"{path} holds no moving picture: choose a video.")

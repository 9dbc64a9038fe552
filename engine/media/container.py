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
        # Old cameras and editors write titles in other encodings than UTF-8.
        container = av.open(
            str(path), options={"protocol_whitelist": "file"}, metadata_errors="replace"
        )
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


def movie_comment(path: Path) -> str:
    """What is kept with the movie as its comment; empty without one.

    Raises NotFoundError, and UnreadableMediaError where it is no movie.
    """
    with open_movie(path) as container:
        tags = {name.casefold(): text for name, text in container.metadata.items()}
    return tags.get("comment", "")


def video_stream(container: InputContainer, path: Path) -> av.VideoStream:
    """The first that is no cover picture.

    Raises UnreadableMediaError where there is none, or none that FFmpeg has a decoder for.
    """
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
    ]
    if not streams:
        raise UnreadableMediaError(f"{path} holds no moving picture: choose a video.")
    for stream in streams:
        if stream.codec_context is not None:  # None where there is no decoder
            stream.thread_type = "AUTO"
            return stream
    raise UnreadableMediaError(
        f"{path} holds video of a kind that cannot be read: export it as H.264, ProRes or DNxHR."
    )

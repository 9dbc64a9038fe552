"""What a result was made from, as it tells itself: a movie in its comment, pictures in the file
beside them.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import InvalidValueError
from engine.media.container import movie_comment
from engine.media.numbered import NumberedFiles
from engine.types import FrameRange
from server.session_folder import DESCRIPTION

_MARK = "Inbetween: "


@dataclass(frozen=True)
class Origin:
    """The clip, which of its frames are shown, and which of those are key frames."""

    clip: Path
    frames: FrameRange | None
    """None: all that are there, which carry their numbers."""
    keys: tuple[int, ...]


def comment_of(clip: Path, frames: FrameRange, keys: Iterable[int]) -> str:
    """What a movie tells of its origin: of the clip the name alone, because who gets the movie
    need not know the editor's folders.
    """
    told = {
        "source": clip.name,
        "range": [frames.first, frames.last],
        "key_frames": [key for key in keys if key in frames],
    }
    return _MARK + json.dumps(told, ensure_ascii=False)


def origin_of(result: Path) -> Origin | None:
    """None where it tells nothing. Raises InvalidValueError where what it tells is damaged."""
    if NumberedFiles.parse(result) is None:
        return _of_movie(result) if result.is_file() else None
    description = result.parent / DESCRIPTION
    return _of_pictures(description) if description.is_file() else None


def _of_movie(movie: Path) -> Origin | None:
    """Others write comments too, and programs cut them off."""
    comment = movie_comment(movie)
    if not comment.startswith(_MARK):
        return None
    try:
        told: Any = json.loads(comment.removeprefix(_MARK))
        first, last = told["range"]
        keys = tuple(int(key) for key in told["key_frames"])
        return Origin(Path(told["source"]), FrameRange(int(first), int(last)), keys)
    except (ValueError, KeyError, TypeError):
        return None


def _of_pictures(description: Path) -> Origin:
    try:
        session: Any = json.loads(description.read_text("utf-8"))["session"]
        keys = tuple(int(key.get("index", 0)) for key in session.get("key_frames", ()))
        return Origin(Path(session.get("clip", {}).get("media_path", "")), None, keys)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidValueError(
            f"{description} does not tell the key frames: name them by --keys."
        ) from error

"""Files in the value of a setting that names them."""

import mimetypes
import re
from pathlib import Path

from inbetween.v1.options_pb2 import NamedFile


def with_file(value: str, path: str, named: NamedFile) -> str:
    """The value once a file was chosen: behind the others of a list, else in their place."""
    if named.numbered:
        path = _with_pattern(path)
    return f"{value.rstrip()}\n{path}" if named.several and value.strip() else path


def _with_pattern(path: str) -> str:
    """A numbered picture as all pictures of its row, pose.0001.png as pose.%04d.png; a movie as it
    is.
    """
    stem, suffix = Path(path).stem, Path(path).suffix
    number = re.search(r"\d+$", stem)
    if number is None or not _is_picture(path):
        return path
    pattern = f"{stem[: number.start()]}%0{len(number[0])}d{suffix}"
    return str(Path(path).with_name(pattern))


def _is_picture(path: str) -> bool:
    kind, _ = mimetypes.guess_type(path)
    return (kind or "").startswith("image/") or path.lower().endswith(".exr")  # no type of its own

"""Which codec a movie gets: by its suffix, size, depth and alpha."""

from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import InvalidValueError
from engine.types import FrameSize, Precision

MOVIE_SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".gif"
)  # fmt: skip

PALETTE = "pal8"
"""The pixel format whose pictures have at most 256 colours, each picture its own."""

_FORMATS = {
    ".m4v": "mp4",
    ".mkv": "matroska",
    ".ts": "mpegts",
    ".mts": "mpegts",
    ".m2ts": "mpegts",
}
"""Of suffixes that are not the name of their format."""

_H264 = {"crf": "16", "preset": "medium"}
_H265 = {"crf": "16", "preset": "medium", "x265-params": "log-level=error"}
_VP9 = {"crf": "18", "b": "0", "deadline": "good", "cpu-used": "3", "row-mt": "1"}

_H265_SMALLEST_SIDE = 64
"""libx265 refuses pictures below 16 pixels a side, and in PyAV 18.1 writes outside its memory for
some below 64 (found by glibc's malloc check at 16x16, 24x24 and 36x64)."""


@dataclass(frozen=True)
class Encoding:
    """How a movie is encoded."""

    container: str
    codec: str
    pixel_format: str
    options: dict[str, str] = field(default_factory=dict)
    codec_tag: str | None = None
    keeps_alpha: bool = False
    keeps_sound: bool = True
    keeps_times: bool = True
    """Frames may be shown at any times; otherwise at one rate only."""
    remark: str = ""
    """What the editor should know of this choice."""


def check_movie_suffix(path: Path) -> None:
    """Raises InvalidValueError, with the list, for a suffix that no movie here has."""
    if path.suffix.lower() not in MOVIE_SUFFIXES:
        raise InvalidValueError(
            f"{path.name} cannot be written: end it in {', '.join(MOVIE_SUFFIXES)} for a movie, "
            "or name pictures as in out.%04d.exr, out.####.png or a folder."
        )


def choose_encoding(
    path: Path, size: FrameSize, precision: Precision, *, has_alpha: bool
) -> Encoding:
    """High quality, playable where the size allows, with the depth and alpha the container takes.

    H.264 and H.265 with halved chroma have even sizes only: an odd size gets full chroma, so that
    the movie has the size of its source.
    """
    suffix = path.suffix.lower()
    container = _FORMATS.get(suffix, suffix.removeprefix("."))
    is_deep = precision is Precision.FLOAT
    if suffix == ".gif":
        return _gif()
    if suffix == ".avi":
        return _avi(size, is_deep=is_deep)
    if suffix == ".webm":
        return _webm(is_deep=is_deep, has_alpha=has_alpha)
    if suffix == ".mov" and (has_alpha or is_deep):
        return _prores(size, has_alpha=has_alpha)
    if suffix == ".mkv" and has_alpha:
        pixel_format = "gbrap16le" if is_deep else "bgra"
        return Encoding(container, "ffv1", pixel_format, keeps_alpha=True)
    return _h26x(container, size, is_deep=is_deep)


def _gif() -> Encoding:
    remark = "A GIF has 256 colours a frame and no sound: choose a movie for the real result."
    return Encoding("gif", "gif", PALETTE, keeps_sound=False, remark=remark)


def _avi(size: FrameSize, *, is_deep: bool) -> Encoding:
    """AVI knows no H.265, no times of showing, and so no reordered frames."""
    depth = "10le" if is_deep else ""
    return Encoding(
        "avi",
        "libx264",
        f"{_chroma(size)}{depth}",
        {**_H264, "bf": "0"},
        keeps_times=False,
        remark=_odd_remark(size),
    )


def _is_odd(size: FrameSize) -> bool:
    return bool(size.width % 2 or size.height % 2)


def _chroma(size: FrameSize) -> str:
    return "yuv444p" if _is_odd(size) else "yuv420p"


def _odd_remark(size: FrameSize) -> str:
    if not _is_odd(size):
        return ""
    return (
        f"{size} is an odd size: the movie has full chroma (4:4:4), which some players and "
        "televisions do not show."
    )


def _h26x(container: str, size: FrameSize, *, is_deep: bool) -> Encoding:
    chroma, remark = _chroma(size), _odd_remark(size)
    if not is_deep:
        return Encoding(container, "libx264", chroma, _H264, remark=remark)
    if min(size.width, size.height) < _H265_SMALLEST_SIDE:
        return Encoding(container, "libx264", f"{chroma}10le", _H264, remark=remark)
    tag = "hvc1" if container in {"mp4", "mov"} else None  # Apple's players want this one
    return Encoding(container, "libx265", f"{chroma}10le", _H265, codec_tag=tag, remark=remark)


def _prores(size: FrameSize, *, has_alpha: bool) -> Encoding:
    if has_alpha:
        options = {"profile": "4444", "alpha_bits": "16"}
        return Encoding("mov", "prores_ks", "yuva444p10le", options, keeps_alpha=True)
    if _is_odd(size):
        return Encoding("mov", "prores_ks", "yuv444p10le", {"profile": "4444"})
    return Encoding("mov", "prores_ks", "yuv422p10le", {"profile": "hq"})


def _webm(*, is_deep: bool, has_alpha: bool) -> Encoding:
    remark = (
        "WebM is written with 8 bits per channel: choose .mov, .mkv or pictures to keep more."
        if is_deep
        else ""
    )
    if has_alpha:
        options = {**_VP9, "auto-alt-ref": "0"}  # VP9's hidden frames cannot carry alpha
        return Encoding("webm", "libvpx-vp9", "yuva420p", options, keeps_alpha=True, remark=remark)
    return Encoding("webm", "libvpx-vp9", "yuv420p", _VP9, remark=remark)

"""Single pictures: PNG, JPEG, TIFF and EXR files, and how a painting is fitted to a frame."""

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.errors import InvalidValueError, NotFoundError, UnreadableMediaError
from engine.media.color import from_painting_space, to_painting_space
from engine.media.exr import load_exr
from engine.media.exr import read_exr as read_exr
from engine.media.exr import write_exr as write_exr
from engine.media.files import replacing
from engine.types import Alpha, FloatArray, Frame, FrameSize, Precision

PICTURE_SUFFIXES = (".exr", ".png", ".tif", ".tiff", ".jpg", ".jpeg")

_ACESCG_CHROMATICITIES = (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767)
"""Red, green, blue and white, each x then y, as the attribute of an EXR has them."""

_JPEG_QUALITY = 98

_WHITE = {"uint8": 255, "uint16": 65535}


class SizeRule(Enum):
    """What to do with a painting whose size is not the clip's."""

    REFUSE = "refuse"
    FIT = "fit"
    """The whole painting inside the frame; what it does not cover shows the source."""
    CROP = "crop"
    """The painting over the whole frame; what stands out is cut off."""


def read_picture(path: Path) -> FloatArray:
    """The picture [H, W, 4] in straight sRGB, 0..1.

    Raises NotFoundError, and UnreadableMediaError where the file is damaged or no picture.
    """
    frame = read_frame(path, index=0)
    return np.dstack([to_painting_space(frame), np.clip(frame.pixels[..., 3], 0.0, 1.0)])


def read_frame(path: Path, index: int) -> Frame:
    """The picture as it stands in the file: an EXR is linear and premultiplied.

    Raises NotFoundError, and UnreadableMediaError where the file is damaged or no picture.
    """
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist: check its name.")
    if path.suffix.lower() == ".exr":
        return _read_linear(path, index)
    values = _decode(path)
    channels = values.shape[2]
    pixels = np.ones((*values.shape[:2], 4), np.float32)
    pixels[..., :channels] = values.astype(np.float32) / _WHITE.get(values.dtype.name, 1)
    return Frame(
        index,
        pixels,
        alpha=Alpha.STRAIGHT if channels == 4 else Alpha.OPAQUE,
        precision=Precision.HALF if values.dtype == np.uint8 else Precision.FLOAT,
    )


def write_picture(path: Path, frame: Frame) -> None:
    """Writes EXR, PNG, TIFF or JPEG, by the suffix: whole, or not at all.

    An EXR is premultiplied and linear: in ACEScg if the frame is, otherwise in Rec.709. The
    others hold straight sRGB, PNG and TIFF with the 8 or 16 bits of the frame's precision, JPEG
    without alpha.

    Raises InvalidValueError for another suffix, StorageError.
    """
    suffix = path.suffix.lower()
    if suffix not in PICTURE_SUFFIXES:
        raise InvalidValueError(
            f"{path.name} is no picture that can be written: "
            f"choose one of {', '.join(PICTURE_SUFFIXES)}."
        )
    if suffix == ".exr":
        _write_linear(path, frame)
    else:
        _write_integers(path, frame)


def fit_picture(pixels: FloatArray, source_rgb: FloatArray, rule: SizeRule) -> FloatArray:
    """A painting [h, w, 4] (straight sRGB) at the size of the frame `source_rgb` [H, W, 3].

    Where the painting is transparent or does not reach, the source shows. An opaque painting of
    the right size comes back as it is.

    Raises InvalidValueError where the sizes differ and the rule is REFUSE.
    """
    painting = FrameSize(pixels.shape[1], pixels.shape[0])
    frame = FrameSize(source_rgb.shape[1], source_rgb.shape[0])
    if painting == frame:
        return _over(_premultiplied(pixels), source_rgb)
    if rule is SizeRule.REFUSE:
        raise InvalidValueError(
            f"The painting is {painting} but the clip is {frame}: choose to fit or to crop it, or "
            "save it in the size of the clip."
        )
    nearer = min if rule is SizeRule.FIT else max
    scale = nearer(frame.width / painting.width, frame.height / painting.height)
    scaled = _resized(_premultiplied(pixels), scale)
    return _over(_centred(scaled, frame), source_rgb)


def _premultiplied(pixels: FloatArray) -> FloatArray:
    return np.dstack([pixels[..., :3] * pixels[..., 3:], pixels[..., 3]])


def _over(premultiplied: FloatArray, below: FloatArray) -> FloatArray:
    return premultiplied[..., :3] + below * (1 - premultiplied[..., 3:])


def _resized(pixels: FloatArray, scale: float) -> FloatArray:
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(pixels, (width, height), interpolation=method)
    return np.asarray(resized.clip(0, 1), np.float32)


def _centred(pixels: FloatArray, size: FrameSize) -> FloatArray:
    """In the middle of a transparent picture of that size; what stands out is cut off."""
    canvas = np.zeros((size.height, size.width, 4), np.float32)
    rows = _overlap(pixels.shape[0], size.height)
    columns = _overlap(pixels.shape[1], size.width)
    canvas[rows[1], columns[1]] = pixels[rows[0], columns[0]]
    return canvas


def _overlap(side: int, frame_side: int) -> tuple[slice, slice]:
    """What of the picture is seen, and where in the frame, along one side."""
    seen = min(side, frame_side)
    begin, frame_begin = (side - seen) // 2, (frame_side - seen) // 2
    return slice(begin, begin + seen), slice(frame_begin, frame_begin + seen)


def _decode(path: Path) -> NDArray[np.generic]:
    """The pixels [H, W, 3 or 4] of an integer or float file, RGB or RGBA."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    is_jpeg = data[:2].tobytes() == b"\xff\xd8"
    # Of these two, only IMREAD_COLOR turns a photograph upright.
    flags = cv2.IMREAD_COLOR if is_jpeg else cv2.IMREAD_UNCHANGED
    try:
        values = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:
        values = None
    if values is None:
        raise UnreadableMediaError(
            f"{path} is damaged or no picture: save it as PNG, JPEG, TIFF or EXR."
        )
    if values.ndim == 2:
        return np.asarray(np.dstack([values] * 3))
    order = cv2.COLOR_BGRA2RGBA if values.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(values, order))


def _read_linear(path: Path, index: int) -> Frame:
    file = load_exr(path)
    names = "RGB" if "R" in file.planes else "YYY"
    if not set(names) <= set(file.planes):
        raise UnreadableMediaError(
            f"{path} holds the channels {', '.join(file.planes)}: R, G and B are needed."
        )
    colors = [file.planes[name] for name in names]
    alpha = file.planes.get("A", np.ones_like(colors[0]))
    return Frame(
        index,
        np.stack([*colors, alpha], axis=-1).astype(np.float32),
        color_space="acescg" if _is_acescg(file.header) else "linear-rec709",
        alpha=Alpha.PREMULTIPLIED if "A" in file.planes else Alpha.OPAQUE,
        precision=Precision.HALF if colors[0].dtype == np.float16 else Precision.FLOAT,
    )


def _is_acescg(header: Mapping[str, Any]) -> bool:
    chromaticities = header.get("chromaticities", ())
    return len(chromaticities) == 8 and np.allclose(
        chromaticities, _ACESCG_CHROMATICITIES, atol=1e-3
    )


def _write_linear(path: Path, frame: Frame) -> None:
    linear = _as_linear(frame)
    names = "RGB" if frame.alpha is Alpha.OPAQUE else "RGBA"
    planes = {name: linear.pixels[..., channel] for channel, name in enumerate(names)}
    is_acescg = linear.color_space == "acescg"
    header = {"chromaticities": _ACESCG_CHROMATICITIES} if is_acescg else {}
    write_exr(path, planes, frame.precision, header)


def _as_linear(frame: Frame) -> Frame:
    """Linear and premultiplied; a linear frame keeps its values above 1."""
    if frame.color_space == "srgb":
        alpha = Alpha.OPAQUE if frame.alpha is Alpha.OPAQUE else Alpha.PREMULTIPLIED
        like = replace(frame, color_space="linear-rec709", alpha=alpha)
        return from_painting_space(to_painting_space(frame), like)
    if frame.alpha is Alpha.STRAIGHT:
        return replace(frame, pixels=_premultiplied(frame.pixels), alpha=Alpha.PREMULTIPLIED)
    return frame


def _write_integers(path: Path, frame: Frame) -> None:
    suffix = path.suffix.lower()
    is_jpeg = suffix in {".jpg", ".jpeg"}
    channels = to_painting_space(frame)[..., ::-1]
    if frame.alpha is not Alpha.OPAQUE and not is_jpeg:
        channels = np.dstack([channels, frame.pixels[..., 3].clip(0, 1)])
    is_short = frame.precision is Precision.FLOAT and not is_jpeg
    dtype: type[np.unsignedinteger[Any]] = np.uint16 if is_short else np.uint8
    values = np.rint(channels * np.float32(np.iinfo(dtype).max)).astype(dtype)
    options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if is_jpeg else []
    _, data = cv2.imencode(suffix, values, options)
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())

"""Between the pixels of a video codec and RGB: matrix, range, bit depth, alpha.

Only matrix and range are converted. The transfer function stays: BT.709 video is taken for sRGB,
as editors and browsers show it.
"""

from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from engine.types import Alpha, FloatArray, FrameSize, Precision

BT709 = 1
"""The number of BT.709 for matrix, primaries and transfer function (ITU-T H.273)."""

LIMITED_RANGE = int(ColorRange.MPEG)

_MATRICES = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
    10: Colorspace.BT2020,
}
"""By their number in ITU-T H.273."""

_HIGH_DEFINITION = FrameSize(1280, 577)
"""From this width or height on, video that does not tell its matrix has BT.709's."""

_PRECISE = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


@dataclass(frozen=True)
class VideoPixels:
    """A decoded picture as RGBA [H, W, 4], 0..1, straight."""

    rgba: FloatArray
    alpha: Alpha
    precision: Precision


def from_video(picture: av.VideoFrame) -> VideoPixels:
    """The pixels of a decoded picture, by the matrix and the range that it tells or must have."""
    components = picture.format.components
    is_deep = any(component.bits > 8 for component in components)
    has_alpha = _has_alpha(picture.format)
    converted = VideoReformatter().reformat(
        picture,
        format=_rgb_format(is_deep=is_deep, has_alpha=has_alpha),
        src_colorspace=_matrix(picture),
        src_color_range=_range(picture),
        dst_color_range=ColorRange.JPEG,
        interpolation=_PRECISE,
        threads=1,
    )
    values = converted.to_ndarray()
    rgba = np.ones((*values.shape[:2], 4), np.float32)
    np.divide(values, np.float32(65535 if is_deep else 255), out=rgba[..., : values.shape[2]])
    return VideoPixels(
        rgba,
        Alpha.STRAIGHT if has_alpha else Alpha.OPAQUE,
        Precision.FLOAT if is_deep else Precision.HALF,
    )


def to_video(pixels: FloatArray, pixel_format: str) -> av.VideoFrame:
    """RGB or straight RGBA [H, W, 3 or 4], 0..1, as a picture for an encoder.

    Formats that are not RGB get the matrix of BT.709 in limited range.
    """
    target = av.VideoFormat(pixel_format)
    is_deep = any(component.bits > 8 for component in target.components)
    limit, dtype = (65535, np.uint16) if is_deep else (255, np.uint8)
    values: NDArray[np.unsignedinteger] = np.rint(pixels.clip(0, 1) * np.float32(limit)).astype(
        dtype
    )
    name = _rgb_format(is_deep=is_deep, has_alpha=pixels.shape[2] == 4)
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(values), format=name)
    return VideoReformatter().reformat(
        picture,
        format=pixel_format,
        dst_colorspace=None if target.is_rgb else Colorspace.ITU709,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG if target.is_rgb else ColorRange.MPEG,
        interpolation=_PRECISE,
        threads=1,
    )


def _rgb_format(*, is_deep: bool, has_alpha: bool) -> str:
    if is_deep:
        return "rgba64le" if has_alpha else "rgb48le"
    return "rgba" if has_alpha else "rgb24"


def _has_alpha(video_format: av.VideoFormat) -> bool:
    return any(component.is_alpha for component in video_format.components)


def _matrix(picture: av.VideoFrame) -> Colorspace | None:
    if picture.format.is_rgb:
        return None
    is_high = picture.width >= _HIGH_DEFINITION.width or picture.height >= _HIGH_DEFINITION.height
    return _MATRICES.get(picture.colorspace, Colorspace.ITU709 if is_high else Colorspace.ITU601)


def _range(picture: av.VideoFrame) -> ColorRange:
    told = ColorRange(picture.color_range)
    if told is not ColorRange.UNSPECIFIED:
        return told
    is_full = picture.format.is_rgb or picture.format.name.startswith("yuvj")
    return ColorRange.JPEG if is_full else ColorRange.MPEG

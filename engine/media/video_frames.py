"""Between the pixels of a video codec and RGB: matrix, range, bit depth, alpha.

Only matrix and range are converted. The transfer function stays: BT.709 video is taken for sRGB,
as editors and browsers show it.

Pictures of 8 bits are converted by FFmpeg. Deeper ones are converted here, because FFmpeg's 16-bit
RGB ends at 65283 (FFmpeg 8): white would become 0.996.
"""

from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

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

_RED_AND_BLUE = {
    Colorspace.ITU709: (0.2126, 0.0722),
    Colorspace.FCC: (0.30, 0.11),
    Colorspace.ITU601: (0.299, 0.114),
    Colorspace.SMPTE240M: (0.212, 0.087),
    Colorspace.BT2020: (0.2627, 0.0593),
}
"""What red and blue give to luma; green gives the rest."""

_HIGH_DEFINITION = FrameSize(1280, 577)
"""From this width or height on, video that does not tell its matrix has BT.709's."""

_PRECISE = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT


@dataclass(frozen=True)
class VideoPixels:
    """A decoded picture as RGBA [H, W, 4], 0..1, straight."""

    rgba: FloatArray
    alpha: Alpha
    precision: Precision


@dataclass(frozen=True)
class _Coding:
    """How RGB is coded as numbers."""

    matrix: Colorspace | None
    """None: as it is."""
    range: ColorRange
    bits: int
    has_alpha: bool

    @property
    def planar_format(self) -> str:
        """The format that has each channel in a plane of full size."""
        alpha = "a" if self.has_alpha else ""
        depth = "f32" if self.bits == 32 else self.bits
        return f"gbr{alpha}p{depth}le" if self.matrix is None else f"yuv{alpha}444p{depth}le"

    @property
    def limits(self) -> tuple[float, float, float]:
        """The numbers of black and of white, and those between no and full chroma."""
        if self.bits == 32:
            return 0.0, 1.0, 1.0
        if self.matrix is not None and self.range is not ColorRange.JPEG:
            step = float(2 ** (self.bits - 8))
            return 16 * step, 235 * step, 224 * step
        return 0.0, 2.0**self.bits - 1, 2.0**self.bits - 1


def from_video(picture: av.VideoFrame) -> VideoPixels:
    """The pixels of a decoded picture, by the matrix and the range that it tells or must have."""
    coding = _coding_of(picture)
    rgba = np.ones((picture.height, picture.width, 4), np.float32)
    channels = rgba[..., : 4 if coding.has_alpha else 3]
    if coding.bits > 8:
        channels[:] = _decode_deep(picture, coding)
    else:
        name = "rgba" if coding.has_alpha else "rgb24"
        np.divide(_converted(picture, name, coding).to_ndarray(), np.float32(255), out=channels)
    return VideoPixels(
        rgba,
        Alpha.STRAIGHT if coding.has_alpha else Alpha.OPAQUE,
        Precision.FLOAT if coding.bits > 8 else Precision.HALF,
    )


def to_video(pixels: FloatArray, pixel_format: str) -> av.VideoFrame:
    """RGB or straight RGBA [H, W, 3 or 4], 0..1, as a picture for an encoder.

    Formats that are not RGB get the matrix of BT.709 in limited range.
    """
    target = av.VideoFormat(pixel_format)
    coding = _Coding(
        matrix=None if target.is_rgb else Colorspace.ITU709,
        range=ColorRange.JPEG if target.is_rgb else ColorRange.MPEG,
        bits=_bits(target),
        has_alpha=pixels.shape[2] == 4,
    )
    if coding.bits > 8:
        return _converted(_encode_deep(pixels, coding), pixel_format, coding)
    values = np.rint(pixels.clip(0, 1) * np.float32(255)).astype(np.uint8)
    name = "rgba" if coding.has_alpha else "rgb24"
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(values), format=name)
    return VideoReformatter().reformat(
        picture,
        format=pixel_format,
        dst_colorspace=coding.matrix,
        src_color_range=ColorRange.JPEG,
        dst_color_range=coding.range,
        interpolation=_PRECISE,
        threads=1,
    )


def _coding_of(picture: av.VideoFrame) -> _Coding:
    return _Coding(
        _matrix(picture),
        _range(picture),
        _bits(picture.format),
        any(component.is_alpha for component in picture.format.components),
    )


def _bits(video_format: av.VideoFormat) -> int:
    return max(component.bits for component in video_format.components)


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


def _converted(picture: av.VideoFrame, name: str, coding: _Coding) -> av.VideoFrame:
    """In another format: RGB formats in full range, others in the coding that it has."""
    to_rgb = av.VideoFormat(name).is_rgb
    return VideoReformatter().reformat(
        picture,
        format=name,
        src_colorspace=coding.matrix,
        dst_colorspace=None if to_rgb else coding.matrix,
        src_color_range=coding.range,
        dst_color_range=ColorRange.JPEG if to_rgb else coding.range,
        interpolation=_PRECISE,
        threads=1,
    )


def _decode_deep(picture: av.VideoFrame, coding: _Coding) -> FloatArray:
    """RGB or RGBA [H, W, 3 or 4] of more than 8 bits."""
    black, white, chroma = coding.limits
    first, second, third, *alpha = _planes(_converted(picture, coding.planar_format, coding))
    if coding.matrix is None:
        green, blue, red = ((plane - black) / (white - black) for plane in (first, second, third))
    else:
        middle = 2.0 ** (coding.bits - 1)
        kr, kb = _RED_AND_BLUE[coding.matrix]
        luma = (first - black) / (white - black)
        blue = luma + (second - middle) * (2 * (1 - kb) / chroma)
        red = luma + (third - middle) * (2 * (1 - kr) / chroma)
        green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    full = 1.0 if coding.bits == 32 else 2.0**coding.bits - 1
    return np.stack([red, green, blue, *(plane / full for plane in alpha)], axis=-1)


def _encode_deep(pixels: FloatArray, coding: _Coding) -> av.VideoFrame:
    """The reverse of _decode_deep, for integer formats."""
    black, white, chroma = coding.limits
    red, green, blue, *alpha = np.moveaxis(pixels.clip(0, 1), -1, 0)
    if coding.matrix is None:
        planes = [black + plane * (white - black) for plane in (green, blue, red)]
    else:
        middle = 2.0 ** (coding.bits - 1)
        kr, kb = _RED_AND_BLUE[coding.matrix]
        luma = kr * red + (1 - kr - kb) * green + kb * blue
        planes = [
            black + luma * (white - black),
            middle + (blue - luma) * (chroma / (2 * (1 - kb))),
            middle + (red - luma) * (chroma / (2 * (1 - kr))),
        ]
    planes += [plane * (2.0**coding.bits - 1) for plane in alpha]
    height, width = red.shape
    picture = av.VideoFrame(width, height, coding.planar_format)
    picture.color_range = coding.range
    if coding.matrix is not None:
        picture.colorspace = coding.matrix
    for target, plane in zip(picture.planes, planes, strict=True):
        rows = np.zeros((height, target.line_size // 2), "<u2")
        rows[:, :width] = np.rint(plane)
        target.update(rows.tobytes())
    return picture


def _planes(picture: av.VideoFrame) -> list[FloatArray]:
    """The planes of a picture of more than 8 bits, each [H, W]."""
    dtype = "<f4" if _bits(picture.format) == 32 else "<u2"
    return [
        np.frombuffer(bytes(plane), dtype)
        .reshape(plane.height, -1)[:, : plane.width]
        .astype(np.float32)
        for plane in picture.planes
    ]

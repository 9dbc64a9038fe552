"""Between a clip's own colours and painting space. The only place that knows both."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import PyOpenColorIO  # type: ignore[import-untyped]

from engine.errors import InvalidValueError
from engine.types import Alpha, FloatArray, Frame

_CONFIG = "cg-config-v1.0.0_aces-v1.3_ocio-v2.1"
"""Built into OpenColorIO; named by version, so that an update cannot change a picture."""

_SPACES = {
    "srgb": "sRGB - Texture",
    "linear-rec709": "Linear Rec.709 (sRGB)",
    "acescg": "ACEScg",
}


def to_painting_space(frame: Frame) -> FloatArray:
    """The frame's colours [H, W, 3] in straight sRGB, limited to 0..1.

    Painting space ends at 1: what a linear picture holds above white is lost in it. Where alpha
    is 0, colours are taken as they stand. NaN becomes 0.

    Raises InvalidValueError for an unknown colour space.
    """
    rgb = frame.pixels[..., :3].astype(np.float32, order="C", copy=True)
    if frame.alpha is Alpha.PREMULTIPLIED:
        alpha = frame.pixels[..., 3:]
        np.divide(rgb, alpha, out=rgb, where=alpha > 0)
    rgb = _convert(np.nan_to_num(rgb, copy=False), frame.color_space, "srgb")
    return np.clip(rgb, 0.0, 1.0, out=rgb)


def from_painting_space(rgb: FloatArray, like: Frame) -> Frame:
    """`rgb` [H, W, 3] as a frame in the colour space and with the alpha of `like`.

    What a straight alpha hides keeps the colours of `like`: another effect may show it again.

    Raises InvalidValueError for an unknown colour space or another size.
    """
    if rgb.shape != (*like.pixels.shape[:2], 3):
        height, width = rgb.shape[:2]
        raise InvalidValueError(
            f"The picture is {width}x{height} but frame {like.index} is {like.size}: "
            "both must have one size."
        )
    pixels = np.empty_like(like.pixels, order="C")
    pixels[..., 3] = like.pixels[..., 3]
    pixels[..., :3] = _convert(
        rgb.astype(np.float32, order="C", copy=True), "srgb", like.color_space
    )
    if like.alpha is Alpha.PREMULTIPLIED:
        pixels[..., :3] *= pixels[..., 3:]
    if like.alpha is Alpha.STRAIGHT:
        np.copyto(pixels, like.pixels, where=like.pixels[..., 3:] == 0)
    return replace(like, pixels=pixels)


def _convert(rgb: FloatArray, source: str, target: str) -> FloatArray:
    """Converts in place, and returns, the C-contiguous `rgb`."""
    _check(source)
    _check(target)
    if source != target:
        _processor(source, target).applyRGB(rgb)
    return rgb


def _check(color_space: str) -> None:
    if color_space not in _SPACES:
        raise InvalidValueError(
            f"The colour space {color_space!r} is not known: choose one of {', '.join(_SPACES)}."
        )


@cache
def _processor(source: str, target: str) -> Any:
    """Lossless: the default optimisation replaces powers by approximations (4e-5 off)."""
    config = PyOpenColorIO.Config.CreateFromBuiltinConfig(_CONFIG)
    processor = config.getProcessor(_SPACES[source], _SPACES[target])
    return processor.getOptimizedCPUProcessor(PyOpenColorIO.OPTIMIZATION_LOSSLESS)


def with_alpha(frame: Frame, alpha: Alpha) -> Frame:
    """The frame with its alpha in another meaning; what becomes opaque loses its alpha."""
    if frame.alpha is alpha:
        return frame
    rgb, a = frame.pixels[..., :3], frame.pixels[..., 3:]
    if frame.alpha is Alpha.PREMULTIPLIED:
        rgb = np.divide(rgb, a, out=np.zeros_like(rgb), where=a > 0)
    if alpha is Alpha.PREMULTIPLIED and frame.alpha is Alpha.STRAIGHT:
        rgb = rgb * a
    if Alpha.OPAQUE in (alpha, frame.alpha):
        a = np.ones_like(a)
    return replace(frame, pixels=np.concatenate([rgb, a], axis=-1), alpha=alpha)

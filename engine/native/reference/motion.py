"""Flow, how far it can be trusted, and the guides of the patch search (section 4.2.1).

Everything is single precision in a fixed order, without fused multiply-add, so every backend gives
the same bits.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from engine.types import FloatArray

Guides = NDArray[np.uint8]


def warp(image: FloatArray, displacement: FloatArray) -> FloatArray:
    """`image` [h, w] or [h, w, C] sampled at p + displacement(p): [H, W] or [H, W, C].

    Bilinear; outside the image its border goes on.
    """
    height, width = image.shape[:2]
    x, y = np.moveaxis(_grid(displacement) + displacement, -1, 0)
    x, y = clamped(x, 0, width - 1), clamped(y, 0, height - 1)
    left, top = x.astype(np.int32), y.astype(np.int32)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    channels = (..., *[np.newaxis] * (image.ndim - 2))
    x, y = (x - left.astype(np.float32))[channels], (y - top.astype(np.float32))[channels]
    above = _between(image[top, left], image[top, right], x)
    below = _between(image[bottom, left], image[bottom, right], x)
    return _between(above, below, y)


def compose(
    first: FloatArray,
    first_confidence: FloatArray,
    second: FloatArray,
    second_confidence: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """The displacement [H, W, 2] and the confidence [H, W] of one flow after another."""
    composed = first + warp(second, first)
    return composed, first_confidence * warp(second_confidence, first)


def confidence(
    forward: FloatArray,
    backward: FloatArray,
    relative_tolerance: float,
    absolute_tolerance: float,
    widened: int,
) -> FloatArray:
    """[H, W] 0 where the way there and back does not end where it began, 1 where it does.

    The mask of what cannot be trusted is widened by a square of side `widened`, because flow is
    least sure next to an occlusion, and blurred by the same: it stays whole where it came from.
    """
    back = warp(backward, forward)
    lengths = _lengths(forward) + _lengths(back)
    tolerance = np.float32(relative_tolerance) * lengths + np.float32(absolute_tolerance)
    astray = np.logical_not(_lengths(forward + back) <= tolerance)
    untrusted = np.asarray(_squares(astray, widened, "constant").any((2, 3)))
    count = _squares(untrusted, widened, "edge").sum((2, 3), dtype=np.int32)
    area = np.float32(widened**2)
    return np.asarray((area - count.astype(np.float32)) / area)


def guides(source: FloatArray, temporal: FloatArray) -> Guides:
    """Colour, edge and temporal planes [H, W, 9] of a frame: the bytes next to 0..1.

    `source` and `temporal` are [H, W, 3].
    """
    return np.concatenate([_bytes(source), _bytes(_edges(source)), _bytes(temporal)], axis=-1)


def _edges(source: FloatArray) -> FloatArray:
    """The 3x3 Laplacian of each channel; 0.5 is flat."""
    padded = np.pad(source, ((1, 1), (1, 1), (0, 0)), mode="edge")
    sides = padded[1:-1, :-2] + padded[1:-1, 2:]
    ends = padded[:-2, 1:-1] + padded[2:, 1:-1]
    return np.asarray(0.5 + 0.5 * ((sides + ends) - 4 * source))


def _bytes(values: FloatArray) -> Guides:
    """0..1 as bytes, halves upwards."""
    return (clamped(values, 0, 1) * 255 + np.float32(0.5)).astype(np.uint8)


def clamped(values: FloatArray, lowest: float, highest: float) -> FloatArray:
    """NaN becomes the lowest value."""
    inside = np.where(values < highest, values, np.float32(highest))
    return np.where(values > lowest, inside, np.float32(lowest))


def _between(a: FloatArray, b: FloatArray, share: FloatArray) -> FloatArray:
    return np.asarray(a + share * (b - a))


def _lengths(vectors: FloatArray) -> FloatArray:
    x, y = np.moveaxis(vectors, -1, 0)
    return np.asarray(np.sqrt(x * x + y * y))


def _squares(mask: NDArray[np.bool_], side: int, border: str) -> NDArray[np.bool_]:
    """[H, W, side, side] the square around each pixel."""
    padded = np.pad(mask, side // 2, mode=border)  # type: ignore[call-overload]
    return sliding_window_view(padded, (side, side))


def _grid(displacement: FloatArray) -> FloatArray:
    """[H, W, 2] each pixel's own position."""
    y, x = np.indices(displacement.shape[:2], np.float32)
    return np.stack([x, y], axis=-1)

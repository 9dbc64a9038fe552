"""The finished picture of a patch synthesis, which samples the key frame between its pixels.

Patches lie on whole pixels. Where a picture moves by a fraction of one a frame they would jump one
after the other, and fine texture would swim (docs/decisions/0008).
"""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from engine.types import FloatArray

NEAREST = np.float32(0.5)
"""At most that across and down from where the flow leads, a patch lies exactly there."""
SAME_PLACE = np.float32(1.5**2)
"""Patches that place a pixel less than 1.5 pixels from its own place agree about it."""
TAPS = 8

Field = NDArray[np.int32]
"""[H, W, 2]: for each target pixel the source pixel that its patch comes from, x then y."""


def finished_picture(
    style: FloatArray, field: Field, to_source: FloatArray, patch_size: int
) -> FloatArray:
    """The picture [H, W, 3], in the precision and range of `style` [Hs, Ws, 3].

    The patches that overlap a pixel say where in the key frame it comes from, and those that agree
    with its own patch about it are one sample there; each of the others adds its colour. All weigh
    the more, the nearer their centre: where patches do not fit together a plain mean is blurred.
    `field` [H, W, 2] holds the pixel that each patch comes from, `to_source` [H, W, 2] the flow.
    """
    radius = patch_size // 2
    height, width = field.shape[:2]
    here = grid_of(height, width)
    found = field.astype(np.float32)
    lead = here.astype(np.float32) + to_source
    is_nearest = (np.abs(lead - found) <= NEAREST).all(-1, keepdims=True)
    places = np.where(is_nearest, lead, found)
    agreed_places = np.zeros((height, width, 2))
    agreed = np.zeros((height, width, 1))
    total = np.zeros((height, width, 1))
    others = np.zeros((height, width, 3))
    source = style.astype(np.float64)
    for step in product(range(-radius, radius + 1), repeat=2):
        neighbour = here + step[::-1]
        inside = ((neighbour >= 0) & (neighbour < (width, height))).all(-1, keepdims=True)
        x, y = np.moveaxis(neighbour.clip(0, (width - 1, height - 1)), -1, 0)
        weight = (radius + 1 - abs(step[0])) * (radius + 1 - abs(step[1])) * inside
        vote = places[y, x] - np.array(step[::-1], np.float32)
        agrees = _squared(vote - places) < SAME_PLACE
        agreed_places += np.where(agrees, weight * vote.astype(np.float64), 0)
        agreed += np.where(agrees, weight, 0)
        origin = (field[y, x] - step[::-1]).clip(0, size_of(style) - 1)
        others += np.where(agrees, 0, weight * source[origin[..., 1], origin[..., 0]])
        total += weight
    sampled = _sampled(source, agreed_places / agreed)
    return np.asarray(((others + agreed * sampled) / total).astype(np.float32))


def _sampled(source: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """[H, W, 3] at `places` [H, W, 2] by Lanczos of four lobes, within 0..1 or what the pixels
    around hold: next to a highlight nothing gets darker than black.
    """
    whole = np.floor(places)
    beyond = places - whole
    first = whole.astype(np.int64) - 3
    across, down = (_lanczos(beyond[..., axis]) for axis in (0, 1))
    sums = np.zeros((*places.shape[:2], 3))
    lowest, highest = np.zeros_like(sums), np.ones_like(sums)
    for i in range(TAPS):
        row = (first[..., 1] + i).clip(0, source.shape[0] - 1)
        row_sums = np.zeros_like(sums)
        for j in range(TAPS):
            column = (first[..., 0] + j).clip(0, source.shape[1] - 1)
            colour = source[row, column]
            row_sums += across[j][..., None] * colour
            lowest, highest = np.fmin(lowest, colour), np.fmax(highest, colour)
        sums += down[i][..., None] * row_sums
    mean = sums / (across.sum(0) * down.sum(0))[..., None]
    return np.where(mean < lowest, lowest, np.where(mean > highest, highest, mean))


def _lanczos(beyond: NDArray[np.float64]) -> NDArray[np.float64]:
    """[TAPS, H, W] what the eight pixels around say of a place `beyond` (0..1) the fourth."""
    away = beyond + (3 - np.arange(TAPS))[:, None, None]
    weights = np.sinc(away) * np.sinc(away / 4)
    return np.where(beyond > 0, weights, np.arange(TAPS)[:, None, None] == 3)


def _squared(vectors: FloatArray) -> FloatArray:
    x, y = vectors[..., :1], vectors[..., 1:]
    return np.asarray(x * x + y * y)


def grid_of(height: int, width: int) -> Field:
    """[H, W, 2] each pixel's own position."""
    y, x = np.indices((height, width), np.int32)
    return np.stack([x, y], axis=-1)


def size_of(image: NDArray[np.generic]) -> NDArray[np.int_]:
    """Width and height."""
    return np.array([image.shape[1], image.shape[0]])

"""A key frame painted in brush strokes by a few rules: no network, the same bits everywhere."""

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.types import FloatArray

Picture8 = NDArray[np.uint8]
"""[H, W, 3], sRGB."""

SPACING = 5
"""Of the strokes, in pixels."""
LENGTHS = (9, 15)
BRISTLES = (-2, -1, 0, 1, 2)
"""Of a brush, in pixels from its middle; each leaves a line of its own shade."""
_SMOOTHING = 4.0
_SUBPIXEL_BITS = 4


def brush_strokes(source: Picture8, seed: int = 0) -> Picture8:
    """The source repainted in strokes of 9 to 15 pixels that follow its edges, bristles and all."""
    random = np.random.default_rng(seed)
    height, width = source.shape[:2]
    y, x = np.mgrid[0 : height + SPACING : SPACING, 0 : width + SPACING : SPACING]
    centres = np.stack([x.ravel(), y.ravel()], 1) + random.uniform(-0.5, 0.5, (x.size, 2)) * SPACING
    random.shuffle(centres)
    columns, rows = np.rint(centres).astype(int).clip(0, (width - 1, height - 1)).T
    angles = _edge_angles(source)[rows, columns] + random.normal(0, 0.25, len(centres))
    along = np.stack([np.cos(angles), np.sin(angles)], 1)
    across = along[:, ::-1] * (-1, 1)
    half = random.uniform(*LENGTHS, (len(centres), 1)) / 2 * along
    paint = cv2.GaussianBlur(source, (0, 0), 2).astype(np.float32)[rows, columns]
    paint = paint * 1.15 - 0.15 * 128 + random.normal(0, 9, paint.shape)
    shades = random.normal(0, 20, (len(BRISTLES), len(centres), 1))

    canvas = cv2.GaussianBlur(source, (0, 0), 4)
    ends = [
        _fixed_point(np.stack([centres + b * across - half, centres + b * across + half], 1))
        for b in BRISTLES
    ]
    colours = (paint + shades).clip(0, 255)
    for stroke in range(len(centres)):
        for bristle in range(len(BRISTLES)):
            first, last = ends[bristle][stroke].tolist()
            colour = colours[bristle, stroke].tolist()
            cv2.line(canvas, first, last, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    return np.asarray(canvas, np.uint8)


def _edge_angles(source: Picture8) -> FloatArray:
    """[H, W] the direction in which the picture changes least, from its structure tensor."""
    gray = cv2.cvtColor(source, cv2.COLOR_RGB2GRAY).astype(np.float32)
    dx, dy = cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1)
    xx, yy, xy = (cv2.GaussianBlur(d, (0, 0), _SMOOTHING) for d in (dx * dx, dy * dy, dx * dy))
    return np.asarray(0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2, np.float32)


def _fixed_point(points: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.rint(points * (1 << _SUBPIXEL_BITS)).astype(np.int64)

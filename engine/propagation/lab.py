"""sRGB to CIE-LAB (D65) and back, exact to float precision.

OpenCV's conversion interpolates a table: a colour returns changed by up to 0.005.
"""

import numpy as np

from engine.types import FloatArray

_XYZ_OF_RGB = np.array(
    [
        [0.4123908, 0.3575843, 0.1804808],
        [0.2126390, 0.7151687, 0.0721923],
        [0.0193308, 0.1191948, 0.9505322],
    ],
    np.float32,
)
_WHITE = _XYZ_OF_RGB.sum(axis=1)
_TO_WHITE = _XYZ_OF_RGB / _WHITE[:, None]
_FROM_WHITE = np.linalg.inv(_TO_WHITE.astype(np.float64)).astype(np.float32)
_KNEE = 6 / 29


def srgb_to_lab(rgb: FloatArray) -> FloatArray:
    """[H, W, 3]: L in 0..100, a and b in the same unit."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((np.maximum(rgb, 0) + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _TO_WHITE.T
    root = np.where(ratio > _KNEE**3, np.cbrt(ratio), ratio / (3 * _KNEE**2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1).astype(np.float32)


def lab_to_srgb(lab: FloatArray) -> FloatArray:
    """[H, W, 3] in 0..1; colours outside sRGB are clipped."""
    lightness, a, b = np.moveaxis(lab, -1, 0)
    y = (lightness + 16) / 116
    root = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    ratio = np.where(root > _KNEE, root**3, 3 * _KNEE**2 * (root - 4 / 29))
    linear = (ratio @ _FROM_WHITE.T).clip(0, 1)
    rgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb.clip(0, 1).astype(np.float32)

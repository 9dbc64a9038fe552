"""Pictures and flows moved along a flow."""

import cv2
import numpy as np

from engine.types import FloatArray, Flow

_PRECISE_CHANNELS = {1, 3, 4}
"""With any other number cv2.remap (5.0) rounds positions to 1/32 of a pixel."""


def warp(image: FloatArray, flow: Flow) -> FloatArray:
    """`image` [h, w] or [h, w, C] sampled at p + displacement(p): [H, W] or [H, W, C].

    Bilinear; outside the image its border goes on.
    """
    height, width = image.shape[:2]
    x, y = _targets(flow)
    x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    if image.ndim == 2 or image.shape[2] in _PRECISE_CHANNELS:
        sampled = _sample(image, x, y)
    else:
        sampled = np.dstack([_sample(plane, x, y) for plane in np.moveaxis(image, -1, 0)])
    return sampled.reshape(*x.shape, *image.shape[2:])


def compose(first: Flow, second: Flow) -> Flow:
    """The flow from a to c, of the flows from a to b and from b to c."""
    return Flow(first.displacement + warp(second.displacement, first))


def _sample(image: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    image = np.ascontiguousarray(image)
    sampled = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32)


def _targets(flow: Flow) -> tuple[FloatArray, FloatArray]:
    """Where each pixel arrives, x and y, each [H, W]."""
    height, width = flow.displacement.shape[:2]
    x = np.arange(width, dtype=np.float32) + flow.displacement[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow.displacement[..., 1]
    return x, y

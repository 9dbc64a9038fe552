"""The colours of one picture given to another (5.4)."""

import cv2
import numpy as np

from engine.types import FloatArray


def match_colors(picture: FloatArray, like: FloatArray) -> FloatArray:
    """`picture` with the histograms of `like` in a and b of CIE-LAB, and its own luminosity.

    Both are [H, W, 3] in painting space, of any size.
    """
    lab, wanted = (
        np.asarray(cv2.cvtColor(each, cv2.COLOR_RGB2LAB), np.float32) for each in (picture, like)
    )
    for channel in (1, 2):
        lab[..., channel] = _with_histogram(lab[..., channel], wanted[..., channel])
    return np.ascontiguousarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB).clip(0, 1), np.float32)


def _with_histogram(values: FloatArray, like: FloatArray) -> FloatArray:
    """Each value becomes the one that has the same share of all values of `like` below it."""
    _, level_of, counts = np.unique(values, return_inverse=True, return_counts=True)
    shares = (np.cumsum(counts) - counts / 2) / values.size
    wanted = np.sort(like, axis=None)
    wanted_shares = (np.arange(wanted.size) + 0.5) / wanted.size
    matched = np.interp(shares, wanted_shares, wanted).astype(np.float32)
    return np.asarray(matched[level_of].reshape(values.shape))

"""A quick look at a painting that is not finished."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad, pixel_shuffle, pixel_unshuffle, unfold

from engine.types import FloatArray

_SIDE = 2
"""Pixels to a side of a latent cell."""
_RIDGE = 1e-4
"""Keeps a frame of few cells from being learnt by heart."""


@dataclass(frozen=True)
class RoughDecoder:
    """Tells the colours of a latent cell from the cell and its neighbours, linearly.

    It is fitted to the latents of a frame and the frame itself. A hundredth of a second in place of
    the seconds that a VAE needs on a processor, and clearer than what a VAE makes of latents that
    were reduced to be quick.
    """

    weights: Tensor
    """[9 C + 1, 3 * _SIDE ** 2]: of the cell and its neighbours, and a constant."""

    @classmethod
    def fitted(cls, latent: Tensor, pixels: Tensor) -> "RoughDecoder":
        """By least squares to the latent [1, C, h, w] of a picture [1, 3, H, W], -1..1."""
        size = [side * _SIDE for side in latent.shape[2:]]
        small = interpolate(pixels.cpu().double(), size=size, mode="area")
        colors = pixel_unshuffle(small, _SIDE)[0].flatten(1).T
        cells = _with_neighbours(latent)
        ridge = _RIDGE * len(cells) * torch.eye(cells.shape[1], dtype=cells.dtype)
        return cls(torch.linalg.solve(cells.T @ cells + ridge, cells.T @ colors))

    def picture(self, latent: Tensor) -> FloatArray:
        """What a latent [1, C, h, w] shows: [h * _SIDE, w * _SIDE, 3], 0..1."""
        colors = (_with_neighbours(latent) @ self.weights).T.reshape(1, -1, *latent.shape[2:])
        planes = pixel_shuffle(colors, _SIDE)[0].permute(1, 2, 0)
        return np.asarray(((planes + 1) / 2).clamp(0, 1).float().contiguous().numpy())


def _with_neighbours(latent: Tensor) -> Tensor:
    """[h w, 9 C + 1], on the processor: nothing is asked of a card that is at work."""
    padded = pad(latent.cpu().double(), (1, 1, 1, 1), mode="replicate")
    cells = unfold(padded, 3)[0].T
    return torch.cat([cells, torch.ones(len(cells), 1, dtype=cells.dtype)], 1)

"""Fidelity-oriented image encoding (4.1.3)."""

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import max_pool2d

_WORST_ERROR = 0.25
"""Mean over the channels of pixels from -1 to 1; where more is left, nothing is compensated."""


def fidelity_encoding(
    pixels: Tensor, encode: Callable[[Tensor], Tensor], decode: Callable[[Tensor], Tensor]
) -> Tensor:
    """E* of Eq. 9: encodes [1, 3, H, W], -1..1, so that less is lost in decoding.

    What encoding and decoding lose a second time tells what they lost the first time, and is added
    beforehand (Eq. 8, lambda 1), except where that makes the picture worse.
    """
    once = encode(pixels)
    compensation = once - encode(decode(once))
    error = (decode(once + compensation) - pixels).abs().mean(1, keepdim=True)
    cell = pixels.shape[-1] // once.shape[-1]
    bad_cells = max_pool2d((error > _WORST_ERROR).to(once), cell)
    return once + (1 - max_pool2d(bad_cells, 3, 1, 1)) * compensation

"""Latent consistency models (Luo et al. 2023): a picture in few steps, each from the start."""

import math

from torch import Tensor

_DATA_DEVIATION = 0.5
_TIME_SCALE = 10.0


def consistent(x: Tensor, x0: Tensor, t: float) -> Tensor:
    """c_skip(t) x_t + c_out(t) x0: what is at x_t already at t = 0, and x0 soon after it."""
    scaled = _TIME_SCALE * t
    variance = scaled**2 + _DATA_DEVIATION**2
    skip, out = _DATA_DEVIATION**2 / variance, scaled / math.sqrt(variance)
    return skip * x + out * x0

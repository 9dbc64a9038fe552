"""Numbers as pictures of half precision hold them."""

import numpy as np

from engine.types import FloatArray


def nearest_half(values: FloatArray) -> FloatArray:
    """Each value rounded to the nearest that 16-bit floats have; beyond the largest, infinity."""
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)

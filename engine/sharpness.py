"""How sharp a picture is. NumPy is all that this needs."""

import numpy as np

from engine.types import FloatArray


def mean_gradient(picture: FloatArray) -> float:
    """Mean magnitude of the differences to the right and to the lower neighbour of [H, W, 3]."""
    across, down = np.diff(picture, axis=1)[:-1], np.diff(picture, axis=0)[:, :-1]
    return float(np.hypot(across, down).mean(dtype=np.float64))

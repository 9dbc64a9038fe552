from collections.abc import Callable, Iterator

import numpy as np
import pytest

from engine.types import FloatArray

Picture = Callable[[int, int, int], FloatArray]


@pytest.fixture(scope="session")
def noise() -> Picture:
    """A picture of that height and width, another one for another seed."""

    def noise(height: int, width: int, seed: int) -> FloatArray:
        return np.random.default_rng(seed).random((height, width, 3), np.float32)

    return noise


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch on one thread: on more, small tensors take long where other work uses the cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)

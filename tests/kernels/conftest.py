"""Every backend that this machine has."""

from collections.abc import Callable

import pytest

from engine.native.kernels import Kernels, cuda_device_count


def _cuda() -> Kernels:
    if cuda_device_count() == 0:
        pytest.skip("there is no CUDA device here, or the CUDA kernels are not built")
    return Kernels.cuda()


_BACKENDS: dict[str, Callable[[], Kernels]] = {
    "one thread": lambda: Kernels.processor(threads=1),
    "three threads": lambda: Kernels.processor(threads=3),
    "cuda": _cuda,
}


@pytest.fixture(scope="session", params=_BACKENDS)
def kernels(request: pytest.FixtureRequest) -> Kernels:
    """A test that takes this runs once on each."""
    return _BACKENDS[request.param]()

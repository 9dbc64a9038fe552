"""Kernels with their threads and memory: opened, shared, let go."""

import gc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engine.errors import InvalidValueError
from engine.native.kernels import DeviceFlow, Kernels, SynthesisTask, cuda_device_count
from engine.native.parameters import SynthesisParameters
from engine.types import FloatArray
from tests.patience import wait_until

SIZE = (40, 56)
COLLECTING = Path(__file__).with_name("collect_inside_a_call.py")


def carried(kernels: Kernels, seed: int) -> FloatArray:
    """A synthesis of noise."""
    random = np.random.default_rng(seed)
    style = kernels.upload(random.random((*SIZE, 3), np.float32))
    source, target = (
        kernels.upload(random.integers(0, 256, (*SIZE, 9), np.uint8)) for _ in range(2)
    )
    still = DeviceFlow(
        kernels.upload(np.zeros((*SIZE, 2), np.float32)),
        kernels.upload(np.ones(SIZE, np.float32)),
    )
    task = SynthesisTask(style, source, target, still, SynthesisParameters((1.0,) * 9))
    (made,) = kernels.synthesize([task])
    return kernels.download(made.picture)


def test_threads_that_share_kernels_take_turns(kernels: Kernels) -> None:
    seeds = [1, 2, 3, 4, 5] * 3
    alone = {seed: carried(kernels, seed) for seed in set(seeds)}
    with ThreadPoolExecutor(5) as callers:
        together = list(callers.map(lambda seed: carried(kernels, seed), seeds))
    for seed, picture in zip(seeds, together, strict=True):
        np.testing.assert_array_equal(picture, alone[seed])


def test_a_collection_in_the_middle_of_a_call_gives_memory_back() -> None:
    """And the call does not wait for itself; where it did, the process would never end."""
    done = subprocess.run(
        [sys.executable, str(COLLECTING)], capture_output=True, text=True, timeout=300, check=False
    )
    made, given_back = done.stdout.split() or (done.stderr, "")
    assert int(made) == int(given_back) > 0


def test_a_tensor_on_a_card_passes_without_a_copy() -> None:
    torch = pytest.importorskip("torch")
    if cuda_device_count() == 0 or not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here, or the CUDA kernels are not built")
    kernels = Kernels.cuda()
    image = torch.rand(*SIZE, 3, device="cuda")
    torch.cuda.synchronize()
    adopted = kernels.adopt(image)
    assert adopted.pointer == image.data_ptr()
    unmoved = kernels.warp(adopted, kernels.upload(np.zeros((*SIZE, 2), np.float32)))
    np.testing.assert_array_equal(kernels.download(unmoved), image.cpu().numpy())
    with pytest.raises(InvalidValueError, match="strides"):
        kernels.adopt(image.transpose(0, 1))


def test_kernels_side_by_side_do_not_disturb_each_other() -> None:
    contexts = [Kernels.processor(threads) for threads in (1, 2, 3)]
    expected = carried(contexts[0], seed=1)
    with ThreadPoolExecutor(3) as callers:
        for picture in callers.map(lambda kernels: carried(kernels, seed=1), contexts * 3):
            np.testing.assert_array_equal(picture, expected)


def test_kernels_that_are_let_go_end_their_threads() -> None:
    carried(Kernels.processor(threads=1), seed=1)  # other libraries start theirs, which stay
    before = native_threads()
    kernels = Kernels.processor(threads=32)
    carried(kernels, seed=1)
    assert native_threads() > before + 16  # of earlier tests some may still be about to end
    del kernels
    gc.collect()
    wait_until(lambda: native_threads() <= before)  # the system lists one a moment longer


def native_threads() -> int:
    """Of this process."""
    return len(list(Path("/proc/self/task").iterdir()))

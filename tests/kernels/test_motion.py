"""Flow, confidence and guides: every backend against its twin, and what an editor would see.

All arithmetic is exact single precision in a fixed order: results are equal bit for bit.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.errors import InbetweenError, InvalidValueError, OutOfMemoryError
from engine.native import abi
from engine.native.kernels import (
    ABSOLUTE_TOLERANCE_PIXELS,
    RELATIVE_TOLERANCE,
    WIDENED_PIXELS,
    DeviceArray,
    DeviceFlow,
    Kernels,
)
from engine.native.reference import motion as twin
from engine.types import FloatArray

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
"""NumPy's, of the numbers without meaning that some tests give."""

SIZES = [(1, 1), (1, 2), (9, 1), (2, 31), (33, 32), (37, 70), (129, 65)]
"""Height and width."""


def noise(*shape: int, seed: int = 1) -> FloatArray:
    return np.random.default_rng(seed).random(shape, np.float32)


def wild_flow(height: int, width: int, seed: int = 2) -> FloatArray:
    """Most ways are short, some lead far outside, a few nowhere at all."""
    random = np.random.default_rng(seed)
    flow = random.normal(0, 3, (height, width, 2)).astype(np.float32)
    flow[random.random((height, width)) < 0.1] *= 100
    for nowhere in (np.nan, np.inf, -np.inf, 3e38, -3e38):
        flow[random.random((height, width)) < 0.01] = nowhere
    return flow


def patchy_confidence(height: int, width: int, seed: int = 3) -> FloatArray:
    """Trusted, not trusted, and everything between."""
    random = np.random.default_rng(seed)
    return random.uniform(-1, 2, (height, width)).clip(0, 1).astype(np.float32)


def on_device(function: Callable[..., DeviceArray], kernels: Kernels, *arrays: Any) -> NDArray[Any]:
    return kernels.download(function(*(kernels.upload(array) for array in arrays)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", range(1, 17))
def test_a_warp_is_that_of_its_twin(kernels: Kernels, size: tuple[int, int], channels: int) -> None:
    image, flow = noise(*size, channels), wild_flow(*size)
    assert_equal(on_device(kernels.warp, kernels, image, flow), twin.warp(image, flow))


def test_a_warp_takes_an_image_of_another_size_than_the_flow(kernels: Kernels) -> None:
    image, flow = noise(23, 50), wild_flow(40, 31)
    assert_equal(on_device(kernels.warp, kernels, image, flow), twin.warp(image, flow))


@pytest.mark.parametrize("size", SIZES)
def test_a_composition_is_that_of_its_twin(kernels: Kernels, size: tuple[int, int]) -> None:
    first = wild_flow(*size, seed=4), patchy_confidence(*size, seed=5)
    second = wild_flow(*size, seed=6), patchy_confidence(*size, seed=7)
    composed = kernels.compose(*(DeviceFlow(*map(kernels.upload, f)) for f in (first, second)))
    displacement, confidence = twin.compose(*first, *second)
    assert_equal(kernels.download(composed.displacement), displacement)
    assert_equal(kernels.download(composed.confidence), confidence)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("share", [0.003, 0.3, 1.0])
def test_a_confidence_is_that_of_its_twin(
    kernels: Kernels, size: tuple[int, int], share: float
) -> None:
    forward, backward = flows_that_part(size, share)
    trusted = kernels.trusted(kernels.upload(forward), kernels.upload(backward))
    expected = twin.confidence(
        forward, backward, RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE_PIXELS, WIDENED_PIXELS
    )
    assert_equal(kernels.download(trusted.confidence), expected)


@pytest.mark.parametrize("widened", [1, 3, 31, 33, 63])
def test_a_confidence_can_be_widened_by_any_square(kernels: Kernels, widened: int) -> None:
    forward, backward = flows_that_part((70, 101), 0.002)
    there, back = kernels.upload(forward), kernels.upload(backward)
    confidence = kernels.empty((70, 101))
    kernels._run(
        abi.Confidence(
            width=101,
            height=70,
            relative_tolerance=0.01,
            absolute_tolerance=0.5,
            widened=widened,
            forward=there.pointer,
            backward=back.pointer,
            confidence=confidence.pointer,
        )
    )
    expected = twin.confidence(forward, backward, 0.01, 0.5, widened)
    assert_equal(kernels.download(confidence), expected)


def test_flow_is_trusted_where_the_way_back_ends_where_it_began(kernels: Kernels) -> None:
    """A square moves right by 8 px: what it covers and uncovers has no match."""
    forward = np.zeros((60, 80, 2), np.float32)
    backward = forward.copy()
    forward[20:40, 20:40, 0], backward[20:40, 28:48, 0] = 8, -8
    trusted = kernels.trusted(kernels.upload(forward), kernels.upload(backward))
    confidence = kernels.download(trusted.confidence)
    assert (confidence[:, :10] == 1).all()
    assert (confidence[24:36, 22:32] == 1).all()
    assert (confidence[20:40, 40:48] == 0).all()


@pytest.mark.parametrize("size", [*SIZES, (331, 517)])
def test_the_guides_are_those_of_the_twin(kernels: Kernels, size: tuple[int, int]) -> None:
    source = 2 * noise(*size, 3, seed=8) - np.float32(0.5)
    temporal = noise(*size, 3, seed=9)
    assert_equal(
        on_device(kernels.guides, kernels, source, temporal), twin.guides(source, temporal)
    )


def test_values_that_are_no_numbers_do_no_harm(kernels: Kernels) -> None:
    picture = noise(40, 40, 3)
    picture[10:20], picture[30:] = np.nan, np.inf
    assert_equal(
        on_device(kernels.guides, kernels, picture, picture), twin.guides(picture, picture)
    )


def test_a_wrong_value_is_named(kernels: Kernels) -> None:
    image = kernels.upload(noise(4, 4, 65))
    with pytest.raises(InvalidValueError, match="channels is 65: choose 1 to 64"):
        kernels.warp(image, kernels.upload(wild_flow(4, 4)))


def test_too_much_memory_is_refused_and_the_kernels_stay_usable(kernels: Kernels) -> None:
    pointer = ctypes.c_void_p()
    with pytest.raises(OutOfMemoryError, match="too little memory"):
        kernels._call(
            "inbetween_allocate", kernels._context, ctypes.c_uint64(2**60), ctypes.byref(pointer)
        )
    image, flow = noise(9, 9, 3), wild_flow(9, 9)
    assert_equal(on_device(kernels.warp, kernels, image, flow), twin.warp(image, flow))


def test_memory_holds_what_was_brought_there(kernels: Kernels) -> None:
    image = noise(100, 70, 3)
    uploaded = kernels.upload(image)
    assert uploaded.pointer % 4 == 0
    assert_equal(kernels.download(uploaded), image)
    kernels.finish()


def test_a_device_that_does_not_exist_is_named() -> None:
    with pytest.raises(InbetweenError, match=r"no CUDA device 99|cannot be loaded"):
        Kernels.cuda(99)


def flows_that_part(size: tuple[int, int], share: float) -> tuple[FloatArray, FloatArray]:
    """There and back within the tolerance, but for a share of the pixels that go anywhere."""
    forward = np.full((*size, 2), (1.5, -0.75), np.float32)
    backward = -forward
    astray = np.random.default_rng(10).random(size) < share
    forward[astray] = wild_flow(*size)[astray]
    return forward, backward


def assert_equal(actual: NDArray[Any], expected: NDArray[Any]) -> None:
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)

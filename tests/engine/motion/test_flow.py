from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from engine.motion.flow import DisFlow
from engine.types import FloatArray


@pytest.fixture
def threads() -> Iterator[None]:
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


def texture(height: int, width: int) -> FloatArray:
    values = np.random.default_rng(3).random((height, width, 3), dtype=np.float32)
    return np.asarray(cv2.GaussianBlur(values, (0, 0), 2), np.float32)


def test_flow_leads_from_the_first_picture_to_the_second() -> None:
    first = texture(96, 128)
    second = np.roll(first, (2, 3), axis=(0, 1))
    inner = DisFlow().estimate(first, second).displacement[16:-16, 16:-16]
    np.testing.assert_allclose(np.median(inner, axis=(0, 1)), (3, 2), atol=0.1)


@pytest.mark.usefixtures("threads")
def test_flow_does_not_depend_on_the_number_of_threads() -> None:
    first, second = texture(90, 120), texture(90, 120)[::-1].copy()
    flows = []
    for count in (1, 2, 5):
        cv2.setNumThreads(count)
        flows.append(DisFlow().estimate(first, second).displacement)
    assert np.array_equal(flows[0], flows[1])
    assert np.array_equal(flows[0], flows[2])


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (12, 40), (40, 12), (33, 31)])
def test_pictures_of_any_size_have_flow(size: tuple[int, int]) -> None:
    flow = DisFlow().estimate(texture(*size), texture(*size))
    assert flow.displacement.shape == (*size, 2)
    assert np.isfinite(flow.displacement).all()

import numpy as np
import pytest

from engine.plan import Direction
from engine.propagation.carry import FlowChain, positions
from engine.types import Flow

SIZE = (32, 48)


class Drift:
    """Everything moves by `speed` pixels a frame to the right; counts what it is asked."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self.asked: list[tuple[int, int]] = []

    def __call__(self, first: int, second: int) -> Flow:
        self.asked.append((first, second))
        return Flow(np.full((*SIZE, 2), ((second - first) * self.speed, 0), np.float32))


@pytest.mark.parametrize(
    ("direction", "frame"), [(Direction.FORWARD, 30), (Direction.BACKWARD, 10)]
)
def test_slow_movement_adds_up_over_many_frames(direction: Direction, frame: int) -> None:
    chain = FlowChain(20, direction, Drift(0.3))
    flow = chain.to_key(frame)
    expected = (20 - frame) * 0.3
    assert np.allclose(flow.displacement[..., 0], expected, atol=1e-5)
    assert np.allclose(positions(flow)[5, 7], (7 + expected, 5), atol=1e-5)


def test_one_flow_is_asked_for_each_frame_on_the_way() -> None:
    drift = Drift(1.0)
    chain = FlowChain(4, Direction.BACKWARD, drift)
    for frame in (3, 2, 0):
        chain.to_key(frame)
    assert drift.asked == [(3, 4), (2, 3), (1, 2), (0, 1)]


def test_a_chain_that_starts_in_the_middle_has_the_same_bits() -> None:
    random = np.random.default_rng(0)
    flows = {
        frame: Flow(random.normal(0, 2, (*SIZE, 2)).astype(np.float32)) for frame in range(1, 6)
    }
    step_by_step = FlowChain(0, Direction.FORWARD, lambda first, _: flows[first])
    for frame in range(1, 6):
        flow = step_by_step.to_key(frame)
    at_once = FlowChain(0, Direction.FORWARD, lambda first, _: flows[first]).to_key(5)
    assert np.array_equal(flow.displacement, at_once.displacement)

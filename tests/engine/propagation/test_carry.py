import numpy as np
import pytest

from engine.native.kernels import processor
from engine.plan import Direction
from engine.propagation.carry import FlowChain, PicturesAndFlow
from engine.types import FloatArray, Flow

SIZE = (32, 48)


class Drift:
    """Everything moves by `speed` pixels a frame to the right; counts what it is asked."""

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self.asked: list[tuple[int, int]] = []

    def rgb(self, index: int) -> FloatArray:
        raise NotImplementedError

    def flow(self, first: int, second: int) -> Flow:
        self.asked.append((first, second))
        return Flow(np.full((*SIZE, 2), ((second - first) * self.speed, 0), np.float32))


class Turmoil:
    """Every flow is noise."""

    def rgb(self, index: int) -> FloatArray:
        raise NotImplementedError

    def flow(self, first: int, second: int) -> Flow:
        random = np.random.default_rng((first, second))
        return Flow(random.normal(0, 2, (*SIZE, 2)).astype(np.float32))


def chain(key_frame: int, direction: Direction, footage: PicturesAndFlow) -> FlowChain:
    return FlowChain(key_frame, direction, footage, processor())


def displacement(chain: FlowChain, frame: int) -> FloatArray:
    return processor().download(chain.ways_from(frame).to_key.displacement)


@pytest.mark.parametrize(
    ("direction", "frame"), [(Direction.FORWARD, 30), (Direction.BACKWARD, 10)]
)
def test_slow_movement_adds_up_over_many_frames(direction: Direction, frame: int) -> None:
    drifted = displacement(chain(20, direction, Drift(0.3)), frame)
    assert np.allclose(drifted[..., 0], (20 - frame) * 0.3, atol=1e-5)
    assert not drifted[..., 1].any()


def test_one_flow_there_and_back_is_asked_for_each_frame_on_the_way() -> None:
    drift = Drift(1.0)
    flows = chain(4, Direction.BACKWARD, drift)
    for frame in (3, 2, 0):
        flows.ways_from(frame)
    assert drift.asked == [(3, 4), (4, 3), (2, 3), (3, 2), (1, 2), (2, 1), (0, 1), (1, 0)]


def test_a_chain_that_starts_in_the_middle_has_the_same_bits() -> None:
    step_by_step = chain(0, Direction.FORWARD, Turmoil())
    for frame in range(1, 6):
        flow = displacement(step_by_step, frame)
    assert np.array_equal(flow, displacement(chain(0, Direction.FORWARD, Turmoil()), 5))


def test_what_was_hidden_on_the_way_is_not_trusted_beyond() -> None:
    class Hidden(Drift):
        """Between frames 1 and 2 the way there and back does not agree on the left."""

        def flow(self, first: int, second: int) -> Flow:
            flow = super().flow(first, second)
            if (first, second) == (1, 2):
                flow.displacement[:, :16] = 20
            return flow

    flows = chain(0, Direction.FORWARD, Hidden(0.0))
    confidence = [
        processor().download(flows.ways_from(frame).to_key.confidence) for frame in (1, 2, 3)
    ]
    assert (confidence[0] == 1).all()
    for later in confidence[1:]:
        assert (later[:, :12] == 0).all()
        assert (later[:, 32:] == 1).all()

"""What the frames between two key frames are made of, seen through whole renders."""

import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from engine import footage as footage_module
from engine.motion.flow import DisFlow, FlowEstimator
from engine.pipeline import execute
from engine.plan import Paint, Propagate
from engine.store import StoredPicture
from engine.types import FloatArray, Flow, Frame, FrameSize, KeyFrame
from tests.engine.test_pipeline import KERNELS, SETTINGS, Memory, PanningClip, plan_of, run

if TYPE_CHECKING:
    from tests.engine.conftest import Photo, Recorder

LAST = 11
SIZE = FrameSize(192, 48)
DIS = DisFlow()
OF_THE_CHOICE = 0.01
"""Mean difference of pictures, 0..1, that are alike but for the choice of a side, which is carried
along time: it goes on from another frame when time is reversed."""
STEP = 16
"""Pixels, of what happens in one frame; it happens all over the width."""


@dataclass
class Still(PanningClip):
    """Nothing moves."""

    def read(self, index: int) -> Frame:
        self.reads.append(index)
        return Frame(index, np.dstack([self.picture, np.ones(self.picture.shape[:2], np.float32)]))


class NoMotion:
    """Finds that nothing moves, whatever is there."""

    name = "none"
    recipe = "none"

    def prepare(self) -> None:
        pass

    def estimate(self, first: FloatArray, second: FloatArray) -> Flow:
        return Flow(np.zeros((*first.shape[:2], 2), np.float32))


class CountedFlow(DisFlow):
    """Knows how many of its flows are held."""

    def __init__(self) -> None:
        self._alive = 0
        self.most_alive = 0

    def estimate(self, first: FloatArray, second: FloatArray) -> Flow:
        flow = super().estimate(first, second)
        self._alive += 1
        self.most_alive = max(self.most_alive, self._alive)
        weakref.finalize(flow.displacement, self._let_go)
        return flow

    def _let_go(self) -> None:
        self._alive -= 1


@dataclass
class Backwards(PanningClip):
    """The clip as it runs backwards."""

    def read(self, index: int) -> Frame:
        return replace(super().read(LAST - index), index=index)


@pytest.fixture
def paintings() -> tuple[FloatArray, FloatArray]:
    """Of the first and of the last frame, by hand: noise, which tells where it comes from."""
    first, last = np.random.default_rng(1).random((2, SIZE.height, SIZE.width, 3), np.float32)
    return first, last


def rendered(
    footage: PanningClip,
    report: "Recorder",
    first: FloatArray,
    last: FloatArray,
    flow: FlowEstimator = DIS,
) -> Memory:
    """With key frames at both ends, painted so."""
    store = Memory({"first": StoredPicture(first), "last": StoredPicture(last)})
    plan = plan_of(footage, [KeyFrame(0, take="first"), KeyFrame(LAST, take="last")])
    execute(plan, footage, SETTINGS, store, report, flow, KERNELS)
    return store


def finished(store: Memory, index: int) -> FloatArray:
    return store.frames[index].pixels[..., :3]


def likeness(one: FloatArray, other: FloatArray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_every_frame_can_be_a_key_frame(photo: "Photo", report: "Recorder") -> None:
    footage = Still(photo(SIZE.height, SIZE.width), SIZE, 4)
    store = run(footage, plan_of(footage, range(4)), report)
    assert report.made(Paint) == sorted(store.sequence) == [0, 1, 2, 3]
    assert len(report.finished) == 4


def test_the_errors_of_both_directions_lie_where_their_own_frame_has_what_no_key_frame_has(
    photo: "Photo", report: "Recorder"
) -> None:
    def spot(index: int) -> tuple[slice, slice]:
        return slice(16, 32), slice(STEP * index, STEP * (index + 1))

    class Spots(Still):
        """In every frame but the key frames a spot, always at another place."""

        def read(self, index: int) -> Frame:
            frame = super().read(index)
            if 0 < index < LAST:
                frame.pixels[spot(index)][..., :3] = 1
            return frame

    footage = Spots(np.float32(0.3) * photo(SIZE.height, SIZE.width), SIZE, LAST + 1)
    plan = plan_of(footage, [0, LAST])
    store = run(footage, plan, report)
    carried = [step for step in plan.steps if isinstance(step, Propagate)]
    assert len(carried) == 2 * (LAST - 1)
    for step in carried:
        error = store.load(step.address).patch_error
        assert error is not None
        misfits = {index: error[spot(index)].mean() for index in range(1, LAST)}
        own = misfits.pop(step.frame)
        assert own > 10 * max(misfits.values())


def test_every_frame_takes_each_place_from_the_key_frame_that_shows_the_same_there(
    photo: "Photo", report: "Recorder", paintings: tuple[FloatArray, FloatArray]
) -> None:
    class Curtain(Still):
        """Moves from left to right, and leaves behind it what the last frame shows."""

        def read(self, index: int) -> Frame:
            frame = super().read(index)
            end = STEP * (index + 1)
            frame.pixels[:, :end, :3] = self.picture[::-1, ::-1][:, :end]
            return frame

    footage = Curtain(photo(SIZE.height, SIZE.width), SIZE, LAST + 1)
    first, last = paintings
    store = rendered(footage, report, first, last, NoMotion())
    for index in range(2, LAST):
        picture, curtain = finished(store, index), STEP * (index + 1)
        behind, before = np.s_[:, : curtain - 6], np.s_[:, curtain + 6 :]
        assert likeness(picture[behind], last[behind]) > 0.7
        assert likeness(picture[before], first[before]) > 0.9 or index == LAST - 1


def test_the_frame_before_the_last_key_frame_weighs_it_as_the_one_after_the_first_weighs_that(
    photo: "Photo", report: "Recorder", paintings: tuple[FloatArray, FloatArray]
) -> None:
    footage = Still(photo(SIZE.height, SIZE.width), SIZE, LAST + 1)
    first, last = paintings
    there = rendered(footage, report, first, last)
    back = rendered(footage, report, last, first)
    for index in range(1, LAST):
        here, mirrored = finished(there, index), finished(back, LAST - index)
        assert np.abs(here - mirrored).mean() < OF_THE_CHOICE


def test_a_clip_that_runs_backwards_gives_the_same_pictures_backwards(
    photo: "Photo", report: "Recorder", paintings: tuple[FloatArray, FloatArray]
) -> None:
    picture = photo(SIZE.height, SIZE.width + 20)
    first, last = paintings
    there = rendered(PanningClip(picture, SIZE, LAST + 1), report, first, last)
    back = rendered(Backwards(picture, SIZE, LAST + 1), report, last, first)
    for index in range(1, LAST):
        here, mirrored = finished(there, index), finished(back, LAST - index)
        assert np.abs(here - mirrored).mean() < OF_THE_CHOICE


def test_memory_is_bounded_by_the_interval_and_not_by_the_clip(
    photo: "Photo", report: "Recorder", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footage_module, "FLOW_BYTES", 0)  # those of so small a clip would all fit
    interval = 6

    def most_held(intervals: int) -> int:
        """Frames and flows."""
        size, count = FrameSize(48, 32), intervals * interval + 1
        footage, flow = PanningClip(photo(32, 120), size, count), CountedFlow()
        plan = plan_of(footage, range(0, count, interval))
        execute(plan, footage, SETTINGS, Memory(), report, flow, KERNELS)
        return footage.most_alive + flow.most_alive

    ahead = 2  # how far the thread that reads has come is a matter of luck
    assert most_held(6) <= most_held(1) + ahead

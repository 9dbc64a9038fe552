"""Renders that end in the middle, for whatever reason: nothing hangs, nothing finished is lost, and
the next render goes on.
"""

import gc
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from engine.errors import CancelledError, OutOfMemoryError, StorageError, UnreadableMediaError
from engine.motion.flow import DisFlow, FlowEstimator
from engine.native.kernels import DeviceArray
from engine.pipeline import execute
from engine.plan import Address, Plan
from engine.report import Report
from engine.store import StoredPicture
from engine.types import FloatArray, Flow, Frame, FrameSize, Precision
from tests.engine.conftest import Photo, Recorder
from tests.engine.test_pipeline import KERNELS, SETTINGS, Memory, PanningClip, plan_of
from tests.patience import wait_until

LAST = 8
SIZE = FrameSize(64, 48)
ROUNDS = 10
MOST_GROWTH_BYTES = 8 << 20
"""Over 14 renders, each of which has 2 MiB of pictures and flows in its hands."""


@dataclass
class DamagedClip(PanningClip):
    """Some frames of it cannot be read."""

    damaged: set[int] = field(default_factory=set)

    def read(self, index: int) -> Frame:
        if index in self.damaged:
            raise UnreadableMediaError(f"Frame {index} is damaged: export the movie again.")
        return super().read(index)


class FailingFlow(DisFlow):
    """Gives so many flows, then no more."""

    def __init__(self, flows: int, error: Exception) -> None:
        self._flows = flows
        self._error = error

    def estimate(self, first: FloatArray, second: FloatArray) -> Flow:
        if self._flows == 0:
            raise self._error
        self._flows -= 1
        return super().estimate(first, second)


class SlowFlow(DisFlow):
    """Takes its time; somebody cancels meanwhile."""

    def __init__(self, report: Recorder, cancelling_call: int) -> None:
        self.calls = 0
        self._report = report
        self._cancelling_call = cancelling_call

    def estimate(self, first: FloatArray, second: FloatArray) -> Flow:
        self.calls += 1
        self._report.cancelled |= self.calls == self._cancelling_call
        time.sleep(0.05)
        return super().estimate(first, second)


@dataclass
class FullDisk(Memory):
    """Has room for that many pictures."""

    room: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def save(self, address: Address, picture: StoredPicture, precision: Precision) -> None:
        with self.lock:
            if len(self.pictures) == self.room:
                raise StorageError("The disk is full: free some space.")
            super().save(address, picture, precision)


@pytest.fixture
def footage(photo: Photo) -> DamagedClip:
    return footage_of(photo)


def footage_of(photo: Photo) -> DamagedClip:
    return DamagedClip(photo(SIZE.height, SIZE.width + 20), SIZE, LAST + 1)


@pytest.fixture
def plan(footage: DamagedClip) -> Plan:
    return plan_of(footage, [0, LAST])


@pytest.fixture(scope="module")
def whole(photo: Photo) -> Memory:
    """What a render gives that nothing disturbs."""
    store, footage = Memory(), footage_of(photo)
    render(plan_of(footage, [0, LAST]), footage, store, Recorder())
    return store


def render(
    plan: Plan,
    footage: PanningClip,
    store: Memory,
    report: Report,
    flow: FlowEstimator | None = None,
) -> None:
    execute(plan, footage, SETTINGS, store, report, flow or DisFlow(), KERNELS)


def assert_goes_on(
    plan: Plan, footage: PanningClip, store: Memory, report: Recorder, whole: Memory
) -> None:
    """Nothing of the ended render is left but what it finished, and the next one ends well."""
    assert "footage" not in " ".join(thread.name for thread in threading.enumerate())
    finished = set(store.pictures)
    again = type(report)()
    render(plan, footage, store, again)
    assert {step.address for step, reused in again.finished if reused} == finished
    assert store.pictures.keys() == whole.pictures.keys()
    for address, picture in whole.pictures.items():
        assert np.array_equal(store.load(address).pixels, picture.pixels)
    assert sorted(store.sequence) == list(range(LAST + 1))


@pytest.mark.parametrize(
    ("damaged", "kept"), [(0, 0), (LAST, 1), (3, 2 + 4), (6, 2 + 2), (4, 2 + 6)]
)
def test_a_frame_that_cannot_be_read_is_named_and_what_was_finished_is_kept(
    footage: DamagedClip, plan: Plan, report: Recorder, whole: Memory, damaged: int, kept: int
) -> None:
    """Whichever direction meets it first, and while the other one is under way."""
    footage.damaged = {damaged}
    store = Memory()
    with pytest.raises(UnreadableMediaError, match=f"Frame {damaged} is damaged"):
        render(plan, footage, store, report)
    assert len(store.pictures) == kept
    assert {index for index, _ in store.sequence.items()} <= {0, LAST}
    footage.damaged = set()
    assert_goes_on(plan, footage, store, report, whole)


@pytest.mark.parametrize(
    ("flows", "error"),
    [(0, RuntimeError("odd")), (9, RuntimeError("odd")), (15, OutOfMemoryError("Use dis."))],
)
def test_a_flow_estimator_that_fails_ends_the_render_with_its_own_words(
    footage: DamagedClip,
    plan: Plan,
    report: Recorder,
    whole: Memory,
    flows: int,
    error: Exception,
) -> None:
    store, flow = Memory(), FailingFlow(flows, error)
    with pytest.raises(type(error), match=str(error)):
        render(plan, footage, store, report, flow)
    assert len(store.pictures) >= 2
    assert_goes_on(plan, footage, store, report, whole)


@pytest.mark.parametrize(("cancelling_call", "most_calls"), [(1, 3), (9, 13)])
def test_who_cancels_waits_for_the_frames_under_way_and_for_no_flow_beyond_them(
    footage: DamagedClip,
    plan: Plan,
    report: Recorder,
    whole: Memory,
    cancelling_call: int,
    most_calls: int,
) -> None:
    store, flow = Memory(), SlowFlow(report, cancelling_call)
    with pytest.raises(CancelledError):
        render(plan, footage, store, report, flow)
    assert flow.calls <= most_calls
    assert_goes_on(plan, footage, store, report, whole)


@pytest.mark.parametrize("room", [1, 7, 17])
def test_a_full_disk_ends_the_render_and_keeps_what_was_written(
    footage: DamagedClip, plan: Plan, report: Recorder, whole: Memory, room: int
) -> None:
    store = FullDisk(room=room)
    with pytest.raises(StorageError, match="The disk is full"):
        render(plan, footage, store, report)
    assert len(store.pictures) == room
    store.room = 1000
    assert_goes_on(plan, footage, store, report, whole)


def test_renders_leave_neither_threads_nor_memory_behind(
    footage: DamagedClip, plan: Plan, report: Recorder
) -> None:
    for number in range(ROUNDS):
        render(plan, footage, Memory(), report)
        with pytest.raises(RuntimeError, match="odd"):
            render(plan, footage, Memory(), report, FailingFlow(9, RuntimeError("odd")))
        if number == ROUNDS // 4:
            before = threads(), resident_bytes()
    assert resident_bytes() - before[1] < MOST_GROWTH_BYTES
    wait_until(lambda: threads() <= before[0])  # the system still lists a thread for a moment
    assert footage.alive == 0


def test_a_render_that_the_disk_ends_leaves_nothing_to_a_collection(
    footage: DamagedClip, plan: Plan, report: Recorder
) -> None:
    """A card's memory would be held until one comes."""
    gc.collect()
    before = device_arrays()
    gc.disable()
    try:
        with suppress(StorageError):
            render(plan, footage, FullDisk(room=5), report)
        assert footage.alive == 0
        assert device_arrays() == before
    finally:
        gc.enable()


def device_arrays() -> int:
    return sum(isinstance(each, DeviceArray) for each in gc.get_objects())


def threads() -> int:
    """Of this process, those of the kernels and of OpenCV too."""
    return len(list(Path("/proc/self/task").iterdir()))


def resident_bytes() -> int:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")

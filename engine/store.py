"""Where pictures are kept, and how they get there while the work goes on."""

import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from engine.media.color import from_painting_space
from engine.plan import Address, Blend, Paint, Propagate
from engine.report import Report
from engine.translation.painter import Trajectory
from engine.types import Drift, FloatArray, Frame, Precision

Step = Paint | Propagate | Blend


@dataclass(frozen=True)
class StoredPicture:
    """A picture of the plan: a take, a propagation or a blend."""

    pixels: FloatArray
    """[H, W, 3], painting space."""
    patch_error: FloatArray | None = None
    """[H, W], of a propagation."""
    drift: Drift | None = None
    """Of a take that was painted against an anchor."""

    def rounded(self, precision: Precision) -> "StoredPicture":
        """As it is once it was stored in that precision."""
        if precision is Precision.FLOAT:
            return self
        with np.errstate(over="ignore"):
            return replace(self, pixels=self.pixels.astype(np.float16).astype(np.float32))


class RenderStore(Protocol):
    """Keeps pictures by their address, and the finished sequence.

    `save` and `deliver` are called from several threads. Equal frames share a picture: two threads
    may save it at once.
    """

    def has(self, address: Address) -> bool: ...

    def load(self, address: Address) -> StoredPicture:
        """What was saved, in the precision it was saved in; NotFoundError for what was not."""

    def save(self, address: Address, picture: StoredPicture, precision: Precision) -> None: ...

    def save_trajectory(self, take: Address, trajectory: Trajectory) -> None:
        """Keeps what belongs to a take, before the take itself is saved."""

    def load_trajectory(self, take: Address) -> Trajectory | None:
        """What belongs to a take; None for one without, such as an imported picture."""

    def delivered(self, index: int) -> Address | None:
        """What the finished sequence holds at that frame."""

    def deliver(self, frame: Frame, address: Address) -> None:
        """Puts a finished frame into the sequence."""


@dataclass(frozen=True)
class _Waiting:
    """A step that is done, on its way into the store."""

    step: Step
    began: float
    made: StoredPicture | None
    """None where the store holds it."""
    saved: Future[float]
    """When."""


class Saver:
    """Saves and delivers pictures on threads of its own while the next ones are made.

    Steps are reported in the order of work, each when it is safe. What is on its way counts as
    stored.
    """

    MOST_WAITING = 4
    """Pictures, each with a thread; who brings another one waits."""

    def __init__(self, store: RenderStore, wanted: Mapping[int, Address], report: Report) -> None:
        """`wanted` is what the finished sequence shall hold."""
        self._store = store
        self._wanted = wanted
        self._report = report
        self._waiting: deque[_Waiting] = deque()
        self._idle_since = time.monotonic()
        self._threads = ThreadPoolExecutor(self.MOST_WAITING, "saving")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Waits until everything is saved. Raises what went wrong there unless something did."""
        self._threads.shutdown()
        try:
            while self._waiting and (kind is None or not self._waiting[0].saved.exception()):
                self._report_first()
        finally:
            # What failed there leads back to here: pictures would wait for a collection.
            self._waiting.clear()

    def has(self, address: Address) -> bool:
        return self._on_its_way(address) is not None or self._store.has(address)

    def load(self, address: Address) -> StoredPicture:
        """As the store would: what is on its way is rounded already."""
        return self._on_its_way(address) or self._store.load(address)

    def is_missing(self, index: int, address: Address) -> bool:
        """Whether the sequence shall hold that picture and does not yet."""
        return self._wanted.get(index) == address != self._store.delivered(index)

    def save(self, step: Step, began: float, made: StoredPicture, frame: Frame) -> None:
        """Saves a picture, rounded to the precision of its frame, and delivers it where wanted.

        Raises what went wrong with one before it.
        """

        def keep() -> None:
            self._store.save(step.address, made, frame.precision)
            if self.is_missing(step.frame, step.address):
                self.deliver(made, frame, step.address)

        self._queue(step, began, made, keep)

    def reuse(self, step: Step, began: float, frame: Frame | None) -> None:
        """A step that the store holds or that is on its way there, as equal frames share their
        pictures; `frame` is given where its picture has to be delivered.
        """
        on_its_way = self._on_its_way(step.address)

        def keep() -> None:
            if frame is not None:
                picture = on_its_way or self._store.load(step.address)
                self.deliver(picture, frame, step.address)

        self._queue(step, began, None, keep)

    def deliver(self, picture: StoredPicture, frame: Frame, address: Address) -> None:
        """Puts a picture into the sequence, in the colour space and with the alpha of its frame."""
        self._store.deliver(from_painting_space(picture.pixels, frame), address)

    def _queue(
        self, step: Step, began: float, made: StoredPicture | None, keep: Callable[[], None]
    ) -> None:
        def kept() -> float:
            keep()
            return time.monotonic()

        self._waiting.append(_Waiting(step, began, made, self._threads.submit(kept)))
        while len(self._waiting) > self.MOST_WAITING or (
            self._waiting and self._waiting[0].saved.done()
        ):
            self._report_first()

    def _report_first(self) -> None:
        saved = self._waiting[0].saved.result()
        first = self._waiting.popleft()
        seconds = max(0.0, saved - max(first.began, self._idle_since))
        self._idle_since = max(saved, self._idle_since)
        self._report.done(first.step, seconds, reused=first.made is None)

    def _on_its_way(self, address: Address) -> StoredPicture | None:
        pictures = (each.made for each in self._waiting if each.step.address == address)
        return next(pictures, None)

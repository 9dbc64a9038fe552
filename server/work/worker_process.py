"""The worker: a process of its own, which alone imports models and kernels.

It ends with its pipe: when the server is gone, however it went, so is the worker.
"""

import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import cache
from multiprocessing.connection import Connection

from engine.errors import CancelledError, InbetweenError, OutOfMemoryError, UnexpectedError
from engine.media.color import to_painting_space
from engine.media.source import FrameSource
from engine.motion.cuts import find_cuts
from engine.motion.estimators import flow_estimator
from engine.native.kernels import Kernels
from engine.pipeline import execute
from engine.report import Stage
from engine.store import Step
from engine.types import FloatArray, FrameSize
from server.pictures import fitting, opaque, resized, to_jpeg
from server.records import DeliveredFrame
from server.work.disk_store import DiskStore
from server.work.tasks import (
    Cancel,
    CutsFound,
    Delivered,
    Ended,
    FindCuts,
    News,
    Notice,
    Order,
    Preview,
    Progress,
    Render,
    StepDone,
    Task,
    Watch,
)
from server.work.worker import DEVICE_VARIABLE

PREVIEW_SIZE = FrameSize(320, 320)
PREVIEW_PAUSE_SECONDS = 0.2
PREVIEW_SHARE = 0.05
"""Of the time, at most, goes into previews."""


def main(connection: "Connection[News | Ended, Order]") -> None:
    """Does one task after the other until the server is gone."""
    # A system that ends all processes of a service says so to us too; the server decides.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    desk = Desk(connection)
    threading.Thread(target=desk.listen, daemon=True).start()
    while True:
        task = desk.tasks.get()
        connection.send(_end_of(task, desk))


class Desk:
    """The Report of the worker: sends news, hears of cancellation."""

    def __init__(self, connection: "Connection[News | Ended, Order]") -> None:
        self.tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._connection = connection
        self._sending = threading.Lock()
        self._cancelled = threading.Event()
        self._watched = False
        self._next_preview = 0.0
        self.now = ""
        """What is being done, for sentences."""

    def listen(self) -> None:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                os._exit(0)  # The server is gone. Every file is whole at any moment.
            if isinstance(message, Cancel):
                self._cancelled.set()
            elif isinstance(message, Watch):
                self._watched = message.previews
            elif isinstance(message, Task):
                self._cancelled.clear()
                self.now = "rendering"
                self.tasks.put(message)

    def progress(self, stage: Stage, frame: int, step: int = 0, steps: int = 0) -> None:
        self.now = f"{stage.value} (frame {frame})"
        self._send(Progress(stage, frame, step, steps))

    def preview(self, frame: int, make: Callable[[], FloatArray]) -> None:
        began = time.monotonic()
        if not self._watched or began < self._next_preview:
            return
        picture = opaque(frame, make())
        small = resized(picture, fitting(picture.size, PREVIEW_SIZE))
        self._send(Preview(frame, to_jpeg(small)))
        seconds = time.monotonic() - began
        self._next_preview = began + max(PREVIEW_PAUSE_SECONDS, seconds / PREVIEW_SHARE)

    def done(self, step: Step, seconds: float, *, reused: bool) -> None:
        self._send(StepDone(step, seconds, reused))

    def notice(self, text: str) -> None:
        self._send(Notice(text))

    def check_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise CancelledError("The render was cancelled; what was finished is kept.")

    def deliver(self, index: int, frame: DeliveredFrame) -> None:
        self._send(Delivered(index, frame))

    def found(self, cuts: list[int]) -> None:
        self._send(CutsFound(tuple(cuts)))

    def _send(self, news: News) -> None:
        """Pictures are delivered by other threads than the one that reports steps and previews."""
        with self._sending:
            self._connection.send(news)


def _end_of(task: Task, desk: Desk) -> Ended:
    try:
        _do(task, desk)
    except InbetweenError as error:
        return Ended(error)
    except MemoryError:
        return Ended(
            OutOfMemoryError("The memory ran out: close other programs or use smaller frames.")
        )
    except BrokenPipeError:
        os._exit(0)
    except Exception as error:  # noqa: BLE001 - the edge: whatever it is costs this job only
        sentence = (
            f"Something unexpected happened while {desk.now} ({type(error).__name__}): what was "
            "finished is kept; the server's log says more."
        )
        return Ended(UnexpectedError(sentence), traceback.format_exc())
    return Ended()


def _do(task: Task, desk: Desk) -> None:
    source = task.source.open()
    try:
        if isinstance(task, FindCuts):
            _find_cuts(task, source, desk)
        else:
            _render(task, source, desk)
    finally:
        source.close()


def _find_cuts(task: FindCuts, source: FrameSource, desk: Desk) -> None:
    def frames() -> Iterator[tuple[int, FloatArray]]:
        for number, index in enumerate(task.indices, 1):
            desk.check_cancelled()
            desk.progress(Stage.FINDING_CUTS, index, number, len(task.indices))
            yield index, to_painting_space(source.read(index))

    desk.found(find_cuts(frames()))


def _render(task: Render, source: FrameSource, desk: Desk) -> None:
    store = DiskStore(task.folder, task.plan.paints, task.delivered, desk.deliver)
    flow = flow_estimator(task.settings.propagation, desk.notice)
    if task.plan.intervals:
        flow.prepare()
    execute(task.plan, source, task.settings, store, desk, flow, _kernels())


@cache
def _kernels() -> Kernels:
    """What propagation computes with."""
    return Kernels.open(os.environ.get(DEVICE_VARIABLE, "auto"))


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))

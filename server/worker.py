"""The process that paints and propagates. What it breaks costs one job, never the server.

The server's half is `Worker`; `_main` is the other. They talk dataclasses over a pipe, and the
process ends when the pipe does.
"""

import logging
import multiprocessing
import os
import queue
import signal
import threading
import traceback
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from engine.errors import CancelledError, InbetweenError, OutOfMemoryError
from engine.media.color import to_painting_space
from engine.media.source import FrameSource, open_source
from engine.plan import Address, Plan
from engine.report import Stage
from engine.settings import RenderSettings
from engine.types import Clip, FloatArray
from server.database import DeliveredFrame, HostFrame
from server.errors import UnexpectedError
from server.planning import Step
from server.store import HostSource, SessionFolder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MediaFile:
    """A clip that the worker reads itself."""

    path: Path

    def open(self) -> FrameSource:
        return open_source(self.path)


@dataclass(frozen=True)
class HostFrames:
    """A clip whose frames a host has sent."""

    folder: SessionFolder
    clip: Clip
    frames: Mapping[int, HostFrame]
    color_space: str

    def open(self) -> FrameSource:
        return HostSource(self.folder, self.clip, self.frames, self.color_space)


@dataclass(frozen=True)
class FindCuts:
    """Look for cuts in those frames."""

    source: MediaFile | HostFrames
    indices: tuple[int, ...]


@dataclass(frozen=True)
class Render:
    """Carry out a plan."""

    source: MediaFile | HostFrames
    plan: Plan
    settings: RenderSettings
    folder: SessionFolder
    delivered: Mapping[int, Address]
    """What the sequence holds already."""


Task = FindCuts | Render


@dataclass(frozen=True)
class Cancel:
    """End the task."""


Order = FindCuts | Render | Cancel


@dataclass(frozen=True)
class Progress:
    stage: Stage
    frame: int
    step: int
    steps: int


@dataclass(frozen=True)
class StepDone:
    step: Step
    seconds: float
    reused: bool


@dataclass(frozen=True)
class Notice:
    text: str


@dataclass(frozen=True)
class Delivered:
    """A finished frame has arrived beside the sequence."""

    index: int
    frame: DeliveredFrame


@dataclass(frozen=True)
class CutsFound:
    cuts: tuple[int, ...]


News = Progress | StepDone | Notice | Delivered | CutsFound


@dataclass(frozen=True)
class Ended:
    """The task is over; without an error, it is done."""

    error: InbetweenError | None = None
    details: str = ""
    """For the log."""


class Worker:
    """The server's half: one process, started when there is something to do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._process: BaseProcess | None = None
        self._connection: Connection[Order, News | Ended] | None = None

    def run(self, task: Task) -> Generator[News]:
        """What the worker tells while it does the task; whoever stops listening ends its process.

        Raises what ended the task; UnexpectedError when the process died of it.
        """
        end: Ended | None = None
        connection = self._start()
        try:
            connection.send(task)
            while not isinstance(message := connection.recv(), Ended):
                yield message
            end = message
        except (EOFError, OSError) as error:
            raise self._death() from error
        finally:
            if end is None:
                self._kill()
        if end.details:
            log.error("the worker failed:\n%s", end.details)
        if end.error is not None:
            raise end.error

    def cancel(self) -> None:
        """Ends the task, if there is one, before its next step."""
        with self._lock:
            if self._connection is not None:
                try:
                    self._connection.send(Cancel())
                except OSError:
                    log.info("the worker was gone before it could be cancelled")

    def close(self) -> None:
        """Ends the process at once, for good; what it saved is whole."""
        with self._lock:
            self._closed = True
        self._kill()

    @property
    def process_id(self) -> int | None:
        with self._lock:
            return self._process.pid if self._process else None

    def _kill(self) -> None:
        with self._lock:
            process, self._process, self._connection = self._process, None, None
        if process is not None:
            process.kill()
            process.join()

    def _start(self) -> "Connection[Order, News | Ended]":
        with self._lock:
            if self._closed:
                raise _stopped()
            if self._process is None or self._connection is None or not self._process.is_alive():
                context = multiprocessing.get_context("spawn")
                self._connection, theirs = context.Pipe()
                self._process = context.Process(
                    target=_main, args=(theirs,), name="inbetween-worker", daemon=True
                )
                self._process.start()
                theirs.close()
            return self._connection

    def _death(self) -> InbetweenError:
        """Why the process is gone."""
        with self._lock:
            process = self._process
        if process is None:
            return _stopped()
        process.join()
        log.error("the worker died with exit code %s", process.exitcode)
        if process.exitcode == -signal.SIGKILL:
            return OutOfMemoryError(
                "The render process was killed, as the system does when memory runs out: close "
                "other programs or use smaller frames, then render again. The rest is kept."
            )
        return UnexpectedError(
            f"The render process died (exit code {process.exitcode}): render again; what was "
            "finished is kept. The server's log may say more."
        )


def _stopped() -> CancelledError:
    return CancelledError("The server was stopped: the render goes on when it is started again.")


def _main(connection: "Connection[News | Ended, Order]") -> None:
    """The worker's half."""
    # A terminal sends Ctrl-C to us as well; the server says when to end, by closing the pipe.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    desk = _Desk(connection)
    threading.Thread(target=desk.listen, daemon=True).start()
    while True:
        task = desk.tasks.get()
        connection.send(_end_of(task, desk))


class _Desk:
    """The Report of the worker: sends news, hears of cancellation."""

    def __init__(self, connection: "Connection[News | Ended, Order]") -> None:
        self.tasks: queue.SimpleQueue[Task] = queue.SimpleQueue()
        self._connection = connection
        self._cancelled = threading.Event()

    def listen(self) -> None:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                os._exit(0)  # The server is gone. Every file is whole at any moment.
            if isinstance(message, Cancel):
                self._cancelled.set()
            elif isinstance(message, Task):
                self._cancelled.clear()
                self.tasks.put(message)

    def progress(self, stage: Stage, frame: int, step: int = 0, steps: int = 0) -> None:
        self._connection.send(Progress(stage, frame, step, steps))

    def done(self, step: Step, seconds: float, *, reused: bool) -> None:
        self._connection.send(StepDone(step, seconds, reused))

    def notice(self, text: str) -> None:
        self._connection.send(Notice(text))

    def check_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise CancelledError("The render was cancelled; what was finished is kept.")

    def deliver(self, index: int, frame: DeliveredFrame) -> None:
        self._connection.send(Delivered(index, frame))

    def found(self, cuts: list[int]) -> None:
        self._connection.send(CutsFound(tuple(cuts)))


def _end_of(task: Task, desk: _Desk) -> Ended:
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
            f"Something unexpected happened while rendering ({type(error).__name__}): what was "
            "finished is kept; the server's log says more."
        )
        return Ended(UnexpectedError(sentence), traceback.format_exc())
    return Ended()


def _do(task: Task, desk: _Desk) -> None:
    source = task.source.open()
    try:
        if isinstance(task, FindCuts):
            _find_cuts(task, source, desk)
        else:
            _render(task, source, desk)
    finally:
        source.close()


def _find_cuts(task: FindCuts, source: FrameSource, desk: _Desk) -> None:
    from engine.motion.cuts import find_cuts  # Heavy, and needed here only.

    def frames() -> Iterator[tuple[int, FloatArray]]:
        for number, index in enumerate(task.indices):
            desk.check_cancelled()
            desk.progress(Stage.FINDING_CUTS, index, number, len(task.indices))
            yield index, to_painting_space(source.read(index))

    desk.found(find_cuts(frames()))


def _render(task: Render, source: FrameSource, desk: _Desk) -> None:
    # The server answers before any of this is imported, and never imports it itself.
    from engine.motion.flow import DisFlow
    from engine.pipeline import execute
    from server.render_store import DiskStore

    store = DiskStore(task.folder, task.plan.paints, task.delivered, desk.deliver)
    execute(task.plan, source, task.settings, store, desk, DisFlow())

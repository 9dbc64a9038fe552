"""The process that paints and propagates, as the server sees it.

What it breaks costs one job, never the server. The two talk the dataclasses below over a pipe;
`worker_process` is the other end.
"""

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from multiprocessing.connection import Connection, Pipe

from engine.errors import CancelledError, InbetweenError, OutOfMemoryError, UnexpectedError
from server.environment import ENVIRONMENT
from server.work.tasks import Cancel, Ended, News, Order, Task, Watch

log = logging.getLogger(__name__)

WORKER_MODULE = "server.work.worker_process"

PATIENCE_SECONDS = 10.0
"""For a task to end when it was cancelled. One that comes to no step meanwhile, as while a large
model is read or fetched, ends with its process, and the next task begins with another one."""

IDLE_SECONDS = 120.0
"""After its last task the process stays for the next one; then it ends, and its memory is free."""

DEVICE_VARIABLE = "INBETWEEN_DEVICE"
"""What propagation computes on: auto (the default), cpu, cuda, or cuda:1 for the second card."""


class _Process:
    """A worker that runs, and the pipe to it. Raises UnexpectedError where it cannot be started."""

    def __init__(self) -> None:
        ours, theirs = Pipe()
        self.pipe: Connection[Order, News | Ended] = ours
        with theirs:
            # Not multiprocessing's own start: it would import the program that the server runs in.
            command = [sys.executable, "-m", WORKER_MODULE, str(theirs.fileno())]
            try:
                self.popen = subprocess.Popen(  # noqa: S603 - our own module, no shell
                    command,
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    env={**ENVIRONMENT, **os.environ},
                    process_group=0,  # A terminal's Ctrl-C is the server's to hear.
                )
            except OSError as error:
                ours.close()
                raise UnexpectedError(
                    f"The render process cannot be started ({error.strerror}): close other "
                    "programs, or install Inbetween again."
                ) from error

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait()


class Worker:
    """The server's half: one process, started when there is something to do, ended when there was
    nothing for a while.
    """

    def __init__(self, idle_seconds: float) -> None:
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._closed = False
        self._process: _Process | None = None
        self._is_busy = False
        self._watched = False
        self._patience: threading.Timer | None = None
        self._rest_time: threading.Timer | None = None

    def run(self, task: Task) -> Generator[News]:
        """What the worker tells while it does the task; whoever stops listening ends its process.

        Raises what ended the task; UnexpectedError when the process died of it.
        """
        end: Ended | None = None
        try:
            pipe = self._begin(task)
            while not isinstance(message := pipe.recv(), Ended):
                yield message
            end = message
        except (EOFError, OSError) as error:
            raise self._death() from error
        finally:
            self._rest()
            if end is None:
                self._kill()
        if end.details:
            log.error("the worker failed:\n%s", end.details)
        if end.error is not None:
            raise end.error

    def cancel(self) -> None:
        """Ends the task, if there is one, before its next step, or with its process."""
        with self._lock:
            self._order(Cancel())
            if self._is_busy and self._patience is None:
                self._patience = threading.Timer(PATIENCE_SECONDS, self._lose_patience)
                self._patience.daemon = True
                self._patience.start()

    def watch(self, *, previews: bool) -> None:
        """Has previews made, of this task and of those that follow, or none any more."""
        with self._lock:
            self._watched = previews
            self._order(Watch(previews))

    def close(self) -> None:
        """Ends the process at once, for good; what it saved is whole."""
        with self._lock:
            self._closed = True
            self._end_rest()
        self._kill()

    @property
    def process_id(self) -> int | None:
        with self._lock:
            return self._process.popen.pid if self._process else None

    def _begin(self, task: Task) -> "Connection[Order, News | Ended]":
        with self._lock:
            if self._closed:
                raise _stopped()
            self._end_rest()
            if self._process is None or self._process.popen.poll() is not None:
                self._process = _Process()
            self._process.pipe.send(Watch(self._watched))
            self._process.pipe.send(task)
            self._is_busy = True
            return self._process.pipe

    def _order(self, order: Order) -> None:
        """Tells the process, if there is one; to be called with the lock held."""
        if self._process is not None:
            try:
                self._process.pipe.send(order)
            except OSError:
                log.info("the worker was gone before it heard %s", order)

    def _rest(self) -> None:
        """The task is over."""
        with self._lock:
            self._is_busy = False
            if self._patience is not None:
                self._patience.cancel()
                self._patience = None
            if self._process is not None and not self._closed:
                self._rest_time = threading.Timer(self._idle_seconds, self._let_go)
                self._rest_time.daemon = True
                self._rest_time.start()

    def _end_rest(self) -> None:
        """To be called with the lock held."""
        if self._rest_time is not None:
            self._rest_time.cancel()
            self._rest_time = None

    def _let_go(self) -> None:
        with self._lock:
            if self._rest_time is not threading.current_thread():
                return  # A task began at the last moment.
            self._rest_time = None
            process, self._process = self._process, None
        if process is not None:
            log.info("the worker had nothing to do: its process is ended")
            process.kill()

    def _lose_patience(self) -> None:
        with self._lock:
            if self._patience is not threading.current_thread():
                return  # The task ended at the last moment.
            process, self._process = self._process, None
        if process is not None:
            log.info("the worker came to no end of its step: its process is ended")
            process.kill()

    def _kill(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.kill()

    def _death(self) -> InbetweenError:
        """Why the process is gone."""
        with self._lock:
            process = self._process
        if process is None:
            return _stopped() if self._closed else CancelledError("The render was cancelled.")
        code = process.popen.wait()
        log.error("the worker died with exit code %s", code)
        if code == -signal.SIGKILL:
            return OutOfMemoryError(
                "The render process was killed, as the system does when memory runs out: close "
                "other programs or use smaller frames, then render again. What was finished is "
                "kept."
            )
        return UnexpectedError(
            f"The render process died (exit code {code}): render again; what was finished is kept. "
            "The server's log may say more."
        )


def _stopped() -> CancelledError:
    return CancelledError("The server was stopped: the render goes on when it is started again.")

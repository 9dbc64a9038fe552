"""A server, from its lock to its end."""

import fcntl
import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from inbetween.v1 import (
    render_pb2,
    render_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
    upkeep_pb2,
    upkeep_pb2_grpc,
)

from engine.errors import InbetweenError
from engine.media.files import storage_errors
from server import paths
from server.calls.services import RenderService, SessionService, UpkeepService
from server.changes import Changes
from server.database import Database
from server.errors import ErrorInterceptor
from server.jobs import Jobs
from server.limits import BUDGET_GIB, GIB
from server.sessions import Sessions
from server.use import Use
from server.work import worker

log = logging.getLogger(__name__)

MOST_CALLS = 128
"""At once: each watcher and each waiting effect holds a thread. Others: RESOURCE_EXHAUSTED."""
GRACE_SECONDS = 2.0
LOCK_SECONDS = 10.0
"""For a server that ends, and answers no more, to let go of the lock."""
LOCK_PAUSE_SECONDS = 0.05
SIGNAL_PAUSE_SECONDS = 0.2
LOG_BYTES = 4 << 20

SERVICES = (
    session_pb2.DESCRIPTOR.services_by_name["SessionService"].full_name,
    render_pb2.DESCRIPTOR.services_by_name["RenderService"].full_name,
    upkeep_pb2.DESCRIPTOR.services_by_name["UpkeepService"].full_name,
)


class AlreadyRunningError(InbetweenError):
    """Another server holds the socket."""


@dataclass(frozen=True)
class ServerOptions:
    """Where a server listens, and what it may use."""

    socket: Path = field(default_factory=paths.socket_path)
    lock: Path = field(default_factory=paths.lock_path)
    home: Path = field(default_factory=paths.home_folder)
    roots: tuple[Path, ...] = (Path("/"),)
    """Folders that media may lie in. Only the same user can connect to the socket, and that user
    can read the files anyway, so everything is allowed unless told otherwise."""
    work_budget_bytes: int = int(BUDGET_GIB * GIB)
    """Of pictures that can be made again; the ones unused for longest are deleted beyond it."""
    idle_seconds: float | None = None
    """After so long without calls and jobs `run_server` returns; None: never."""
    worker_idle_seconds: float = worker.IDLE_SECONDS
    """After so long without a task the process that renders is ended."""


@dataclass(frozen=True)
class RunningServer:
    """A server that answers."""

    socket: Path
    jobs: Jobs
    use: Use

    @property
    def address(self) -> str:
        """For a gRPC channel."""
        return f"unix:{self.socket}"


@contextmanager
def serve(options: ServerOptions) -> Iterator[RunningServer]:
    """A server in this process, until the block ends.

    Raises AlreadyRunningError when another one holds the socket.
    """
    with locked(options.lock, options.socket):
        _make_home(options.home)
        changes = Changes()
        database = Database(options.home / "state.sqlite")
        folder = options.home / "sessions"
        sessions = Sessions(folder, options.roots, database, changes)
        jobs = Jobs(
            sessions,
            database,
            changes,
            folder,
            options.work_budget_bytes,
            options.worker_idle_seconds,
        )
        use = Use(jobs.rested_since, options.idle_seconds)
        server = _listening(options, sessions, jobs, changes, use)
        jobs.start()
        try:
            yield RunningServer(options.socket, jobs, use)
        finally:
            changes.close()
            stopped = server.stop(GRACE_SECONDS)
            jobs.close()
            # Not for ever: a stream with a message that gRPC cannot decode stays in its books.
            stopped.wait(2 * GRACE_SECONDS)
            sessions.close()
            database.close()
            options.socket.unlink(missing_ok=True)


def run_server(options: ServerOptions) -> None:
    """Serves until SIGTERM or SIGINT, or until nobody used it for so long that it ends by itself;
    jobs that are not done go on with the next server.
    """
    _log_to(paths.log_path())
    # Blocked in every thread and waited for: a handler was seen not to wake the main thread when
    # the signal came while the worker was being started.
    ending = {signal.SIGTERM, signal.SIGINT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    try:
        with serve(options) as server:
            log.info("process %d answers at %s", os.getpid(), server.socket)
            while not server.use.close_door():
                if _told_within(server.use.sleep_seconds(), ending):
                    break
            log.info("process %d ends", os.getpid())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _told_within(seconds: float, ending: set[signal.Signals]) -> bool:
    """Whether one of these signals, which are blocked, comes in that time."""
    if hasattr(signal, "sigtimedwait"):
        return signal.sigtimedwait(ending, seconds) is not None
    latest = time.monotonic() + seconds  # macOS
    while not signal.sigpending() & ending:
        if time.monotonic() > latest:
            return False
        time.sleep(SIGNAL_PAUSE_SECONDS)
    signal.sigwait(ending)
    return True


def _listening(
    options: ServerOptions, sessions: Sessions, jobs: Jobs, changes: Changes, use: Use
) -> grpc.Server:
    server = grpc.server(
        ThreadPoolExecutor(MOST_CALLS, thread_name_prefix="call"),
        interceptors=[use, ErrorInterceptor()],
        maximum_concurrent_rpcs=MOST_CALLS,
    )
    session_pb2_grpc.add_SessionServiceServicer_to_server(
        SessionService(sessions, jobs, changes), server
    )
    render_pb2_grpc.add_RenderServiceServicer_to_server(
        RenderService(sessions, jobs, changes), server
    )
    limits = upkeep_pb2.GetServerStatusResponse(
        idle_seconds=options.idle_seconds or 0,
        work_budget_bytes=options.work_budget_bytes,
        home=str(options.home),
    )
    upkeep_pb2_grpc.add_UpkeepServiceServicer_to_server(
        UpkeepService(sessions, jobs, limits), server
    )
    healthy = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    for name in ("", *SERVICES):
        healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
    names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    options.socket.unlink(missing_ok=True)
    server.add_insecure_port(f"unix:{options.socket}")
    server.start()
    return server


@contextmanager
def locked(lock: Path, socket_path: Path) -> Iterator[None]:
    """No server runs but that of the block, whose process stands in the lock.

    Raises AlreadyRunningError where one answers.
    """
    # gRPC takes a socket over without a word, so the lock decides who serves.
    latest = time.monotonic() + LOCK_SECONDS
    while (file := _taken(lock)) is None:
        # One that does not answer is ending, or starting: it may be the next one's turn soon.
        if _answers(socket_path) or time.monotonic() > latest:
            raise AlreadyRunningError(
                f"Another render server answers at {socket_path}: use that one, or stop it first."
            )
        time.sleep(LOCK_PAUSE_SECONDS)
    with file:
        with storage_errors(lock):
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        yield


def _taken(lock: Path) -> IO[str] | None:
    """The lock's file, locked; None where another process has it, or deleted it meanwhile: a file
    without a name keeps nobody out.
    """
    with ExitStack() as stack, storage_errors(lock):
        file = stack.enter_context(lock.open("a+"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                stack.pop_all()
                return file
        except (BlockingIOError, FileNotFoundError):
            pass
    return None


def _answers(socket_path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(socket_path)) == 0


def _make_home(home: Path) -> None:
    with storage_errors(home):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)


def _log_to(path: Path) -> None:
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1)
    logging.basicConfig(
        level=logging.INFO,
        handlers=[handler],
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=True,
    )

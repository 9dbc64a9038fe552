"""Finds, starts and ends the render server of this user."""

import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from engine.errors import InbetweenError
from engine.media.files import storage_errors
from server import paths
from server.limits import IDLE_MINUTES, IDLE_VARIABLE, idle_minutes

# A busy machine is no failure: what takes a second on a quiet one may take twenty there. A server
# that ends as it starts is told at once all the same.
START_SECONDS = 120.0
STOP_SECONDS = 60.0
STOP_PAUSE_SECONDS = 0.02
CHANNEL_OPTIONS = (
    # A proxy in the environment must not see local calls.
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class ServerUnavailableError(InbetweenError):
    """The render server cannot be started, went away or does not answer."""


def channel_to_server() -> grpc.Channel:
    """A channel to the socket, whether or not a server is there."""
    return grpc.insecure_channel(f"unix:{paths.socket_path()}", options=CHANNEL_OPTIONS)


def is_running(timeout_seconds: float = 10.0) -> bool:
    """Whether a healthy server answers at the socket."""
    if not paths.socket_path().exists():
        return False
    with channel_to_server() as channel:
        health = health_pb2_grpc.HealthStub(channel)
        try:
            answer = health.Check(health_pb2.HealthCheckRequest(), timeout=timeout_seconds)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def start_server(arguments: Sequence[str] = ()) -> None:
    """Starts a server in the background and returns when it answers. It ends by itself when nobody
    uses it for a while.

    Raises ServerUnavailableError with the last line of its log when it does not.
    """
    log = paths.log_path()
    idle = {IDLE_VARIABLE: str(idle_minutes(IDLE_MINUTES))}
    with storage_errors(log), log.open("ab") as output:
        process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            [sys.executable, "-m", "server.cli", "server", "run", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | idle,
            start_new_session=True,
        )
    # One that ends at once may have given way to the server of a client that was quicker.
    if _answers_within(START_SECONDS, process) or (
        _somebody_serves() and _answers_within(START_SECONDS)
    ):
        return
    raise ServerUnavailableError(
        f"The render server did not start: {_last_line(log)} (its log: {log})"
    )


def _answers_within(seconds: float, process: "subprocess.Popen[bytes] | None" = None) -> bool:
    """Whether a server answers in that time; gives up early where `process` has ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_running():
            return True
        if process is not None and process.poll() is not None:
            return False
        time.sleep(0.05)
    return False


def _somebody_serves() -> bool:
    """Whether a server lives, though it may not answer yet: it holds the lock."""
    try:
        with paths.lock_path().open("a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def server_process_id() -> int | None:
    """The process of the server that listens at the socket; None where there is none."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(paths.socket_path()))
            return int(paths.lock_path().read_text())
        except (OSError, ValueError):
            return None


def stop_server() -> bool:
    """Ends the server; False where none runs. Its jobs go on with the next one.

    Raises ServerUnavailableError when it does not end.
    """
    pid = server_process_id()
    if pid is None:
        return False
    try:
        process = psutil.Process(pid)
        process.terminate()
        latest = time.monotonic() + STOP_SECONDS
        # Where no parent asks how it ended, as in a container, what is left of it stays.
        while process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > latest:
                raise ServerUnavailableError(
                    f"The render server, process {pid}, did not end within {STOP_SECONDS:.0f} "
                    f"seconds: see {paths.log_path()}, and kill it if need be."
                )
            time.sleep(STOP_PAUSE_SECONDS)
    except psutil.NoSuchProcess:
        pass
    return True


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing."

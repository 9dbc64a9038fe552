"""`inbetween server`: the render server, in the background or in this terminal."""

from collections.abc import Sequence
from pathlib import Path

import psutil
import typer
from inbetween.v1.upkeep_pb2 import GetServerStatusResponse
from rich.filesize import decimal

from server import paths
from server.client import connect
from server.commands.tables import print_table
from server.launcher import is_running, start_server, stop_server
from server.limits import GIB, IDLE_MINUTES, budget_gib, idle_minutes
from server.serving import AlreadyRunningError, ServerOptions, run_server

SECONDS_PER_MINUTE = 60


def start(roots: Sequence[Path], budget: float | None, idle: float | None) -> None:
    """Starts a server that stays in the background; returns when it answers."""
    if is_running():
        raise AlreadyRunningError(
            f"A render server answers at {paths.socket_path()} already: inbetween server stop "
            "ends it."
        )
    limits = [
        f"--budget={budget_gib(budget)}",
        f"--idle-minutes={idle_minutes(IDLE_MINUTES, idle)}",
    ]
    start_server([*(f"--root={root.absolute()}" for root in roots), *limits])
    typer.echo(
        f"The render server answers at {paths.socket_path()}; its log is {paths.log_path()}."
    )


def run(roots: Sequence[Path], budget: float | None, idle: float | None) -> None:
    """Serves here until Ctrl-C."""
    defaults = ServerOptions()
    minutes = idle_minutes(0, idle)
    run_server(
        ServerOptions(
            roots=tuple(root.absolute() for root in roots) or defaults.roots,
            work_budget_bytes=int(GIB * budget_gib(budget)),
            idle_seconds=minutes * SECONDS_PER_MINUTE or None,
        )
    )


def stop() -> None:
    """Ends the server."""
    typer.echo("The render server has ended." if stop_server() else "No render server was running.")


def status() -> None:
    """Prints how the server stands, or how the next one will."""
    if is_running():
        with connect(start=False) as client:
            lines = _of_running(client.server_status())
    else:
        lines = _of_next()
    places = (("socket", str(paths.socket_path())), ("log", str(paths.log_path())))
    print_table([*lines, *places])


def _of_running(status: GetServerStatusResponse) -> list[tuple[str, str]]:
    return [
        ("server", f"runs, process {status.process_id}, version {status.version}"),
        ("device", status.device),
        ("sessions", str(status.sessions)),
        ("jobs", f"{status.jobs} queued or running"),
        ("memory", _memory(status)),
        ("ends", _end(status.idle_seconds / SECONDS_PER_MINUTE)),
        ("budget", _budget(status.work_budget_bytes / GIB)),
        ("home", status.home),
    ]


def _of_next() -> list[tuple[str, str]]:
    return [
        ("server", "does not run; it starts when needed"),
        ("ends", _end(idle_minutes(IDLE_MINUTES))),
        ("budget", _budget(budget_gib())),
        ("home", str(paths.home_folder())),
    ]


def _memory(status: GetServerStatusResponse) -> str:
    told = decimal(_resident_bytes(status.process_id))
    if not status.worker_process_id:
        return f"{told}; nothing renders, and no other process is kept for it"
    worker = decimal(_resident_bytes(status.worker_process_id))
    return f"{told}, and {worker} in process {status.worker_process_id}, which renders"


def _resident_bytes(process_id: int) -> int:
    try:
        return int(psutil.Process(process_id).memory_info().rss)
    except psutil.Error:
        return 0  # It ended in between.


def _end(minutes: float) -> str:
    if not minutes:
        return "only when it is stopped"
    return f"by itself after {minutes:g} minutes without use (INBETWEEN_IDLE_MINUTES)"


def _budget(gib: float) -> str:
    return f"{gib:g} GiB of pictures that can be made again (INBETWEEN_BUDGET_GIB)"

"""`inbetween serve`: the render server, in the background or in this terminal."""

from collections.abc import Sequence
from pathlib import Path

import typer

from server.launcher import is_running, start_server, stop_server
from server.paths import log_path, socket_path
from server.serving import AlreadyRunningError, ServerOptions, run_server

GIB = 1 << 30


def serve(roots: Sequence[Path], budget_gib: int | None, *, foreground: bool) -> None:
    """Serves here until Ctrl-C, or starts a server that stays; returns when it answers."""
    if foreground:
        run_server(_options(roots, budget_gib))
        return
    if is_running():
        raise AlreadyRunningError(
            f"A render server answers at {socket_path()} already: inbetween serve --stop ends it."
        )
    budget = [] if budget_gib is None else ["--budget", str(budget_gib)]
    start_server([*(f"--root={root.absolute()}" for root in roots), *budget])
    typer.echo(f"The render server answers at {socket_path()}; its log is {log_path()}.")


def stop() -> None:
    """Ends the server."""
    typer.echo("The render server has ended." if stop_server() else "No render server was running.")


def _options(roots: Sequence[Path], budget_gib: int | None) -> ServerOptions:
    defaults = ServerOptions()
    return ServerOptions(
        roots=tuple(root.absolute() for root in roots) or defaults.roots,
        work_budget_bytes=defaults.work_budget_bytes if budget_gib is None else budget_gib * GIB,
    )

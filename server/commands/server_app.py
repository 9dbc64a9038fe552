"""The commands of `inbetween server`. What they do is imported on use: --help is quick."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="The render server, which all commands start when they need it.",
)

Roots = Annotated[
    list[Path] | None,
    typer.Option(
        "--root", help="A folder that clips may lie in; may be given again. Otherwise any."
    ),
]
Budget = Annotated[
    float | None,
    typer.Option(
        metavar="GIB",
        help="How much is kept of pictures that can be made again; otherwise what "
        "INBETWEEN_BUDGET_GIB says, or 50.",
    ),
]


@app.command()
def start(
    root: Roots = None,
    budget: Budget = None,
    idle_minutes: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES",
            help="It ends by itself after so long without calls and jobs; 0: never. Otherwise what "
            "INBETWEEN_IDLE_MINUTES says, or 15.",
        ),
    ] = None,
) -> None:
    """Start a server in the background."""
    from server.commands import server

    server.start(root or [], budget, idle_minutes)


@app.command()
def run(
    root: Roots = None,
    budget: Budget = None,
    idle_minutes: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES",
            help="It ends by itself after so long without calls and jobs; otherwise what "
            "INBETWEEN_IDLE_MINUTES says, or never.",
        ),
    ] = None,
) -> None:
    """Serve in this terminal, until Ctrl-C."""
    from server.commands import server

    server.run(root or [], budget, idle_minutes)


@app.command()
def stop() -> None:
    """End the server; jobs that are not done go on with the next one."""
    from server.commands import server

    server.stop()


@app.command()
def status() -> None:
    """Tell whether it runs, with what, and what it takes."""
    from server.commands import server

    server.status()

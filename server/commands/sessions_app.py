"""The commands of `inbetween sessions`. What they do is imported on use: --help is quick."""

from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    help="The clips that were opened, with their key frames, paintings and results.",
)

SessionId = Annotated[str, typer.Argument(metavar="SESSION", help="As in inbetween sessions list.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("list")
def list_() -> None:
    """List all sessions, with what they take on disk."""
    from server.commands import sessions

    sessions.list_sessions()


@app.command()
def show(session: SessionId) -> None:
    """Tell about one session: its settings, key frames and takes, and where it lies."""
    from server.commands import sessions

    sessions.show_session(session)


@app.command()
def delete(session: SessionId, yes: Yes = False) -> None:
    """Delete a session with all its paintings and results. The clip itself stays."""
    from server.commands import sessions

    sessions.delete_session(session, ask=not yes)


@app.command()
def clean(
    session: Annotated[
        str, typer.Argument(metavar="SESSION", help="Otherwise all sessions.", show_default=False)
    ] = "",
    older_than: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="DAYS",
            help="Delete whole sessions that were not used for so long, in place of what can be "
            "made again.",
        ),
    ] = None,
    yes: Yes = False,
) -> None:
    """Free space: delete pictures that can be made again. Takes and results stay."""
    from server.commands import sessions

    sessions.clean_sessions(session, older_than, ask=not yes)

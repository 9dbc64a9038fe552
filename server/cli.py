"""The command `inbetween`: a client of the render server, like the effect and the panel.

A command fails with one sentence on stderr: exit code 2 for wrong input, 1 for everything else,
130 after Ctrl-C. INBETWEEN_DEBUG=1 shows the traceback too. Heavy packages are imported by the
commands that use them, so that --help is quick.
"""

import os
import subprocess
import sys
import traceback
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from engine.errors import InbetweenError, InvalidValueError, NotFoundError, UnreadableMediaError
from server.commands import server_app, sessions_app
from server.commands.options import (
    KEY_FRAMES,
    HelpAll,
    Value,
    key_fields,
    with_picture_options,
    with_setting_options,
)
from server.environment import prepare_environment

WRONG_INPUT = (InvalidValueError, NotFoundError, UnreadableMediaError)


class _SentencesOnly(TyperGroup):
    """Says what went wrong in a sentence."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except InbetweenError as error:
            _say(error, str(error))
            raise typer.Exit(2 if isinstance(error, WRONG_INPUT) else 1) from error
        except BrokenPipeError:
            raise  # Whoever read our output has enough; typer ends quietly.
        except OSError as error:
            _say(error, f"{error.strerror or error}: {error.filename or 'no file named'}.")
            raise typer.Exit(1) from error


def _say(error: BaseException, sentence: str) -> None:
    if os.environ.get("INBETWEEN_DEBUG"):
        traceback.print_exception(error)
    typer.echo(sentence, err=True)


app = typer.Typer(
    cls=_SentencesOnly,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Paints key frames of a clip and makes the frames in between.",
)
app.add_typer(server_app.app, name="server")
app.add_typer(sessions_app.app, name="sessions")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"inbetween {version('inbetween')}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Paints key frames of a clip and makes the frames in between."""


@app.command()
@with_setting_options
def render(
    clip: Annotated[Path, typer.Argument(help="A movie, or pictures as in shot.%04d.exr.")],
    out: Annotated[
        Path,
        typer.Option(help="The result: a movie by its suffix, or pictures as in frames.%04d.exr."),
    ],
    frames: Annotated[
        str,
        typer.Option("--range", metavar="FIRST-LAST", help="Otherwise the whole clip."),
    ] = "",
    keys: Annotated[
        str,
        typer.Option(
            metavar="0,24,61",
            help="Key frames by hand, in place of those of the session.",
            rich_help_panel=KEY_FRAMES,
        ),
    ] = "",
    key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="24: NAME=VALUE, …",
            help='What one key frame sets for itself, for example "24: prompt-addition=a raised '
            'hand, seed=3" or "61: anchor=yes"; NAME= alone follows the clip again. Names: '
            f"{', '.join(field.name.replace('_', '-') for field in key_fields())}. May be given "
            "again.",
            rich_help_panel=KEY_FRAMES,
        ),
    ] = None,
    painting: Annotated[
        list[str] | None,
        typer.Option(
            metavar="24=FILE",
            help="A picture painted by hand for a key frame; may be given again.",
            rich_help_panel=KEY_FRAMES,
        ),
    ] = None,
    size_rule: Annotated[
        str,
        typer.Option(
            metavar="fit|crop|refuse",
            help="What to do with a painting of another size.",
            rich_help_panel=KEY_FRAMES,
        ),
    ] = "refuse",
    mask: Annotated[
        Path | None,
        typer.Option(
            help="A movie, pictures or one picture: white is painted, black stays source. It "
            "costs no rendering and is for this result only."
        ),
    ] = None,
    renew: Annotated[
        bool,
        typer.Option(
            "--renew",
            help="Paint key frames again that were painted against older key frames.",
            rich_help_panel=KEY_FRAMES,
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the result.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Leave the clip's session alone and begin another.")
    ] = False,
    _: HelpAll = False,
    **settings: Value | None,
) -> None:
    """Render a clip into a movie or a sequence.

    A clip has a session, which keeps its settings, key frames and paintings: what is not given
    here stays as it is there, and what was painted before is not painted again.
    """
    from server.commands.order import RenderOrder
    from server.commands.render import render_clip

    render_clip(
        RenderOrder.parse(
            clip=clip,
            out=out,
            overwrite=overwrite,
            frames=frames,
            keys=keys,
            own_values=key or [],
            paintings=painting or [],
            size_rule=size_rule,
            mask=mask,
            settings=settings,
            fresh=fresh,
            renew=renew,
        )
    )


@app.command()
def report(
    result: Annotated[Path, typer.Argument(help="A movie, or pictures as in out.%04d.exr.")],
    source: Annotated[
        Path | None,
        typer.Option(
            help="The clip that the result was made from; otherwise the one that it names, in the "
            "same folder."
        ),
    ] = None,
    frames: Annotated[
        str,
        typer.Option(
            "--range",
            metavar="FIRST-LAST",
            help="Which frames of the clip a movie shows, where inbetween render did not write it; "
            "of pictures, those to look at.",
        ),
    ] = "",
    keys: Annotated[
        str,
        typer.Option(metavar="0,24,61", help="Key frames, where the result does not name them."),
    ] = "",
    prompt: Annotated[str, typer.Option(help="What was asked for, for Fram-Acc.")] = "",
    source_prompt: Annotated[str, typer.Option(help="What the clip shows, for Fram-Acc.")] = "",
    clip_model: Annotated[
        str,
        typer.Option(
            metavar="NAME|FOLDER",
            help="CLIP, downloaded where it is missing; otherwise ViT-L/14, where it is here.",
        ),
    ] = "",
    json: Annotated[Path | None, typer.Option(help="Writes all figures, frame by frame.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draws them, as .png.")] = None,
) -> None:
    """Tell by figures how calm a result is, and how near to its prompt."""
    from server.commands.report import ReportOrder
    from server.commands.report import report as measure

    measure(
        ReportOrder.parse(
            result=result,
            source=source,
            frames=frames,
            keys=keys,
            prompt=prompt,
            source_prompt=source_prompt,
            clip_model=clip_model,
            json=json,
            plot=plot,
        )
    )


@app.command()
def panel(
    clip: Annotated[Path | None, typer.Argument(help="The clip to place key frames on.")] = None,
    session: Annotated[str, typer.Option(help="As in inbetween sessions list.")] = "",
) -> None:
    """Open the key-frame panel on a clip or a session, or on the newest session."""
    from server.client import connect

    with connect() as client:
        if clip is not None:
            session = client.open_session(clip.absolute(), session_id=session).id
    command = [sys.executable, "-m", "panel", *(["--session", session] if session else [])]
    raise typer.Exit(subprocess.run(command, check=False).returncode)  # noqa: S603 - our own module


@app.command()
def looks(
    sheet: Annotated[
        Path | None, typer.Option(help="Writes a picture of them too, for example looks.png.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that picture.")] = False,
) -> None:
    """List the looks that a prompt can ask for, and all the words for each."""
    from server.commands.looks import check_sheet, list_looks, write_sheet

    if sheet is not None:
        check_sheet(sheet, overwrite=overwrite)
    elif overwrite:
        raise InvalidValueError("--overwrite does nothing without --sheet: name the picture.")
    list_looks()
    if sheet is not None:
        write_sheet(sheet)


@app.command()
@with_picture_options
def selftest(
    folder: Annotated[Path, typer.Option(help="Where pictures and figures are written.")] = Path(
        "inbetween-selftest"
    ),
    clip: Annotated[
        Path | None,
        typer.Option(help="A clip whose first 25 frames are rendered; otherwise a made-up one."),
    ] = None,
    size: Annotated[
        str,
        typer.Option(metavar="512x512", help="Of the made-up clip; smaller without a card."),
    ] = "",
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda|cuda:1", help="What computes.")
    ] = "auto",
    _: HelpAll = False,
    **settings: Value | None,
) -> None:
    """Check a diffusion model on this machine: renders a short clip and judges it line by line.

    `--model` and `--controlnet` name the model (`--help-all` tells how); otherwise it is the
    built-in one.
    """
    from server.commands.selftest import selftest as check

    raise typer.Exit(check(folder, clip, size, device, settings))


@app.command()
def install_plugin(
    user: Annotated[bool, typer.Option("--user", help="For you alone, without root.")] = False,
    system: Annotated[
        bool, typer.Option("--system", help="For everybody, where every editor looks.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="Take it away again.")] = False,
) -> None:
    """Put the effect where editors look for it: for everybody, unless --user is given."""
    from server.commands import install_plugin as command

    if user and system:
        raise InvalidValueError("--user and --system are two places: give one of them.")
    where = command.Where.USER if user else command.Where.SYSTEM if system else None
    if remove:
        command.remove(where)
    else:
        command.install(where)


@app.command()
def doctor() -> None:
    """Check the installation, and say what to do where something is missing."""
    from server.doctor import print_findings

    raise typer.Exit(print_findings())


@app.command()
def uninstall(
    remove: Annotated[
        bool,
        typer.Option("--remove", help="Delete all sessions, and what the server left; asks first."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Tell what lies where, and how to remove it."""
    from server.commands import uninstall as leaving

    leaving.uninstall(remove=remove, ask=not yes)


def main() -> None:
    """The entry point."""
    prepare_environment()
    try:
        app(prog_name="inbetween")
    except Exception as error:  # noqa: BLE001 - the edge: a person gets a sentence, not a traceback
        _say(
            error,
            f"Something unexpected happened ({type(error).__name__}: {error}): INBETWEEN_DEBUG=1 "
            "shows where; nothing that was finished is lost.",
        )
        sys.exit(1)


if __name__ == "__main__":
    main()

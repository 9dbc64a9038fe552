"""`inbetween uninstall`: what lies where, and how to remove it."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import typer
from rich.filesize import decimal

from engine.errors import InbetweenError, InvalidValueError
from engine.media.files import storage_errors
from server import bundle, paths
from server.client import connect
from server.commands.sessions import losses
from server.commands.tables import print_table
from server.launcher import stop_server
from server.serving import locked
from server.session_folder import size_of


def uninstall(*, remove: bool, ask: bool) -> None:
    """Prints what lies where; with `remove`, deletes what the server made."""
    if not (remove or ask):
        raise InvalidValueError("--yes does nothing without --remove: give both.")
    print_table(_places())
    if remove:
        _remove(ask=ask)
    else:
        typer.echo("\nNothing was removed. inbetween uninstall --remove deletes the first two.")


def _places() -> Iterator[tuple[str, str]]:
    """What lies where, how large, and what removes it."""
    for name, folder in (("sessions", paths.home_folder()), ("server", paths.runtime_folder())):
        size = decimal(sum(map(_size, _made_in(folder))))
        yield name, f"{folder} ({size}): inbetween uninstall --remove"
    for effect in _bundles():
        size = decimal(_size(effect))
        yield "effect", f"{effect} ({size}): inbetween install-plugin --remove"
    yield "program", f"{sys.prefix}: delete the folder that holds it, or: pipx uninstall inbetween"
    cache = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    yield "models", f"{cache}: Hugging Face's, which other programs use too; left alone"


def _made_in(folder: Path) -> list[Path]:
    """What the server made there: a folder that somebody chose may hold other things too."""
    names = ("sessions", "state.sqlite*", "server.sock", "server.lock", "server.log*")
    return [path for name in names for path in folder.glob(name)]


def _bundles() -> list[Path]:
    folders = dict.fromkeys([*bundle.searched_folders(), bundle.user_folder()])
    installed = [bundle.Bundle(folder / bundle.BUNDLE) for folder in folders]
    return [each.path for each in installed if each.is_there]


def _size(path: Path) -> int:
    return size_of(path) if path.is_dir() else path.lstat().st_size


def _remove(*, ask: bool) -> None:
    for line in _lost():
        typer.echo(line)
    if ask:
        typer.confirm("Delete all of it?", abort=True)
    stop_server()
    with locked(paths.lock_path(), paths.socket_path()):  # No server begins meanwhile.
        for folder in (paths.home_folder(), paths.runtime_folder()):
            _empty(folder)
    typer.echo("Sessions and server files are gone. The effect and the program are still there.")


def _lost() -> Iterator[str]:
    if not (paths.home_folder() / "state.sqlite").exists():
        return
    yield "\nThis is lost:"
    try:
        with connect() as client:
            yield from losses(client, client.measure_sessions())
    except InbetweenError as error:
        yield f"all of {paths.home_folder()}, which cannot be read now ({error})"


def _empty(folder: Path) -> None:
    """Deletes what the server made there, and the folder where that was all."""
    for path in _made_in(folder):
        with storage_errors(path):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with suppress(OSError):
        folder.rmdir()

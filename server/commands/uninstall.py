"""`inbetween uninstall`: what lies where, and how to remove it."""

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
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
from server.session_folder import DOOMED, size_of


def uninstall(*, remove: bool, ask: bool) -> None:
    """Prints what lies where; with `remove`, deletes what the server made."""
    if not (remove or ask):
        raise InvalidValueError("--yes does nothing without --remove: give both.")
    print_table(_places())
    if remove:
        _remove(ask=ask)
    else:
        typer.echo("\nNothing was removed. inbetween uninstall --remove deletes the first two.")


HOME_FILES = ("state.sqlite", "state.sqlite-wal", "state.sqlite-shm")
RUNTIME_FILES = ("server.sock", "server.log", *(f"server.log.{number}" for number in range(1, 10)))
"""Not the lock: a server that waits for it would hold one that no other sees."""
_SESSION = re.compile(rf"({re.escape(DOOMED)})?[0-9a-f]{{16}}")


def _places() -> Iterator[tuple[str, str]]:
    """What lies where, how large, and what removes it."""
    home, runtime = paths.home_folder(), paths.runtime_folder()
    for name, folder, made in (
        ("sessions", home, _made_in_home(home)),
        ("server", runtime, _made_in_runtime(runtime)),
    ):
        size = decimal(sum(map(_size, made)))
        yield name, f"{folder} ({size}): inbetween uninstall --remove"
    for effect in _bundles():
        size = decimal(_size(effect))
        yield "effect", f"{effect} ({size}): inbetween install-plugin --remove"
    yield "program", f"{sys.prefix}: delete the folder that holds it, or: pipx uninstall inbetween"
    cache = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    yield "models", f"{cache}: Hugging Face's, which other programs use too; left alone"


def _made_in_home(folder: Path) -> list[Path]:
    """What the server made there: a folder that somebody chose may hold other things too. Sessions
    come first, so that the books are the last to go.
    """
    sessions = folder / "sessions"
    found = sorted(sessions.iterdir()) if sessions.is_dir() else []
    made = [path for path in found if _SESSION.fullmatch(path.name) and path.is_dir()]
    return made + _existing(folder, HOME_FILES)


def _made_in_runtime(folder: Path) -> list[Path]:
    return _existing(folder, RUNTIME_FILES)


def _existing(folder: Path, names: Iterable[str]) -> list[Path]:
    return [folder / name for name in names if os.path.lexists(folder / name)]


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
        home, runtime = paths.home_folder(), paths.runtime_folder()
        _delete(_made_in_home(home))
        _delete(_made_in_runtime(runtime))
        for folder in (home / "sessions", home):
            with suppress(OSError):  # where other things lie, or the folder is a link
                folder.rmdir()
    typer.echo("Sessions and server files are gone. The effect and the program are still there.")


def _lost() -> Iterator[str]:
    home = paths.home_folder()
    if not (home / "state.sqlite").exists():
        for path in _made_in_home(home):
            yield f"lost: {path}"
        return
    yield "\nThis is lost:"
    try:
        with connect() as client:
            yield from losses(client, client.measure_sessions())
    except InbetweenError as error:
        yield f"all of {home}, which cannot be read now ({error})"


def _delete(made: Iterable[Path]) -> None:
    for path in made:
        with storage_errors(path):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

"""`inbetween uninstall`: what lies where, and how to remove it."""

import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
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

HOME_FILES = ("state.sqlite", "state.sqlite-wal", "state.sqlite-shm", "state.sqlite-journal")
RUNTIME_FILES = ("server.sock", "server.log", "server.log.1", "server.lock")
SESSION = re.compile(rf"({re.escape(DOOMED)})?[0-9a-f]{{16}}")
"""The folder of a session, or of one whose deletion has begun."""


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
    for name, folder, made in (
        ("sessions", paths.home_folder(), _made_at_home()),
        ("server", paths.runtime_folder(), _existing(paths.runtime_folder(), RUNTIME_FILES)),
    ):
        size = decimal(sum(map(_size, made)))
        yield name, f"{folder} ({size}): inbetween uninstall --remove"
    for effect in _bundles():
        size = decimal(_size(effect))
        yield "effect", f"{effect} ({size}): inbetween install-plugin --remove"
    yield "program", f"{sys.prefix}: delete the folder that holds it, or: pipx uninstall inbetween"
    cache = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    yield "models", f"{cache}: Hugging Face's, which other programs use too; left alone"


def _made_at_home() -> list[Path]:
    """What the server made there: a folder that somebody chose may hold other things too."""
    return [*_session_folders(), *_existing(paths.home_folder(), HOME_FILES)]


def _session_folders() -> list[Path]:
    folders = (paths.home_folder() / "sessions").glob("*")
    return sorted(path for path in folders if SESSION.fullmatch(path.name) and path.is_dir())


def _existing(folder: Path, names: Sequence[str]) -> list[Path]:
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
        _remove_home()
        # The lock goes last: whoever waits for it serves from then on.
        _delete(_existing(paths.runtime_folder(), RUNTIME_FILES))
        _remove_empty(paths.runtime_folder())
    typer.echo("Sessions and server files are gone. The effect and the program are still there.")


def _lost() -> Iterator[str]:
    home = paths.home_folder()
    has_state = (home / "state.sqlite").exists()
    folders = _session_folders()
    if not (has_state or folders):
        return
    yield "\nThis is lost:"
    known: set[str] = set()
    if has_state:
        try:
            with connect() as client:
                usages = client.measure_sessions()
                yield from losses(client, usages)
        except InbetweenError as error:
            yield f"all of {home}, which cannot be read now ({error})"
            return
        known = {usage.session_id for usage in usages}
    for folder in folders:
        if folder.name not in known:
            yield f"{folder} ({decimal(_size(folder))}), which the server knows nothing of."


def _remove_home() -> None:
    _delete(_made_at_home())
    _remove_empty(paths.home_folder() / "sessions")
    _remove_empty(paths.home_folder())


def _delete(made: Sequence[Path]) -> None:
    for path in made:
        with storage_errors(path):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def _remove_empty(folder: Path) -> None:
    """Deletes a folder that holds nothing more; where a link leads to it, the link alone."""
    with suppress(OSError):
        if not folder.is_symlink():
            folder.rmdir()
        elif not any(folder.glob("*")):
            folder.unlink()

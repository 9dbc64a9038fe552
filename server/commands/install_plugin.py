"""`inbetween install-plugin`: puts the effect where hosts look for it, and takes it away again."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import typer

from engine.errors import InbetweenError, InvalidValueError, NotFoundError, StorageError
from server import bundle
from server.bundle import BUNDLE, SEARCH_VARIABLE, Bundle

CACHES = """\
Restart the editor. Where it keeps a list of effects, clear that too:
  DaVinci Resolve: delete ~/.local/share/DaVinciResolve/configs/OFXPluginCacheV2.xml
  Nuke: delete the folder ofxplugincache in Nuke's temporary folder ($NUKE_TEMP_DIR)
  Natron: Cache > Clear Plug-ins Load Cache, or start it once with --clear-openfx-cache"""


class Where(Enum):
    """Whose hosts find it."""

    SYSTEM = "--system"
    USER = "--user"


@dataclass(frozen=True)
class Place:
    """A folder for the bundle."""

    where: Where
    folder: Path

    @property
    def bundle(self) -> Bundle:
        return Bundle(self.folder / BUNDLE)

    @property
    def search_file(self) -> Path | None:
        """What makes hosts look there: systemd reads it for programs of a desktop session."""
        if self.where is Where.SYSTEM:
            return None
        return Path.home() / ".config" / "environment.d" / "60-inbetween.conf"

    @property
    def search_line(self) -> str:
        return f"{SEARCH_VARIABLE}={self.folder}${{{SEARCH_VARIABLE}:+:${SEARCH_VARIABLE}}}\n"


def install(where: Where | None) -> None:
    """Links the bundle of a checkout, copies that of an installed package."""
    own = bundle.own_bundle()
    if own is None:
        raise NotFoundError(
            "This installation holds no effect: in a checkout, make plugin builds it."
        )
    place = _place(where)
    _check_replaceable(place.bundle)
    with _not_writable(place, "install-plugin"):
        _make_folder(place.folder)
        new = place.folder / f".inbetween-{os.getpid()}-new"
        try:
            _stage(own, new)
            _check(Bundle(new), own)
            _exchange(new, place.bundle.path)
        finally:
            _delete(new)
        _make_found(place)
    how = f"a link to {own.path}" if place.bundle.path.is_symlink() else "a copy"
    typer.echo(f"The effect is installed, and loads: {place.bundle.path}, {how}.")
    if place.search_file is not None:
        typer.echo(
            f"Editors find it from your next login on ({place.search_file}). One that you start "
            f"from a terminal needs: export {SEARCH_VARIABLE}={place.folder}"
        )
    typer.echo(CACHES)


def remove(where: Where | None) -> None:
    """Takes away what `install` put there, and nothing else."""
    wanted = [where] if where else [Where.SYSTEM] if _is_sudo() else [Where.USER, Where.SYSTEM]
    places = [_place_of(each) for each in wanted]
    there = [place for place in places if place.bundle.is_there]
    failures = []
    for place in there:
        try:
            _take_away(place)
        except StorageError as error:
            failures.append(str(error))
        except OSError as error:
            failures.append(f"{place.bundle.path} cannot be removed: {error.strerror}.")
    if not there:
        folders = " or ".join(str(place.folder) for place in places)
        typer.echo(f"The effect is not in {folders}: nothing is removed.")
    for place in places:
        if not place.bundle.is_there:
            _forget(place)
    if failures:
        raise StorageError("\n".join(failures))


def _take_away(place: Place) -> None:
    """Raises StorageError or OSError where that cannot be."""
    path = place.bundle.path
    if not _is_ours(place.bundle):
        typer.echo(f"{path} is not of this installation and stays.")
        return
    with _not_writable(place, "install-plugin --remove"):
        old = place.folder / f".inbetween-{os.getpid()}-old"
        path.rename(old)
        _delete(old)
    typer.echo(f"{path} is removed.")


def _place(where: Where | None) -> Place:
    if where is not None:
        return _place_of(where)
    system = _place_of(Where.SYSTEM)
    existing = next(each for each in (system.folder, *system.folder.parents) if each.exists())
    if os.access(existing, os.W_OK):
        return system
    raise StorageError(
        f"{_for_root(system, 'install-plugin')}, or inbetween install-plugin --user for you alone."
    )


def _place_of(where: Where) -> Place:
    if where is Where.SYSTEM:
        return Place(where, bundle.SYSTEM_FOLDER)
    if _is_sudo():
        raise InvalidValueError(
            f"--user through sudo would be for root: leave out sudo, or give --system for "
            f"{os.environ['SUDO_USER']} and everybody else."
        )
    return Place(where, bundle.user_folder())


def _is_sudo() -> bool:
    """Somebody's environment is root's for the moment."""
    return os.geteuid() == 0 and os.environ.get("SUDO_USER", "root") != "root"


def _for_root(place: Place, command: str) -> str:
    """Sudo has another PATH, so the command is named in full."""
    return f"{place.folder} cannot be written: give sudo {bundle.own_command()} {command} --system"


@contextmanager
def _not_writable(place: Place, command: str) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        if place.where is Where.SYSTEM:
            raise StorageError(f"{_for_root(place, command)}.") from error
        raise


def _check(new: Bundle, own: Bundle) -> None:
    """Raises InbetweenError for one that no host could use."""
    if problem := new.load_problem():
        raise InbetweenError(f"{own.path} does not load: {problem}.")
    if not os.access(new.command, os.X_OK):
        raise InbetweenError(
            f"{own.path} starts {new.command}, which is not there: make plugin builds it anew."
        )


def _check_replaceable(old: Bundle) -> None:
    """A link holds nothing that could be lost."""
    if old.is_there and not (old.path.is_symlink() or old.is_inbetween):
        raise InvalidValueError(f"{old.path} is something else: move it away first.")


def _is_ours(installed: Bundle) -> bool:
    """Also a link to a checkout that is gone, whose own command is gone with it."""
    if installed.path.is_symlink():
        target = installed.path.readlink()
        is_lost = target.name == BUNDLE and not installed.path.exists()
        return is_lost or target == bundle.built_bundle().path
    return installed.is_inbetween and installed.command == bundle.own_command()


def _make_folder(folder: Path) -> None:
    """For everybody to read, whatever the umask of root is."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir()
        each.chmod(0o755)


def _stage(own: Bundle, new: Path) -> None:
    """The new bundle under a name that no host looks for."""
    if own == bundle.built_bundle():
        new.symlink_to(own.path)
        return
    shutil.copytree(own.path, new)
    Bundle(new).command_file.write_text(f"{bundle.own_command()}\n", "utf-8")
    for path in (new, *new.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.suffix == ".ofx" else 0o644)


def _exchange(new: Path, place: Path) -> None:
    """A host that runs keeps the file that it has mapped; if the second step fails, the old
    bundle comes back.
    """
    if not (place.is_symlink() or place.exists()):
        new.rename(place)
        return
    old = new.with_name(f".inbetween-{os.getpid()}-old")
    place.rename(old)
    try:
        new.rename(place)
    except OSError:
        old.rename(place)
        raise
    _delete(old)


def _delete(path: Path) -> None:
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def _make_found(place: Place) -> None:
    if place.search_file is not None:
        place.search_file.parent.mkdir(parents=True, exist_ok=True)
        place.search_file.write_text(place.search_line, "utf-8")


def _forget(place: Place) -> None:
    """The line that makes hosts look there, and folders of the user's that are empty now."""
    if place.search_file is None:
        return
    if place.search_file.is_file() and place.search_file.read_text("utf-8") == place.search_line:
        place.search_file.unlink()
    with suppress(OSError):
        place.folder.rmdir()
        place.folder.parent.rmdir()

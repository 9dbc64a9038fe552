"""The effect's bundle: where it comes from, where hosts look for it, and whether it works there."""

import filecmp
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from engine.errors import NotFoundError

BUNDLE = "Inbetween.ofx.bundle"
SEARCH_VARIABLE = "OFX_PLUGIN_PATH"
SYSTEM_FOLDER = Path(
    {
        "darwin": "/Library/OFX/Plugins",
        "win32": "C:/Program Files/Common Files/OFX/Plugins",
    }.get(sys.platform, "/usr/OFX/Plugins")
)
"""Where every host looks."""

_LOAD_SECONDS = 60.0
_COUNT_PLUGINS = """
import ctypes, os, sys
library = ctypes.CDLL(sys.argv[1], mode=os.RTLD_NOW)
sys.exit(library.OfxGetNumberOfPlugins() < 1 and "it holds no effect")
"""


@dataclass(frozen=True)
class Bundle:
    """A folder of this name, or a link to one; whether it is there or not."""

    path: Path

    @property
    def is_there(self) -> bool:
        """Also as a link that leads nowhere."""
        return self.path.is_symlink() or self.path.exists()

    @property
    def is_inbetween(self) -> bool:
        return self.command_file.is_file()

    @property
    def command_file(self) -> Path:
        return self.path / "Contents" / "Resources" / "inbetween.command"

    @property
    def command(self) -> Path:
        """By which the effect starts the render server and the panel."""
        return Path(self.command_file.read_text("utf-8").strip())

    @property
    def library(self) -> Path | None:
        """The effect of this system; None where there is none."""
        return next(self.path.glob("Contents/*/Inbetween.ofx"), None)

    def load_problem(self) -> str:
        """Why it does not load, tried in a process of its own; empty where it loads."""
        if self.library is None:
            return "it holds no library for this system"
        command = [sys.executable, "-I", "-c", _COUNT_PLUGINS, str(self.library)]
        try:
            tried = subprocess.run(  # noqa: S603 - our own line
                command, capture_output=True, text=True, timeout=_LOAD_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return f"it did not load within {_LOAD_SECONDS:.0f} seconds"
        if tried.returncode < 0:
            return f"it crashes ({signal.Signals(-tried.returncode).name})"
        if tried.returncode:
            return (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
        return ""

    def has_the_library_of(self, other: "Bundle") -> bool:
        if self.library is None or other.library is None:
            return False
        return filecmp.cmp(self.library, other.library, shallow=False)


def packaged_bundle() -> Bundle:
    """Inside an installed package, where a wheel puts it."""
    return Bundle(Path(str(files("server"))) / "bundle" / BUNDLE)


def built_bundle() -> Bundle:
    """In a checkout, where make puts it."""
    return Bundle(Path(str(files("server"))).parent / "build" / "plugin" / BUNDLE)


def own_bundle() -> Bundle | None:
    """The one of this installation."""
    return next((each for each in (packaged_bundle(), built_bundle()) if each.is_inbetween), None)


def own_command() -> Path:
    """The command `inbetween` of this installation. Raises NotFoundError."""
    beside = Path(sys.executable).with_name("inbetween")
    found = str(beside) if beside.is_file() else shutil.which("inbetween")
    if found is None:
        raise NotFoundError(
            f"There is no command inbetween beside {sys.executable}: install Inbetween again."
        )
    return Path(found).absolute()


def user_folder() -> Path:
    """A folder of the user's own, where hosts look if OFX_PLUGIN_PATH says so."""
    return Path.home() / ".local" / "share" / "OFX" / "Plugins"


def searched_folders() -> list[Path]:
    """Where a host looks that is started from here."""
    chosen = os.environ.get(SEARCH_VARIABLE, "").split(os.pathsep)
    return list(dict.fromkeys([*(Path(folder) for folder in chosen if folder), SYSTEM_FOLDER]))
